"""``driftd trust``: a new server's host keys, shown and recorded when told to."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from driftd.core.errors import BadInput
from driftd.core.wording import printable
from driftd.doors.cli.app import app, of
from driftd.doors.cli.done import tell
from driftd.doors.cli.lines import columns, none, show


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
    none(context.out, printable(f"{host} presents:"))
    table = columns(("type", "fingerprint", "trusted"), long=())
    for key in keys:
        known = Text("yes", "green") if key.known else Text("no", "yellow")
        table.add_row(Text(printable(key.kind)), Text(printable(key.fingerprint)), known)
    show(context.out, table)
    if all(key.known for key in keys):
        none(context.out, "All of them are trusted already.")
        return
    none(
        context.out,
        "Compare them with what the server itself says: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub",
    )
    if not yes:
        if not context.err.is_terminal:
            raise BadInput(
                "nothing was recorded: there is nobody to ask", "say --yes once you have compared the fingerprints"
            )
        typer.confirm("Record them?", abort=True, err=True)
    context.out.print(f"recorded in {house.record_host_keys(host)}", highlight=False, markup=False)
