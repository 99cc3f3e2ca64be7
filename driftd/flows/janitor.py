"""Janitor: what driftd left behind by accident is found, said, and cleaned up where that is certain to be right."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from driftd.core.breakers.facts import Leftover as Overdue
from driftd.core.errors import NotFound, ProviderError
from driftd.core.facts import Instance
from driftd.core.findings import Severity
from driftd.core.leftovers import MARKS, Leftover, What, due, of_instances, of_snapshots
from driftd.core.memory import Message, Store
from driftd.core.ports import TargetState
from driftd.core.replacement import Record
from driftd.core.wording import leftovers as wording
from driftd.core.wording import pruned
from driftd.core.world import TAG_RID
from driftd.flows.collect import collect
from driftd.flows.groups import Group
from driftd.flows.quarantine import carry_out
from driftd.flows.stops import no_fence, no_pause, stops
from driftd.flows.survey import Survey, edges_of, survey

ORPHAN_AGE = timedelta(minutes=30)
MOST = 5  # things of one group that one round cleans up; where there are more, something else is wrong
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class Janitor:
    """Finds what replacements left behind (core/leftovers.py says what that is), and cleans it up with care.

    It is said when it is first seen. Seen again ``age`` later, unchanged, it is cleaned up if it is proven to be
    driftd's own and unused: an orphan is ended, marks are taken off, a snapshot older than the group keeps them is
    deleted; everything else is a person's. When it was first seen stands in the journal, so a restart does not begin
    again. What was over longer than ``keep`` ago is pruned from the store; None keeps all.
    """

    def __init__(
        self,
        store: Store,
        groups: Mapping[str, Group],
        *,
        clock: Callable[[], datetime],
        pause: Callable[[str], str] = no_pause,
        fence: Callable[[], None] = no_fence,
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
        self._left: dict[str, Sequence[Overdue]] = {}

    def left(self) -> Mapping[str, Sequence[Overdue]]:
        """By group, what the last round found, saw long before, and could not clean up (breaker C10)."""
        return self._left

    def tick(self) -> list[str]:
        """One round through all groups; what was found and done, in sentences. A provider that is away is skipped."""
        said = self._prune()
        for group in self._groups.values():
            try:
                said += self._calibrations(group)
                said += [] if group.cannot_replace() else self._leftovers(group)
                said += [] if group.cannot_replace() else self._quarantine(group)
            except ProviderError as error:
                said.append(f"the janitor passed over {group.name}: {error}")
        return said

    def _prune(self) -> list[str]:
        """Forget what was over ``keep`` ago."""
        if self._keep is None:
            return []
        with self._store.write() as tx:
            gone = {what: number for what, number in tx.prune(self._clock() - self._keep).items() if number}
        return [pruned(gone)] if gone else []

    def _calibrations(self, group: Group) -> list[str]:
        """What was launched to learn from, and outlived its calibration."""
        compute = group.provider.compute
        if compute is None or self._paused(group.name):
            return []
        targets = group.targets()
        return collect(compute, self._note, self._clock(), group=group.name, targets=targets, fence=self._fence)

    def _quarantine(self, group: Group) -> list[str]:
        """Those that are kept, until a person says otherwise."""
        if self._paused(group.name):
            return []
        return carry_out(self._store, group, survey(group), self._note, self._fence)

    def _note(self, kind: str, subject: str, body: Mapping[str, object]) -> None:
        with self._store.write() as tx:
            tx.journal(kind, subject, body, self._clock())

    # --- what replacements left ---

    def _leftovers(self, group: Group) -> list[str]:
        said, cleaned, left = [], 0, []
        with self._store.read() as tx:
            held = {one.instance_id for one in tx.holds(self._clock())}
        for one in self._find(group):
            if one.thing in held:
                continue  # somebody wants to look at it
            if one.what is not What.SNAPSHOT and one not in self._again(group, one):
                continue  # its replacement ended between the list and the record
            now = self._clock()
            first_seen = self._first_seen(one, now)
            if first_seen is None:
                said.append(one.said)
            elif due(one, first_seen, now, self._age) and cleaned < MOST and not self._paused(group.name):
                cleaned += 1
                if one.what is not What.SNAPSHOT or one in self._again(group, one):
                    said.append(self._clean(group, one))
            elif now >= first_seen + self._age and one.what is not What.SNAPSHOT:
                left.append(Overdue(one.thing, one.said, first_seen))
        self._left = {**self._left, group.name: left}
        return said

    def _find(self, group: Group) -> Sequence[Leftover]:
        """What is left, as provider and store say now."""
        seen = survey(group)
        found = self._judge(group, seen, seen.instances.values())
        volumes = group.provider.volumes
        if volumes is not None and group.keep_snapshots is not None:
            overdue = self._clock() - group.keep_snapshots
            old = [one for one in volumes.snapshots() if one.at < overdue]
            found += of_snapshots(old, self._ended(group), overdue) if old else []
        return found

    def _again(self, group: Group, one: Leftover) -> Sequence[Leftover]:
        """The second check: the thing itself, asked once more, with everything around it read anew."""
        if one.what is What.SNAPSHOT:
            return self._find(group)
        compute, _ = edges_of(group)
        try:
            instance = compute.describe(one.thing)
        except NotFound:
            return []
        return self._judge(group, survey(group), [instance])

    def _judge(self, group: Group, seen: Survey, instances: Iterable[Instance]) -> list[Leftover]:
        marked = [one for one in instances if MARKS & one.tags.keys()]
        if not marked:
            return []
        owners = {volume.attached_to for volume in seen.volumes.values()}
        owners |= {address.attached_to for address in seen.addresses.values()}
        with self._store.read() as tx:
            found = [tx.replacement(one.tags.get(TAG_RID, "")) for one in marked]
        records = {record.rid: record for record in found if record is not None}
        manned = {
            one.slot
            for one in seen.instances.values()
            if one.group == group.name and (target := seen.targets.get(one.id)) and target.state is TargetState.HEALTHY
        }
        return [*of_instances(group.name, marked, records, owners | seen.targets.keys(), manned)]

    def _ended(self, group: Group) -> Sequence[Record]:
        with self._store.read() as tx:
            return tx.ended_replacements(LONG_AGO, group.name)

    def _clean(self, group: Group, one: Leftover) -> str:
        call = {What.ORPHAN: "terminate", What.MARKS: "tag", What.SNAPSHOT: "delete snapshot"}[one.what]
        thing = {"snapshot": one.thing} if one.what is What.SNAPSHOT else {"instance": one.thing}
        self._note("intent", one.subject, {"call": call, **thing, "leftover": True})
        self._fence()
        why = ""
        try:
            self._call(group, one)
        except NotFound:
            pass
        except ProviderError as error:
            why = str(error)
        outcome = {"outcome": "no answer", "why": why} if why else {"outcome": "done"}
        self._note("result", one.subject, {"call": call, **outcome})
        return wording.cleaned(one.what, one.thing, why)

    @staticmethod
    def _call(group: Group, one: Leftover) -> None:
        compute, _ = edges_of(group)
        if one.what is What.ORPHAN:
            compute.terminate(one.thing)
        elif one.what is What.MARKS:
            compute.tag(one.thing, dict.fromkeys(one.tags, ""))
        elif group.provider.volumes is not None:
            group.provider.volumes.delete_snapshot(one.thing)

    def _first_seen(self, one: Leftover, now: datetime) -> datetime | None:
        """When this was first seen; None when that is now. People hear of instances, not of tags and copies."""
        with self._store.write() as tx:
            lines = tx.journal_lines(one.subject)
            if lines:
                return lines[0].at
            tx.journal("observation", one.subject, {one.what.value: one.thing, "said": one.said}, now)
            if one.what is What.ORPHAN:
                tx.say(Message(one.subject, "orphan", Severity.HIGH, one.said, one.thing, one.rid), now)
        return None

    def _paused(self, group: str) -> bool:
        return bool(stops(self._store, group, self._pause).any)
