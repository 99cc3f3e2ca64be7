"""``driftd run``: the daemon."""

from __future__ import annotations

import typer

from driftd.doors import daemon
from driftd.doors.cli.app import app, of


@app.command()
def run(ctx: typer.Context) -> None:
    """Watch the fleet and, where a group allows it, replace what drifted. Stops cleanly on SIGTERM."""
    house = of(ctx).house()
    daemon.serve(house.engine(), house.manager())
