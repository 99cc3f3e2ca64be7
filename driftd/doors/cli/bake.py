"""``driftd bake``: the manifest of an image."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from driftd.core.errors import BadInput
from driftd.doors.cli.app import app, of
from driftd.doors.cli.files import write


@app.command()
def bake(
    ctx: typer.Context,
    image: Annotated[str, typer.Option(help="The image's id, as instances name it.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the manifest goes.")],
    root: Annotated[Path | None, typer.Option(help="Read this root directory.")] = None,
    host: Annotated[
        str | None,
        typer.Option(
            help="Read this pristine running server over SSH: a target, or [USER@]HOST[:PORT]. Marked provisional."
        ),
    ] = None,
) -> None:
    """Write the canonical manifest of an image: the same tree gives the same bytes."""
    context = of(ctx)
    house = context.house()
    if (root is None) == (host is None):
        raise BadInput("bake reads one thing", "give either --root DIR or --host TARGET")
    data = house.bake_root(root, image) if root is not None else house.bake_host(host or "", image)
    write(output, data)
    lines = data.count(b"\n")
    said = (
        f"{output}: {image}, {lines} lines{'' if root else ', provisional: sign it before anything is enforced by it'}"
    )
    context.err.print(said, highlight=False, markup=False)
