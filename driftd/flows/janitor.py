"""Janitor: what driftd left behind by accident is found, said, and cleaned up where that is certain to be right."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from driftd.core import wording
from driftd.core.errors import NotFound, ProviderError
from driftd.core.facts import Instance
from driftd.core.findings import Severity
from driftd.core.memory import Message, Store
from driftd.core.ports import Compute
from driftd.core.replacement import TERMINAL, Record, State
from driftd.core.world import ROLE, TAG_RID, TAG_ROLE
from driftd.flows.collect import collect
from driftd.flows.groups import Group
from driftd.flows.stops import stops
from driftd.flows.survey import edges_of

ORPHAN_AGE = timedelta(minutes=30)

_ENDABLE = frozenset({State.CANCELLED, State.FAILED_CLEAN, State.ABORTED_SAFE})


def _never(_group: str) -> str:
    return ""


def _nothing() -> None:
    """No lease to check."""


class Janitor:
    """Finds orphans: instances with our mark whose replacement is over or unknown.

    An orphan is reported when first seen. Seen again ``age`` later, it is ended only if its replacement was undone and
    it was never verified (so never had traffic), and no load balancer knows it; everything else is a person's to end.
    When an orphan was first seen stands in the journal, so a restart does not begin again. What was over longer than
    ``keep`` ago is pruned from the store; None keeps all.
    """

    def __init__(
        self,
        store: Store,
        groups: Mapping[str, Group],
        *,
        clock: Callable[[], datetime],
        pause: Callable[[str], str] = _never,
        fence: Callable[[], None] = _nothing,
        age: timedelta = ORPHAN_AGE,
        keep: timedelta | None = None,
    ) -> None:
        self._store = store
        self._groups = groups
        self._clock = clock
        self._pause = pause
        self._fence = fence
        self._age = age
        self._keep = keep

    def tick(self) -> list[str]:
        """One round through all groups; what was found and done, in sentences. A provider that is away is skipped."""
        said = self._prune()
        for group in self._groups.values():
            try:
                said += self._calibrations(group)
                said += [] if group.cannot_replace() else self._group(group)
            except ProviderError as error:
                said.append(f"the janitor passed over {group.name}: {error}")
        return said

    def _prune(self) -> list[str]:
        """Forget what was over ``keep`` ago."""
        if self._keep is None:
            return []
        with self._store.write() as tx:
            pruned = {what: number for what, number in tx.prune(self._clock() - self._keep).items() if number}
        return [wording.pruned(pruned)] if pruned else []

    def _calibrations(self, group: Group) -> list[str]:
        """What was launched to learn from, and outlived its calibration."""
        compute = group.provider.compute
        if compute is None or self._paused(group.name):
            return []
        targets = group.targets()
        return collect(compute, self._note, self._clock(), group=group.name, targets=targets, fence=self._fence)

    def _note(self, kind: str, subject: str, body: Mapping[str, object]) -> None:
        with self._store.write() as tx:
            tx.journal(kind, subject, body, self._clock())

    def _group(self, group: Group) -> list[str]:
        compute, _ = edges_of(group)
        marked = [i for i in compute.list({TAG_ROLE: ROLE}) if i.group == group.name and _exists(i)]
        if not marked:
            return []
        targets = group.targets()
        said: list[str] = []
        for instance in marked:
            with self._store.read() as tx:
                record = tx.replacement(instance.tags.get(TAG_RID, ""))
            if record is None or record.state in TERMINAL:
                said += self._orphan(group, compute, instance, record, instance.id in targets)
        return said

    def _orphan(
        self, group: Group, compute: Compute, instance: Instance, record: Record | None, in_traffic: bool
    ) -> list[str]:
        if not _still_marked(compute, instance):
            return []  # its replacement ended between the list and the record
        now = self._clock()
        text = wording.orphan(instance.id, group.name, record.rid if record else "", record.state if record else "")
        first_seen = self._first_seen(instance, text, now)
        if first_seen is None:
            return [text]
        endable = record is not None and record.state in _ENDABLE and not record.verified and not in_traffic
        if not endable or now < first_seen + self._age or self._paused(group.name):
            return []
        body = {"call": "terminate", "instance": instance.id, "orphan": True}
        with self._store.write() as tx:
            tx.journal("intent", f"orphan/{instance.id}", body, now)
        self._fence()
        try:
            compute.terminate(instance.id)
            outcome: dict[str, object] = {"outcome": "done"}
        except NotFound:
            outcome = {"outcome": "done", "why": "gone already"}
        except ProviderError as error:
            outcome = {"outcome": "no answer", "why": str(error)}
        with self._store.write() as tx:
            tx.journal("result", f"orphan/{instance.id}", {"call": "terminate", **outcome}, self._clock())
        return [wording.orphan_ended(instance.id, outcome["outcome"] == "done", str(outcome.get("why", "")))]

    def _first_seen(self, instance: Instance, text: str, now: datetime) -> datetime | None:
        """When this orphan was first reported; None when that is now."""
        subject = f"orphan/{instance.id}"
        with self._store.write() as tx:
            lines = tx.journal_lines(subject)
            if lines:
                return lines[0].at
            tx.journal("observation", subject, {"orphan": instance.id, "tags": dict(instance.tags)}, now)
            tx.say(Message(subject, "orphan", Severity.HIGH, text, instance.id, instance.tags.get(TAG_RID, "")), now)
        return None

    def _paused(self, group: str) -> bool:
        return bool(stops(self._store, group, self._pause).any)


def _still_marked(compute: Compute, instance: Instance) -> bool:
    try:
        current = compute.describe(instance.id)
    except NotFound:
        return False
    return _exists(current) and current.tags.get(TAG_ROLE) == ROLE


def _exists(instance: Instance) -> bool:
    return not instance.state.ending
