"""``driftd audit``: look now, report."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
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
from driftd.doors.desks.disks import Disk
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


def look_from_outside(context: Context, house: House, targets: list[str], each: Each, *, strict: bool) -> list[Look]:
    """Of every target two looks: at the instance and at its disk."""
    instances, looks = house.find(targets), []
    with working(context.err, "looking") as tell:
        for look in house.disks().both(instances, strict=strict, tell=tell):
            looks.append(look)
            each(look)
    return sorted(looks, key=lambda look: (look.instance.group, look.instance.slot, look.instance.id))


@dataclass(frozen=True, slots=True)
class Offline:
    """What is looked at without any instance: a directory, a disk, or neither."""

    root: Path | None
    disk: Disk | None

    def check(
        self, manifest: Path | None, targets: list[str] | None, keys: list[Path] | None, of_disk: int | None
    ) -> None:
        """Raise BadInput for options that do not go together."""
        if self.root is not None and self.disk is not None:
            raise BadInput("--root and --disk are two things to look at", "give one of them")
        flag = "--disk" if self.disk is not None else "--root"
        if (self.root is None and self.disk is None) != (manifest is None):
            raise BadInput(
                f"{flag} and --manifest go together", "bake one with: driftd bake --root DIR --image NAME -o FILE"
            )
        if of_disk and self.disk is None:
            raise BadInput("--partition, --replay-journal and --unpacked-limit are for --disk", "leave them out")
        if manifest is not None and targets:
            raise BadInput(f"{flag} takes no targets", "leave out either")
        if manifest is None and keys:
            raise BadInput("--key goes with --root and --manifest", "name keys of the fleet under trust: manifest_keys")

    def look(self, house: House, manifest: Path, policy: list[str] | None, *, strict: bool, keys: list[Path]) -> Look:
        """The one look."""
        from driftd.core import packs  # noqa: PLC0415  # costs --help a quarter of a second

        names = policy or packs.DEFAULT
        if self.disk is not None:
            return house.disks().audit(self.disk, manifest, names, strict=strict, keys=keys)
        assert self.root is not None  # noqa: S101  # ``check`` saw to it
        return house.audit_root(self.root, manifest, names, strict=strict, keys=keys)


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
    disk: Annotated[
        Path | None, typer.Option(help="Look at this disk image, raw or qcow2, as the disk of a server, offline.")
    ] = None,
    manifest: Annotated[Path | None, typer.Option(help="The manifest to hold --root or --disk against.")] = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(help="Policy packs or files for --root and --disk (default: auto, sessions).", show_default=False),
    ] = None,
    key: Annotated[
        list[Path] | None,
        typer.Option(metavar="PUB", help="The --manifest must be signed with this key (default: the configured ones)."),
    ] = None,
    *,
    partition: Annotated[
        int | None, typer.Option(min=1, help="With --disk: the partition that holds the root file system.")
    ] = None,
    replay_journal: Annotated[
        bool,
        typer.Option("--replay-journal", help="With --disk: play a dirty journal back, onto a private copy."),
    ] = False,
    unpacked_limit: Annotated[
        int | None, typer.Option(min=1, metavar="GIB", help="With --disk: the most that its files may have.")
    ] = None,
    out_of_band: Annotated[
        bool,
        typer.Option("--out-of-band", help="Read each one's disk from outside, too, and compare what both say."),
    ] = False,
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
    limit = unpacked_limit << 30 if unpacked_limit else None
    offline = Offline(root, Disk(disk, partition, replay_journal, limit) if disk else None)
    offline.check(manifest, targets, key, partition or replay_journal or unpacked_limit)
    if out_of_band and manifest is not None:
        raise BadInput("--out-of-band is for instances, and something offline is looked at here", "leave out either")
    streamed = form is Format.NDJSON and output is None
    each: Each = _line if streamed else _nothing
    if manifest is not None:
        with working(context.err, f"looking at {root or disk}"):
            looks = [offline.look(house, manifest, policy, strict=strict, keys=key or [])]
        each(looks[0])
    elif out_of_band:
        looks = look_from_outside(context, house, targets or [], each, strict=strict)
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
