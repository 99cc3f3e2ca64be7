"""Whom a mishap strikes: mostly somebody who has to do with a replacement."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driftd.core.replacement import Record, State

if TYPE_CHECKING:
    from driftd.rehearsal.controller import Controller
    from driftd.rehearsal.run import Run


def a_record(run: Run) -> Record | None:
    """A replacement that is under way."""
    records = [one for one in run.open_records() if one.state is not State.CONFIRMING]
    return run.chance.choice(records) if records else None


def someone(run: Run) -> str:
    """Somebody who has to do with a replacement, mostly."""
    record = a_record(run)
    if record is not None and run.chance.random() < 0.8:
        key = run.chance.choice([record.old_id, record.new_id or record.old_id])
        server = run.cloud.servers.get(key)
        if server is not None and server.gone_at is None:
            return key
    return run.chance.choice(run.cloud.alive())


def controller(run: Run) -> Controller:
    """One that runs, if any does."""
    up = [one for one in run.controllers if one.up]
    return run.chance.choice(up or run.controllers)
