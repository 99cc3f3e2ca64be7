"""``driftd run``: the daemon."""

from __future__ import annotations

import typer

from driftd.doors.cli.app import app, of


@app.command()
def run(ctx: typer.Context) -> None:
    """Watch the fleet and, where a group allows it, replace what drifted. Stops cleanly on SIGTERM."""
    from driftd.doors import daemon  # noqa: PLC0415  # costs --help a quarter of a second

    house = of(ctx).house()
    daemon.serve(house.engine(), house.manager())
