"""The canary under a judge, alerts and other people's operations, and a quorum that holds: through the real loop."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from simulation import LIMITS, Simulation

from driftd.core import promql
from driftd.core.canary import Baseline, Canary, Question
from driftd.core.errors import Unavailable
from driftd.core.facts import Unseen
from driftd.core.findings import Verdict
from driftd.core.guards.case import Flight, GroupFacts
from driftd.core.matchers import parse
from driftd.core.memory import InstanceRow
from driftd.core.ports import Alert, HookName, TargetState
from driftd.core.replacement import TERMINAL, State
from driftd.core.world import TAG_RID
from driftd.flows.judging import LATELY, Lately, alarm, foreign
from driftd.flows.judging import judged as judged_by
from driftd.flows.quorate import without
from driftd.flows.standing import Stand
from driftd.flows.survey import survey
from driftd.testing import FakeAlerts, FakeClock, FakeJudge

SOAK = timedelta(seconds=60)
WARMUP = timedelta(seconds=20)
ERRORS = promql.parse('errors{instance="{instance}", group="{group}"}')


class Judged(Simulation):
    """A simulation whose first replacement is a canary."""

    def __init__(self, home, question=None):
        super().__init__(home)
        self.judge = FakeJudge()
        self.set(
            judge=self.judge,
            canary=Canary(WARMUP, question),
            limits=replace(LIMITS, canary_soak=SOAK),
        )

    def set(self, **changes):
        self.group = replace(self.group, **changes)
        self.restart()

    def soaked_s(self, rid):
        with self.store.read() as tx:
            moves = {str(line.body["to"]): line.at for line in tx.journal_lines(rid) if "to" in line.body}
        return (moves["draining" if "draining" in moves else "undoing"] - moves["soaking"]).total_seconds()


@pytest.fixture
def judged(tmp_path):
    def make(**question):
        return Judged(tmp_path, Question(ERRORS, **question) if question else None)

    return make


def test_a_canary_that_does_well_is_watched_for_its_whole_soak(judged):
    sim = judged(below=0.01)
    sim.judge.otherwise = 0.001
    rid = sim.request(manual=False)
    last = sim.run(rid)
    assert (last.state, last.canary) == (State.SUCCEEDED, True)
    assert SOAK.total_seconds() <= sim.soaked_s(rid) <= SOAK.total_seconds() + 3
    assert set(sim.judge.asked) == {f'errors{{instance="{last.new_id}", group="web"}}'}
    sim.check(rid)


def test_a_canary_that_does_badly_is_undone_as_soon_as_it_shows(judged):
    sim = judged(below=0.01)
    sim.judge.otherwise = 0.2
    rid = sim.request(manual=False)
    last = sim.run(rid)
    assert last.state is State.FAILED_CLEAN
    assert last.fault.endswith("the judge answers 0.2, and good is below 0.01")
    assert WARMUP.total_seconds() <= sim.soaked_s(rid) <= WARMUP.total_seconds() + 3
    assert sim.old in sim.provider.in_service("web")
    assert not [event for event in sim.provider.events if event.call == "traffic.drain" and event.subject == sim.old]
    sim.check(rid)


def test_a_canary_nobody_can_judge_fails_at_the_end_and_not_before(judged):
    sim = judged(below=0.01)
    rid = sim.request(manual=False)
    last = sim.run(rid)
    assert last.state is State.FAILED_CLEAN
    assert "no number for the canary, which counts as bad" in last.fault
    assert sim.soaked_s(rid) >= SOAK.total_seconds()
    sim.check(rid)


def test_a_canary_that_turns_bad_at_the_last_moment_fails(judged):
    sim = judged(below=0.01)
    sim.judge.otherwise = 0.0
    rid = sim.request(manual=False)
    for record in sim.steps(rid):
        if record.state is State.SOAKING and sim.clock() >= record.entered_at + SOAK - timedelta(seconds=3):
            sim.judge.otherwise = Unseen("Prometheus did not answer within 5 s")
    assert sim.record(rid).state is State.FAILED_CLEAN


def test_the_peers_are_those_who_serve_and_neither_leave_nor_have_just_come(judged, tmp_path):
    sim = judged(below=1)
    about = promql.parse('errors{instance=~"{instance}"}')
    sim.set(canary=Canary(WARMUP, Question(about, below=1, baseline=Baseline(about.of_peers(), 0.5))))
    peers = "|".join(one for one in sim.servers if one != sim.old)
    sim.judge.answers[f'errors{{instance=~"(?:{peers})"}}'] = 0.01
    sim.judge.otherwise = 0.02
    rid = sim.request(manual=False)
    last = sim.run(rid)
    assert last.state is State.FAILED_CLEAN
    assert last.fault.endswith("the judge answers 0.02, and its peers 0.01: at most 0.015 is as good as they are")


def test_a_peer_that_is_ill_or_new_itself_is_no_measure(judged):
    sim = judged(below=1)
    about = promql.parse('errors{instance=~"{instance}"}')
    sim.set(canary=Canary(WARMUP, Question(about, below=1, baseline=Baseline(about.of_peers(), 0.5))))
    rid = sim.request(manual=False)
    assert sim.stop_in(rid, State.SOAKING) or sim.record(rid).state is State.SOAKING
    record, seen = sim.record(rid), survey(sim.group)
    newcomer = seen.instances[record.new_id]
    first, last = sim.servers[0], sim.servers[2]

    def peers(seen):
        sim.judge.asked.clear()
        judged_by(record, sim.group, newcomer, seen, record.entered_at + SOAK)
        return sim.judge.asked[0]

    assert peers(seen) == f'errors{{instance=~"(?:{first}|{last})"}}'
    ill = seen.targets | {first: replace(seen.targets[first], state=TargetState.UNHEALTHY)}
    assert peers(replace(seen, targets=ill)) == f'errors{{instance=~"{last}"}}'
    new = seen.instances | {last: replace(seen.instances[last], tags={TAG_RID: "another"})}
    assert peers(replace(seen, instances=new)) == f'errors{{instance=~"{first}"}}'


def test_without_a_question_a_canary_is_only_watched_longer(judged):
    sim = judged()
    rid = sim.request(manual=False)
    assert sim.run(rid).state is State.SUCCEEDED
    assert sim.soaked_s(rid) >= SOAK.total_seconds()
    assert not sim.judge.asked


def test_what_a_person_asks_for_is_no_canary(judged):
    sim = judged(below=0.01)
    rid = sim.request(manual=True)
    last = sim.run(rid)
    assert (last.state, last.canary) == (State.SUCCEEDED, False)
    assert sim.soaked_s(rid) < SOAK.total_seconds()


def test_others_follow_a_canary_that_succeeded_and_are_none(judged):
    sim = judged(below=0.01)
    sim.judge.otherwise = 0.0
    sim.drifted = set(sim.servers)
    rids = [sim.replacer.request(sim.provider.compute.describe(one), "drift", manual=False) for one in sim.servers[1:]]
    first, second = (sim.run(rid) for rid in rids)
    assert [first.state, second.state] == [State.SUCCEEDED] * 2
    assert [first.canary, second.canary] == [True, False]
    assert sim.soaked_s(rids[1]) < SOAK.total_seconds()


def test_nobody_follows_while_the_canary_is_watched(judged):
    sim = judged(below=0.01)
    sim.judge.otherwise = 0.0
    sim.drifted = set(sim.servers)
    sim.set(rules=replace(sim.group.rules, at_once=replace(sim.group.rules.at_once, percent=100)))
    rids = [sim.replacer.request(sim.provider.compute.describe(one), "drift", manual=False) for one in sim.servers[1:]]
    notes = set()
    for record in sim.steps(rids[0]):
        if record.state is State.SOAKING:
            waits = sim.record(rids[1])
            assert waits.state in {State.CONFIRMING, State.ADMITTING}
            notes.add(waits.note)
    said = "web has 1 under way, and slow start allows 1: 0 succeeded since it was clean"
    assert any(said in note for note in notes), notes


def test_a_paused_canary_is_not_asked_about(judged):
    sim = judged(below=0.01)
    sim.judge.otherwise = 0.5
    rid = sim.request(manual=False)
    assert sim.stop_in(rid, State.SOAKING) or sim.record(rid).state is State.SOAKING
    sim.pause_file = "the file says so"
    sim.clock.advance(SOAK.total_seconds())
    sim.tick()
    assert sim.record(rid).state is State.SOAKING
    assert not sim.judge.asked


# --- alerts and operations -------------------------------------------------------------------------------------------

PAGES = parse('severity="page", group="{group}"')


@pytest.fixture
def group(tmp_path):
    return Simulation(tmp_path).group


def test_an_alert_that_was_named_speaks_against_a_group(group):
    alerts = FakeAlerts([Alert("Slow", {"severity": "page", "group": "db"})])
    asked = replace(group, alerts=alerts, block_on=(PAGES,))
    assert alarm(asked) == ""
    alerts.alerts.append(Alert("ErrorBudget", {"severity": "page", "group": "web"}))
    assert alarm(asked) == '1 alert fires that block web (severity="page", group="web"): ErrorBudget'
    alerts.alerts += [Alert(f"More{number}", {"severity": "page", "group": "web"}) for number in range(5)]
    assert alarm(asked).endswith(": ErrorBudget, More0, More1 and 3 more")
    alerts.muted = {one.name for one in alerts.alerts}
    assert alarm(asked) == ""


def test_any_of_several_lists_is_enough(group):
    alerts = FakeAlerts([Alert("Freeze", {"freeze": "yes"})])
    assert "Freeze" in alarm(replace(group, alerts=alerts, block_on=(PAGES, parse("freeze=yes"))))


def test_not_knowing_counts_as_an_alert(group):
    asked = replace(group, alerts=FakeAlerts(down="Alertmanager did not answer within 5 s"), block_on=(PAGES,))
    assert alarm(asked) == (
        "whether an alert fires for web is not known, which counts as one: Alertmanager did not answer within 5 s"
    )
    assert "no Alertmanager is configured" in alarm(replace(asked, alerts=None))


def test_where_no_alert_was_named_nobody_is_asked(group):
    assert alarm(replace(group, alerts=FakeAlerts(down="it is gone"))) == ""


def test_what_others_do_in_a_group(group):
    assert foreign(group) == ""
    group.provider.operations["web"] = "an instance refresh\x1b is at 40 %"
    assert foreign(group) == "somebody else changes web: an instance refresh? is at 40 %"
    group.provider.operations["web"] = ""
    group.provider.fail_next("provider.foreign", Unavailable("the cloud is out"))
    assert foreign(group) == ("whether somebody else changes web is not known, which counts as if: the cloud is out")


def test_a_provider_that_knows_nothing_of_others_says_nothing(group):
    class Plain:
        name = "plain"

    assert foreign(replace(group, provider=Plain())) == ""


def test_a_judge_is_asked_the_same_at_most_once_in_a_while():
    clock, judge = FakeClock(), FakeJudge(1.0)
    lately = Lately(judge, clock)
    for _ in range(3):
        assert lately.ask("a") == lately.ask("b") == 1.0
    assert judge.asked == ["a", "b"]
    judge.otherwise = Unseen("gone")
    clock.advance(LATELY.total_seconds() - 1)
    assert lately.ask("a") == 1.0
    clock.advance(1)
    assert isinstance(lately.ask("a"), Unseen)
    clock.advance(-86400)
    judge.otherwise = 2.0
    assert lately.ask("a") == 2.0


# --- quorum ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def cluster(tmp_path):
    sim = Simulation(tmp_path)
    sim.provider.hooked.add(HookName.QUORUM)

    def says(healthy, leader=""):
        body = {"members": sim.servers, "healthy": [sim.servers[number] for number in healthy], "leader": leader}
        sim.provider.quorum_answer = json.dumps(body).encode()

    sim.says = says
    return sim


def wait_some(sim, rid, beats=20):
    for _ in range(beats):
        sim.tick()
    return sim.record(rid)


def test_a_member_leaves_only_where_the_others_are_a_quorum(cluster):
    cluster.says([0, 1])
    rid = cluster.request(manual=False)
    held = wait_some(cluster, rid)
    assert held.state is State.ADMITTING
    assert "1 healthy of 3 members would be left without it, and the quorum is 2" in held.note
    cluster.says([0, 1, 2])
    assert cluster.run(rid).state is State.SUCCEEDED
    cluster.check(rid)


def test_what_the_hook_cannot_say_holds(cluster):
    rid = cluster.request(manual=False)
    for answer in (b"ok", b"{}", Unseen("the quorum hook of web did not answer within 60 s")):
        cluster.provider.quorum_answer = answer
        held = wait_some(cluster, rid, 5)
        assert held.state in {State.CONFIRMING, State.ADMITTING}
    assert "whether the quorum holds is not known" in wait_some(cluster, rid, 5).note


def test_it_is_asked_again_before_the_old_one_is_let_go(cluster):
    cluster.says([0, 1, 2])
    rid = cluster.request(manual=False)
    assert cluster.stop_in(rid, State.DRAINING) or cluster.record(rid).state is State.DRAINING
    cluster.says([0, 1])
    held = wait_some(cluster, rid)
    assert (held.state, held.drain_sent) == (State.DRAINING, False)
    assert "1 healthy of 3 members would be left without it, and the quorum is 2" in held.note
    assert cluster.old in cluster.provider.in_service("web")
    cluster.says([0, 1, 2])
    assert cluster.run(rid).state is State.SUCCEEDED
    cluster.check(rid)


def test_who_was_let_go_already_is_not_counted_twice(cluster):
    """The cluster is then smaller by one, which is ours."""
    cluster.says([0, 1, 2])
    rid = cluster.request(manual=False)
    left = [cluster.servers[0], cluster.servers[2]]
    for record in cluster.steps(rid):
        if record.drain_seen:
            cluster.provider.quorum_answer = json.dumps({"members": left, "healthy": left, "leader": ""}).encode()
    assert cluster.record(rid).state is State.SUCCEEDED


def test_followers_go_before_their_leader_and_one_at_a_time(cluster):
    leader, follower = cluster.old, cluster.servers[2]
    cluster.drifted = {leader, follower}
    cluster.says([0, 1, 2], leader)
    first = cluster.request(manual=False)
    second = cluster.replacer.request(cluster.provider.compute.describe(follower), "drift", manual=False)
    with cluster.store.write() as tx:
        for server in (leader, follower):
            tx.put_instance(row_of(cluster, server))
    notes = set()
    for record in cluster.steps(second):
        before = cluster.record(first)
        assert record.state in TERMINAL or before.state in {State.CONFIRMING, State.ADMITTING}
        notes.add(before.note)
    assert cluster.record(second).state is State.SUCCEEDED
    assert any(f"it leads the cluster, and followers go first: {follower}" in note for note in notes), notes
    assert any("1 other member is being replaced (web/2)" in note for note in notes), notes


def test_two_that_are_under_way_all_the_same_do_not_wait_for_each_other(cluster):
    """As where the hook was configured meanwhile."""
    cluster.says([0, 1, 2])
    rid = cluster.request(manual=False)
    own = cluster.record(rid)
    seen = survey(cluster.group)
    earlier, later = (Flight(name, f"web/{name}", "old", "new", State.SOAKING) for name in ("0", "9"))

    def why(state, flight):
        stand = Stand(GroupFacts(flights=(flight,)), {})
        return without(replace(own, state=state), cluster.group, seen.instances[cluster.old], stand, seen)

    assert "being replaced (web/0)" in why(State.ADMITTING, earlier)
    assert "being replaced (web/9)" in why(State.ADMITTING, later)
    assert "being replaced (web/0)" in why(State.DRAINING, earlier)
    assert why(State.DRAINING, later) == ""


def row_of(sim, server):
    now = sim.clock()
    seen = sim.provider.compute.describe(server)
    return InstanceRow(
        server, "web", seen.slot, seen.image, seen.address, "running", Verdict.UNKNOWN, "", "", now, now, now
    )
