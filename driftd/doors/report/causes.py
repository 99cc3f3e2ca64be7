"""Causes in reports: one look's findings by what brought them about, and what is the same on several instances."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from driftd.core.causes import Cause, gather
from driftd.core.findings import Severity
from driftd.core.looks import Look
from driftd.core.wording import listed, shown
from driftd.doors.report.shape import CauseShape, SpreadShape

MOST_MEMBERS = 6  # of one cause that are told in full; of more than that, only the worst of them
_WORST = 3
_MOST_SPREAD = 5


@dataclass(frozen=True, slots=True)
class Spread:
    """A cause that several of the looks have, and the names of their instances."""

    cause: Cause
    instances: tuple[str, ...]


def spread(looks: Iterable[Look]) -> list[Spread]:
    """What is on more than one instance, the worst and the most widely spread first."""
    where: dict[str, list[tuple[Cause, str]]] = defaultdict(list)
    for look in looks:
        for cause in gather(look.judgement.findings):
            where[cause.signature].append((cause, look.instance.slot or look.instance.id))
    found = [Spread(same[0][0], tuple(name for _, name in same)) for same in where.values() if len(same) > 1]
    return sorted(found, key=lambda one: (one.cause.accepted, -one.cause.severity.rank, -len(one.instances)))


def told(cause: Cause) -> tuple[int, int]:
    """How many of a cause's members to tell in full, and how many that leaves out."""
    full = cause.count if cause.count <= MOST_MEMBERS else _WORST
    return full, cause.count - full


def lines(looks: Sequence[Look]) -> Iterator[tuple[Severity, str]]:
    """Sentences about what is the same on several instances."""
    found = spread(looks)
    for one in found[:_MOST_SPREAD]:
        names = listed(list(one.instances))
        yield one.cause.severity, f"alike on {len(one.instances)} instances ({names}): {one.cause.sentence}"
    if len(found) > _MOST_SPREAD:
        yield Severity.INFO, f"and {len(found) - _MOST_SPREAD} more that several instances have"


def shape(cause: Cause) -> CauseShape:
    """A cause for the JSON report."""
    return CauseShape(
        kind=cause.kind or "finding",
        subject=shown(cause.subject),
        severity=cause.severity,
        signature=cause.signature,
        sentence=cause.sentence,
        count=cause.count,
        findings=sorted({one.signature for one in cause.members}),
        accepted=cause.accepted,
    )


def spread_shapes(looks: Iterable[Look]) -> list[SpreadShape]:
    """What several instances have, for the JSON report."""
    return [
        SpreadShape(
            signature=one.cause.signature,
            severity=one.cause.severity,
            sentence=one.cause.sentence,
            instances=list(one.instances),
        )
        for one in spread(looks)
    ]
