"""History: what happened on one instance, in the order in which it did, put together from the store's rows. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from driftd.core.aftermath import Aftermath
from driftd.core.attributed import Attribution, Level
from driftd.core.attribution import levels
from driftd.core.expect import PATH_KINDS
from driftd.core.holds import Hold
from driftd.core.memory import FindingRow, InstanceRow, SessionRow
from driftd.core.replacement import TERMINAL, Record
from driftd.core.taint import SESSION, same_one
from driftd.core.wording import attribution as whose
from driftd.core.wording import causes
from driftd.core.wording import history as say


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened: ``what`` is "session", "finding", "resolved", "hold" or "replacement"."""

    at: datetime
    what: str
    says: str


@dataclass(frozen=True, slots=True)
class History:
    """An instance with its events, oldest first, and how often driftd itself was there. ``left`` counts older events.

    ``follows`` is what follows from its taint, None where it has none.
    """

    row: InstanceRow
    events: tuple[Event, ...]
    visits: int
    follows: Aftermath | None
    left: int = 0


MOST = 200


def history(
    row: InstanceRow,
    sessions: Iterable[SessionRow],
    findings: Iterable[FindingRow],
    holds: Iterable[Hold],
    records: Iterable[Record],
    follows: Aftermath | None,
    tied: Mapping[int, Attribution],
) -> History:
    """Everything that the store knows of ``row``; of more than ``MOST`` events the newest.

    ``tied`` is what findings are attributed to, by their numbers.
    """
    every, rows = list(sessions), list(findings)
    did = _deeds(rows, tied)
    events = [
        Event(one.session.started_at, "session", say.session(one.session, did.get(same_one(one.session), "")))
        for one in every
        if not one.own
    ]
    for found in rows:
        one = found.finding
        if one.kind == SESSION and one.actual.get("door"):
            continue  # who came is told by the sessions themselves
        shown = causes.alone(one.kind, one.subject, one.change)
        by = whose.clause(made.level, made.session, made.why) if (made := tied.get(found.id)) else ""
        events.append(Event(found.first_seen, "finding", say.finding(one.severity, shown, one.suppressed_by, by)))
        if found.resolved_at is not None:
            events.append(Event(found.resolved_at, "resolved", say.resolved(shown)))
    events += [Event(one.created_at, "hold", say.hold(one)) for one in holds]
    events += [
        Event(one.created_at, "replacement", say.replacement(one, over=one.state in TERMINAL)) for one in records
    ]
    events.sort(key=lambda event: (event.at, event.what, event.says))
    return History(row, _newest(events), sum(one.own for one in every), follows, max(0, len(events) - MOST))


def _deeds(rows: Iterable[FindingRow], tied: Mapping[int, Attribution]) -> dict[tuple[object, ...], str]:
    """By session (core/taint.py), what is attributed to it, counted."""
    found: dict[tuple[object, ...], tuple[Counter[str], Counter[Level]]] = {}
    for row in rows:
        made = tied.get(row.id)
        if made is not None and made.session is not None:
            what, sure = found.setdefault(same_one(made.session), (Counter(), Counter()))
            kind = row.finding.kind
            what["file" if kind in PATH_KINDS else kind if kind == "process" else ""] += 1
            sure[made.level] += 1
    return {
        who: whose.deeds(what["file"], what["process"], what[""], levels(sure)) for who, (what, sure) in found.items()
    }


def _newest(events: Sequence[Event]) -> tuple[Event, ...]:
    return tuple(events[-MOST:])
