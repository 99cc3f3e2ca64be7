"""After the mishaps: everything is kind again, people clear up what is theirs, and all of it comes to rest."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from driftd.core.chain import Verified, verify
from driftd.core.errors import BadInput
from driftd.core.guards.calendar import ALWAYS
from driftd.core.replacement import UNSTARTED, Record
from driftd.core.world import TAG_RID
from driftd.flows import holding
from driftd.flows.breaking import reset
from driftd.flows.vouch import accept_store
from fleet.scenario import BEAT_S
from fleet.strays import end_the_returned, keep_the_last, see_to_strays, see_to_the_stopped

if TYPE_CHECKING:
    from fleet.run import Run

CALM_BEATS = 120
LONGEST = 500
LEFT = 3  # of those that drifted, so many are to be replaced in the calm; people mend the others
IDLE_BEATS = 14
HOURS = 3


class Calm:
    """The last part of a run; mixed into ``Run``."""

    def _correlated(self: Run) -> None:
        name = self.scenario.correlated
        if not name or name in self.truth.reset_by_person or name in self.truth.by_hand_asked:
            return
        done = sum(self.truth.launches[slot] for slot in self.truth.plans[name].slots)
        if done > 1:
            self.truth.violations.append(f"{done} were launched in {name}, all of which drifted alike")

    def _calm(self: Run) -> None:
        """Everything is kind again, and people clear up what is theirs."""
        self.note("--- calm ---")
        self.calm = True
        self._later.clear()
        self._slow_until = self.clock()
        cloud = self.cloud
        cloud.clear_faults()
        weather = self.scenario.weather
        cloud.drain_s = weather.drain_s
        cloud.flapping.clear()
        cloud.busy_volumes.clear()
        cloud.hook_failures.clear()
        cloud.operations.clear()
        cloud.held.clear()
        if cloud.quota is not None:
            cloud.quota = None if self.scenario.quota_spare is None else cloud.quota
        for server in cloud.servers.values():
            if server.claims is not None:
                self.truth.odd.add(server.instance.id)  # what says that it is gone, and is not, is a person's
            server.claims = None
            server.healthy = server.healthy or server.instance.id in self.first
        self.unseen.clear()
        self._leave_all()
        for controller in self.controllers:
            controller.wants, controller.link.cut, controller.cut_store = True, False, False
            controller.link.each = None
            if controller.up:
                store = controller.store
                store.cut, store.full, store.die_before, store.die_after, store.each = False, 0, None, None, None
        self._serve_again()
        self.truth.paused.clear()
        self.truth.hard.clear()
        self.truth.held.clear()
        with self.office.write() as tx:
            for pause in tx.pauses():
                tx.clear_pause(pause.group)
            held = list(tx.holds(self.clock()))
        for one in held:
            holding.release(self.office, one.instance_id, "ann", self.clock())
        for name, group in self.groups.items():
            rules = self.truth.plans[name].rules
            self.groups[name] = replace(group, rules=replace(rules, calendar=ALWAYS))
            self.truth.minimum[name] = rules.min_healthy
        for controller in self.controllers:
            controller.die(politely=True)
        self._mend(LEFT)
        self._settle()

    def _mend(self: Run, left: int) -> None:
        """People undo what drifted on all but a few, where nobody begun to replace them."""
        begun = {record.old_id for record in self.open_records() if record.state not in UNSTARTED}
        for key in self._drifted()[left:]:
            if key not in begun and key in self.drift:
                del self.drift[key]
                self.seen_at_once([key])

    def _serve_again(self: Run) -> None:
        """People start what they stopped, and put back in service what they took out."""
        for key in self.cloud.alive():
            if self.cloud.servers[key].stopped and key not in self.truth.stopped_by_us:
                with self.cloud.by_hand():
                    self.cloud.compute.start(key)
        for group, backends in self.cloud.backends.items():
            for key in [key for key, one in backends.items() if one.drained_at is not None]:
                server = self.cloud.servers.get(key)
                if server is None or server.gone_at is not None or key in self.truth.drained_by_us:
                    continue
                with self.cloud.by_hand():
                    self.cloud.traffic.register(group, server.instance)

    def _leave_all(self: Run) -> None:
        for key, sessions in self.people.items():
            self.people[key] = [replace(one, live=False, ended_at=one.ended_at or self.clock()) for one in sessions]
        self.truth.sessions.clear()

    def _settle(self: Run) -> None:
        idle = 0
        for number in range(LONGEST):
            if self.truth.violations:
                return
            records = self.open_records()
            if number % 10 == 0:
                self.people_clear_up(records)
                known = {record.old_id for record in records}
                self.seen_at_once([key for key in self._drifted() if key not in known])
            busy = bool(self._later) or any(record.state not in UNSTARTED for record in records)
            idle = 0 if busy else idle + 1
            done = idle > IDLE_BEATS or number > CALM_BEATS or not self._waits()
            if number > 6 and not busy and done:
                break
            if number == CALM_BEATS:
                self._mend(0)
            self.beat(BEAT_S if busy or number < 6 else min(30, 2 * idle) * BEAT_S)
        else:
            self.truth.violations.append("it does not come to rest")
        for _ in range(HOURS):
            self.clock.advance(2400)
            self.cloud.settle()
            for controller in self.controllers:
                controller.cleans()

    def people_clear_up(self: Run, records: list[Record]) -> None:
        """They agree to what waits for them, and close breakers that only they close."""
        now = self.clock()
        for record in records:
            if self.groups[record.group].rules.approve and not record.approved_by and not record.denied_by:
                try:
                    holding.approve(self.office, record.rid, "ann", now)
                except BadInput:
                    continue
        with self.office.write() as tx:
            for one in tx.breakers():
                if one.holds and one.rule in {"C1", "C3", "C6"}:
                    try:
                        reset(tx, one.rule, one.scope, "ann", "it was us", now)
                        self.truth.reset_by_person |= set(self.groups)
                    except BadInput:
                        continue
        with self.office.read() as tx:
            doubted = [one for one in tx.doubts() if one.settled_at is None]
        keep_the_last(self)
        end_the_returned(self)
        if doubted and not see_to_strays(self):
            see_to_the_stopped(self)
            self.note("ann accepts the store")
            accept_store(self.office, "ann", "looked at it", now)
            self.truth.put_back.clear()  # of drains that the store knows nothing of no undo can be known

    def _waits(self: Run) -> bool:
        """Whether somebody is still to be replaced, where no person is needed first."""
        stuck = self._stuck()
        found = [key for key in self._drifted() if key not in self.denied]
        return any(self.cloud.servers[key].instance.group not in stuck for key in found)

    def _drifted(self: Run) -> list[str]:
        """Members that drifted and still are there."""
        found = []
        for plan in self.scenario.groups:
            for key in self.cloud.alive(plan.name):
                if (self.drift.get(key) or self.people.get(key)) and self.truth.is_member(key):
                    found.append(key)
        return found

    def _at_rest(self: Run) -> None:
        waiting = {one.rid for one in self.open_records() if one.state in UNSTARTED and one.note}
        marked = {key: self.cloud.servers[key].instance.tags.get(TAG_RID, "") for key in self.cloud.alive()}
        self.truth.awaited = frozenset(key for key, rid in marked.items() if rid in waiting)
        self.truth.violations += self.truth.at_rest()
        stuck = self._stuck()
        records = {record.old_id: record for record in self.open_records()}
        for key in self._drifted():
            group = self.cloud.servers[key].instance.group
            if group in stuck or key in self.denied or self.cloud.servers[key].stopped:
                continue  # what is stopped cannot be looked at
            record = records.get(key)
            if record is None:
                self.truth.violations.append(f"{key} of {group} is drifted still, and nobody intends to replace it")
            elif not record.note:
                self.truth.violations.append(f"{key} of {group} waits without a sentence")
            else:
                self._said[f"waits {key}"] = record.note
                self.note(f"{key} waits: {record.note}")
        with self.office.read() as tx:
            answer = verify(tx.journal_lines())
        if not isinstance(answer, Verified):
            self.truth.violations.append(f"the journal does not hold: {answer}")
