"""``driftd audit``: look now, report."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from driftd.core.errors import BadInput
from driftd.core.findings import Verdict
from driftd.core.looks import Look
from driftd.core.wording import printable
from driftd.doors.cli.app import CLEAN, DRIFTED, UNSEEN, Context, app, of
from driftd.doors.cli.complete import instances as complete
from driftd.doors.cli.files import ready, write
from driftd.doors.cli.progress import counting, working
from driftd.doors.house import House
from driftd.doors.report.formats import Format, render


def status_of(looks: Iterable[Look]) -> int:
    """The exit status: drift outranks blindness, and blindness outranks clean."""
    verdicts = {look.judgement.verdict for look in looks}
    if verdicts & {Verdict.DRIFTED, Verdict.TAMPERED}:
        return DRIFTED
    return UNSEEN if Verdict.UNKNOWN in verdicts else CLEAN


Each = Callable[[Look], None]


def look_at_all(context: Context, house: House, targets: list[str], each: Each, *, strict: bool) -> list[Look]:
    """Look at every target, with progress on a terminal; ``each`` is told of every look as soon as there is one."""
    instances = house.find(targets)
    looks: list[Look] = []
    with counting(context.err, one=True) as count:
        count("looking", 0, len(instances))
        for look in house.audit(instances, strict=strict):
            looks.append(look)
            each(look)
            count(f"looked at {look.instance.slot or look.instance.id}", len(looks), len(instances))
    return sorted(looks, key=lambda look: (look.instance.group, look.instance.slot, look.instance.id))


@app.command()
def audit(
    ctx: typer.Context,
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            help="Instances, slots, groups or addresses (default: all).", show_default=False, autocompletion=complete
        ),
    ] = None,
    root: Annotated[Path | None, typer.Option(help="Look at this directory as the root of a server, offline.")] = None,
    manifest: Annotated[Path | None, typer.Option(help="The manifest to hold --root against.")] = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(help="Policy packs or files for --root (default: auto, sessions).", show_default=False),
    ] = None,
    key: Annotated[
        list[Path] | None,
        typer.Option(metavar="PUB", help="The --manifest must be signed with this key (default: the configured ones)."),
    ] = None,
    *,
    packages: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where changed packages are verified (default: the configured directory)."),
    ] = None,
    form: Annotated[Format, typer.Option("--format", "-f", help="What the report looks like.")] = Format.TABLE,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the report to this file.")] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Switch every expectation off: show all that differs.")
    ] = False,
) -> None:
    """Look now, and report what differs from the image, with its evidence."""
    context = of(ctx)
    house = context.house()
    ready(output)
    if packages is not None:
        house.use_packages(packages)
    if (root is None) != (manifest is None):
        raise BadInput(
            "--root and --manifest go together", "bake one with: driftd bake --root DIR --image NAME -o FILE"
        )
    streamed = form is Format.NDJSON and output is None
    each: Each = _line if streamed else _nothing
    if root is not None and manifest is not None:
        if targets:
            raise BadInput("--root takes no targets", "leave out either")
        from driftd.core import packs  # noqa: PLC0415  # costs --help a quarter of a second

        with working(context.err, f"looking at {root}"):
            looks = [house.audit_root(root, manifest, policy or packs.DEFAULT, strict=strict, keys=key or [])]
        each(looks[0])
    elif key:
        raise BadInput("--key goes with --root and --manifest", "name keys of the fleet under trust: manifest_keys")
    else:
        looks = look_at_all(context, house, targets or [], each, strict=strict)
    if not streamed:
        _report(context, form, looks, house.now(), output)
    raise typer.Exit(status_of(looks))


def _nothing(look: Look) -> None:
    """Where the report is made in the end."""


def _line(look: Look) -> None:
    """Say what was found as soon as it is, for whoever reads the other end of a pipe."""
    from driftd.doors.report import ndjson  # noqa: PLC0415  # costs --help a quarter of a second

    for line in ndjson.lines(look):
        typer.echo(line, nl=False)


def _report(context: Context, form: Format, looks: list[Look], now: datetime, output: Path | None) -> None:
    """Print the report, or write it whole."""
    if output is not None:
        write(output, render(form, looks, now).encode())
        context.err.print(f"written to {output}", highlight=False, markup=False)
        if len(looks) == 1:  # one machine's log (driftd-self.service) says how it is, too
            judged = looks[0].judgement
            context.err.print(
                printable(f"{looks[0].instance.id} is {judged.verdict}: {judged.reason}"), highlight=False, markup=False
            )
    elif form is Format.TABLE:
        from driftd.doors.report import table  # noqa: PLC0415  # costs --help a quarter of a second

        context.out.print(table.render(looks))
    else:
        typer.echo(render(form, looks, now), nl=False)
