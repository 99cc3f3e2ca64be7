"""Evidence in a whole replacement: kept before anything is changed, once, whatever dies, and required where said."""

from __future__ import annotations

import json

import pytest
from simulation import Simulation

from driftd.core.custody.ledger import SUBJECT, ledger
from driftd.core.errors import Refused
from driftd.core.replacement import State
from driftd.core.world import Manner
from driftd.edges.bundles import unpacked

WANTED = Manner(evidence=True)
REQUIRED = Manner(evidence=True, evidence_required=True)
COMMITS = 43  # of a run without a fault


def kept_of(sim: Simulation, rid: str) -> dict[str, bytes]:
    """The one bundle, as the journal has its digest."""
    with sim.store.read() as tx:
        found = ledger(tx.journal_lines(SUBJECT))
    assert [*found] == [rid]
    assert [one.name for one in sim.place.directory.iterdir()] == [f"{rid}.tar.gz"]
    return unpacked(sim.place.read(rid, found[rid].held))


def test_it_is_kept_before_anything_is_changed(tmp_path):
    sim = Simulation(tmp_path, manner=REQUIRED)
    rid = sim.request(manual=False)
    last = sim.run(rid)
    assert (last.state, last.captured) == (State.SUCCEEDED, rid)
    index = json.loads(kept_of(sim, rid)["index.json"])
    assert (index["id"], index["instance"]["id"], index["reached"]) == (rid, sim.old, True)
    with sim.store.read() as tx:
        lines = [line.body for line in tx.journal_lines(rid)]
    made = next(number for number, body in enumerate(lines) if body.get("made") == rid)
    launch = next(number for number, body in enumerate(lines) if body.get("call") == "launch")
    assert made < launch
    sim.tidy()
    sim.check(rid)


def test_the_number_above_is_that_of_a_run_without_a_fault(tmp_path):
    sim = Simulation(tmp_path, manner=WANTED)
    sim.run(sim.request(manual=False))
    assert sim.store.commits == COMMITS


@pytest.mark.parametrize("when", ["die_before", "die_after"])
@pytest.mark.parametrize("number", range(1, 14))
def test_a_crash_at_each_commit_up_to_the_launch_leaves_one_bundle(tmp_path, number, when):
    sim = Simulation(tmp_path, manner=REQUIRED)
    rid = sim.request(manual=False)
    setattr(sim.store, when, number)
    assert sim.run(rid).state is State.SUCCEEDED
    assert sim.crashes == 1
    assert kept_of(sim, rid)
    sim.tidy()
    sim.check(rid)


@pytest.mark.parametrize("manner", [WANTED, REQUIRED])
def test_an_instance_that_does_not_answer_leaves_what_the_store_knows(tmp_path, manner):
    sim = Simulation(tmp_path, manner=manner)
    sim.unseen = {sim.old}
    rid = sim.request()
    assert sim.run(rid).state is State.SUCCEEDED
    members = kept_of(sim, rid)
    index, store = json.loads(members["index.json"]), json.loads(members["store.json"])
    assert (index["reached"], index["reason"]) == (False, "no answer in 10 s")
    assert store["journal"]
    with sim.store.read() as tx:
        tried = [line for line in tx.journal_lines(rid) if line.kind == "intent" and line.body["call"] == "capture"]
    assert len(tried) == 3, "it is tried again before that"


@pytest.mark.parametrize(("manner", "ends"), [(WANTED, State.SUCCEEDED), (REQUIRED, State.ABORTED_SAFE)])
def test_a_full_disk_ends_it_only_where_evidence_is_required(tmp_path, manner, ends, monkeypatch):
    sim = Simulation(tmp_path, manner=manner)
    rid = sim.request()

    def full(*_args) -> None:
        raise Refused("there is no room for evidence")

    monkeypatch.setattr(sim.place, "keep", full)
    last = sim.run(rid)
    assert last.state is ends
    assert not last.captured
    with sim.store.read() as tx:
        said = [str(line.body.get("why", "")) for line in tx.journal_lines(rid)]
        assert not ledger(tx.journal_lines(SUBJECT))
    assert any("no room for evidence" in one for one in said)
    if ends is State.ABORTED_SAFE:
        assert "no room for evidence" in last.note
        aside = {"provider.copy_root", "provider.delete_root_copy"}
        assert {each.call for each in sim.provider.events[sim.first_event :]} <= aside, "nothing was changed"
    assert not sim.provider.root_copies(), "no bundle would tell of it"
    sim.tidy()
    sim.check(rid)
