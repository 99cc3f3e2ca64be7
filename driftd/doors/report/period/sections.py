"""The report of a period in sections of plain cells, which the formats for people only lay out.

Names go through ``shown`` and sentences through ``printable``: no control character, directional mark or line feed is
left. Markup of the format itself is for each format to escape.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from driftd.core.attributed import Level
from driftd.core.period import Came, Drift, Member, Period, outcomes, took
from driftd.core.replacement import Record
from driftd.core.wording import attribution as whose
from driftd.core.wording import lasting, printable, shown
from driftd.core.wording import period as say


@dataclass(frozen=True, slots=True)
class Section:
    """One table: its columns, of which ``long`` may be folded, its rows, and what is said where there are none."""

    title: str
    heads: tuple[str, ...]
    long: frozenset[str]
    rows: tuple[tuple[str, ...], ...]
    none: str


def title(period: Period) -> str:
    """The report's heading."""
    return f"driftd, {say.at(period.since)} to {say.at(period.until)} UTC"


def summary(period: Period) -> list[tuple[str, str]]:
    """What all of it amounts to, in a few (what, sentence)."""
    proof = period.proof
    numbers = say.numbers(
        len(period.fleet),
        len(period.sessions),
        len(period.drifts),
        len(period.replacements),
        len(period.deeds),
    )
    ends = ", ".join(f"{number} {printable(name)}" for name, number in outcomes(period.replacements).items())
    found = [
        ("made", f"{say.at(period.made_at)} UTC from the store {printable(period.store[:8])}"),
        ("counted", numbers),
        ("replacements", ends or "none"),
        ("coverage", say.coverage(len(period.never), len(period.holes), len(period.unknown))),
    ]
    found += [("proof" if proof.good else "BROKEN", printable(said)) for said in proof.said]
    return [*found, ("note", say.AS_NOW)]


def sections(period: Period) -> Iterator[Section]:
    """All of them, in the order in which they are told."""
    yield _of("Fleet", ("instance", "group", "image", "there", "verdict", "why"), map(_member, period.fleet), "why")
    yield _of("Not looked at", ("instance", "what", "for", "from"), _coverage(period), "what")
    yield _of(
        "Sessions",
        ("when", "until", "instance", "who", "door", "kind", "from", "sure", "drifts"),
        map(_session, period.sessions),
        "who",
    )
    yield _of(
        "Drifts",
        ("no", "severity", "instance", "what", "opened", "resolved", "accepted", "whose"),
        map(_drift, period.drifts),
        "what",
        "accepted",
        "whose",
    )
    yield _of(
        "Replacements",
        ("began", "took", "slot", "old", "new", "outcome", "why"),
        map(_replacement, period.replacements),
        "why",
        "outcome",
    )
    yield _of("What people did", ("when", "who", "did", "subject", "says", "line"), _deeds(period), "says", "subject")
    yield _of("Holds", ("began", "ended", "instance", "owner", "reason"), _holds(period), "reason")
    yield _of(
        "Acceptances",
        ("no", "signature", "group", "owner", "from", "until", "hits", "reason"),
        _acceptances(period),
        "reason",
    )
    yield _of("Breakers", ("when", "rule", "where", "to", "why", "line"), _breakers(period), "why")
    yield _of("In force now", ("what", "where", "since", "by", "why"), _now(period), "why")


def _of(title: str, heads: tuple[str, ...], rows: Iterable[Sequence[str]], *long: str) -> Section:
    cells = tuple(tuple(printable(cell) for cell in row) for row in rows)
    return Section(title, heads, frozenset(long), cells, "none")


def _name(slot: str, instance: str) -> str:
    return f"{slot} {instance}".strip()


def _member(one: Member) -> Sequence[str]:
    row = one.row
    there = f"{row.first_seen:%Y-%m-%d} to {f'{row.gone_at:%Y-%m-%d}' if row.gone_at else 'now'}"
    verdict = f"{row.verdict}{', tainted' if row.taint else ''}"
    return _name(row.slot, row.id), row.group, row.image, there, verdict, row.taint or row.reason


def _coverage(period: Period) -> Iterator[Sequence[str]]:
    for one in period.never:
        yield _name(one.row.slot, one.row.id), "never looked at in this time", lasting(one.gap), say.at(one.gap_from)
    for one in period.holes:
        yield _name(one.row.slot, one.row.id), "the longest time without a look", lasting(one.gap), say.at(one.gap_from)
    for one in period.unknown:
        since = one.row.verdict_since
        yield _name(one.row.slot, one.row.id), one.row.reason, lasting(period.made_at - since), say.at(since)


def _session(one: Came) -> Sequence[str]:
    session = one.session
    until = "still there" if session.live else say.at(session.ended_at) or "not known"
    key = session.key_id or session.key
    who = f"{session.user or 'somebody'}{f' with {key}' if key else ''}"
    where = _name(one.member.slot, one.member.id)
    more = (session.source or "not known", session.confidence, str(one.drifts))
    return (say.at(session.started_at), until, where, who, session.door, session.kind, *more)


def _drift(one: Drift) -> Sequence[str]:
    row, finding, made = one.row, one.row.finding, one.attribution
    what = f"{finding.kind} {shown(finding.subject)} {finding.change}"
    by = whose.clause(made.level, made.session, made.why) if made and made.level is not Level.NONE else ""
    return (
        str(row.id),
        finding.severity,
        _name(one.member.slot, one.member.id),
        what,
        say.at(row.first_seen),
        say.at(row.resolved_at) or "open",
        finding.suppressed_by,
        by,
    )


def _replacement(one: Record) -> Sequence[str]:
    span = took(one)
    outcome = f"{one.state}: {one.note}" if one.note else str(one.state)
    people = [f"approved by {one.approved_by}"] if one.approved_by else []
    people += [f"denied by {one.denied_by}"] if one.denied_by else []
    why = "; ".join([one.why, *people])
    took_so_long = lasting(span) if span is not None else "under way"
    return say.at(one.created_at), took_so_long, one.slot, one.old_id, one.new_id, outcome, why


def _deeds(period: Period) -> Iterator[Sequence[str]]:
    for one in period.deeds:
        yield say.at(one.at), one.who, one.did, one.subject, one.says, str(one.seq)


def _holds(period: Period) -> Iterator[Sequence[str]]:
    for one in period.holds:
        by = f", released by {one.released_by}" if one.released_by else ""
        by = by or (f", renewed by {one.renewed_by}" if one.renewed_by else "")
        yield say.at(one.created_at), say.at(one.ended_at), one.instance_id, one.owner, f"{one.reason}{by}"


def _acceptances(period: Period) -> Iterator[Sequence[str]]:
    for one in period.acceptances:
        gone = f" (withdrawn by {one.withdrawn_by})" if one.withdrawn_at else ""
        until = say.at(one.withdrawn_at or one.expires_at)
        reason = f"{one.cause + ': ' if one.cause else ''}{one.reason}{gone}"
        begun = say.at(one.created_at)
        yield str(one.id), one.signature, one.group or "every", one.owner, begun, until, str(one.hits), reason


def _breakers(period: Period) -> Iterator[Sequence[str]]:
    for one in period.tripped:
        yield say.at(one.at), one.rule, one.scope, one.to, one.why, str(one.seq)


def _now(period: Period) -> Iterator[Sequence[str]]:
    for pause in period.pauses:
        what = "pause, undoing too" if pause.hard else "pause"
        yield what, pause.group or "everywhere", say.at(pause.since), pause.owner, pause.reason
    for one in period.breakers:
        yield f"breaker {one.rule} {one.state}", one.scope, say.at(one.opened_at), "driftd", one.why
