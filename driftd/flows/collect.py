"""Collect: end what a calibration launched and, having died, never ended."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime

from driftd.core.calibration.marks import ROLE, expires, marked
from driftd.core.errors import NotFound, ProviderError
from driftd.core.facts import Instance
from driftd.core.ports import Compute
from driftd.core.wording import calibration as wording
from driftd.core.world import TAG_ROLE

Note = Callable[[str, str, Mapping[str, object]], None]


def _nothing() -> None:
    """No lease to check."""


def collect(
    compute: Compute,
    note: Note,
    now: datetime,
    *,
    group: str = "",
    targets: Collection[str] = (),
    fence: Callable[[], None] = _nothing,
) -> list[str]:
    """End every instance of a calibration that is past its expiry, in ``group`` or anywhere; what was done, said.

    ``note`` writes a line of the journal: kind, subject, body. ``targets`` are the instances that a load balancer
    knows: none of those is ended. A calibration that is under way ends before its instances expire, so none of a
    living one is touched. Raises ``ProviderError`` when nothing could be listed.
    """
    said = []
    for instance in compute.list({TAG_ROLE: ROLE}):
        if instance.state.ending or group not in ("", instance.group):
            continue
        until = expires(instance)
        if until is None:
            said.append(wording.no_expiry(instance.id))
        elif until > now:
            continue
        elif instance.id in targets:
            said.append(wording.in_traffic(instance.id, instance.group))
        elif _still_marked(compute, instance):
            fence()
            said.append(_end(compute, note, instance))
    return said


def _end(compute: Compute, note: Note, instance: Instance) -> str:
    why = end(compute, note, instance.id)
    return wording.not_collected(instance.id, why) if why else wording.collected(instance.id, instance.group)


def end(compute: Compute, note: Note, instance_id: str, subject: str = "") -> str:
    """End one for good, with its lines in the journal; why it could not be, or "" when it is gone. Never raises."""
    subject = subject or f"calibration/{instance_id}"
    note("intent", subject, {"call": "terminate", "instance": instance_id})
    why = ""
    try:
        compute.terminate(instance_id)
    except NotFound:
        pass
    except ProviderError as error:
        why = str(error)
    note("result", subject, {"call": "terminate", "outcome": "no answer", "why": why} if why else {"outcome": "done"})
    return why


def _still_marked(compute: Compute, instance: Instance) -> bool:
    try:
        return marked(compute.describe(instance.id))
    except NotFound:
        return False
