"""Hooks where slots own nothing: a membership is joined before the newcomer is a target and left before an end."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest
from simulation import Simulation

from driftd.core.ports import HookName
from driftd.core.replacement import State
from driftd.testing import Crash

CHANGING = ("hooks.", "traffic.", "compute.")
ALL = {HookName.STEP_DOWN, HookName.QUIESCE, HookName.SERVE}


@pytest.fixture
def sim(tmp_path):
    made = Simulation(tmp_path)
    made.provider.hooked = set(ALL)
    return made


def told(sim: Simulation, rid: str) -> list[str]:
    """What was done to the two, in order."""
    who = {sim.old: "old", sim.record(rid).new_id: "new"}
    found = []
    for event in sim.provider.events[sim.first_event :]:
        if event.subject in who and event.call.startswith(CHANGING):
            found.append(f"{event.call.partition('.')[2]} {who[event.subject]}")
    return found


def test_where_the_newcomer_comes_first_its_service_starts_before_it_is_a_target_and_the_old_ones_rests_before_its_stop(
    sim,
):
    rid = sim.request()
    assert sim.run(rid).state is State.SUCCEEDED
    assert told(sim, rid) == [
        "launch new",
        "serve new",
        "register new",
        "drain old",
        "deregister old",
        "step_down old",
        "quiesce old",
        "stop old",
        "terminate old",
        "tag new",
    ]
    sim.check(rid)


def test_without_hooks_both_are_passed_by(sim):
    sim.provider.hooked.clear()
    rid = sim.request()
    assert sim.run(rid).state is State.SUCCEEDED
    assert not [one for one in sim.provider.calls if one.startswith("hooks.")]
    assert {"serving", "quiescing"} <= set(sim.story(rid))


LEFT = ["drain new", "deregister new", "step_down new", "quiesce new", "terminate new"]
PARKED = ["drain old", "deregister old", "step_down old", "quiesce old", "stop old"]


@pytest.mark.parametrize(
    ("state", "done"),
    [
        (State.SERVING, ["launch new", "terminate new"]),
        (State.ENROLLING, ["launch new", "serve new", "step_down new", "quiesce new", "terminate new"]),
        (State.SOAKING, ["launch new", "serve new", "register new", *LEFT]),
        (
            State.PARKING,
            ["launch new", "serve new", "register new", *PARKED[:-1], "serve old", "register old", *LEFT],
        ),
        (
            State.RETIRING,
            ["launch new", "serve new", "register new", *PARKED, "start old", "serve old", "register old", *LEFT],
        ),
    ],
)
def test_an_undo_goes_back_in_reverse(sim, state, done):
    rid = sim.request()
    assert sim.stop_in(rid, state)
    sim.replacer.cancel(rid, "ann")
    assert sim.run(rid).state is State.CANCELLED
    assert told(sim, rid) == done
    sim.check(rid)


def test_a_newcomer_that_cannot_serve_is_no_target_and_leaves_what_it_may_have_joined(sim):
    sim.provider.hook_failures[HookName.SERVE] = "it did not catch up"
    rid = sim.request()
    last = sim.run(rid)
    assert last.state is State.FAILED_CLEAN
    assert "it did not catch up" in last.note
    assert told(sim, rid) == ["launch new", "step_down new", "quiesce new", "terminate new"]
    sim.check(rid)


def test_an_old_one_that_does_not_come_to_rest_serves_again(sim):
    sim.provider.hook_failures[HookName.QUIESCE] = "the disk hangs"
    rid = sim.request()
    last = sim.run(rid)
    assert last.state is State.ABORTED_SAFE
    assert "the disk hangs" in last.note
    assert sim.old in sim.provider.in_service("web")
    assert "stop old" not in told(sim, rid)
    assert told(sim, rid)[-1] == "terminate new", "whose service rests by its end, when its hook cannot"
    sim.check(rid)


@pytest.mark.parametrize("nth", range(30))
def test_a_crash_after_any_commit_leaves_nobody_half_in(sim, nth):
    sim.store.die_after = sim.store.commits + nth
    with suppress(Crash):
        sim.request()
    sim.restart()
    with sim.store.read() as tx:
        (rid,) = [one.rid for one in tx.open_replacements()]
    assert sim.run(rid).state is State.SUCCEEDED
    done = told(sim, rid)
    assert done.index("serve new") < done.index("register new")
    assert done.index("quiesce old") < done.index("stop old")
    sim.check(rid)


def test_in_the_undo_of_a_move_the_newcomer_rests_before_it_is_stopped(tmp_path):
    sim = Simulation(tmp_path, owning=True)
    rid = sim.request()
    assert sim.stop_in(rid, State.SOAKING)
    sim.replacer.cancel(rid, "ann")
    assert sim.run(rid).state is State.CANCELLED
    done = told(sim, rid)
    assert done.index("deregister new") < done.index("quiesce new") < done.index("stop new") < done.index("start old")
    sim.check(rid)


def test_a_service_that_the_hook_starts_is_asked_for_its_health_after_that(sim, monkeypatch):
    started: set[str] = set()

    class Health:
        def check(self, instance):
            if instance.id not in started:
                return "nothing answers yet"
            return ""

    real = sim.provider.hooks.run

    def run(name, instance, group, facts):
        started.add(instance.id)
        return real(name, instance, group, facts)

    monkeypatch.setattr(sim.provider.hooks, "run", run)
    sim.group = replace(sim.group, health=Health())
    sim.restart()
    rid = sim.request()
    assert sim.run(rid).state is State.SUCCEEDED
    sim.check(rid)
