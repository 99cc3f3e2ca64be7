"""The old one ends by itself while its replacement is cancelled: the verified newcomer has the slot, not nobody."""

from __future__ import annotations

from datetime import timedelta

import pytest
from simulation import Simulation

from driftd.core.errors import Unavailable
from driftd.core.hooks import HookName, OnFailure, Terms
from driftd.core.replacement import State
from driftd.core.variants import DELETE_FIRST, HANDOVER, MOVE, SURGE
from driftd.core.world import Manner

VARIANTS = {SURGE: {}, MOVE: {"owning": True}, HANDOVER: {"named": timedelta(seconds=60)}}
CASES = [
    pytest.param(variant, state, id=f"{variant.name}-{state}")
    for variant in VARIANTS
    for state in variant.forward[variant.forward.index(State.VERIFYING) + 1 : -2]
]


def in_state(home, variant, state) -> tuple[Simulation, str]:
    sim = Simulation(home, **VARIANTS[variant])
    sim.provider.terminate_s = 90  # and for so long it is listed still
    rid = sim.request(manual=False)
    assert sim.stop_in(rid, state), sim.record(rid)
    return sim, rid


def has_the_slot(sim: Simulation, rid: str) -> None:
    last = sim.run(rid, 8000)
    assert last.state is State.SUCCEEDED, last.note
    assert last.new_id in sim.provider.in_service("web")
    if sim.addresses:
        assert sim.owners("web/1") == {last.new_id}


@pytest.mark.parametrize(("variant", "state"), CASES)
def test_it_was_ending_when_somebody_cancelled(tmp_path, variant, state):
    sim, rid = in_state(tmp_path, variant, state)
    sim.provider.compute.terminate(sim.old)
    sim.replacer.cancel(rid, "ann")
    has_the_slot(sim, rid)


@pytest.mark.parametrize("variant", [SURGE, HANDOVER], ids=lambda one: one.name)
def test_it_ends_when_the_newcomer_is_out_of_service_already(tmp_path, variant):
    sim, rid = in_state(tmp_path, variant, State.SOAKING)
    sim.replacer.cancel(rid, "ann")
    for record in sim.steps(rid):
        if record.state is State.UNDOING and record.new_id not in sim.provider.in_service("web"):
            break
    sim.provider.compute.terminate(sim.old)
    has_the_slot(sim, rid)


@pytest.mark.parametrize("state", [State.ATTACHING, State.SERVING, State.SOAKING])
def test_where_the_old_one_was_deleted_first_and_the_undo_has_put_it_back(tmp_path, state):
    """What the undo registered is its own doing, and no person's who wants the old one back."""
    sim = Simulation(tmp_path, manner=Manner(delete_first=True, allow_gap=True), min_healthy=1)
    sim.provider.terminate_s = 40
    rid = sim.request(manual=False)
    assert sim.stop_in(rid, state)
    assert sim.record(rid).variant == DELETE_FIRST.name
    sim.replacer.cancel(rid, "ann")
    undone = (record for record in sim.steps(rid) if record.state is State.UNDOING)
    next(undone), next(undone)
    sim.provider.compute.terminate(sim.old)
    has_the_slot(sim, rid)


def hooked(home, *terms: Terms) -> Simulation:
    sim = Simulation(home, manner=Manner(hooks=frozenset({"serve", "quiesce"}), terms=terms))
    sim.provider.terminate_s = 90
    sim.provider.hooked |= {HookName.SERVE, HookName.QUIESCE}
    return sim


def test_a_hook_that_is_to_be_held_for_holds_nobody_who_could_not_cancel_any_more(tmp_path):
    sim = hooked(tmp_path, Terms("serve", on_failure=OnFailure.HOLD))
    sim.provider.hook_failures[HookName.SERVE] = "the licence server says no"
    rid = sim.request(manual=False)
    for record in sim.steps(rid):
        if record.state is State.SERVING and "driftd cancel" in record.note:
            break
    sim.replacer.cancel(rid, "ann")
    next(record for record in sim.steps(rid) if record.state is State.UNDOING)
    sim.provider.compute.terminate(sim.old)
    last = sim.run(rid, 8000)
    assert last.state is State.FAILED_CLEAN, last.note
    assert "the licence server says no" in last.note


def test_whose_service_the_undo_may_have_brought_to_rest_is_started_again(tmp_path):
    sim = hooked(tmp_path)
    rid = sim.request(manual=False)
    assert sim.stop_in(rid, State.SOAKING)
    sim.provider.fail_next("hooks.quiesce", Unavailable("the answer is lost"), after_effect=True)
    sim.replacer.cancel(rid, "ann")
    newcomer = next(one for one in sim.steps(rid) if "the answer is lost" in one.note).new_id
    assert sim.provider.servers[newcomer].quiesced
    sim.provider.compute.terminate(sim.old)
    has_the_slot(sim, rid)
    assert not sim.provider.servers[newcomer].quiesced


def test_one_that_something_is_wrong_with_is_not_put_in_service_again(tmp_path):
    sim, rid = in_state(tmp_path, SURGE, State.SOAKING)
    newcomer = sim.record(rid).new_id
    sim.provider.servers[newcomer].healthy = False
    for record in sim.steps(rid):
        if record.state is State.UNDOING:
            break
    sim.provider.compute.terminate(sim.old)
    last = sim.run(rid, 8000)
    assert last.state is State.FAILED_CLEAN, last.note
    assert newcomer not in sim.provider.alive("web")
