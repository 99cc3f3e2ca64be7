"""A trial: what a policy would make of differences that were seen before, kept as a case or in the store.

Nobody is asked again. So what an expectation could only find out from the instance (the old content of a log that
grew, say) counts as kept, but for differences that are known not to have kept it (``broken``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from driftd.core.classes import NO_CLASSES, Expected
from driftd.core.difference import Difference
from driftd.core.findings import Action, Finding, Judgement, Severity, Verdict
from driftd.core.manifest import Manifest
from driftd.core.memory import ExplainedRow, FindingRow, InstanceRow, Suppression
from driftd.core.policy import Policy, judge

_RISING = (Verdict.CLEAN, Verdict.EXPLAINED, Verdict.DRIFTED)
Broken = Collection[tuple[str, bytes, str]]  # kind, subject and change


def tried(
    differences: Sequence[Difference],
    policy: Policy,
    now: datetime,
    *,
    suppressions: Sequence[Suppression] = (),
    group: str = "",
    image: str = "the image",
    classes: Mapping[bytes, Expected] = NO_CLASSES,
    broken: Broken = (),
) -> Judgement:
    """``judge`` without evidence. What is ``broken`` is explained by no expectation."""
    given = [one for one in differences if _key(one) not in broken]
    kept = judge(given, policy, suppressions, now, group=group, image=image, classes=classes)
    if not broken:
        return kept
    without = replace(policy, rules=tuple(rule for rule in policy.rules if rule.expect is None))
    rest = [one for one in differences if _key(one) in broken]
    lost = judge(rest, without, suppressions, now, group=group, image=image)
    worse = max(kept, lost, key=lambda one: _RISING.index(one.verdict))
    return replace(
        worse,
        findings=tuple(sorted((*kept.findings, *lost.findings), key=_worst_first)),
        explained=(*kept.explained, *lost.explained),
        action=max((kept.action, lost.action), key=lambda one: one.rank),
        ignored=kept.ignored + lost.ignored,
    )


def _key(difference: Difference) -> tuple[str, bytes, str]:
    return difference.kind, difference.subject, str(difference.change)


def _worst_first(finding: Finding) -> tuple[bool, int, str, bytes]:
    return bool(finding.suppressed_by), -finding.severity.rank, finding.kind, finding.subject


# --- cases -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wanted:
    """A finding, or an explained difference, that a case expects. What is None may be anything."""

    subject: bytes
    kind: str | None = None
    rule: str | None = None
    severity: Severity | None = None
    action: Action | None = None

    def fits(self, finding: Finding) -> bool:
        return finding.subject == self.subject and all(
            wanted in (None, found)
            for wanted, found in (
                (self.kind, finding.kind),
                (self.rule, finding.rule),
                (self.severity, finding.severity),
                (self.action, finding.action),
            )
        )


@dataclass(frozen=True, slots=True)
class Case:
    """Differences, what the image is that they were seen against, and what is to come of them.

    ``findings`` None means any; else exactly these. ``explained`` are to be among what is explained. ``policy`` are
    names as a group has them, () where the case leaves that open.
    """

    name: str
    differences: tuple[Difference, ...]
    manifest: Manifest
    verdict: Verdict | None = None
    findings: tuple[Wanted, ...] | None = None
    explained: tuple[Wanted, ...] = ()
    policy: tuple[str, ...] = ()
    group: str = ""
    at: datetime | None = None
    broken: frozenset[tuple[str, bytes, str]] = frozenset()


@dataclass(frozen=True, slots=True)
class Result:
    """``wrong`` are sentences; none when the case came out as it says."""

    case: str
    wrong: tuple[str, ...]


def run(case: Case, policy: Policy, now: datetime) -> Result:
    """Hold one case against a policy, as of the case's own time where it has one."""
    judged = tried(
        case.differences,
        policy.for_manifest(case.manifest),
        case.at or now,
        group=case.group,
        image=case.manifest.image,
        classes=case.manifest.classes,
        broken=case.broken,
    )
    wrong = []
    if case.verdict is not None and judged.verdict is not case.verdict:
        wrong.append(f"the verdict is {judged.verdict}, not {case.verdict}: {judged.reason}")
    if case.findings is not None:
        wrong += [f"no finding: {_told(one)}" for one in case.findings if not any(map(one.fits, judged.findings))]
        wrong += [
            f"a finding that is not expected: {_said(one)}"
            for one in judged.findings
            if not any(wanted.fits(one) for wanted in case.findings)
        ]
    wrong += [f"not explained: {_told(one)}" for one in case.explained if not any(map(one.fits, judged.explained))]
    return Result(case.name, tuple(wrong))


def _told(wanted: Wanted) -> str:
    from_rule = f" by {wanted.rule}" if wanted.rule else ""
    return f"{wanted.kind or 'anything'} {_shown(wanted.subject)}{from_rule}"


