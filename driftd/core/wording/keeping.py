"""What is said of the journal, the store, and of why nothing is changed because of them."""

from __future__ import annotations

from datetime import datetime


def paused_hard(owner: str, group: str, reason: str) -> str:
    return f"{owner} paused {group or 'everything'}, undoing too: {reason}"


def paused_by_file(file: str) -> str:
    return f"paused by the file {file}: while it exists nothing is changed, undoing included"


def journal_broken(seq: int, why: str) -> str:
    return f"the journal is broken from line {seq} on ({why}), so nothing is changed; looking goes on"


BROKEN_HINT = (
    "keep a copy of the store as evidence and find out who changed it; then: driftd journal accept-break --reason …"
)


def journal_unverified(count: int, last: int) -> str:
    """``last`` 0: it is not known yet how many lines there are."""
    far = f", {count} of {last} lines" if last else ""
    return f"the journal is still being verified{far}, and nothing is changed before that"


def doubted(why: str) -> str:
    return f"this store may not know what was done ({why}), so nothing is changed; looking goes on"


DOUBT_HINT = "look at what the groups are made of now, then say: driftd store accept --reason …"


def unread(group: str) -> str:
    return f"the marks on the instances of {group} were not read yet since driftd started"


def restored(at: datetime, source: str) -> str:
    return f"it was restored on {at:%Y-%m-%d %H:%M:%S} UTC from {source}"


def behind_checkpoint(last: int, seq: int, at: datetime) -> str:
    return f"its journal ends at line {last}, and a checkpoint of {at:%Y-%m-%d %H:%M:%S} UTC knows line {seq}"


def not_as_signed(seq: int, at: datetime) -> str:
    return f"line {seq} of its journal is not the one that the checkpoint of {at:%Y-%m-%d %H:%M:%S} UTC knows"


def other_store(theirs: str, ours: str) -> str:
    return f"the checkpoint beside it is of another store ({theirs[:8]}, this one is {ours[:8]})"


def unreadable_checkpoint(why: str) -> str:
    return f"the checkpoint beside it cannot be read: {why}"


def later_epoch(instance: str, epoch: int, ours: int) -> str:
    return f"{instance} was launched in epoch {epoch}, and this store only knows of epoch {ours}"


def unreadable_epoch(instance: str, text: str) -> str:
    return f"{instance} carries an epoch that nobody can read: {text}"


def unknown_replacement(instance: str, rid: str) -> str:
    return f"{instance} was launched for replacement {rid}, of which this store knows nothing"


def cut_off(last: int, count: int) -> str:
    return f"lines were cut off its end: line {count} was verified before, and it ends at line {last}"


def rewritten(count: int) -> str:
    return f"line {count} is gone, or another than the one that was verified before"


def holds(lines: int, head: str) -> str:
    return f"the journal's {lines} lines verify; head {head[:16]}"


def broken(seq: int, why: str) -> str:
    return f"the journal is broken at line {seq}: {why}"


def accepted(seq: int, why: str, line: int, by: str, reason: str) -> str:
    return f"a break at line {seq} ({why}) was accepted by {by} in line {line}: {reason}"
