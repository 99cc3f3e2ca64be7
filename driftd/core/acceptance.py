"""What people accepted ("that was me"): which findings an acceptance covers, and which ones are of no use.

An acceptance is of one signature, in one group or in all, for a time. Of a cause, it covers the members that the cause
had when it was accepted, and every cause of the same signature; what differs later, or comes to it, is not covered. Of
a session, it covers no visit later than those that were known.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from driftd.core.causes import by_the_way, gather
from driftd.core.findings import Finding
from driftd.core.wording import suppressed

if TYPE_CHECKING:  # memory remembers what findings are
    from driftd.core.memory import Suppression

USUAL = timedelta(days=7)
LONGEST = timedelta(days=90)
# How often it is noted that an acceptance is still of use: not with each look.
STALE = timedelta(hours=1)


class Acceptances:
    """Those that hold in ``group``; of several, the one that lasts longest covers a finding."""

    def __init__(self, suppressions: Iterable[Suppression], group: str) -> None:
        self._by: dict[str, list[Suppression]] = {}
        holding = [one for one in suppressions if one.group in ("", group) and one.withdrawn_at is None]
        for one in sorted(holding, key=lambda one: (one.expires_at, one.id), reverse=True):
            for signature in (one.signature, *one.members):
                self._by.setdefault(signature, []).append(one)

    def of(self, finding: Finding, cause: str = "") -> Suppression | None:
        """The acceptance that covers ``finding``; ``cause`` is its cause's signature."""
        shapes = [finding.signature]
        if cause and not by_the_way(finding.cause, finding):
            shapes.append(cause)
        for shape in shapes:
            for one in self._by.get(shape, ()):
                if finding.kind != "session" or last_visit(finding) <= known_until(one):
                    return one
        return None


def last_visit(finding: Finding) -> str:
    """The last time that somebody came the way that a session finding tells of (``2026-01-31T08:00:00Z``)."""
    return finding.actual.get("last_at") or finding.expected.get("started_at") or ""


def known_until(suppression: Suppression) -> str:
    """The last visit that whoever accepted could know of."""
    return suppression.until or suppression.created_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def in_force(suppressions: Iterable[Suppression], now: datetime) -> list[Suppression]:
    """Those that have not run out and were not withdrawn."""
    return [one for one in suppressions if one.expires_at > now and one.withdrawn_at is None]


def apply(findings: Sequence[Finding], suppressions: Iterable[Suppression], group: str) -> tuple[Finding, ...]:
    """One look's findings, with their causes; those that ``suppressions`` cover say by whom and until when."""
    accepted = Acceptances(suppressions, group)
    causes = {id(member): cause.signature for cause in gather(findings) for member in cause.members}
    return tuple(_suppressed(one, accepted.of(one, causes[id(one)])) for one in findings)


def _suppressed(finding: Finding, by: Suppression | None) -> Finding:
    if by is None:
        return finding
    said = suppressed(by.owner, f"{by.expires_at:%Y-%m-%d %H:%M} UTC", by.reason)
    return replace(finding, suppressed_by=said)


def state(suppression: Suppression, now: datetime) -> str:
    """``withdrawn``, ``expired``, ``used`` or ``unused``."""
    if suppression.withdrawn_at is not None:
        return "withdrawn"
    if suppression.expires_at <= now:
        return "expired"
    return "used" if suppression.hits else "unused"
