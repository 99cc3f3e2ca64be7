"""What one look changes in the store: findings, sessions, taint, the plan to replace, and what people are told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from driftd.core import wording, zones
from driftd.core.acceptance import STALE, Acceptances
from driftd.core.causes import gather
from driftd.core.facts import Session
from driftd.core.findings import Action, Finding, Judgement, Merged, Severity, Verdict, capped, merge, signature
from driftd.core.guards.people import DENIED_FOR
from driftd.core.journal import instant
from driftd.core.looks import Look
from driftd.core.memory import FindingRow, InstanceRow, Message, Tx
from driftd.core.replacement import Record, State
from driftd.core.sessions import differences, taint_of
from driftd.core.taint import SESSION, STICKY, at_least, hiding, same_one, standing, taint_action, why_of
from driftd.core.wording import leftovers, outofband
from driftd.core.wording.causes import alone
from driftd.core.wording.holds import denied_lately
from driftd.core.world import TAG_RID
from driftd.flows.attributing import keep, tied
from driftd.flows.groups import Group
from driftd.flows.likeness import likeness
from driftd.flows.opening import image_for, new_record, plan
from driftd.flows.together import News, tell

_BAD = {Verdict.DRIFTED: 1, Verdict.TAMPERED: 2}
UNKNOWN_FOR_LONG = timedelta(minutes=30)
SHOWN = 50


@dataclass(frozen=True, slots=True)
class Told:
    """``changed`` when the look said something new; ``sentences`` for the log."""

    changed: bool
    sentences: tuple[str, ...] = ()


def record_look(tx: Tx, group: Group, row: InstanceRow, look: Look, now: datetime) -> Told:
    """Write down one look at the instance of ``row``, in the caller's transaction."""
    judgement = look.judgement
    unknown = judgement.verdict is Verdict.UNKNOWN
    strangers = _sessions(tx, look, now)
    merged = Merged((), (), ()) if unknown else _findings(tx, group.name, row.id, look, now)
    if not unknown and not look.partial:
        tx.keep_explained(row.id, judgement.explained, now)
        tx.put_marks(row.id, look.marks)
        tx.put_identities(row.id, look.identities)
    after = _taint(tx, group, _kept(tx, row, _row(row, look, now), look), look, now)
    if after.verdict is row.verdict:
        after = replace(after, verdict_since=row.verdict_since)
    alike = likeness(tx, after, look, now)
    changed = bool(
        merged.opened
        or merged.resolved
        or merged.uncovered
        or strangers
        or (row.looked_at is None and not look.partial)
        or (after.verdict, after.taint) != (row.verdict, row.taint)
    )
    tx.put_instance(after)
    planned = _planned(tx, group, look, after, now)
    why_not = planned if isinstance(planned, str) else ""
    if changed:
        tx.journal("observation", row.id, _body(look, after, merged, strangers, why_not), now)
    _tell(tx, group, row, after, look, merged, strangers, now)
    if isinstance(planned, Record):
        plan(
            tx, replace(planned, signature="+".join(alike)), now
        )  # last, so that what was seen is told before what follows from it
    return Told(changed, (why_not,) if why_not and changed else ())


def _sessions(tx: Tx, look: Look, now: datetime) -> list[Session]:
    """Keep every session; those of others that were not known are returned. Who is seen no more has left by now."""
    for session in look.own:
        tx.add_session(look.instance.id, session, own=True, now=now)
    strangers = [s for s in look.others if tx.add_session(look.instance.id, s, own=False, now=now)]
    if look.root and not look.partial:
        there = {same_one(session) for session in look.others if session.live}
        for row in tx.sessions(look.instance.id):
            if row.session.live and not row.own and same_one(row.session) not in there:
                over = replace(row.session, live=False, ended_at=row.session.ended_at or look.at)
                tx.add_session(look.instance.id, over, own=False, now=now)
    return strangers


