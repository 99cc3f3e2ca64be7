"""Whoever logs in, whenever that is, and whatever variant it is: nobody is cut off to replace a server."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from simulation import LIMITS, Simulation

from driftd.core.ports import HookName
from driftd.core.replacement import State
from driftd.core.variants import DELETE_FIRST, MOVE, SURGE
from driftd.core.world import Manner
from driftd.flows import replace as replacing

STAYS = timedelta(seconds=70)  # longer than the steps may take by themselves
AT_ONCE = replace(LIMITS, park=timedelta(0))
HOOKED = Manner(hooks=frozenset({"quiesce", "serve"}))
KINDS = {
    "surge": ({}, SURGE),
    "surge, ended at once": ({"limits": AT_ONCE}, SURGE),
    "surge, with hooks": ({"manner": HOOKED}, SURGE),
    "move": ({"owning": True}, MOVE),
    "delete-first": ({"manner": Manner(delete_first=True, allow_gap=True)}, DELETE_FIRST),
    "delete-first of what owns something": (
        {"owning": True, "manner": Manner(delete_first=True, allow_gap=True)},
        DELETE_FIRST,
    ),
}
TAKES = {"traffic.drain", "compute.stop", "compute.terminate", f"hooks.{HookName.QUIESCE}"}


# Where somebody has to be met, in each variant: the old one runs still, and the next call takes it from them.
LEAVING = {
    "surge": {State.DRAINING, State.PARKING},
    "surge, ended at once": {State.DRAINING, State.RETIRING},
    "surge, with hooks": {State.DRAINING, State.QUIESCING, State.PARKING},
    "move": {State.DRAINING, State.QUIESCING, State.STOPPING},
    "delete-first": {State.DRAINING, State.QUIESCING, State.STOPPING},
    "delete-first of what owns something": {State.DRAINING, State.QUIESCING, State.STOPPING},
}


def taken(sim: Simulation) -> list[str]:
    """What was done to the old one that takes it from whoever is on it, by what really happened."""
    events = sim.provider.events[sim.first_event :]
    return [one.call for one in events if one.subject == sim.old and one.call in TAKES]


@pytest.mark.parametrize("name", KINDS)
def test_nobody_is_cut_off_whenever_they_come(tmp_path, monkeypatch, name):
    monkeypatch.setattr(replacing, "STEPS_A_TICK", 1)
    options, variant = KINDS[name]
    sim = Simulation(tmp_path, **options)
    rid = sim.request()
    met, there, came, before = set(), set(), None, []
    for record in sim.steps(rid, horizon=3 * 3600):
        server = sim.provider.servers[sim.old]
        runs = not (server.stopped or server.stopping or server.gone_at)
        moment = record.state, record.drain_seen, record.quiesced
        if sim.live_sessions:
            there.add(record.state)
            assert taken(sim) == before, f"somebody was cut off while {record.state}"
            assert runs
            if sim.clock() >= came + STAYS:
                sim.live_sessions = 0
        elif runs and moment not in met:
            met.add(moment)
            came, before, sim.live_sessions = sim.clock(), taken(sim), 1
    assert record.state is State.SUCCEEDED, record
    assert record.variant == variant.name
    assert there >= LEAVING[name]
    assert taken(sim), "in the end it was taken"
    sim.check(rid)