def _said(finding: Finding) -> str:
    return f"{finding.severity} {finding.kind} {_shown(finding.subject)} {finding.change} ({finding.rule})"


def _shown(subject: bytes) -> str:
    return subject.decode("utf-8", "backslashreplace")


# --- history ---------------------------------------------------------------------------------------------------------


class Came(StrEnum):
    """What came, or would come, of a difference."""

    IGNORED = "ignored"
    EXPLAINED = "explained"
    ACCEPTED = "accepted"
    ALERT = "an alert"
    HELD = "a replacement, held"
    REPLACEMENT = "a replacement"


@dataclass(frozen=True, slots=True)
class Replayed:
    """One difference of the past: what came of it then, by which rule, and what would by the policy that is tried."""

    instance: str
    group: str
    difference: Difference
    was: Came
    was_rule: str
    would: Came
    would_rule: str
    first_seen: datetime

    @property
    def differs(self) -> bool:
        return self.was is not self.would


@dataclass(frozen=True, slots=True)
class Simulation:
    """``rows`` by instance. ``then`` and ``now`` are the instances that had, or would have, a replacement asked for."""

    since: datetime
    instances: int
    rows: tuple[Replayed, ...]
    then: tuple[str, ...]
    would: tuple[str, ...]
    held: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Past:
    """What the store has of one instance, and what it is judged by now.

    ``policy`` is for its image already; ``replaces`` says that its group does more than observe.
    """

    row: InstanceRow
    findings: tuple[FindingRow, ...]
    explained: tuple[ExplainedRow, ...]
    policy: Policy
    replaces: bool
    classes: Mapping[bytes, Expected] = field(default_factory=dict)
    suppressions: tuple[Suppression, ...] = ()


def simulate(past: Iterable[Past], since: datetime, now: datetime, notes: Sequence[str] = ()) -> Simulation:
    """What each policy would have made of what was seen on each instance since ``since``."""
    rows: list[Replayed] = []
    instances = 0
    for one in past:
        rows += _replay(one, now)
        instances += 1
    asked = {row.instance for row in rows if row.would in (Came.HELD, Came.REPLACEMENT)}
    held = {row.instance for row in rows if row.would is Came.HELD}
    then = {row.instance for row in rows if row.was in (Came.HELD, Came.REPLACEMENT)}
    return Simulation(
        since=since,
        instances=instances,
        rows=tuple(rows),
        then=tuple(sorted(then)),
        would=tuple(sorted(asked - held)),
        held=tuple(sorted(held)),
        notes=tuple(notes),
    )


def _replay(past: Past, now: datetime) -> list[Replayed]:
    """All of an instance's differences at once: what a log was rotated to explains the log."""
    then = [
        *((_difference(row.finding), row.finding, row.finding.rule, row.first_seen) for row in past.findings),
        *((row.difference, None, row.rule, row.first_seen) for row in past.explained),
    ]
    judged = tried(
        [difference for difference, *_ in then],
        past.policy,
        now,
        suppressions=past.suppressions,
        group=past.row.group,
        classes=past.classes,
    )
    now_found = {_whole(one): one for one in (*judged.findings, *judged.explained)}
    rows = []
    for difference, finding, rule, first_seen in then:
        would = _as_then(now_found.get(_whole(difference)), finding)
        was = Came.EXPLAINED if finding is None else _came(finding, past)
        rows.append(_row(past, difference, was, rule, would, first_seen))
    return rows


def _whole(one: Difference | Finding) -> tuple[str, bytes, str, tuple[tuple[str, str], ...]]:
    """What tells two differences apart, also where one path differed in two ways in the course of time."""
    return one.kind, one.subject, str(one.change), tuple(sorted(one.actual.items()))


def _as_then(would: Finding | None, was: Finding | None) -> Finding | None:
    """None when it would be ignored. A finding that the same rule judged then stays one: what it asked is not kept."""
    if would is not None and was is not None and would.action is Action.EXPLAIN and would.rule == was.rule:
        return replace(was, suppressed_by="")
    return would


def _row(
    past: Past, difference: Difference, was: Came, was_rule: str, would: Finding | None, first_seen: datetime
) -> Replayed:
    came = Came.IGNORED if would is None else _came(would, past)
    rule = would.rule if would else ""
    return Replayed(past.row.id, past.row.group, difference, was, was_rule, came, rule, first_seen)


def _came(finding: Finding, past: Past) -> Came:
    if finding.suppressed_by:
        return Came.ACCEPTED
    if finding.action is Action.EXPLAIN:
        return Came.EXPLAINED
    if not finding.action.replaces:
        return Came.ALERT
    return Came.REPLACEMENT if past.replaces else Came.HELD


def _difference(finding: Finding) -> Difference:
    return Difference(finding.kind, finding.subject, finding.change, finding.expected, finding.actual)
