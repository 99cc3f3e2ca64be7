"""What a command did, said to a person or to a program: one shape for all that do something (docs/cli.md)."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated

import typer

from driftd.doors.cli.app import Context
from driftd.doors.cli.lines import say

SCHEMA = "driftd.done/1"
Json = Annotated[bool, typer.Option("--json", help="Say it in JSON.")]


def tell(context: Context, did: str, said: str, *, as_json: bool, **fields: object) -> None:
    """``said`` is the whole sentence for a person; ``fields`` are what a program wants beside it."""
    if as_json:
        typer.echo(json.dumps({"schema": SCHEMA, "did": did, "said": said, **fields}, default=_plain))
    else:
        say(context.out, said)


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
