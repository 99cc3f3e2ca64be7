"""Calibration on the fake provider: pristine instances are launched, watched and ended, and nothing of them is left."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from driftd.core.calibration import marks
from driftd.core.difference import Change, Difference
from driftd.core.errors import DriftdError, Refused, Unavailable
from driftd.core.expect import Expect
from driftd.core.facts import Session
from driftd.core.findings import Judgement, Verdict
from driftd.core.guards.case import GroupRules
from driftd.core.looks import Look
from driftd.core.policy import Policy, judge
from driftd.core.ports import LaunchRequest
from driftd.edges.store import open_store
from driftd.flows.calibrate import Calibrator, Watched
from driftd.flows.collect import collect
from driftd.flows.groups import Group
from driftd.flows.janitor import Janitor
from driftd.flows.trial import Plan, Trial
from driftd.testing import Crash, FakeClock, FakeProvider

HOSTS = Difference("file", b"/etc/hosts", Change.MODIFIED, {"size": "1", "sha256": "a"}, {"size": "9", "sha256": "b"})


class Bench:
    """One group of one member on the fake, a real store, and a calibration whose looks show what a test says."""

    def __init__(self, home) -> None:
        self.clock = FakeClock()
        self.provider = FakeProvider(self.clock)
        self.store = open_store(f"sqlite:///{home / 'driftd.db'}")
        self.member = self.provider.compute.launch(LaunchRequest("web", "web/1", "golden", "t"))
        self.provider.traffic.register("web", self.member)
        self.group = Group("web", self.provider, GroupRules("web"), health=self.provider.health)
        self.plan = Plan("R1", "web", "golden")
        self.shows: list[Difference] = [HOSTS]
        self.unseen: list[str] = []
        self.others: tuple[Session, ...] = ()
        self.watched: list[tuple[str, bool]] = []
        self.paused = ""
        self.told: list[tuple[str, int, int, str]] = []

    def note(self, kind, subject, body) -> None:
        with self.store.write() as tx:
            tx.journal(kind, subject, body, self.clock())

    def watch(self, instance, before) -> Watched:
        self.watched.append((instance.id, bool(before)))
        self.clock.advance(1)
        if self.unseen:
            judgement = Judgement(Verdict.UNKNOWN, self.unseen.pop())
        else:
            judgement = judge(self.shows, Policy(), (), self.clock())
        return Watched(Look(instance, self.clock(), 1.0, judgement, others=self.others), {}, {})

    def run(self):
        trial = Trial(self.plan, self.provider.compute, self.note, self.clock, self.clock.advance, lambda: self.paused)
        calibrator = Calibrator(
            self.plan,
            trial,
            self.watch,
            clock=self.clock,
            tell=lambda *told: self.told.append(told),
            health=self.provider.health,
        )
        return calibrator.run()

    def only_the_member(self) -> bool:
        return self.provider.alive() == [self.member.id]

    def janitor(self) -> list[str]:
        return Janitor(self.store, {"web": self.group}, clock=self.clock).tick()


@pytest.fixture
def bench(tmp_path):
    made = Bench(tmp_path)
    yield made
    made.store.close()


def test_three_are_launched_looked_at_three_times_and_ended(bench):
    done = bench.run()
    assert (len(done.instances), done.moments) == (3, ("boot", "later", "restart"))
    assert [(rule.expect, rule.id) for rule in done.calibration.rules] == [(Expect.FIRSTBOOT, "etc-hosts")]
    assert [name for name, _ in bench.watched] == list(done.instances) * 3
    assert [asked for _, asked in bench.watched] == [False] * 3 + [True] * 6
    assert bench.only_the_member()
    assert done.ended - done.started >= bench.plan.wait
    calls = [e.call for e in bench.provider.events if e.subject in done.instances and e.call.startswith("compute.")]
    assert sorted(set(calls)) == ["compute.launch", "compute.start", "compute.stop", "compute.terminate"]


def test_without_a_wait_and_a_restart_they_are_looked_at_once(bench):
    bench.plan = replace(bench.plan, wait=timedelta(0), restart=False, instances=2)
    done = bench.run()
    assert (done.moments, len(bench.watched)) == (("boot",), 2)


def test_every_call_stands_in_the_journal_before_it_is_made(bench):
    done = bench.run()
    with bench.store.read() as tx:
        run = [(line.kind, line.body["call"]) for line in tx.journal_lines("calibration/R1")]
        one = [(line.kind, line.body.get("call")) for line in tx.journal_lines(f"calibration/{done.instances[0]}")]
    assert run == [("intent", "launch"), ("result", "launch")] * 3
    assert [call for kind, call in one if kind == "intent"] == ["stop", "start", "terminate"]
    assert bench.store.verify_journal().count


def test_they_are_no_members_of_their_group_and_get_no_traffic(bench):
    seen: list[list[str]] = []
    watch = bench.watch

    def looking(instance, before):
        seen.append([one.id for one in bench.group.members()])
        assert marks.marked(instance)
        assert bench.janitor() == []  # one that lives is not collected
        assert bench.provider.in_service("web") == [bench.member.id]
        return watch(instance, before)

    bench.watch = looking
    bench.run()
    assert seen
    assert all(found == [bench.member.id] for found in seen)


# --- failures --------------------------------------------------------------------------------------------------------


def fails(bench, kind, says: str) -> None:
    with pytest.raises(kind, match=says):
        bench.run()
    assert bench.only_the_member()


def test_one_that_cannot_be_looked_at_is_said_and_all_are_ended(bench):
    bench.unseen = ["no route to it"] * 10_000
    fails(bench, Unavailable, "i-0002 was launched to learn from and could not be looked at: no route to it")


def test_one_that_takes_a_while_to_boot_is_waited_for(bench):
    bench.provider.boot_s = 60.0
    bench.unseen = ["refused"] * 5
    assert bench.run().calibration.rules
    assert ("looking after boot", 0, 3, "i-0002: refused") in bench.told


def test_one_whose_code_is_not_the_images_is_not_learnt_from(bench):
    was = {"mode": "0755", "sha256": "a"}
    bench.shows.append(Difference("file", b"/usr/bin/x", Change.MODIFIED, was, {"mode": "0755", "sha256": "b"}))
    fails(bench, Refused, "is not pristine: /usr/bin/x is not what was baked")


def test_one_that_somebody_was_on_is_not_learnt_from(bench):
    bench.others = (Session("ssh", "mallory", "203.0.113.9", bench.clock()),)
    fails(bench, Refused, "somebody was on i-0002")


def test_one_that_ends_by_itself_is_said(bench):
    watch = bench.watch

    def vanishing(instance, before):
        bench.provider.vanish(instance.id)
        return watch(instance, before)

    bench.watch = vanishing
    with pytest.raises(DriftdError, match="does not exist"):
        bench.run()
    assert bench.only_the_member()


def test_no_room_for_another_is_one_sentence(bench):
    bench.provider.quota = 3
    fails(bench, Refused, "the quota of 3 instances is used up")


def test_a_pause_lets_nothing_be_launched(bench):
    bench.paused = "ann: freeze"
    fails(bench, Refused, "nothing is launched in web while it is paused: ann: freeze")
    assert len(bench.provider.events) == 2  # the member's launch and its registration


def test_a_pause_that_comes_meanwhile_lets_nothing_be_restarted_and_all_are_ended(bench):
    watch = bench.watch

    def pausing(instance, before):
        bench.paused = "ann: freeze"
        return watch(instance, before)

    bench.watch = pausing
    fails(bench, Refused, "is paused")
    assert not any(event.call == "compute.stop" for event in bench.provider.events)


def test_what_takes_too_long_is_given_up(bench):
    bench.plan = replace(bench.plan, at_most=timedelta(seconds=30))
    fails(bench, Unavailable, "took longer than 30 s")


def test_an_interrupt_ends_them_all(bench):
    def interrupted(_instance, _before):
        raise KeyboardInterrupt

    bench.watch = interrupted
    with pytest.raises(KeyboardInterrupt):
        bench.run()
    assert bench.only_the_member()
    assert bench.told[-1] == ("ending them", 1, 1, "")


def test_an_interrupt_says_what_could_not_be_ended(bench):
    def interrupted(_instance, _before):
        raise KeyboardInterrupt

    bench.watch = interrupted
    bench.provider.fail_next("compute.terminate", Unavailable("503"), times=100)
    with pytest.raises(Unavailable, match="the calibration was interrupted; i-0002") as raised:
        bench.run()
    assert "end them by hand" in raised.value.hint


@pytest.mark.parametrize("call", ["compute.launch", "compute.stop", "compute.start", "compute.terminate"])
@pytest.mark.parametrize("after_effect", [False, True])
def test_a_provider_that_is_away_for_a_moment_is_asked_again(bench, call, after_effect):
    bench.provider.fail_next(call, Unavailable("503"), after_effect=after_effect, times=2)
    assert len(bench.run().instances) == 3
    assert bench.only_the_member()


def test_what_was_launched_without_an_answer_is_found_by_its_mark_and_ended(bench):
    bench.provider.fail_next("compute.launch", Unavailable("no answer"), after_effect=True, times=100)
    fails(bench, Unavailable, "no answer")
    assert len([event for event in bench.provider.events if event.call == "compute.terminate"]) == 1


def test_what_could_not_be_ended_is_an_error_that_says_until_when(bench):
    bench.provider.fail_next("compute.terminate", Unavailable("503"), times=1000)
    with pytest.raises(
        Unavailable, match="i-0002 could not be ended: 503; it is marked to be ended after 2030-01-01 01"
    ):
        bench.run()
    bench.provider.clear_faults()
    bench.clock.advance(3600)
    assert len([said for said in bench.janitor() if "was ended" in said]) == 3
    assert bench.only_the_member()


# --- crashes ---------------------------------------------------------------------------------------------------------


def calls_of_one_run(home) -> int:
    bench = Bench(home)
    before = len(bench.provider.calls)
    bench.run()
    bench.store.close()
    return len(bench.provider.calls) - before


@pytest.mark.parametrize("after_effect", [False, True], ids=["before", "after"])
def test_a_crash_at_any_call_leaves_nothing_after_recovery(tmp_path, after_effect):
    (tmp_path / "count").mkdir()
    total = calls_of_one_run(tmp_path / "count")
    assert total > 30
    for at in range(total):
        home = tmp_path / str(at)
        home.mkdir()
        bench = Bench(home)
        bench.provider.fail_next("*", Crash(), after_effect=after_effect, skip=at)
        bench.provider.fail_next("*", Crash(), times=1_000_000, skip=at)  # the dead call nobody any more
        with pytest.raises(Crash):
            bench.run()
        bench.provider.clear_faults()
        bench.clock.advance(30 * 60)
        assert bench.janitor() == []  # it could be under way for all that anybody knows
        assert bench.member.id in [one.id for one in bench.group.members()]
        bench.clock.advance(30 * 60)
        if at % 2:
            bench.janitor()
        else:
            collect(bench.provider.compute, bench.note, bench.clock())
        assert bench.only_the_member(), at
        assert bench.group.members()
        bench.store.close()


def test_the_next_calibration_of_another_group_collects_what_expired(bench):
    tags = marks.marks("R0", bench.clock() + timedelta(minutes=5))
    bench.provider.compute.launch(LaunchRequest("other", "other/c", "golden", "x", tags))
    assert collect(bench.provider.compute, bench.note, bench.clock()) == []
    bench.clock.advance(300)
    [said] = collect(bench.provider.compute, bench.note, bench.clock())
    assert "a calibration in other that did not end by itself" in said
    assert bench.only_the_member()


def test_what_got_traffic_and_what_says_no_end_is_left_to_a_person(bench):
    tags = marks.marks("R0", bench.clock() - timedelta(minutes=5))
    served = bench.provider.compute.launch(LaunchRequest("web", "web/c", "golden", "x", tags))
    bench.provider.traffic.register("web", served)
    [said] = bench.janitor()
    assert "is a target of web: it is left for a person" in said
    assert served.id in bench.provider.alive()
    forever = replace(served, tags={marks.TAG_CALIBRATION: "R0"}, launched_at=None)
    assert marks.expires(forever) is None


def test_a_pause_holds_for_what_a_calibration_left(bench):
    tags = marks.marks("R0", bench.clock() - timedelta(minutes=5))
    bench.provider.compute.launch(LaunchRequest("web", "web/c", "golden", "x", tags))
    paused = Janitor(bench.store, {"web": bench.group}, clock=bench.clock, pause=lambda _group: "a file says so")
    assert paused.tick() == []
    assert not bench.only_the_member()
