"""Who came is looked at now: whom a provider is told of, but for driftd itself; and it hears what is stored."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from driftd.core.asides import Arrival, Heard
from driftd.core.facts import Session
from driftd.core.findings import Judgement, Verdict
from driftd.core.ports import LaunchRequest
from driftd.core.visits import Trace, Way
from driftd.flows.hear import SOONEST, Listener

CAME = Session("cloud", "", "203.0.113.9", datetime(2030, 1, 1, tzinfo=UTC), tty="c-1", key_id="role/mallory")


@pytest.fixture
def heard(fleet):
    """What the provider is told, one ``Heard`` after the other; ``own`` and ``taken`` keep what it is told back."""
    provider, said = fleet.provider, []
    provider.listen = lambda: said.pop(0) if said else Heard()
    provider.owned, provider.stored = [], []
    provider.own = provider.owned.append
    provider.taken = lambda name, since: provider.stored.append((name, since))
    fleet.listener = Listener(
        fleet.store, fleet.groups, fleet.queue, clock=fleet.clock, discover=fleet.sweeper.rediscover
    )
    fleet.sweeper.tick()
    fleet.looked.clear()
    provider.stored.clear()
    return said


def arrival(instance="i-0002", session=CAME, **more):
    return Heard((Arrival("e-1", instance, session, **more),))


def beat(fleet):
    said = fleet.listener.tick()
    fleet.sweeper.sweep()
    return said


def test_who_was_let_in_somewhere_is_looked_for_there_at_once(fleet, heard):
    heard.append(arrival())
    assert beat(fleet) == []
    assert fleet.looked == ["i-0002"]
    assert fleet.provider.stored == [("i-0002", fleet.clock())]


def test_looks_are_brought_forward_no_oftener_than_is_good(fleet, heard):
    heard += [arrival(), arrival(), arrival("i-0003")]
    for _ in range(3):
        beat(fleet)
    assert fleet.looked == ["i-0002", "i-0003"]
    fleet.clock.advance(SOONEST.total_seconds() + 1)
    fleet.sweeper.sweep()
    fleet.looked.clear()
    heard.append(arrival())
    beat(fleet)
    assert fleet.looked == ["i-0002"]


def test_what_is_known_already_brings_nothing_forward(fleet, heard):
    heard.append(arrival(new=False))
    beat(fleet)
    assert fleet.looked == []


def test_driftd_itself_brings_nothing_forward_and_is_stored_already(fleet, heard):
    with fleet.store.write() as tx:
        visit = tx.open_visit("i-0002", "", fleet.clock(), "5ca9")
        tx.trace_visit(visit, Trace("5ca9", Way.by_commands(["c-1"]), fleet.clock()))
    heard.append(arrival())
    beat(fleet)
    assert (fleet.looked, fleet.provider.owned) == ([], ["e-1"])
    heard.append(arrival("i-0003"))
    beat(fleet)
    assert fleet.looked == ["i-0003"], "that was another's visit"


def test_a_new_instance_is_found_at_once_and_no_oftener_than_is_good(fleet, heard):
    def launch(number):
        fleet.provider.compute.launch(LaunchRequest("web", f"web/{number}", "golden", f"t{number}"))

    def ticked():
        fleet.listener.tick()
        fleet.sweeper.tick()
        return len(fleet.read("instances"))

    fleet.groups["web"] = fleet.group = replace(fleet.group, every=timedelta(hours=1))
    launch(7)
    assert ticked() == 3, "nobody told of it"
    heard.append(Heard(changed=True))
    assert ticked() == 4
    launch(8)
    heard.append(Heard(changed=True))
    assert ticked() == 4
    fleet.clock.advance(SOONEST.total_seconds())
    assert ticked() == 5, "told once is enough"


def test_trouble_is_told_once_and_so_is_its_end(fleet, heard):
    gone = Heard(trouble="the queue is gone", hint="see it")
    heard += [gone, gone, Heard(said=("odd",)), Heard(), gone]
    said = [beat(fleet) for _ in range(5)]
    assert said == [["the queue is gone: see it"], [], ["odd", "the queue of who came answers again"], [], said[0]]


def test_a_look_that_was_not_written_stores_nothing(fleet, heard):
    fleet.stopping = True
    fleet.sweeper.sweep_one(fleet.provider.compute.describe("i-0002"))
    assert fleet.provider.stored == []
    fleet.stopping = False
    fleet.one(Judgement(Verdict.CLEAN, "nothing differs"))
    assert [name for name, _ in fleet.provider.stored] == ["i-0002"]


def test_a_provider_that_is_told_of_nobody_is_not_asked(fleet):
    listener = Listener(fleet.store, fleet.groups, fleet.queue, clock=fleet.clock, discover=fleet.sweeper.rediscover)
    assert not listener.listens
    assert listener.tick() == []
