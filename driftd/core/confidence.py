"""How sure it is that a session was, and was as it is told: a log line can be written by anybody who is there.

* ``PROVED``: a look saw it live, in processes, sockets or the kernel's own numbers, which a line in a log cannot make;
  or the provider let it in, and says so.
* ``SUPPORTED``: at least two sources tell of it that are not written by one hand, or one that only root could write
  where no other is expected to tell of it.
* ``UNVERIFIED``: a line alone, where something else should have told of it too. It taints, and accuses nobody.

"" is of a session that was kept before driftd told them apart.
"""

from __future__ import annotations

from collections.abc import Iterable

from driftd.core.facts import Session

PROVED = "proved"
SUPPORTED = "supported"
UNVERIFIED = "unverified"
# What a session was for; of several channels of one connection the last of these counts.
KINDS = ("", "forward", "transfer", "command", "interactive")
_RANKS = ("", UNVERIFIED, SUPPORTED, PROVED)


def best(found: Iterable[str]) -> str:
    """The surest of them; "" when there is none."""
    return max(found, key=_rank, default="")


def _rank(confidence: str) -> int:
    return _RANKS.index(confidence) if confidence in _RANKS else 0


def _kind(kind: str) -> int:
    return KINDS.index(kind) if kind in KINDS else 0


def kept(known: Session, seen: Session) -> dict[str, str]:
    """What was once known of a session stays: its evidence and confidence, when a later look sees less of it."""
    parts = {part for one in (known, seen) for part in one.evidence.split("+") if part}
    return {
        "evidence": "+".join(sorted(parts)),
        "kind": max(known.kind, seen.kind, key=_kind),
        "confidence": best((known.confidence, seen.confidence)),
    }
