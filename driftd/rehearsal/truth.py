"""What must always be true, read from the cloud's own log and tables: DESIGN.md, section 9.

Each violation is one sentence. ``Truth.saw`` is told of every event as it happens, with the tables as they stand.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from driftd.core.hooks import HookName
from driftd.core.leftovers import MARKS
from driftd.core.ports import Volume
from driftd.core.rehearsal import Broken
from driftd.core.world import TAG_RID
from driftd.rehearsal.cloud import Cloud
from driftd.rehearsal.scenario import GroupPlan, Scenario
from driftd.testing.matter import Event, Server

OUT = frozenset({"traffic.drain", "compute.stop", "compute.terminate"})
FORWARD = frozenset({"compute.launch", "volumes.snapshot"})
CHANGING = frozenset({"compute", "traffic", "volumes", "addresses", "hooks"})  # whatever a call changes begins so
ORPHAN_AGE = timedelta(minutes=30)


class Truth:
    """Watches one cloud. ``paused``, ``hard``, ``held`` and ``sessions`` are what people did, kept by those people."""

    def __init__(self, cloud: Cloud, scenario: Scenario) -> None:
        self.cloud = cloud
        self.plans: dict[str, GroupPlan] = {plan.name: plan for plan in scenario.groups}
        self.minimum = {name: plan.rules.min_healthy for name, plan in self.plans.items()}
        self.scenario = scenario
        self.violations: list[Broken] = []
        self.tested: set[str] = {"foreseen"}  # of core.rehearsal.INVARIANTS
        # what people said and did
        self.paused: set[str] = set()
        self.hard: set[str] = set()
        self.held: dict[str, datetime] = {}
        self.sessions: dict[str, datetime] = {}  # instance to since when somebody is on it
        self.put_back: dict[str, tuple[datetime, int]] = {}  # instance to when, and how many its slot had launched then
        self.taken_by_others: set[str] = set()  # slots of which somebody else ended or took something
        self.reset_by_person: set[str] = set()  # groups of which a person closed a breaker
        # what the cloud knows of what driftd made
        self.made: dict[str, str] = {}  # instance to rid
        self.settled: set[str] = set()
        self.odd: set[str] = set()  # made under a token that made two, or without tags
        self.clean: set[str] = set()  # looked at by driftd, and found as baked
        self.launches: dict[str, int] = defaultdict(int)  # slot to how many
        self.tokens: dict[str, int] = defaultdict(int)
        self.last: dict[str, Event] = {}  # instance to the last change of its service
        self.stopped_by_us: set[str] = set()
        self.drained_by_others: set[str] = set()
        self.awaited: frozenset[str] = frozenset()  # newcomers of what waits, as a store that was put back has it
        self.rested: dict[str, datetime] = {}
        self.out_at: dict[str, datetime] = {}
        self.drained_by_us: set[str] = set()
        self.changing: dict[str, str] = {}  # slot to its zone, from when driftd takes its instance out until it has one
        self.by_hand_asked: set[str] = set()  # groups in which a person asked for a replacement
        self.stuck_groups: Callable[[], set[str]] = set
        self.told: set[tuple[str, str]] = set()  # (hook, instance) of each of which driftd heard that it was done
        self.late = 0

    # --- as it happens ---

    def saw(self, event: Event) -> None:
        """One event: check it, and learn from it."""
        ours = event.by == "driftd" and not self.cloud.coming_true
        if self.cloud.coming_true and event.call.partition(".")[0] in {"compute", "traffic", "volumes", "addresses"}:
            self.late += 1
        if event.call == "compute.launch" and event.by == "driftd":
            self._launched(event)
        self._whole_again()
        if ours:
            self._noted(event)
            for sentence in self._checks(event):
                at = f"{event.at:%H:%M:%S} {event.call} {event.subject}"
                self.violations.append(Broken(sentence.rule, f"{at}: {sentence}"))
            self._taken_out(event)
        elif event.call in {"two writers", "torn"} and event.by == "driftd" and not self.scenario.weather.rude:
            said = f"{event.at:%H:%M:%S} {event.call} {event.subject} {event.detail}"
            self.violations.append(Broken("volumes", said))
        self._learn(event)
        self._whole_again()

    def _noted(self, event: Event) -> None:
        """Which invariants this event puts to the test."""
        call, port = event.call, event.call.partition(".")[0]
        if call in OUT:
            self.tested |= {"connections", "minimum"}
            if self.held or self.sessions or self.put_back:
                self.tested.add("people")
            if self.plans[event.group].zones and self.is_member(event.subject):
                self.tested.add("zones")
        if call in {"traffic.drain", "compute.terminate"} and self.plans[event.group].once:
            self.tested.add("hooks")
        if port in {"volumes", "mounted", "unmounted"}:
            self.tested.add("volumes")
        if call == "compute.launch":
            self.tested.add("newcomers")
        if call == "compute.terminate":
            self.tested.add("verified")

    def _launched(self, event: Event) -> None:
        server = self.cloud.servers[event.subject]
        self.made[event.subject] = server.request.tags.get(TAG_RID, "")
        self.launches[server.request.slot] += 1
        self.tokens[event.detail] += 1
        if TAG_RID not in server.instance.tags or self.cloud.is_twin:
            self.odd.add(event.subject)

    def _learn(self, event: Event) -> None:
        key, call = event.subject, event.call
        ours = event.by == "driftd"
        if not ours and self._puts_back(event):
            self.put_back[key] = event.at, self.launches[self._slot(key)]
        if call in {"traffic.register", "traffic.drain", "traffic.deregister", "compute.stop", "compute.start"}:
            self.last[key] = event
        if call == "traffic.register":
            self.drained_by_us.discard(key)
            self.drained_by_others.discard(key)
            self.out_at.pop(key, None)
        if call in {"traffic.drain", "traffic.deregister"}:
            self._goes_out(event, ours=ours)
        if call == "compute.stop" and ours:
            self.stopped_by_us.add(key)
        if call == "stopped":
            self.rested[key] = event.at
        if call == "compute.start":
            self.stopped_by_us.discard(key)
        self._learn_of_the_slot(event, ours=ours)

    def _learn_of_the_slot(self, event: Event, *, ours: bool) -> None:
        """Whose it is, and by whose hand."""
        key, call = event.subject, event.call
        if call == "volumes.detach" and self._comes_again(event):
            self.taken_by_others.add(self.cloud.volume_table[key].slot)
        if call == "compute.tag" and key in self.made and TAG_RID not in self.cloud.servers[key].instance.tags:
            self.settled.add(key)
        if call == "compute.terminate" and ours and self.is_member(key):
            # What took its place is the slot's instance from now on.
            self.settled |= {one.instance.id for one in self._others(key) if one.instance.id in self.made}

    def _comes_again(self, event: Event) -> bool:
        """The provider did once more what it had done, when nobody could expect it any more."""
        known = (event.call, event.subject, event.detail)
        return self.cloud.coming_true and any(
            (one.call, one.subject, one.detail) == known for one in self.cloud.events[:-1]
        )

    def _goes_out(self, event: Event, *, ours: bool) -> None:
        """Who took it out first did it."""
        key = event.subject
        if not ours:
            self.drained_by_others.add(key)
        elif key not in self.drained_by_others:
            self.drained_by_us.add(key)
            self.out_at.setdefault(key, event.at)

    def _puts_back(self, event: Event) -> bool:
        """Whether that undoes what driftd did, and not what other people did; and driftd has read it as it was before.

        Of what was so between two readings nobody can know.
        """
        key, call = event.subject, event.call
        if call == "traffic.register" and key in self.drained_by_us:
            return self.cloud.read_since("traffic.targets", self.out_at.get(key))
        return call == "compute.start" and key in self.stopped_by_us and self._seen_at_rest(key)

    def _seen_at_rest(self, key: str) -> bool:
        return self.cloud.read_since("compute.list", self.rested.get(key))

    def _checks(self, event: Event) -> Iterator[Broken]:
        call = event.call
        if call == "lost":
            yield Broken("connections", f"connections were lost by driftd's hand ({event.detail})")
        if call in {"two writers", "torn"} and not self._lied_to(event):
            yield Broken("volumes", f"{call}: {event.detail}")
        if call in OUT:
            yield from self._out(event)
            yield from self._share(event)
            yield from self._one_zone(event)
        yield from self._stops(event)
        if call in {"traffic.drain", "compute.terminate"}:
            yield from self._hooks(event)
        if call == "compute.launch":
            yield from self._launch(event)
        if call == "compute.terminate":
            yield from self._ended(event)
        if call == "volumes.detach":
            yield from self._detached(event)
        if call == "volumes.attach":
            yield from self._attached(event)
        if call == "addresses.associate":
            yield from self._associated(event)

    # --- each of them ---

    def _out(self, event: Event) -> Iterator[Broken]:
        key, server = event.subject, self.cloud.servers[event.subject]
        need = self.minimum[event.group]
        if self.cloud.served_before and event.in_service < need:
            yield Broken("minimum", f"{event.group} has {event.in_service} in service, and its minimum is {need}")
        if not self.is_member(key) or (event.call == "traffic.drain" and server.gone_at is not None):
            return
        until = self.held.get(key)
        if until is not None and event.at < until:
            yield Broken("people", f"it is held until {until:%H:%M:%S}")
        since = self.sessions.get(key)
        if self.cloud.served_before and since is not None and since < event.at:
            yield Broken("people", f"somebody is on it since {since:%H:%M:%S}")
        back, launches = self.put_back.get(key, (None, 0))
        if back is None or self.launches[server.request.slot] > launches:
            return
        if event.call == "compute.terminate" or (
            event.call == "compute.stop" and event.at < back + self.plans[event.group].rules.back_off
        ):
            yield Broken("people", f"a person had put it back at {back:%H:%M:%S}")

    def _share(self, event: Event) -> Iterator[Broken]:
        """Where the newcomer comes first and no share was chosen: as many serve without the old one as there are slots.

        A newcomer that is undone is drained whatever else is ill.
        """
        if self.plans[event.group].rules.min_percent is not None or not self.is_member(event.subject):
            return
        slots = {self._slot(key) for key in self.cloud.alive(event.group)}
        if self.cloud.served_before and event.in_service < len(slots):
            yield Broken(
                "minimum", f"{event.group} has {event.in_service} in service, and its share is 100 % of {len(slots)}"
            )

    def _one_zone(self, event: Event) -> Iterator[Broken]:
        """A group is changed in one zone at a time, whoever asked for it."""
        slot = self._slot(event.subject)
        mine = self.cloud.zones.get(slot, "")
        others = {one: zone for one, zone in self.changing.items() if zone != mine and one.split("/")[0] == event.group}
        if mine and others and self.is_member(event.subject) and event.group not in self.stuck_groups():
            yield Broken("zones", f"{slot} is in zone {mine}, and under change are {others}")

    def _taken_out(self, event: Event) -> None:
        """From now on its slot is under change."""
        slot = self._slot(event.subject) if event.call in OUT and self.is_member(event.subject) else ""
        if zone := self.cloud.zones.get(slot, ""):
            self.changing[slot] = zone

    def _whole_again(self) -> None:
        """A slot has its instance again: one that works, and is a target that gets new work."""
        whole = {
            self._slot(key)
            for plan in self.plans.values()
            for key, backend in (self.cloud.backends.get(plan.name, {}) if self.changing else {}).items()
            if backend.drained_at is None
            and (self.is_member(key) or key in self.odd)
            and not (self.cloud.servers[key].stopping or self.cloud.servers[key].stopped)
            and self.cloud.servers[key].gone_at is None
        } | self.taken_by_others
        self.changing = {slot: zone for slot, zone in self.changing.items() if slot not in whole}

    def _stops(self, event: Event) -> Iterator[Broken]:
        here = {"", event.group}
        if self.hard & here and event.call.partition(".")[0] in CHANGING:
            yield Broken("pauses", "everything is paused, hard")
        # An undo takes out newcomers alone.
        forward = event.call in FORWARD or (event.call in OUT and self.is_member(event.subject))
        if self.paused & here and forward:
            yield Broken("pauses", "new work and forward steps are paused")

    def _hooks(self, event: Event) -> Iterator[Broken]:
        """The group's owner was told in time; of one that does not run nobody is told that it drains."""
        key, plan = event.subject, self.plans[event.group]
        never_served = key in self.made and key not in self.last  # a second answer to one launch
        if not plan.once or never_served or not self.is_member(key):
            return
        needed = {HookName.PRE_DRAIN: [key]} if self.cloud.runs(self.cloud.servers[key]) else {}
        if event.call == "compute.terminate":
            others = [one.instance.id for one in self._others(key)]
            needed = {HookName.PRE_TERMINATE: [key], HookName.POST_ATTACH: others}
        for name, whom in needed.items():
            told = any((name.value, one) in self.told for one in whom)
            if name in plan.once and not told and not plan.goes_on_without(name):
                yield Broken("hooks", f"the {name} hook was not called before {event.call}")

    def _launch(self, event: Event) -> Iterator[Broken]:
        key, slot = event.subject, self.cloud.servers[event.subject].request.slot
        if key in self.odd:
            return
        if self.tokens[event.detail] > 1:
            yield Broken("newcomers", f"the token {event.detail} made {self.tokens[event.detail]} instances")
        # Of what says that it is gone, and is not, nobody can know.
        there = [one for one in self._alive_newcomers(event.group) if self.cloud.servers[one].claims is None]
        moving = [one for one in there if one != key and one not in self.odd]
        rivals = [one for one in moving if self._slot(one) == slot]
        if rivals:
            yield Broken("newcomers", f"slot {slot} has a newcomer already: {', '.join(rivals)}")
        plan = self.plans[event.group]
        spare = min(max(1, plan.size * plan.rules.at_once.percent // 100), plan.rules.at_once.most)
        if len(moving) + 1 > spare:
            yield Broken(
                "newcomers", f"{len(moving)} newcomers are there already, and {event.group} may spare {spare} at once"
            )

    def _ended(self, event: Event) -> Iterator[Broken]:
        key, server = event.subject, self.cloud.servers[event.subject]
        others = self._others(key)
        if self.cloud.actor == "janitor" and event.at < server.born + ORPHAN_AGE:
            yield Broken("verified", f"the janitor ended what is {(event.at - server.born).total_seconds():.0f} s old")
        if self.is_member(key):
            serving = set(self.cloud.in_service(event.group))
            good = [one.instance.id for one in others if one.instance.id in serving]
            if not [one for one in good if one in self.made and one in self.clean]:
                yield Broken("verified", f"no verified newcomer serves in its place (in service for the slot: {good})")
            owned = [volume.id for volume in self.cloud.volume_table.values() if volume.attached_to == key]
            if owned:
                yield Broken("verified", f"it still had {owned}")
            return
        back = [one for one in others if self.is_member(one.instance.id)]
        for old in back:
            name = old.instance.id
            if name in self.stopped_by_us and (old.stopped or old.stopping):
                yield Broken("verified", f"it is ended, and {name}, which driftd stopped, is not started again")
            elif name in self.drained_by_us:
                yield Broken("verified", f"it is ended, and {name}, which driftd drained, is not back in service")

    def _detached(self, event: Event) -> Iterator[Broken]:
        server = self.cloud.servers[event.detail]
        if self.cloud.runs(server) and server.claims is None:
            yield Broken("volumes", f"{event.detail} still runs: there was no fence")
        plan = self.plans[event.group]
        if plan.manner.snapshots and self.is_member(event.detail):
            stop = self.last.get(event.detail)
            since = stop.at if stop is not None and stop.call == "compute.stop" else event.at
            taken = [s for s in self.cloud.snapshot_table.values() if s.volume_id == event.subject and s.at >= since]
            if not taken and stop is not None:
                yield Broken("volumes", "no snapshot was taken since the old one was stopped")

    def _attached(self, event: Event) -> Iterator[Broken]:
        volume = self.cloud.volume_table[event.subject]
        if self._slot(event.detail) != volume.slot:
            yield Broken("volumes", f"a volume of {volume.slot} went to {event.detail} of {self._slot(event.detail)}")
        running = [
            one.instance.id
            for one in self._others(event.detail)
            if self.cloud.runs(one) and one.claims is None and one.instance.id not in self.odd
        ]
        if running and self.is_member(running[0]) and self.plans[event.group].hooked is False:
            yield Broken("volumes", f"{running} of the same slot still runs")

    def _associated(self, event: Event) -> Iterator[Broken]:
        address = self.cloud.address_table[event.subject]
        if self._slot(event.detail) != address.slot:
            yield Broken(
                "volumes", f"an address of {address.slot} went to {event.detail} of {self._slot(event.detail)}"
            )

    # --- after calm ---

    def at_rest(self) -> Iterator[Broken]:
        """What must be so once everything is calm and the janitor had its hours; what is stuck is a person's."""
        stuck = self.stuck_groups()
        for plan in self.plans.values():
            if plan.name not in stuck:
                yield from self._group_at_rest(plan)
        for volume in self.cloud.volume_table.values():
            if volume.slot.partition("/")[0] in stuck:
                continue
            writers = self.cloud.writers(volume.id)
            if len(writers) > 1:
                yield Broken("volumes", f"volume {volume.id} has writers {writers}")

    def _group_at_rest(self, plan: GroupPlan) -> Iterator[Broken]:
        serving = set(self.cloud.in_service(plan.name))
        by_slot: dict[str, list[str]] = {slot: [] for slot in plan.slots}
        for key in self.cloud.alive(plan.name):
            by_slot[self._slot(key)].append(key)
        for slot, found in by_slot.items():
            odd = {key for key in found if key in self.odd and key not in serving} if len(found) > 1 else set()
            here = [key for key in found if key not in odd | self.awaited]
            if len(here) > 1:
                yield Broken("rest", f"{slot} has {len(here)} instances: {', '.join(here)}")
            if not here and slot not in self.taken_by_others:
                yield Broken("rest", f"{slot} is empty, and by nobody else's hand")
            for key in here:
                yield from self._instance_at_rest(plan, slot, key, key in serving)
        leftover = set(self.cloud.backends.get(plan.name, {})) - set(self.cloud.alive(plan.name))
        for key in sorted(leftover):
            if key not in self.gone_by_others():
                yield Broken("rest", f"{key} is gone and is still a target")

    def gone_by_others(self) -> set[str]:
        """Instances that ended, and not by driftd's call."""
        ended = {one.subject for one in self.cloud.events if (one.call, one.by) == ("compute.terminate", "driftd")}
        return set(self.cloud.servers) - ended

    def _instance_at_rest(self, plan: GroupPlan, slot: str, key: str, serves: bool) -> Iterator[Broken]:
        server = self.cloud.servers[key]
        marks = MARKS & server.instance.tags.keys()
        if marks:
            yield Broken("rest", f"{key} of {slot} still has our marks {sorted(marks)}")
        last = self.last.get(key)
        ours = last is not None and last.by == "driftd" and not self._was_late(last)
        if serves and server.quiesced:
            yield Broken("rest", f"{key} of {slot} is in service, and its own service was brought to rest")
        if not serves and ours and server.healthy and slot not in self.taken_by_others:
            yield Broken(
                "rest",
                f"{key} of {slot} does not serve, and driftd's {last.call if last else ''} was the last to touch it",
            )
        if plan.owning and slot not in self.taken_by_others:
            for thing in self.cloud.things(slot):
                if thing.attached_to != key:
                    name = thing.id if isinstance(thing, Volume) else thing.address
                    yield Broken("rest", f"{name} of {slot} is {thing.attached_to or 'nobody'}'s, not {key}'s")

    def _was_late(self, event: Event) -> bool:
        return event in self.cloud.late_events

    # --- who is who ---

    def is_member(self, key: str) -> bool:
        """It is its slot's instance, and no newcomer that is not settled yet."""
        return key not in self.made or key in self.settled

    def _alive_newcomers(self, group: str) -> list[str]:
        return [key for key in self.cloud.alive(group) if not self.is_member(key)]

    def _others(self, key: str) -> list[Server]:
        slot = self._slot(key)
        return [
            server
            for name, server in self.cloud.servers.items()
            if name != key and server.request.slot == slot and server.gone_at is None
        ]

    def _slot(self, key: str) -> str:
        return self.cloud.servers[key].request.slot

    def _lied_to(self, event: Event) -> bool:
        """The provider itself said what was not so, in a way that nobody can find out."""
        names = [*event.detail.split(), event.subject]
        if event.subject in self.cloud.busy_volumes:
            return True  # by something that nobody can see, and the provider let go of it all the same
        return any((one := self.cloud.servers.get(name)) is not None and one.claims is not None for name in names)
