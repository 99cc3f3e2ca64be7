"""Hooks that are called once: at their moment in each variant, through crashes, and by their declared outcome."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest
from simulation import LIMITS, Simulation

from driftd.core.hooks import HookName, OnFailure, Terms
from driftd.core.replacement import State
from driftd.core.world import Manner
from driftd.testing import Crash

ONCE = (HookName.PRE_DRAIN, HookName.POST_ATTACH, HookName.PRE_TERMINATE)
WAYS = {
    "surge": {},
    "move": {"owning": True},
    "delete-first": {"owning": True, "manner": Manner(delete_first=True, allow_gap=True)},
    "delete-first, owning nothing": {"manner": Manner(delete_first=True, allow_gap=True)},
}
# What each comes after, and before.
MOMENTS = {
    "surge": {
        "post_attach new": ("register new", "drain old"),
        "pre_drain old": ("post_attach new", "drain old"),
        "pre_terminate old": ("stop old", "terminate old"),
    },
    "move": {
        "pre_drain old": ("launch new", "drain old"),
        "post_attach new": ("associate new", "serve new"),
        "pre_terminate old": ("register new", "terminate old"),
    },
    "delete-first": {
        "pre_drain old": (None, "drain old"),
        "post_attach new": ("associate new", "serve new"),
        "pre_terminate old": ("register new", "terminate old"),
    },
    "delete-first, owning nothing": {
        "pre_drain old": (None, "drain old"),
        "post_attach new": ("register new", "terminate old"),
        "pre_terminate old": ("register new", "terminate old"),
    },
}
SHORT = timedelta(seconds=8)


def simulation(tmp_path, way="surge", **declared: OnFailure) -> Simulation:
    sim = Simulation(tmp_path, **WAYS[way])
    sim.provider.hooked |= set(ONCE)
    terms = tuple(Terms(name, said, SHORT) for name, said in declared.items())
    sim.group = replace(sim.group, manner=replace(sim.group.manner, terms=terms))
    sim.restart()
    return sim


def told(sim: Simulation, rid: str) -> list[str]:
    """What was done to the two, in order; an address is the newcomer's when it is associated last."""
    who = {sim.old: "old", sim.record(rid).new_id: "new"}
    found = []
    for event in sim.provider.events[sim.first_event :]:
        kind, _, call = event.call.partition(".")
        if kind == "addresses" and event.subject == sim.addresses.get("web/1"):
            found.append(f"{call} new")
        elif event.subject in who and kind in {"hooks", "traffic", "compute"}:
            found.append(f"{call} {who[event.subject]}")
    return found


def results(sim: Simulation, rid: str, call: str) -> list[dict]:
    """The outcomes of one call, as the journal has them."""
    with sim.store.read() as tx:
        return [line.body for line in tx.journal_lines(rid) if line.kind == "result" and line.body.get("call") == call]


@pytest.mark.parametrize("way", WAYS)
def test_each_is_called_once_at_its_moment(tmp_path, way):
    sim = simulation(tmp_path, way)
    rid = sim.request()
    assert sim.run(rid).state is State.SUCCEEDED
    done = told(sim, rid)
    for hook, (after, before) in MOMENTS[way].items():
        assert done.count(hook) == 1, done
        assert done.index(hook) < done.index(before)
        assert after is None or done.index(after) < done.index(hook)
        assert [one["outcome"] for one in results(sim, rid, hook.split()[0])] == ["done"]
    sim.check(rid)


@pytest.mark.parametrize(
    ("way", "nth"), [(way, nth) for way in WAYS for nth in range(0, 45, 1 if way in {"surge", "move"} else 4)]
)
def test_a_crash_after_any_commit_leaves_none_out_and_all_in_order(tmp_path, way, nth):
    sim = simulation(tmp_path, way)
    sim.store.die_after = sim.store.commits + nth
    with suppress(Crash):
        sim.request()
    sim.restart()
    with sim.store.read() as tx:
        (rid,) = [one.rid for one in tx.open_replacements()]
    assert sim.run(rid).state is State.SUCCEEDED
    done = told(sim, rid)
    for hook, (after, before) in MOMENTS[way].items():
        assert done.index(hook) < done.index(before)
        assert after is None or done.index(after) < done.index(hook)
        outcomes = [one["outcome"] for one in results(sim, rid, hook.split()[0])]
        assert outcomes == ["done"], "an outcome is written once, and a hook that has one is not called again"
        assert done.count(hook) <= 2
    sim.check(rid)


@pytest.mark.parametrize("nth", range(8, 44))
def test_a_crash_between_a_hook_and_its_outcome_calls_it_again_and_nothing_else_twice(tmp_path, nth):
    sim = simulation(tmp_path)
    sim.store.die_before = sim.store.commits + nth
    with suppress(Crash):
        sim.request()
    sim.restart()
    with sim.store.read() as tx:
        opened = [one.rid for one in tx.open_replacements()]
    rid = opened[0] if opened else sim.request()
    assert sim.run(rid).state is State.SUCCEEDED
    done = told(sim, rid)
    assert sum(done.count(hook) for hook in MOMENTS["surge"]) <= len(ONCE) + sim.crashes
    sim.check(rid)


