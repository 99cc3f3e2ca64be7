"""``driftd attest``: what an instance was seen to be, signed for others to go by; and verified."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from driftd.core.errors import BadInput
from driftd.core.wording import attested as wording
from driftd.core.wording import lasting, printable
from driftd.doors.cli.app import CLEAN, DRIFTED, Context, app, of, span
from driftd.doors.cli.complete import one_instance
from driftd.doors.cli.done import Json, tell
from driftd.doors.cli.files import ready, write
from driftd.doors.cli.progress import working

if TYPE_CHECKING:
    from driftd.core.attested import Verified
    from driftd.doors.desks.attesting import Attested


@app.command()
def attest(
    ctx: typer.Context,
    instance: Annotated[
        str | None,
        typer.Argument(help="The instance, by id, slot or address.", show_default=False, autocompletion=one_instance),
    ] = None,
    last: Annotated[
        bool, typer.Option("--last", help="Attest what the daemon's last look saw, without a visit.")
    ] = False,
    valid_for: Annotated[
        str, typer.Option(metavar="1h", help="How long it holds, from when the look began; at most 90d.")
    ] = "1h",
    key: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Sign with this private key; with --verify, trust this public one (default: the configured ones).",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write it to this file (default: standard output).")
    ] = None,
    *,
    verify: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Verify this attestation, and show what it says.")
    ] = None,
    of_instance: Annotated[
        str, typer.Option("--instance", metavar="ID", help="With --verify: it must be of the instance of this id.")
    ] = "",
    image: Annotated[str, typer.Option(metavar="NAME", help="With --verify: it must be of this image.")] = "",
    as_json: Json = False,
) -> None:
    """Look at an instance now and sign what was seen, as an in-toto statement for whoever decides by it; or verify one.

    Exit status: 0 it PASSED, 1 it FAILED, 2 wrong usage, 3 nothing could be seen and nothing is written; of a file that
    is verified, 3 when it attests nothing that may be gone by.
    """
    context = of(ctx)
    ready(output)
    length = _length(valid_for)
    if verify is not None:
        if instance or last or output:
            raise BadInput("--verify reads an attestation and makes none", "demand whose it is with --instance ID")
        _verify(context, verify, key or [], of_instance, image, as_json=as_json)
        return
    if instance is None:
        raise BadInput("nothing says what to attest", "name an instance, or a file with --verify FILE")
    if of_instance or image:
        raise BadInput("--instance and --image go with --verify", f"say: driftd attest {instance}")
    if as_json and output is None:
        raise BadInput(
            "--json tells what was done, and the attestation itself is printed", "name a file for it: -o FILE"
        )
    desk = context.house().attesting()
    with working(context.err, f"looking at {instance}"):
        made = (desk.last if last else desk.now)(instance, length, key or [])
    _hand_over(context, made, output, as_json=as_json)


def _length(text: str) -> timedelta:
    from driftd.core.attestation import LONGEST  # noqa: PLC0415  # costs --help a quarter of a second

    length = span(text, "--valid-for")
    if length > LONGEST:
        raise BadInput(f"--valid-for {text!r} is longer than {lasting(LONGEST)}", "make one anew now and then")
    return length


def _hand_over(context: Context, made: Attested, output: Path | None, *, as_json: bool) -> None:
    """Print it, or write it whole; say what it says."""
    one = made.attestation
    said = wording.made(one.instance, one.result.value, one.verdict.value, one.valid_until, made.keys)
    if output is None:
        typer.echo(made.text.decode("ascii"), nl=False)
        context.err.print(printable(said), highlight=False, markup=False, soft_wrap=True)
    else:
        write(output, made.text)
        tell(
            context,
            "attest",
            said if as_json else f"{said}: {output}",
            as_json=as_json,
            file=str(output),
            instance=one.instance,
            image=one.stated.image,
            result=one.result.value,
            verdict=one.verdict.value,
            failures=[failure.value for failure in one.failures],
            reason=one.reason,
            valid_until=one.valid_until,
            keys=list(made.keys),
        )
    if one.failures and not as_json:
        context.err.print(printable(one.reason), highlight=False, markup=False, soft_wrap=True)
    raise typer.Exit(DRIFTED if one.failures else CLEAN)


def _verify(context: Context, file: Path, keys: list[Path], instance: str, image: str, *, as_json: bool) -> None:
    from driftd.doors.report import attested  # noqa: PLC0415  # costs --help a quarter of a second

    # Whoever names the key needs no configuration: an auditor has none.
    house = context.bare() if keys and context.config is None else context.house()
    found: Verified = house.attesting().verify(file, keys, instance=instance, image=image)
    if as_json:
        typer.echo(attested.as_json(found, house.now()))
    else:
        context.out.print(attested.screen(found, house.now()))
    raise typer.Exit(DRIFTED if found.attestation.failures else CLEAN)
