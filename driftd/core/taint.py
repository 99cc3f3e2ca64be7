"""Taint: distrust that a clean look cannot lift, since who was there may have removed the traces. Only a person can.

So, too, for what an instance hides that its disk has: from the next look it is hidden as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from driftd.core.acceptance import Acceptances
from driftd.core.answers import SERVICE
from driftd.core.confidence import UNVERIFIED
from driftd.core.facts import Session
from driftd.core.findings import Action, Finding
from driftd.core.memory import FindingRow, Suppression
from driftd.core.outofband import HIDDEN
from driftd.core.wording import outofband, printable, tainted

SESSION = "session"
STICKY = frozenset({SESSION, HIDDEN})  # no later look resolves these
_WAY = ("door", "user", "source", "key")


def standing(rows: Iterable[FindingRow], suppressions: Sequence[Suppression], group: str) -> list[Finding]:
    """The findings of sessions, and of what is hidden, that still count: open in the store and not accepted, whether or
    not the last look saw them.

    ``suppressions`` are those in force now.
    """
    accepted = Acceptances(suppressions, group)
    return [row.finding for row in rows if row.finding.kind in STICKY and accepted.of(row.finding) is None]


def taint_action(sessions: Iterable[Finding]) -> Action:
    """The highest that any of them asks for."""
    return max((one.action for one in sessions), key=lambda action: action.rank, default=Action.IGNORE)


def why_of(sessions: Sequence[Finding]) -> str:
    """Why an instance is tainted, by what its findings say; there is one at least."""
    if hidden := hiding(sessions):
        return outofband.hidden(hidden)
    first = min(sessions, key=lambda one: one.actual.get("started_at", "") or one.expected.get("started_at", ""))
    said = first.actual
    if not said.get("door"):
        return first.because
    user, source = printable(said.get("user", "")), printable(said.get("source", ""))
    unverified = said.get("confidence") == UNVERIFIED
    return tainted(user, source, said["door"], said.get("started_at", ""), len(sessions) - 1, unverified=unverified)


def hiding(found: Iterable[Finding]) -> list[Finding]:
    """Those of what an instance hides that its disk has."""
    return [one for one in found if one.kind == HIDDEN]


def anybody(session: Session) -> bool:
    """Whether it was a person's, as far as can be told, and not one that the server began by itself."""
    return session.door != SERVICE


def same_one(session: Session) -> tuple[object, ...]:
    """What makes a session the one that the store has, whatever else became known of it."""
    return session.door, session.user, session.source, session.port, session.pid, session.started_at


def recalled(sessions: Sequence[Session], kinds: Mapping[tuple[object, ...], str]) -> tuple[Session, ...]:
    """``sessions``, each with the kind that an earlier look saw (by ``same_one``) where this one could not tell it.

    Who has left is in a log alone, which may not say what for; that must not make a copy an unknown.
    """
    return tuple(one if one.kind else replace(one, kind=kinds.get(same_one(one), "")) for one in sessions)


def at_least(action: Action, sessions: Iterable[Session], judged: Iterable[Finding]) -> list[Session]:
    """Those of ``sessions`` whose way in was ``judged`` to ask for ``action`` or more, by this look's findings."""
    asked: dict[tuple[str, ...], Action] = {}
    for one in judged:
        if one.kind == SESSION and one.actual:
            way = _way(one.actual)
            asked[way] = max(one.action, asked.get(way, one.action), key=lambda each: each.rank)
    return [one for one in sessions if asked.get(_way_of(one), Action.IGNORE).rank >= action.rank]


def _way(actual: Mapping[str, str]) -> tuple[str, ...]:
    return (*(actual.get(name, "") for name in _WAY), actual.get("kind", ""))


def _way_of(session: Session) -> tuple[str, ...]:
    return (*(getattr(session, name) for name in _WAY), session.kind)