def _findings(tx: Tx, group: str, instance_id: str, look: Look, now: datetime) -> Merged:
    seen = look.judgement.findings
    rows = tx.open_findings(instance_id)
    by_id = {row.id: row for row in rows}
    merged = merge([(row.id, row.finding.signature) for row in rows], seen)
    # That somebody was there does not become untrue when the log no longer says so, nor that an instance lied.
    # Nor is what was found while this look was under way, or where it did not look.
    merged = replace(
        merged,
        resolved=tuple(
            i
            for i in merged.resolved
            if by_id[i].finding.kind not in STICKY and by_id[i].first_seen <= look.at and not look.partial
        ),
    )
    covered = {row.id for row in rows if row.finding.suppressed_by and row.finding.kind != SESSION}
    bare = tuple(one for number, one in merged.still if number in covered and not one.suppressed_by)
    merged = replace(merged, uncovered=bare)
    for finding in merged.opened:
        _show(tx, tx.add_finding(instance_id, finding, now).id, finding, look)
    for number, finding in merged.still:
        _show(tx, number, finding, look)
        if finding != by_id[number].finding:
            tx.touch_finding(number, finding, now)
    for number in merged.resolved:
        tx.resolve_finding(number, now)
    keep(tx, instance_id, look, now)
    _count_accepted(tx, group, seen, rows, now)
    return merged


def _show(tx: Tx, number: int, finding: Finding, look: Look) -> None:
    """Keep what the finding's file says now, so that it can be explained later. Its signature has the digest of it."""
    made = look.shown.get(finding.subject) if finding.kind == "file" else None
    if made is None or made.after is None:
        return
    known = tx.shown(number)
    if known is None or (known.withheld and known != made.after):
        tx.put_shown(number, made.after)


def _count_accepted(tx: Tx, group: str, seen: Sequence[Finding], rows: Sequence[FindingRow], now: datetime) -> None:
    """An acceptance counts each finding that it newly covers, and notes now and then that it is still of use."""
    covered = [one for one in seen if one.suppressed_by]
    if not covered:
        return
    known = {row.finding.signature for row in rows if row.finding.suppressed_by}
    holding = tx.suppressions(now)
    accepted = Acceptances(holding, group)
    causes = {one.signature: cause.signature for cause in gather(seen) for one in cause.members}
    hits: Counter[int] = Counter()
    for finding in covered:
        by = accepted.of(finding, causes[finding.signature])
        if by is not None:
            hits[by.id] += finding.signature not in known
    for suppression in holding:
        if suppression.id in hits:
            stale = suppression.used_at is None or now >= suppression.used_at + STALE
            if hits[suppression.id] or stale:
                tx.count_suppression(suppression.id, now, hits[suppression.id])


def _row(row: InstanceRow, look: Look, now: datetime) -> InstanceRow:
    judgement, instance = look.judgement, look.instance
    if look.partial:
        return _added(row, judgement, now)
    unknown = judgement.verdict is Verdict.UNKNOWN
    return replace(
        row,
        slot=instance.slot,
        image=instance.image,
        address=instance.address,
        state=instance.state.value,
        zone=zones.named(instance.zone),
        verdict=judgement.verdict,
        reason=f"{judgement.reason}; {look.hint}" if unknown and look.hint else judgement.reason,
        root=look.root.hex() if look.root else row.root,
        verdict_since=row.verdict_since if row.verdict is judgement.verdict else now,
        looked_at=look.at,
        action=row.action if unknown else judgement.action,
        boot_id=look.boot_id or row.boot_id,
        gone_at=None,
    )


def _kept(tx: Tx, before: InstanceRow, after: InstanceRow, look: Look) -> InstanceRow:
    """``after``, unless something was found while this look was under way: then it makes nothing better."""
    if look.partial or after.verdict not in {Verdict.CLEAN, Verdict.EXPLAINED}:
        return after
    late = (one for one in tx.open_findings(after.id) if one.first_seen > look.at and one.finding.kind not in STICKY)
    if all(one.finding.suppressed_by for one in late):
        return after
    return replace(
        after,
        verdict=before.verdict,
        reason=before.reason,
        verdict_since=before.verdict_since,
        action=before.action,
    )


