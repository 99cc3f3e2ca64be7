"""The same cause on many instances is one: what is open in a whole fleet, worst first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from driftd.core.causes import Cause, gather
from driftd.core.memory import FindingRow


@dataclass(frozen=True, slots=True)
class Spread:
    """One cause and where it is: ``rows`` are its members on every instance, ``since`` is when it was first seen.

    ``accepted`` is whether every member on every instance was accepted.
    """

    cause: Cause
    instances: tuple[str, ...]
    rows: tuple[FindingRow, ...]
    since: datetime
    accepted: bool


def spread(rows: Iterable[FindingRow]) -> tuple[Spread, ...]:
    """Every open finding is in one of these; those that were accepted everywhere come last."""
    by_instance: dict[str, list[FindingRow]] = defaultdict(list)
    for row in rows:
        by_instance[row.instance_id].append(row)
    found: dict[str, list[tuple[str, Cause, list[FindingRow]]]] = defaultdict(list)
    for instance, mine in sorted(by_instance.items()):
        by_signature: dict[str, list[FindingRow]] = defaultdict(list)
        for row in mine:
            by_signature[row.finding.signature].append(row)
        for cause in gather(row.finding for row in mine):
            shapes = dict.fromkeys(one.signature for one in cause.members)
            members = [row for shape in shapes for row in by_signature[shape]]
            found[cause.signature].append((instance, cause, members))
    return tuple(sorted(map(_one, found.values()), key=_order))


def _one(same: Sequence[tuple[str, Cause, list[FindingRow]]]) -> Spread:
    worst = min((cause for _, cause, _ in same), key=lambda one: (one.accepted, -one.severity.rank, -one.count))
    rows = [row for _, _, members in same for row in members]
    return Spread(
        cause=worst,
        instances=tuple(instance for instance, _, _ in same),
        rows=tuple(rows),
        since=min(row.first_seen for row in rows),
        accepted=all(row.finding.suppressed_by for row in rows),
    )


def _order(one: Spread) -> tuple[object, ...]:
    cause = one.cause
    return (one.accepted, -cause.severity.rank, -len(one.instances), one.since, cause.kind, cause.subject)
