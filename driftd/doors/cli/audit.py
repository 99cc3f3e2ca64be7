"""``driftd audit``: look now, report."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from driftd.core import packs
from driftd.core.errors import BadInput
from driftd.core.findings import Verdict
from driftd.core.looks import Look
from driftd.doors.cli.app import CLEAN, DRIFTED, UNSEEN, Context, app, of
from driftd.doors.cli.files import write
from driftd.doors.house import House


class Format(StrEnum):
    """What the report looks like."""

    TABLE = "table"
    JSON = "json"


def status_of(looks: Iterable[Look]) -> int:
    """The exit status: drift outranks blindness, and blindness outranks clean."""
    verdicts = {look.judgement.verdict for look in looks}
    if verdicts & {Verdict.DRIFTED, Verdict.TAMPERED}:
        return DRIFTED
    return UNSEEN if Verdict.UNKNOWN in verdicts else CLEAN


def _look(context: Context, house: House, targets: list[str], *, strict: bool) -> list[Look]:
    """Look at every target, with progress on a terminal."""
    instances = house.find(targets)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    looks: list[Look] = []
    with Progress(*columns, console=context.err, transient=True, disable=not context.err.is_terminal) as progress:
        task = progress.add_task("looking", total=len(instances))
        for look in house.audit(instances, strict=strict):
            looks.append(look)
            progress.update(task, advance=1, description=f"looked at {look.instance.slot or look.instance.id}")
    return sorted(looks, key=lambda look: (look.instance.group, look.instance.slot, look.instance.id))


@app.command()
def audit(
    ctx: typer.Context,
    targets: Annotated[
        list[str] | None,
        typer.Argument(help="Instances, slots, groups or addresses (default: all).", show_default=False),
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
    if packages is not None:
        house.use_packages(packages)
    if (root is None) != (manifest is None):
        raise BadInput(
            "--root and --manifest go together", "bake one with: driftd bake --root DIR --image NAME -o FILE"
        )
    if root is not None and manifest is not None:
        if targets:
            raise BadInput("--root takes no targets", "leave out either")
        looks = [house.audit_root(root, manifest, policy or packs.DEFAULT, strict=strict, keys=key or [])]
    elif key:
        raise BadInput("--key goes with --root and --manifest", "name keys of the fleet under trust: manifest_keys")
    else:
        looks = _look(context, house, targets or [], strict=strict)
    from driftd.doors.report import json as json_report  # noqa: PLC0415  # costs --help a quarter of a second
    from driftd.doors.report import table  # noqa: PLC0415  # likewise

    if output is not None:
        text = json_report.render(looks, house.now()) if form is Format.JSON else table.text(looks)
        write(output, text.encode())
        context.err.print(f"written to {output}", highlight=False, markup=False)
    elif form is Format.JSON:
        typer.echo(json_report.render(looks, house.now()), nl=False)
    else:
        context.out.print(table.render(looks))
    raise typer.Exit(status_of(looks))
