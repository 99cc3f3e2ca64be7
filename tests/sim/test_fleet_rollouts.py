"""Rollouts on the fake: forward and back, with an image that is fine and with four that are not, three ways each.

What must be true is read from the fake's own log and tables.
"""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulation import Simulation

from driftd.core.chain import Verified, verify
from driftd.core.errors import BadInput
from driftd.core.facts import Instance
from driftd.core.findings import Action, Judgement, Verdict
from driftd.core.guards.calendar import ALWAYS
from driftd.core.guards.case import UNPACED, AtOnce, GroupRules
from driftd.core.looks import Look
from driftd.core.replacement import TERMINAL, State
from driftd.core.rollout import OVER, Stage, Strategy
from driftd.core.world import TAG_RID, TAG_ROLE
from driftd.flows.rollout import Roller, Wish, ask, go_back
from driftd.testing import Crash

KEEP = timedelta(seconds=60)


class Fleet(Simulation):
    """A group that runs "golden", and a better or worse image."""

    def __init__(self, home, *, servers=5, at_once=2, **more):
        super().__init__(home, servers=servers, min_healthy=servers - 1, **more)
        rules = GroupRules(
            "web",
            min_healthy=servers - 1,
            enforce=Action.REPLACE,
            pace=UNPACED,
            calendar=ALWAYS,
            at_once=AtOnce(percent=100 * at_once // servers, most=at_once, fleet=at_once),
            min_percent=0,
        )
        self.group = type(self.group)(
            "web", self.provider, rules, self.group.limits, image="golden", health=self.provider.health
        )
        self.drifted, self.turns_bad, self.ill = set(), set(), set()
        self.most_bad = 0
        self.bad = ""
        self.restart()

    def restart(self):
        super().restart()
        self.roller = Roller(self.store, {"web": self.group}, clock=self.clock, pause=lambda _: self.pause_file)

    def look(self, instance: Instance) -> Look:
        if instance.image in self.drifted:
            return Look(instance, self.clock(), 0.1, Judgement(Verdict.DRIFTED, "not as baked", action=Action.REPLACE))
        return Look(instance, self.clock(), 0.1, Judgement(Verdict.CLEAN, "nothing differs"))

    def rollout(self):
        with self.store.read() as tx:
            return tx.rollouts("web")[0]

    def ask(self, image="better", how=Strategy.CANARY, share=20, keep=KEEP):
        return ask(self.store, self.group, Wish(image, how, share, keep, "a test"), "kim", self.clock())

    def beat(self):
        for server in [*self.provider.servers.values()]:
            if server.instance.image in self.ill:
                self.provider.make_sick(server.instance.id)
            if server.instance.image in self.turns_bad and self.soaks(server.instance.id):
                self.provider.make_sick(server.instance.id)
        try:
            said = self.roller.tick() + self.replacer.tick()
            assert not [line for line in said if "it is tried again" in line], said
        except Crash:
            self.crashes += 1
            self.restart()
        serving = [self.provider.servers[one].instance.image for one in self.provider.in_service("web")]
        self.most_bad = max(self.most_bad, serving.count(self.bad))
        self.clock.advance(2)

    def soaks(self, instance_id):
        with self.store.read() as tx:
            opened = tx.open_replacements("web")
        return any(one.new_id == instance_id and one.state is State.SOAKING for one in opened)

    def run(self, horizon=20_000, until=lambda one: one.stage in OVER):
        for _ in range(horizon // 2):
            self.beat()
            if until(self.rollout()):
                return self.rollout()
        raise AssertionError(f"not over in {horizon} s: {self.rollout()} {self.notes()}")

    def notes(self):
        with self.store.read() as tx:
            return [(one.slot, one.state, one.note) for one in tx.open_replacements("web")]

    def images(self):
        return {self.provider.servers[one].instance.image for one in self.provider.in_service("web")}

    def check(self, image):
        """All of the group run ``image``, each slot once, nothing is left behind, and nothing was lost on the way."""
        serving = set(self.provider.in_service("web"))
        assert self.images() == {image}, self.images()
        assert len(serving) == len(self.servers)
        assert set(self.provider.alive("web")) == serving, "orphans"
        slots = [self.provider.servers[one].instance.tags["driftd:slot"] for one in serving]
        assert len(set(slots)) == len(slots)
        for one in serving:
            assert not {TAG_RID, TAG_ROLE} & self.provider.servers[one].instance.tags.keys()
        lost = [event for event in self.provider.events[self.first_event :] if event.call == "lost"]
        assert not lost
        low = [
            event
            for event in self.provider.events[self.first_event :]
            if event.call in {"traffic.drain", "compute.terminate"} and event.in_service < len(self.servers) - 1
        ]
        assert not low
        with self.store.read() as tx:
            assert not tx.open_replacements("web")
            assert isinstance(verify(tx.journal_lines()), Verified)


WAYS = [*Strategy]


@pytest.mark.parametrize("how", WAYS)
def test_a_good_image_and_back(tmp_path, how):
    fleet = Fleet(tmp_path)
    fleet.ask(how=how)
    assert fleet.run().stage is Stage.DONE
    fleet.check("better")
    go_back(fleet.store, fleet.group, "kim", "we liked the old one better", fleet.clock())
    assert fleet.run().stage is Stage.DONE
    fleet.check("golden")


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("fault", ["fails verification", "fails its health check", "turns bad", "is deleted"])
def test_a_bad_image_never_serves_more_than_the_canarys_share(tmp_path, how, fault):
    fleet = Fleet(tmp_path)
    fleet.bad = "worse"
    if fault == "fails verification":
        fleet.drifted.add("worse")
    elif fault == "fails its health check":
        fleet.ill.add("worse")
    elif fault == "turns bad":
        fleet.turns_bad.add("worse")
    else:
        fleet.provider.images = {"golden"}
    fleet.ask("worse", how)
    ended = fleet.run()
    assert ended.stage is Stage.UNDONE
    assert ended.fault
    assert fleet.most_bad <= 1, "20 % of five"
    fleet.check("golden")


@pytest.mark.parametrize("how", [Strategy.CANARY, Strategy.ROLLING])
def test_an_image_that_is_gone_half_way_is_gone_back_from(tmp_path, how):
    fleet = Fleet(tmp_path)
    fleet.ask(how=how)
    fleet.run(until=lambda one: one.stage is Stage.REST)
    fleet.provider.images = {"golden"}
    assert fleet.run().stage is Stage.UNDONE
    fleet.check("golden")


def test_the_old_set_of_a_blue_green_one_is_had_back_in_one_step(tmp_path):
    fleet = Fleet(tmp_path)
    old = set(fleet.provider.in_service("web"))
    fleet.ask(how=Strategy.BLUE_GREEN)
    assert fleet.run(until=lambda one: one.stage is Stage.KEPT).stage is Stage.KEPT
    assert fleet.images() == {"better"}
    assert old <= set(fleet.provider.alive("web")), "they are kept as they are"
    go_back(fleet.store, fleet.group, "kim", "slow", fleet.clock())
    launched = len([one for one in fleet.provider.events if one.call == "compute.launch"])
    assert fleet.run().stage is Stage.UNDONE
    assert len([one for one in fleet.provider.events if one.call == "compute.launch"]) == launched
    assert set(fleet.provider.in_service("web")) == old
    fleet.check("golden")


def test_the_new_set_serves_only_once_all_of_it_is_verified_and_the_old_one_goes_in_one_beat(tmp_path):
    fleet = Fleet(tmp_path)
    fleet.ask(how=Strategy.BLUE_GREEN)
    fleet.run(until=lambda one: one.stage is Stage.KEPT)
    calls = [(one.call, one.subject, one.at) for one in fleet.provider.events[fleet.first_event :]]
    old = set(fleet.servers)
    registered = [at for call, subject, at in calls if call == "traffic.register" and subject not in old]
    launched = [at for call, _, at in calls if call == "compute.launch"]
    drained = [at for call, subject, at in calls if call == "traffic.drain" and subject in old]
    assert max(launched) < min(registered)
    assert max(registered) < min(drained)
    assert len(drained) == 5
    assert max(drained) - min(drained) < timedelta(seconds=2)


def test_two_at_once_and_what_makes_no_sense_are_refused(tmp_path):
    fleet = Fleet(tmp_path)
    with pytest.raises(BadInput, match="has had no rollout"):
        go_back(fleet.store, fleet.group, "kim", "", fleet.clock())
    with pytest.raises(BadInput, match="run golden already"):
        fleet.ask("golden")
    fleet.ask()
    with pytest.raises(BadInput, match="has a rollout to better under way"):
        fleet.ask("another")
    fleet.run()
    fleet.check("better")


def test_slots_that_own_something_are_not_rolled_out_together(tmp_path):
    sim = Simulation(tmp_path, owning=True)
    with pytest.raises(BadInput, match="volume vol-0"):
        ask(sim.store, sim.group, Wish("better", Strategy.BLUE_GREEN), "kim", sim.clock())


def test_a_pause_holds_what_is_not_begun_and_lets_it_turn_back(tmp_path):
    fleet = Fleet(tmp_path)
    fleet.ask()
    fleet.pause_file = "somebody stopped it"
    for _ in range(20):
        fleet.beat()
    assert not [one for one in fleet.provider.events[fleet.first_event :] if one.call == "compute.launch"]
    assert fleet.rollout().note == "somebody stopped it"
    fleet.pause_file = ""
    assert fleet.run().stage is Stage.DONE
    fleet.check("better")


def test_drift_meanwhile_keeps_a_slot_on_its_side(tmp_path):
    """A replacement for another reason does not bring the new image before the rollout does."""
    fleet = Fleet(tmp_path)
    drifted = fleet.provider.compute.describe(fleet.servers[4])
    rid = fleet.replacer.request(drifted, "drift was found")
    fleet.ask()
    assert fleet.record(rid).image == "golden"
    assert fleet.run().stage is Stage.DONE
    fleet.check("better")
    later = fleet.replacer.request(fleet.provider.compute.describe(fleet.provider.in_service("web")[0]), "again")
    assert fleet.record(later).image == "better", "from then on it is the group's"


@settings(max_examples=10, deadline=None)
@given(
    how=st.sampled_from(WAYS),
    dies=st.integers(0, 300),
    after=st.booleans(),
    bad=st.sampled_from(["", "turns", "drifted"]),
    servers=st.integers(2, 4),
)
def test_a_crash_at_any_commit_changes_nothing(tmp_path_factory, how, dies, after, bad, servers):
    fleet = Fleet(tmp_path_factory.mktemp("rollout"), servers=servers, at_once=1)
    fleet.group = type(fleet.group)(
        "web",
        fleet.provider,
        GroupRules("web", enforce=Action.REPLACE, pace=UNPACED, calendar=ALWAYS, allow_singleton=True),
        fleet.group.limits,
        image="golden",
        health=fleet.provider.health,
    )
    fleet.restart()
    fleet.bad = "better" if bad else ""
    if bad:
        (fleet.turns_bad if bad == "turns" else fleet.drifted).add("better")
    fleet.ask(how=how)
    setattr(fleet.store, "die_after" if after else "die_before", fleet.store.commits + dies)
    assert fleet.run().stage is (Stage.UNDONE if bad else Stage.DONE)
    fleet.check("golden" if bad else "better")
    assert fleet.most_bad <= 1
    with fleet.store.read() as tx:
        assert all(one.state in TERMINAL for one in tx.replacements(100))
