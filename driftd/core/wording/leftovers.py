"""What is said of things that a replacement left behind."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime


def orphan(instance: str, group: str, rid: str, state: str) -> str:
    """An instance of ours that no open replacement knows."""
    said = f"replacement {rid} is over ({state})" if rid else "no replacement on record made it"
    return f"{instance} in {group} carries driftd's mark, but {said}"


def marks(instance: str, group: str, rid: str, tags: Sequence[str]) -> str:
    """Tags that should have been taken off."""
    return f"{instance} in {group} still carries {', '.join(tags)} of replacement {rid}, which is over"


def old_snapshot(snapshot: str, volume: str, rid: str, at: datetime) -> str:
    """A snapshot that has been kept for long enough."""
    return f"snapshot {snapshot} of volume {volume}, taken by replacement {rid} on {at:%Y-%m-%d}, is no longer kept"


def cleaned(what: str, thing: str, why_not: str) -> str:
    """What became of a leftover: "" as ``why_not`` when it is gone."""
    name, done = {
        "orphan": (f"the orphan {thing}", "ended"),
        "marks": (f"the marks on {thing}", "removed"),
        "snapshot": (f"the snapshot {thing}", "deleted"),
    }[what]
    verb = "were" if what == "marks" else "was"
    return f"{name} could not be {done}: {why_not}" if why_not else f"{name} {verb} {done}"


def no_successor(instance_id: str, rid: str) -> str:
    """Why what a replacement left behind is not itself replaced."""
    return f"{instance_id} is a leftover of replacement {rid} in nobody's place: nothing is launched in its stead"
