"""Tainting: an instance's taint as a mark (a tag) at its provider, so that it outlives the store that knows why.

The mark follows the store, and is asked for again until it is so; only where the store knows nothing of a session is it
the other way round: then somebody was there, and a person has to say what becomes of it. In a group that only observes
nothing is changed at the provider, and where a provider has no marks the store alone remembers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from driftd.core.difference import Change, Difference
from driftd.core.errors import NotFound, ProviderError
from driftd.core.facts import Instance
from driftd.core.findings import Action, Finding, Severity, signature
from driftd.core.memory import InstanceRow, Message, Store, Tx
from driftd.core.ports import Compute
from driftd.core.sessions import moment
from driftd.core.taint import SESSION, STICKY
from driftd.core.wording import printable
from driftd.core.wording import tainting as wording
from driftd.core.world import TAG_TAINT
from driftd.flows.groups import Group
from driftd.flows.stops import no_fence, no_pause, stops

RULE = "driftd:mark"
_LONGEST = 32  # characters of a mark that is a time


def learn(tx: Tx, instance: Instance, now: datetime) -> bool:
    """Whether the instance carries a mark of which the store knows no reason: that is a finding from now on.

    It asks for no replacement: who may set a tag is not thereby believed to know who logged in. A mark without a
    reason comes of a store that was lost or put back, or of somebody else's hand.
    """
    found = instance.tags.get(TAG_TAINT, "")
    if not found or any(row.finding.kind in STICKY for row in tx.open_findings(instance.id)):
        return False
    since = printable(found[:_LONGEST])
    said = {"evidence": "mark", "instance": instance.id, "started_at": since, "last_at": since}
    difference = Difference(SESSION, f"mark:{TAG_TAINT}".encode(), Change.ADDED, {}, said)
    because = wording.found_marked(since)
    tx.add_finding(
        instance.id,
        Finding(
            kind=difference.kind,
            subject=difference.subject,
            change=difference.change,
            severity=Severity.HIGH,
            action=Action.ALERT,
            signature=signature(difference),
            rule=RULE,
            because=because,
            actual=difference.actual,
        ),
        now,
    )
    tx.journal("observation", instance.id, {"mark": {TAG_TAINT: since}, "said": because}, now)
    text = f"{instance.id} in {instance.group}: {because}"
    tx.say(Message(f"mark/{instance.id}/{since}", "session", Severity.HIGH, text, instance.id), now)
    return True


class Marker:
    """Brings the marks at the providers to what the store says. One call at a time, each of them journalled.

    An inventory is read when the group's taints have changed, and else once in the group's own time.
    """

    def __init__(
        self,
        store: Store,
        groups: Mapping[str, Group],
        *,
        clock: Callable[[], datetime],
        pause: Callable[[str], str] = no_pause,
        fence: Callable[[], None] = no_fence,
    ) -> None:
        self._store = store
        self._groups = groups
        self._clock = clock
        self._pause = pause
        self._fence = fence
        self._agreed: dict[str, tuple[frozenset[str], datetime]] = {}

    def tick(self) -> list[str]:
        """One round through all groups; what was changed, in sentences. A provider that is away is passed over."""
        said: list[str] = []
        for group in self._groups.values():
            compute = group.provider.compute
            if compute is None or not group.rules.replaces or stops(self._store, group.name, self._pause).any:
                continue
            try:
                said += self._group(group, compute)
            except ProviderError as error:
                said.append(f"marks in {group.name} are left as they are: {error}")
        return said

    def _group(self, group: Group, compute: Compute) -> list[str]:
        now = self._clock()
        with self._store.read() as tx:
            rows = {row.id: row for row in tx.instances(group.name)}
        tainted = frozenset(row.id for row in rows.values() if row.taint)
        before, at = self._agreed.get(group.name, (None, now))
        if before == tainted and now < at + group.every:
            return []
        self._agreed[group.name] = tainted, now
        said = []
        for instance in group.members():
            row = rows.get(instance.id)
            if row is not None and not instance.state.ending and (call := self._wanted(row, instance)) is not None:
                said.append(self._tag(compute, row, *call))
        return said

    def _wanted(self, row: InstanceRow, instance: Instance) -> tuple[str, str] | None:
        """The mark that there should be and why; None where it is so, or where the store has yet to learn of it."""
        there = bool(instance.tags.get(TAG_TAINT))
        if there == bool(row.taint):
            return None
        if row.taint:
            return moment(row.taint_since or self._clock()), row.taint
        with self._store.read() as tx:
            known = any(one.finding.kind in STICKY for one in tx.open_findings(row.id))
        return ("", wording.LIFTED) if known else None

    def _tag(self, compute: Compute, row: InstanceRow, value: str, why: str) -> str:
        body = {"call": "tag", "instance": row.id, "tags": {TAG_TAINT: value}}
        with self._store.write() as tx:
            tx.journal("intent", row.id, {**body, "why": why}, self._clock())
        self._fence()
        failed = ""
        try:
            compute.tag(row.id, {TAG_TAINT: value})
        except NotFound:
            failed = "it is gone"
        except ProviderError as error:
            failed = str(error)
        outcome = {"outcome": "no answer", "why": failed} if failed else {"outcome": "done"}
        with self._store.write() as tx:
            tx.journal("result", row.id, {"call": "tag", **outcome}, self._clock())
        if failed:
            return wording.not_marked(row.id, failed)
        return wording.marked(row.id, why) if value else wording.unmarked(row.id, why)
