"""What is said of the journal, the store, and of why nothing is changed because of them."""

from __future__ import annotations

from datetime import datetime


def paused_hard(owner: str, group: str, reason: str) -> str:
    return f"{owner} paused {group or 'everything'}, undoing too: {reason}"


def paused_by_file(file: str) -> str:
    return f"paused by the file {file}: while it exists nothing is changed, undoing included"


def journal_broken(seq: int, why: str) -> str:
    return f"the journal is broken from line {seq} on ({why}), so nothing is changed; looking goes on"


BROKEN_HINT = "keep a copy of the store as evidence and find out who changed it; then: driftd journal accept-break"


def journal_unverified(count: int, last: int) -> str:
    return f"the journal is still being verified, {count} of {last} lines, and nothing is changed before that"


def doubted(why: str) -> str:
    return f"this store may not know what was done ({why}), so nothing is changed; looking goes on"


DOUBT_HINT = "look at what the groups are made of now, then say: driftd store accept --reason …"


def unread(group: str) -> str:
    return f"the marks on the instances of {group} were not read yet since driftd started"


def restored(at: datetime, source: str) -> str:
    return f"it was restored on {at:%Y-%m-%d %H:%M:%S} UTC from {source}"
