"""``driftd manifest export`` and ``import``: manifests in other formats, with what these have no place for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from driftd.core.errors import BadInput
from driftd.core.wording import count, printable
from driftd.core.wording import exports as wording
from driftd.doors.cli.app import Context, of
from driftd.doors.cli.done import Json, tell
from driftd.doors.cli.files import ready, write
from driftd.doors.cli.manifest import Keys, Name, manifest
from driftd.doors.desks.exports import ExportFormat, ImportFormat


@manifest.command("export")
def export(
    ctx: typer.Context,
    name: Name,
    form: Annotated[ExportFormat, typer.Option("--format", "-f", help="What it is written as.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where it goes (default: standard output).")
    ] = None,
    key: Keys = None,
) -> None:
    """Write a manifest in another format; what the format has no place for is counted on standard error."""
    context = of(ctx)
    house = context.house()
    ready(output)
    desk = house.trust()
    standing = desk.read(desk.find(name), key or [])
    if standing.refused:
        raise BadInput(standing.said, standing.hint)
    made = house.exports().export(standing.manifest, form)
    if output is not None:
        write(output, made.text())
    else:
        typer.echo(made.text(), nl=False)
    if standing.manifest.provisional:
        _say(context, (wording.PROVISIONAL,))
    _say(context, made.losses)


@manifest.command("import")
def take(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="What is read.")],
    image: Annotated[str, typer.Option(help="The image's id, as instances name it.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the manifest goes.")],
    form: Annotated[ImportFormat, typer.Option("--format", "-f", help="What the file is.")] = ImportFormat.MTREE,
    partial: Annotated[
        bool, typer.Option("--partial", help="Take entries that say too little: of them the manifest says nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make a provisional manifest from a file of another format; what the file does not say is told."""
    from driftd.core import manifesttext  # noqa: PLC0415  # costs --help a quarter of a second

    context = of(ctx)
    desk = context.house().exports()
    ready(output)
    taken = desk.taken(file, form, image, partial=partial)
    write(output, manifesttext.encode(taken.manifest))
    entries = count(len(taken.manifest.entries), "entry", "entries")
    said = f"{output}: {image}, {entries}, provisional: no driftd saw the tree"
    if as_json:
        fields = {"entries": len(taken.manifest.entries), "losses": list(taken.losses)}
        tell(context, "import", said, as_json=True, file=str(output), image=image, provisional=True, **fields)
    else:
        _say(context, (said, *taken.losses))


def _say(context: Context, sentences: tuple[str, ...]) -> None:
    for sentence in sentences:
        context.err.print(printable(sentence), highlight=False, markup=False, soft_wrap=True)
