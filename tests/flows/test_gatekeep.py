"""The gatekeeper: who waits at a gate is let through once a look has shown it, and nobody is forgotten there."""

from __future__ import annotations

import inspect
from dataclasses import replace
from datetime import timedelta

import pytest

from driftd.core import asides
from driftd.core.errors import Refused, Unavailable
from driftd.core.findings import Action, Verdict
from driftd.core.guards.case import GroupRules
from driftd.core.memory import InstanceRow, Pause
from driftd.edges.store import open_store
from driftd.flows.gatekeep import Gatekeeper
from driftd.flows.groups import Group
from driftd.flows.metered import Meter, metered
from driftd.testing import FakeClock, FakeProvider


class Gate(FakeProvider):
    """A fake with a gate, and what it was told there."""

    def __init__(self, clock) -> None:
        super().__init__(clock)
        self.at_gate: list[str] = []
        self.told: list[tuple[str, str]] = []
        self.fails: Exception | None = None
        self.fails_for = ""

    def waiting(self, group: str):
        if isinstance(self.fails, Refused) and not self.fails_for:
            raise self.fails
        return list(self.at_gate)

    def admit(self, group: str, instance_id: str) -> None:
        if self.fails and self.fails_for in {"", instance_id}:
            raise self.fails
        self.told.append(("admit", instance_id))
        self.at_gate.remove(instance_id)

    def keep_waiting(self, group: str, instance_id: str) -> None:
        self.told.append(("wait", instance_id))


class House:
    def __init__(self, home, enforce=Action.REPLACE) -> None:
        self.clock = FakeClock()
        self.provider = Gate(self.clock)
        self.store = open_store(f"sqlite:///{home / 'driftd.db'}")
        # As the daemon has it: the provider's calls are counted.
        provider = metered(self.provider, Meter(self.clock))
        self.group = Group("web", provider, GroupRules("web", enforce=enforce))
        self.fenced = 0
        self.keeper = Gatekeeper(self.store, {"web": self.group}, clock=self.clock, fence=self.fence)

    def fence(self) -> None:
        self.fenced += 1

    def arrived(self, ident="i-9", verdict=Verdict.UNKNOWN, **more) -> None:
        now = self.clock()
        row = InstanceRow(
            ident, "web", f"web/{ident}", "golden", "192.0.2.9", "running", verdict, "…", "", now, now, now
        )
        with self.store.write() as tx:
            tx.put_instance(replace(row, **more))
        if ident not in self.provider.at_gate:
            self.provider.at_gate.append(ident)

    def journal(self, ident="i-9"):
        with self.store.read() as tx:
            return [(line.kind, line.body.get("outcome", "")) for line in tx.journal_lines(f"gate/{ident}")]

    def messages(self):
        with self.store.read() as tx:
            return [one for one in ("gate/i-9",) if tx.message_id(one)]


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path)
    yield made
    made.store.close()


def test_who_waits_is_kept_waiting_until_a_look_shows_it_as_baked(house):
    house.arrived()
    (said,) = house.keeper.tick()
    assert said == "i-9 waits at the gate of web: it is unknown: …"
    assert house.provider.told == [("wait", "i-9")]
    house.arrived(verdict=Verdict.EXPLAINED)
    assert house.keeper.tick() == ["i-9 was let through the gate of web: it is explained"]
    assert house.provider.told[-1] == ("admit", "i-9")
    assert house.journal() == [("intent", ""), ("result", "done")]
    assert house.keeper.tick() == []
    assert house.fenced == 2


def test_where_driftd_only_observes_it_keeps_no_gate(tmp_path):
    house = House(tmp_path, Action.ALERT)
    house.arrived(verdict=Verdict.CLEAN)
    assert house.keeper.tick() == []
    assert house.provider.told == []
    house.store.close()


def test_while_paused_nothing_is_said_to_the_gate(house):
    house.arrived(verdict=Verdict.CLEAN)
    with house.store.write() as tx:
        tx.set_pause(Pause("web", "ann", "maintenance", house.clock()))
    (said,) = house.keeper.tick()
    assert "maintenance" in said
    assert house.provider.told == []


def test_who_waits_for_long_is_told_of_once(house):
    house.arrived(verdict=Verdict.DRIFTED)
    for _ in range(4):
        house.keeper.tick()
        house.clock.advance(400)
    assert house.messages() == ["gate/i-9"]
    assert house.provider.told == [("wait", "i-9")] * 4


def test_an_answer_that_does_not_come_is_no_admission(house):
    house.arrived(verdict=Verdict.CLEAN)
    house.provider.fails = Unavailable("503")
    (said,) = house.keeper.tick()
    assert said == "i-9 waits at the gate of web, which could not be told anything: 503"
    assert house.journal() == [("intent", ""), ("result", "no answer")]
    house.provider.fails = None
    assert house.keeper.tick() == ["i-9 was let through the gate of web: it is clean"]


def test_one_that_cannot_be_answered_keeps_no_other_waiting(house):
    house.arrived("i-8", verdict=Verdict.CLEAN)
    house.arrived("i-9", verdict=Verdict.CLEAN)
    house.provider.fails, house.provider.fails_for = Refused("AWS does not permit it"), "i-8"
    said = house.keeper.tick()
    assert len(said) == 2
    assert house.provider.told == [("admit", "i-9")]


def test_a_gate_that_is_not_there_is_said(house):
    house.provider.fails = Refused("there is no hook")
    assert house.keeper.tick() == ["the gate of web is not kept: there is no hook"]


def test_whoever_waits_anew_waits_from_now(house):
    house.arrived()
    house.keeper.tick()
    house.provider.at_gate.clear()
    house.keeper.tick()
    house.clock.advance(timedelta(hours=1).total_seconds())
    house.arrived()
    house.keeper.tick()
    assert house.messages() == []


def test_an_aside_is_found_behind_the_counting_of_calls(house):
    """From Python 3.12 on ``isinstance`` asks no ``__getattr__``."""
    provider = metered(house.provider, Meter(house.clock))
    for name in ("waiting", "copy_root", "isolate", "let_in"):
        assert name in asides.METHODS
        assert inspect.getattr_static(provider, name)


def test_no_aside_is_left_out():
    protocols = [one for one in vars(asides).values() if getattr(one, "_is_runtime_protocol", False)]
    assert len(protocols) > 9
    names = {name for one in protocols for name, found in vars(one).items() if callable(found) and name[0] != "_"}
    assert names == set(asides.METHODS)
