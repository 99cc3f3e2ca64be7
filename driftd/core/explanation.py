"""An explanation: everything that driftd knows of one finding, put together from the store's rows. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from driftd.core.attributed import Attribution
from driftd.core.causes.fleet import Spread
from driftd.core.difference import Difference
from driftd.core.findings import Action, Finding
from driftd.core.memory import FindingRow, InstanceRow, SessionRow
from driftd.core.outlook import Outlook
from driftd.core.policy import DEFAULT_RULE, Policy
from driftd.core.replacement import Record
from driftd.core.rules import Rule
from driftd.core.shown import Exhibit
from driftd.core.wording import explaining as said

# Sessions further back than so many looks have nothing to do with what a look found.
LOOKS_BACK = 2
LEAST_BACK = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class JudgedBy:
    """The rule that judged: its name, where it stands (file:line), whose it is, and until when it holds ("" each).

    ``says`` is said instead where there is no such rule.
    """

    name: str
    where: str = ""
    owner: str = ""
    expires: str = ""
    says: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """One finding explained. ``exhibit`` is None where no content may be shown; ``unshown`` says why, if that is known.

    ``cause`` says what it came of together with others, "" alone. ``elsewhere`` are the other instances with the same
    signature, ``peers`` how many instances their group has. ``sessions`` are those that were there while it came about.
    ``stop`` are commands, each with what it does. ``attribution`` is which of the sessions it is tied to, None where no
    whole look has seen it yet.
    """

    row: FindingRow
    instance: InstanceRow
    rule: JudgedBy
    exhibit: Exhibit | None
    unshown: str
    cause: str
    elsewhere: tuple[tuple[InstanceRow, FindingRow], ...]
    peers: int
    sessions: tuple[SessionRow, ...]
    outlook: Outlook
    stop: tuple[tuple[str, str], ...]
    attribution: Attribution | None = None


def difference_of(finding: Finding) -> Difference:
    """The difference that a finding is about."""
    return Difference(finding.kind, finding.subject, finding.change, finding.expected, finding.actual)


def judged_by(finding: Finding, policy: Policy) -> JudgedBy:
    """The rule that judged ``finding``, as far as the group's policy still has it."""
    found: Rule | None = next((rule for rule in policy.rules if rule.name == finding.rule), None)
    if found is None:
        return JudgedBy(finding.rule, says=said.NO_RULE if finding.rule == DEFAULT_RULE else said.RULE_GONE)
    return JudgedBy(found.name, found.where, found.owner, found.expires.isoformat() if found.expires else "")


def overlapping(row: FindingRow, sessions: Iterable[SessionRow], every: timedelta) -> tuple[SessionRow, ...]:
    """Sessions of others that were there between the looks before and the first one that saw the finding.

    Nothing more is known than that they overlap: it may have been them, and need not.
    """
    begin = row.first_seen - max(every * LOOKS_BACK, LEAST_BACK)
    return tuple(
        one
        for one in sessions
        if not one.own
        and one.session.started_at <= row.first_seen
        and (one.session.live or (one.session.ended_at or one.session.started_at) >= begin)
    )


def same_elsewhere(
    row: FindingRow, findings: Iterable[FindingRow], instances: Iterable[InstanceRow]
) -> tuple[tuple[InstanceRow, FindingRow], ...]:
    """Open findings of the same signature on other instances, by group, slot and id."""
    by_id = {one.id: one for one in instances}
    found = [
        (by_id[one.instance_id], one)
        for one in findings
        if one.finding.signature == row.finding.signature
        and one.instance_id != row.instance_id
        and one.instance_id in by_id
    ]
    return tuple(sorted(found, key=lambda pair: (pair[0].group, pair[0].slot, pair[0].id)))


def ways_to_stop(
    row: FindingRow, instance: InstanceRow, record: Record | None, enforce: Action, *, paused: bool
) -> tuple[tuple[str, str], ...]:
    """Commands that keep what comes next from coming, the narrowest first; none for what is over."""
    if row.resolved_at is not None:
        return ()
    ways: list[tuple[str, str]] = []
    if not row.finding.suppressed_by:
        ways.append((f'driftd accept {row.id} --for 7d --reason "…"', said.ACCEPT))
    if record is not None and record.old_id == instance.id and not record.committed:
        ways.append((f"driftd cancel {record.rid}", said.CANCEL))
    if (record is not None or enforce.replaces) and not paused:
        ways.append((f'driftd pause --group {instance.group} --reason "…"', said.PAUSE))
    return tuple(ways)


def unshown(finding: Finding, exhibit: Exhibit | None, *, showable: bool, sidecar: str) -> str:
    """Why no content is shown of a file whose content changed; "" where some is, or there is none to show."""
    if exhibit is not None or finding.kind != "file" or not {"sha256"} & {*finding.expected, *finding.actual}:
        return ""
    if not showable:
        return said.NOT_SHOWABLE
    return sidecar or said.NOT_KEPT


@dataclass(frozen=True, slots=True)
class Named:
    """What a name speaks of: findings of one instance, the cause that they have in common, the instance itself."""

    rows: tuple[FindingRow, ...] = ()
    cause: Spread | None = None
    instance: InstanceRow | None = None


def named(name: str, rows: Sequence[FindingRow], causes: Sequence[Spread], instances: Sequence[InstanceRow]) -> Named:
    """What ``name`` speaks of: the number or signature of a finding, the signature of a cause, an instance."""
    for same in (str(row.id) == name for row in rows), (row.finding.signature == name for row in rows):
        found = [row for row, fits in zip(rows, same, strict=True) if fits]
        if found:
            return Named((found[0],))
    for cause in causes:
        if cause.cause.signature == name:
            return Named(tuple(row for row in cause.rows if row.instance_id == cause.instances[0]), cause)
    instance = next((one for one in instances if one.called(name)), None)
    if instance is None:
        return Named()
    mine = [row for row in rows if row.instance_id == instance.id]
    mine.sort(key=lambda row: (bool(row.finding.suppressed_by), -row.finding.severity.rank, row.id))
    return Named(tuple(mine), None, instance)


def came_of(row: FindingRow, causes: Sequence[Spread]) -> str:
    """The sentence of the cause that a finding has in common with others; "" when it stands alone."""
    return next((one.cause.sentence for one in causes if one.cause.kind and row in one.rows), "")


@dataclass(frozen=True, slots=True)
class Asked:
    """What ``explain`` was asked about, and each finding explained. ``left`` counts those that are not."""

    about: Named
    explanations: tuple[Explanation, ...]
    at: datetime
    left: int = 0
