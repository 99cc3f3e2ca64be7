"""Seeds: several misfortunes at once, drawn by a seed that a failure names."""

from __future__ import annotations

import random

import pytest
from simulation import Simulation

from driftd.core.errors import BadInput, Unavailable
from driftd.core.memory import Pause
from driftd.core.replacement import TERMINAL, State
from driftd.testing import Crash

SEEDS = 300
BATCH = 20
CHANGES = ["compute.launch", "compute.terminate", "compute.tag", "traffic.register", "traffic.drain", "traffic.*", "*"]


def misfortune(sim: Simulation, chance: random.Random, rid: str) -> None:
    """One thing that goes wrong, or is done by somebody else, now."""
    provider, record = sim.provider, sim.record(rid)
    kind = chance.randrange(9)
    if kind <= 2:
        provider.fail_next(
            chance.choice([*CHANGES, "changes"]), Crash(), after_effect=chance.random() < 0.5, skip=chance.randrange(3)
        )
    elif kind <= 4:
        times = chance.choice([1, 1, 3, 10])
        provider.fail_next(chance.choice(CHANGES), Unavailable("503"), after_effect=chance.random() < 0.5, times=times)
    elif kind == 5:
        setattr(sim.store, chance.choice(["die_before", "die_after"]), sim.store.commits + chance.randrange(4))
    elif kind == 6:
        try:
            sim.replacer.cancel(rid, "ann")
        except BadInput as refused:
            assert record.committed or record.state in {State.SETTLING, *TERMINAL}, refused  # noqa: PT017  # rarely raised
    elif kind == 7:
        with sim.store.write() as tx:
            tx.set_pause(Pause("web", "ann", "lunch", sim.clock()))
    elif record.new_id and record.state not in {State.SETTLING, State.SUCCEEDED} and not record.committed:
        provider.make_sick(record.new_id)


def story(home, seed: int) -> State:
    chance = random.Random(seed)
    sim = Simulation(home, min_healthy=chance.choice([1, 2, 3]))
    provider = sim.provider
    provider.hide_s = chance.choice([0, 0, 3, 15])
    provider.boot_s, provider.drain_s = chance.choice([0, 2, 20]), chance.choice([0, 3, 30])
    provider.sick_launches = int(chance.random() < 0.1)
    sim.drifted_newcomers = chance.random() < 0.05
    rid = sim.request(manual=chance.random() < 0.5)
    beats = sorted(chance.randrange(30) for _ in range(chance.randrange(1, 5)))
    for beat, record in enumerate(sim.steps(rid)):
        if record.state in TERMINAL:
            break
        try:
            while beats and beats[0] <= beat:
                beats.pop(0)
                misfortune(sim, chance, rid)
        except Crash:
            sim.restart()
        if beat % 20 == 19:
            try:
                with sim.store.write() as tx:
                    tx.clear_pause("web")
            except Crash:
                sim.restart()
    sim.store.die_before = sim.store.die_after = None
    provider.clear_faults()
    with sim.store.write() as tx:
        tx.clear_pause("web")
    sim.tidy()
    sim.check(rid)
    state = sim.record(rid).state
    assert state is not State.STUCK, sim.record(rid).note
    sim.store.close()
    return state


@pytest.mark.parametrize("first", range(0, SEEDS, BATCH))
def test_whatever_goes_wrong_it_ends_well(tmp_path, first):
    ends = set()
    for seed in range(first, first + BATCH):
        home = tmp_path / str(seed)
        home.mkdir()
        try:
            ends.add(story(home, seed))
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
    assert State.SUCCEEDED in ends