def _added(row: InstanceRow, judgement: Judgement, now: datetime) -> InstanceRow:
    """What a partial look changes: it makes nothing better, and takes nothing for looked at."""
    action = max(row.action, judgement.action, key=lambda one: one.rank)
    if _BAD.get(judgement.verdict, 0) <= _BAD.get(row.verdict, 0):
        return replace(row, action=action)
    return replace(row, verdict=judgement.verdict, reason=judgement.reason, verdict_since=now, action=action)


def _taint(tx: Tx, group: Group, row: InstanceRow, look: Look, now: datetime) -> InstanceRow:
    """Sticky: set by somebody's session, or by what its disk has and it hides; lifted only when every one of them was
    accepted by a person.
    """
    sessions = standing(tx.open_findings(row.id), tx.suppressions(now), group.name)
    if not sessions:
        return replace(row, taint="", taint_since=None)
    action = max(row.action, taint_action(sessions), key=lambda one: one.rank)
    if not look.enforceable:
        action = capped(action, Action.ALERT)  # what would come instead could not be verified
    came = at_least(Action.OBSERVE, look.others, look.judgement.findings)
    hidden = hiding(sessions)
    before = "" if row.taint.startswith(outofband.TWO_THINGS) else row.taint  # that may have been accepted meanwhile
    said = why_of(sessions) if hidden else before or taint_of(came) or why_of(sessions)
    tainted = replace(row, action=action, taint=said, taint_since=row.taint_since or now)
    if not hidden or row.verdict in {Verdict.UNKNOWN, Verdict.TAMPERED}:
        return tainted
    return replace(tainted, verdict=Verdict.TAMPERED, reason=f"{outofband.hidden(hidden)}; else: {row.reason}")


def _planned(tx: Tx, group: Group, look: Look, row: InstanceRow, now: datetime) -> Record | str:
    """The replacement to plan, where policy asks for one and the group allows it; else why not, or ""."""
    if row.verdict is Verdict.UNKNOWN or not row.action.replaces or look.partial:
        return ""  # what a partial look saw is planned for once a whole one has seen it, too
    if any(row.id in {record.old_id, record.new_id} for record in tx.open_replacements(group.name)):
        return wording.only_observes(row.id, group.name) if not group.rules.replaces else ""
    if why := _not_here(group, look, row):
        return why
    if refused := refused_lately(tx, group, row, now):
        return refused
    drifted = row.verdict in {Verdict.DRIFTED, Verdict.TAMPERED}
    why = row.reason if drifted else row.taint
    image, kept = image_for(tx, group, look.instance), row.action is Action.QUARANTINE
    return new_record(look.instance, group, why, now, manual=False, image=image, quarantine=kept)


def _not_here(group: Group, look: Look, row: InstanceRow) -> str:
    if not group.rules.replaces:
        return wording.only_observes(row.id, group.name)
    if cannot := group.cannot_replace():
        return wording.cannot_be_replaced(row.id, cannot)
    rid = look.instance.tags.get(TAG_RID, "")
    return leftovers.no_successor(row.id, rid) if rid else ""


def refused_lately(tx: Tx, group: Group, row: InstanceRow, now: datetime) -> str:
    """A person said no to the last one, and that counts for the next one for a while."""
    for record in tx.replacements():
        if record.old_id == row.id and record.denied_by and now < record.entered_at + DENIED_FOR:
            return denied_lately(row.id, record.denied_by, record.entered_at + DENIED_FOR)
        if record.old_id == row.id and _by_hand(record) and now < record.entered_at + group.rules.back_off:
            return wording.cancelled_lately(row.id, f"{record.entered_at + group.rules.back_off:%H:%M:%S}")
    return ""


def _by_hand(record: Record) -> bool:
    """A person cancelled it, or put the old one back in service while it was drained."""
    return record.cancel_requested or (record.state is State.CANCELLED and record.fault != "")


# --- what is said ----------------------------------------------------------------------------------------------------