ENDS = {
    HookName.PRE_DRAIN: State.ABORTED_SAFE,
    HookName.POST_ATTACH: State.FAILED_CLEAN,
    HookName.PRE_TERMINATE: State.ABORTED_SAFE,
}
NEVER = {
    HookName.PRE_DRAIN: "drain old",
    HookName.POST_ATTACH: "terminate old",
    HookName.PRE_TERMINATE: "terminate old",
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ONCE)
def test_one_that_fails_is_asked_again_and_then_all_is_undone(tmp_path, way, name):
    sim = simulation(tmp_path, way, **{name.value: OnFailure.ABORT})
    sim.provider.hook_failures[name] = "the pager does not answer"
    rid = sim.request()
    last = sim.run(rid)
    assert last.state is ENDS[name]
    assert "the pager does not answer" in last.note
    assert NEVER[name] not in told(sim, rid)
    outcomes = results(sim, rid, name.value)
    assert len(outcomes) > 1
    assert [one.get("on_failure") for one in outcomes] == [None] * (len(outcomes) - 1) + ["abort"]
    assert sim.old in sim.provider.in_service("web")
    sim.check(rid)


@pytest.mark.parametrize("name", ONCE)
def test_without_a_word_a_failure_is_an_undo(tmp_path, name):
    sim = simulation(tmp_path)
    sim.provider.hook_failures[name] = "no"
    assert sim.run(sim.request()).state is ENDS[name]


@pytest.mark.parametrize("way", ["surge", "move"])
@pytest.mark.parametrize("name", ONCE)
def test_one_that_may_fail_is_noted_and_passed_over(tmp_path, way, name):
    sim = simulation(tmp_path, way, **{name.value: OnFailure.CONTINUE})
    sim.provider.hook_failures[name] = "the pager does not answer"
    rid = sim.request()
    assert sim.run(rid).state is State.SUCCEEDED
    last = results(sim, rid, name.value)[-1]
    assert (last["outcome"], last["why"], last["on_failure"]) == ("no answer", "the pager does not answer", "continue")
    sim.check(rid)


@pytest.mark.parametrize("way", ["surge", "move"])
@pytest.mark.parametrize("name", ONCE)
def test_one_that_holds_is_asked_until_it_is_done_however_long_that_takes(tmp_path, way, name):
    sim = simulation(tmp_path, way, **{name.value: OnFailure.HOLD})
    sim.provider.hook_failures[name] = "not at night"
    rid = sim.request()
    for _ in range(300):  # longer than any step may take
        sim.tick()
    waits = sim.record(rid)
    assert (
        waits.state
        is {
            HookName.PRE_DRAIN: State.DRAINING,
            HookName.POST_ATTACH: State.SERVING if sim.volumes else State.ENROLLING,
            HookName.PRE_TERMINATE: State.RETIRING,
        }[name]
    )
    assert waits.note == f"not at night; on_failure is hold: it is asked again until it is done, or driftd cancel {rid}"
    sim.provider.hook_failures.clear()
    assert sim.run(rid).state is State.SUCCEEDED
    sim.check(rid)


@pytest.mark.parametrize("name", ONCE)
def test_one_that_holds_can_be_called_off(tmp_path, name):
    sim = simulation(tmp_path, "move", **{name.value: OnFailure.HOLD})
    sim.provider.hook_failures[name] = "not at night"
    rid = sim.request()
    for _ in range(100):
        sim.tick()
    sim.replacer.cancel(rid, "ann")
    assert sim.run(rid).state is State.CANCELLED
    sim.check(rid)


@pytest.mark.parametrize("way", ["surge", "move"])
@pytest.mark.parametrize("name", ONCE)
def test_one_that_takes_its_time_is_waited_for(tmp_path, way, name):
    sim = simulation(tmp_path, way)
    sim.provider.hook_pending[name] = 4  # 10 s each: less than the two minutes that it has
    rid = sim.request()
    notes = {record.note for record in sim.steps(rid)}
    assert any(f"the {name} hook of web on" in note and "is not done yet" in note for note in notes)
    assert sim.record(rid).state is State.SUCCEEDED
    assert [one["outcome"] for one in results(sim, rid, name.value)] == ["pending"] * 4 + ["done"]
    sim.check(rid)


