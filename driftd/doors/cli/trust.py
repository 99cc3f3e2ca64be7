"""``driftd trust``: a new server's host keys, shown and recorded when told to."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from driftd.core.errors import BadInput
from driftd.doors.cli.app import app, of
from driftd.doors.cli.done import tell


@app.command()
def trust(
    ctx: typer.Context,
    host: Annotated[str, typer.Argument(help="HOST or HOST:PORT.")],
    yes: Annotated[
        bool, typer.Option("--yes", help="Record them without asking: you have compared the fingerprints.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Say it in JSON, and ask nothing: only --yes records.")
    ] = False,
) -> None:
    """Show the host keys of a new server, and record them when told to."""
    context = of(ctx)
    house = context.house()
    keys = house.scan_host_keys(host)
    if as_json:
        record = yes and not all(key.known for key in keys)
        file = str(house.record_host_keys(host)) if record else None
        shown = [{"type": key.kind, "fingerprint": key.fingerprint, "known": key.known} for key in keys]
        said = f"recorded in {file}" if file else "nothing was recorded"
        tell(context, "trust", said, as_json=True, host=host, keys=shown, recorded=file)
        return
    context.out.print(f"{escape(host)} presents:", highlight=False)
    for key in keys:
        known = "  [green]known[/]" if key.known else ""
        context.out.print(f"  {escape(key.kind):<20} {escape(key.fingerprint)}{known}", highlight=False, soft_wrap=True)
    if all(key.known for key in keys):
        context.out.print("All of them are trusted already.", highlight=False)
        return
    context.out.print(
        "Compare them with what the server itself says: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub",
        highlight=False,
        soft_wrap=True,
    )
    if not yes:
        if not context.err.is_terminal:
            raise BadInput(
                "nothing was recorded: there is nobody to ask", "say --yes once you have compared the fingerprints"
            )
        typer.confirm("Record them?", abort=True, err=True)
    context.out.print(f"recorded in {house.record_host_keys(host)}", highlight=False, markup=False)