def _body(
    look: Look, row: InstanceRow, merged: Merged, strangers: Sequence[Session], why_not: str
) -> dict[str, object]:
    body: dict[str, object] = {
        "verdict": row.verdict.value,
        "reason": row.reason,
        "root": row.root,
        "image": row.image,
        "opened": [_evidence(one) for one in merged.opened[:SHOWN]],
        "opened_in_all": len(merged.opened),
        "resolved": list(merged.resolved[:SHOWN]),
        "resolved_in_all": len(merged.resolved),
        "causes": [
            {"signature": one.signature, "severity": one.severity.value, "what": one.sentence, "findings": one.count}
            for one in gather(look.judgement.findings)[:SHOWN]
        ],
        "sessions": [
            {"door": s.door, "user": s.user, "source": s.source, "key": s.key, "started_at": s.started_at}
            for s in strangers[:SHOWN]
        ],
    }
    if row.taint:
        body["taint"] = row.taint
    if why_not:
        body["not_replaced"] = why_not
    if look.hint:
        body["hint"] = look.hint
    return body


def _evidence(finding: Finding) -> dict[str, object]:
    return {
        "kind": finding.kind,
        "subject": finding.subject,
        "change": finding.change.value,
        "severity": finding.severity.value,
        "signature": finding.signature,
        "rule": finding.rule,
        "because": finding.because,
        "expected": dict(finding.expected),
        "actual": dict(finding.actual),
    }


def _drift_news(look: Look, merged: Merged) -> list[News]:
    """The causes of which this look saw something new that nobody accepted, or that nobody accepts any more."""
    uncovered = {one.signature for one in merged.uncovered}
    opened = {one.signature for one in merged.opened if _to_be_told(one)} | uncovered
    before = {finding.signature for _, finding in merged.still} - uncovered
    return [
        News(
            cause.likeness,
            cause.signature,
            cause.severity,
            cause.sentence,
            again=any(one.signature in before for one in cause.members),
        )
        for cause in gather(look.judgement.findings)
        if opened & {one.signature for one in cause.members}
    ]


def _to_be_told(finding: Finding) -> bool:
    told = not finding.suppressed_by and finding.action.rank >= Action.ALERT.rank
    return told and finding.kind != SESSION


def _tell(
    tx: Tx,
    group: Group,
    before: InstanceRow,
    after: InstanceRow,
    look: Look,
    merged: Merged,
    strangers: Sequence[Session],
    now: datetime,
) -> None:
    """Messages; each key is one event, so that the same thing is said once, and once for all to whom it happens."""
    if news := _drift_news(look, merged):
        text = wording.drift_found(after.id, after.group, look.judgement.reason) + tied(look, merged.opened)
        tell(tx, "drift", after, news, text, now, sweep=group.every)
    if after.taint and (came := at_least(Action.ALERT, strangers, look.judgement.findings)):
        text = wording.session_seen(after.id, after.group, taint_of(came)) + tied(look, merged.opened)
        ways = [(signature(way), alone(way.kind, way.subject, "seen")) for way in differences(came)]
        told = [News(shape, shape, Severity.HIGH, sentence) for shape, sentence in ways]
        tell(tx, "session", after, told, text, now, sweep=group.every)
    trusted = {Verdict.CLEAN, Verdict.EXPLAINED}
    if after.verdict in trusted and before.verdict in {Verdict.DRIFTED, Verdict.TAMPERED}:
        text = wording.drift_resolved(after.id, after.group, after.reason, after.taint)
        tainted = bool(after.taint)
        again = News(f"tainted {tainted}", "", Severity.INFO, "still tainted" if tainted else "nothing is open")
        tell(tx, "resolved", after, [again], text, now, sweep=group.every)
    if after.verdict is Verdict.UNKNOWN and now >= after.verdict_since + UNKNOWN_FOR_LONG:
        text = wording.unknown_for_long(after.id, after.group, after.reason, now - after.verdict_since)
        key = f"unknown/{after.id}/{instant(after.verdict_since)}"
        tx.say(Message(key, "unknown", Severity.MEDIUM, text, after.id), now)