@pytest.mark.parametrize(
    ("said", "end"), [(OnFailure.ABORT, State.ABORTED_SAFE), (OnFailure.CONTINUE, State.SUCCEEDED)]
)
def test_one_that_is_never_done_has_failed_when_its_time_is_over(tmp_path, said, end):
    sim = simulation(tmp_path, pre_drain=said)
    sim.provider.hook_pending[HookName.PRE_DRAIN] = 10_000
    rid = sim.request()
    assert sim.run(rid).state is end
    last = results(sim, rid, "pre_drain")[-1]
    assert (last["outcome"], last["on_failure"]) == ("pending", said.value)
    sim.check(rid)


def test_a_hook_takes_nothing_of_its_steps_own_time(tmp_path):
    sim = simulation(tmp_path)
    longer = LIMITS.drain_timeout * 2
    sim.group = replace(sim.group, manner=replace(sim.group.manner, terms=(Terms("pre_drain", within=longer),)))
    sim.restart()
    sim.provider.hook_pending[HookName.PRE_DRAIN] = longer.seconds // 10 - 2
    assert sim.run(sim.request()).state is State.SUCCEEDED


def test_what_happens_while_the_last_hook_runs_is_seen_before_the_end(tmp_path, monkeypatch):
    """Every guard is read again between that hook and the point of no return."""
    sim = simulation(tmp_path)
    real = sim.provider.hooks.run

    def run(name, instance, group, facts):
        if name is HookName.PRE_TERMINATE:
            sim.provider.make_sick(sim.record(rid).new_id)
        return real(name, instance, group, facts)

    monkeypatch.setattr(sim.provider.hooks, "run", run)
    rid = sim.request()
    last = sim.run(rid)
    assert last.state is State.FAILED_CLEAN
    assert "is not let go" in last.note
    assert "terminate old" not in told(sim, rid)


def test_people_on_the_old_one_are_waited_for_before_its_hook(tmp_path):
    sim = simulation(tmp_path)
    sim.live_sessions = 1
    rid = sim.request()
    for _ in range(60):
        sim.tick()
    assert "pre_drain old" not in told(sim, rid)
    assert "nobody is cut off" in sim.record(rid).note
    sim.live_sessions = 0
    assert sim.run(rid).state is State.SUCCEEDED


def test_an_undo_calls_none_of_them(tmp_path):
    sim = simulation(tmp_path)
    rid = sim.request()
    assert sim.stop_in(rid, State.RETIRING)
    sim.replacer.cancel(rid, "ann")
    before = [one for one in sim.provider.calls if one.startswith("hooks.p")]
    assert sim.run(rid).state is State.CANCELLED
    assert [one for one in sim.provider.calls if one.startswith("hooks.p")] == before
    sim.check(rid)


@pytest.mark.parametrize("name", ONCE)
def test_a_pause_while_one_fails_costs_it_nothing(tmp_path, name):
    sim = simulation(tmp_path, **{name.value: OnFailure.ABORT})
    sim.provider.hook_failures[name] = "later"
    rid = sim.request()
    for record in sim.steps(rid):
        if record.hooks.get(name.value) == "asked":
            break
    sim.pause_file = "the pause file says so"
    for _ in range(50):
        sim.tick()
    sim.provider.hook_failures.clear()
    sim.pause_file = ""
    assert sim.run(rid).state is State.SUCCEEDED
    sim.check(rid)


@pytest.mark.parametrize(
    ("name", "said", "end", "why"),
    [
        (HookName.QUIESCE, OnFailure.ABORT, State.ABORTED_SAFE, "did not come to rest, and the limit"),
        (HookName.QUIESCE, OnFailure.CONTINUE, State.SUCCEEDED, ""),
        (HookName.QUIESCE, OnFailure.HOLD, State.SUCCEEDED, ""),
        (HookName.SERVE, OnFailure.ABORT, State.FAILED_CLEAN, "did not start, and the limit"),
        (HookName.SERVE, OnFailure.CONTINUE, State.SUCCEEDED, ""),
        (HookName.SERVE, OnFailure.HOLD, State.SUCCEEDED, ""),
    ],
)
@pytest.mark.parametrize("way", ["surge", "move"])
def test_those_of_a_steps_own_have_a_declared_outcome_too(tmp_path, way, name, said, end, why):
    sim = simulation(tmp_path, way, **{name.value: said})
    sim.provider.hooked |= {HookName.QUIESCE, HookName.SERVE}
    sim.provider.stateful.clear()  # it serves without what its hook would mount
    sim.provider.hook_failures[name] = "busy"
    rid = sim.request()
    if said is OnFailure.HOLD:
        for _ in range(300):
            sim.tick()
        assert "on_failure is hold" in sim.record(rid).note
        sim.provider.hook_failures.clear()
    for record in sim.steps(rid):
        if record.state is State.UNDOING:  # whose own calls of it are another matter
            sim.provider.hook_failures.clear()
    last = sim.record(rid)
    assert last.state is end, last.note
    assert why in last.note
    if said is OnFailure.CONTINUE:
        assert results(sim, rid, name.value)[-1]["on_failure"] == "continue"
    sim.check(rid)
