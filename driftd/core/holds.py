"""Holds: a named, dated "do not replace" on one instance. At most three days, and once more by a second person.

Whoever holds an instance keeps it from being patched by replacement, so a hold ends by itself, and nobody can renew
their own: that somebody else agrees is what makes it longer. Pure; who calls them writes the result down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from driftd.core.errors import BadInput
from driftd.core.wording import holds as wording

LONGEST = timedelta(hours=72)
LONGEST_REASON = 500
# A hold that begins so soon after another one is that one, renewed.
CHAIN = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Hold:
    """One hold. ``renewed_by`` is who made it longer, "" where nobody did. Released, it no longer holds."""

    id: int
    instance_id: str
    group: str
    owner: str
    reason: str
    created_at: datetime
    until: datetime
    renewed_by: str = ""
    released_at: datetime | None = None
    released_by: str = ""

    @property
    def ended_at(self) -> datetime:
        """When it ended, or will."""
        return min(self.released_at, self.until) if self.released_at is not None else self.until

    def holds(self, now: datetime) -> bool:
        """Whether it holds at ``now``."""
        return now < self.ended_at


def placed(
    earlier: Sequence[Hold], instance_id: str, group: str, who: str, reason: str, span: timedelta, now: datetime
) -> Hold:
    """The hold that ``who`` wants, new (id 0) or an earlier one made longer or shorter.

    ``earlier`` are the instance's holds so far. Raises BadInput where it may not be.
    """
    if not reason.strip():
        raise BadInput("a hold without a reason helps nobody", "say why: --reason 'looking into the crash'")
    if len(reason) > LONGEST_REASON:
        raise BadInput(f"the reason has {len(reason)} characters", f"say it in {LONGEST_REASON}")
    if span > LONGEST:
        raise BadInput(wording.too_long(span), "ask for --for 72h or less; a second person can renew it once")
    last = max(earlier, key=lambda one: (one.ended_at, one.id), default=None)
    if last is None or now >= last.ended_at + CHAIN:
        return Hold(0, instance_id, group, who, reason, now, now + span)
    if last.holds(now) and last.owner == who and now + span <= last.until:
        return replace(last, until=now + span, reason=reason)
    if last.renewed_by:
        raise BadInput(wording.renewed_already(instance_id, last.owner, last.renewed_by), wording.RENEW_HINT)
    if last.owner == who:
        raise BadInput(wording.own_renewal(instance_id, last.owner, last.ended_at, now), wording.RENEW_HINT)
    if last.holds(now):
        return replace(last, until=max(last.until, now + span), renewed_by=who)
    return Hold(0, instance_id, group, last.owner, reason, now, now + span, renewed_by=who)


def released(hold: Hold, who: str, now: datetime) -> Hold:
    """The hold, ended by ``who``: anybody may, by name."""
    return replace(hold, released_at=now, released_by=who)
