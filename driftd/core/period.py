"""A period: what an auditor asks of a time that is over, put together from the store's rows and the journal. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from driftd.core.attributed import Attribution
from driftd.core.breakers.breaker import Breaker
from driftd.core.facts import Session
from driftd.core.findings import Verdict
from driftd.core.holds import Hold
from driftd.core.memory import FindingRow, InstanceRow, JournalLine, Pause, SessionRow, Suppression
from driftd.core.replacement import TERMINAL, Record
from driftd.core.taint import same_one
from driftd.core.visits import Looked

GAP_LEAST = timedelta(minutes=15)
GAP_TIMES = 3  # of the time that a group wants between two looks


@dataclass(frozen=True, slots=True)
class Member:
    """An instance that was there at some time of the period. ``looks`` are visits in it that got in.

    ``gap`` is the longest time in the period without one, from ``gap_from`` on; it is a ``hole`` where that is much
    longer than the group wants.
    """

    row: InstanceRow
    looks: int
    gap: timedelta
    gap_from: datetime
    hole: bool


@dataclass(frozen=True, slots=True)
class Came:
    """A session that was not driftd's. ``drifts`` counts what is tied to it."""

    member: InstanceRow
    session: Session
    drifts: int


@dataclass(frozen=True, slots=True)
class Drift:
    """A finding that was open at some time of the period, and whose it is, where anybody can be named."""

    member: InstanceRow
    row: FindingRow
    attribution: Attribution | None


@dataclass(frozen=True, slots=True)
class Deed:
    """What a person did, by the journal's line ``seq``. ``says`` is the rest of what it tells."""

    seq: int
    at: datetime
    who: str
    did: str
    subject: str
    says: str


@dataclass(frozen=True, slots=True)
class Tripped:
    """A breaker that changed its state, by the journal."""

    seq: int
    at: datetime
    rule: str
    scope: str
    to: str
    why: str


@dataclass(frozen=True, slots=True)
class Proof:
    """What the journal's chain amounts to, verified for this: ``lines`` of it hold, ``head`` is the last one's hash.

    ``first`` and ``last`` are the numbers of the period's own lines, 0 for none. ``checkpoint`` is how the newest one
    stands: "trusted", "unsigned", "untrusted", "wrong" or "none"; ``said`` are sentences for a person.
    """

    good: bool
    lines: int
    head: str
    first: int
    last: int
    checkpoint: str
    checkpoint_line: int
    checkpoint_at: datetime | None
    said: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Period:
    """All of it. Where ``until`` is not now, what stands is told as it stands now, and what happened as it did then."""

    since: datetime
    until: datetime
    made_at: datetime
    store: str
    fleet: tuple[Member, ...]
    sessions: tuple[Came, ...]
    drifts: tuple[Drift, ...]
    replacements: tuple[Record, ...]
    holds: tuple[Hold, ...]
    acceptances: tuple[Suppression, ...]
    pauses: tuple[Pause, ...]
    deeds: tuple[Deed, ...]
    tripped: tuple[Tripped, ...]
    breakers: tuple[Breaker, ...]
    proof: Proof

    @property
    def never(self) -> tuple[Member, ...]:
        """Those never looked at in it."""
        return tuple(one for one in self.fleet if not one.looks)

    @property
    def holes(self) -> tuple[Member, ...]:
        """Those that were looked at, and not for much too long."""
        return tuple(one for one in self.fleet if one.looks and one.hole)

    @property
    def unknown(self) -> tuple[Member, ...]:
        """Those that are there and of which nothing is known."""
        return tuple(one for one in self.fleet if one.row.verdict is Verdict.UNKNOWN and one.row.gone_at is None)


def member(row: InstanceRow, looked: Looked | None, every: timedelta, since: datetime, until: datetime) -> Member:
    """``every`` is how often its group wants a look, 0 where nobody knows."""
    begin = max(since, row.first_seen)
    end = min(until, row.gone_at) if row.gone_at is not None else until
    if looked is None:
        gap, gap_from = end - begin, begin
    else:
        steps = [
            (looked.first - begin, begin),
            (looked.gap, looked.gap_from or looked.first),
            (end - looked.last, looked.last),
        ]
        gap, gap_from = max(steps, key=lambda step: step[0])
    least = max(GAP_TIMES * every, GAP_LEAST)
    return Member(row, looked.times if looked else 0, max(gap, timedelta(0)), gap_from, gap > least)


def there(row: InstanceRow, since: datetime, until: datetime) -> bool:
    """Whether an instance was there at some time between."""
    return row.first_seen < until and (row.gone_at is None or row.gone_at >= since)


def came(
    row: InstanceRow,
    sessions: Iterable[SessionRow],
    tied: Mapping[int, Attribution],
    since: datetime,
    until: datetime,
) -> list[Came]:
    """Others' sessions on it between."""
    counts: dict[tuple[object, ...], int] = {}
    for made in tied.values():
        if made.session is not None:
            key = same_one(made.session)
            counts[key] = counts.get(key, 0) + 1
    found = []
    for one in sessions:
        session = one.session
        last = until if session.live else session.ended_at or session.started_at
        if not one.own and session.started_at < until and (last >= since or one.first_seen >= since):
            found.append(Came(row, session, counts.get(same_one(session), 0)))
    return found


def within(records: Iterable[Record], since: datetime, until: datetime) -> tuple[Record, ...]:
    """Those that were under way between, oldest first."""
    chosen = [
        one for one in records if one.created_at < until and (one.state not in TERMINAL or one.entered_at >= since)
    ]
    return tuple(sorted(chosen, key=lambda one: (one.created_at, one.rid)))


def deed(line: JournalLine) -> Deed | None:
    """What a person did, by a line of the journal; None for what driftd did."""
    if line.kind != "human":
        return None
    body = dict(line.body)
    did = str(body.pop("did", "") or ("cancel" if body.pop("cancel", False) else "replace"))
    who = str(body.pop("by", "") or body.get("owner", "") or body.get("who", ""))
    if not who and did == "replace":
        who = str(body.get("why", "")).partition(" asked: ")[0]
    told = [str(body[name]) for name in ("reason", "why", "what", "until") if body.get(name)]
    if body.get("hard"):
        told.insert(0, "undoing too")
    return Deed(line.seq, line.at, who, did, line.subject, "; ".join(dict.fromkeys(told)))


def tripped(line: JournalLine) -> Tripped | None:
    """A breaker's change, by a line of the journal; None for another line."""
    body = line.body
    if line.kind != "decision" or "breaker" not in body:
        return None
    words = [str(body.get(name, "")) for name in ("breaker", "scope", "to", "why")]
    return Tripped(line.seq, line.at, *words)


def took(record: Record) -> timedelta | None:
    """How long a replacement took; None while it lasts."""
    return record.entered_at - record.created_at if record.state in TERMINAL else None


def outcomes(records: Sequence[Record]) -> Mapping[str, int]:
    """How many ended how; "under way" for those that did not."""
    counts: dict[str, int] = {}
    for one in records:
        name = one.state.value if one.state in TERMINAL else "under way"
        counts[name] = counts.get(name, 0) + 1
    return dict(sorted(counts.items()))
