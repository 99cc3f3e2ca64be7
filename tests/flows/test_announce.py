"""Announcing: each message once, in order, with patience."""

from __future__ import annotations

import pytest

from driftd.core.errors import Refused, Unavailable
from driftd.core.findings import Severity
from driftd.core.memory import Message
from driftd.edges.store import open_store
from driftd.flows.announce import Announcer
from driftd.testing import Crash, FakeClock


class Ear:
    """A notifier that hears, until told not to."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.errors: list[BaseException | None] = []
        self.deaf_to = ""

    def send(self, message: Message) -> None:
        if message.text == self.deaf_to:
            raise Refused("too long")
        error = self.errors.pop(0) if self.errors else None
        if isinstance(error, Unavailable):
            raise error
        self.heard.append(message.text)
        if error is not None:
            raise error


class Office:
    def __init__(self, home) -> None:
        self.clock, self.ear = FakeClock(), Ear()
        self.store = open_store(f"sqlite:///{home / 'driftd.db'}")
        self.announcer = Announcer(self.store, self.ear, clock=self.clock)

    def queue(self, *texts: str) -> None:
        with self.store.write() as tx:
            for text in texts:
                tx.say(Message(text, "drift", Severity.LOW, text), self.clock())


@pytest.fixture
def office(tmp_path):
    made = Office(tmp_path)
    yield made
    made.store.close()


def test_each_message_is_said_once_and_in_order(office):
    office.queue("a", "b", "a", "c")
    assert office.announcer.tick() == []
    office.announcer.tick()
    assert office.ear.heard == ["a", "b", "c"]


def test_while_nobody_answers_all_wait_longer_and_longer(office):
    office.queue("a", "b")
    office.ear.errors = [Unavailable("503"), Unavailable("503")]
    assert len(office.announcer.tick()) == 1
    assert office.announcer.tick() == []
    office.clock.advance(5)
    assert "10 s" in office.announcer.tick()[0]
    office.clock.advance(9)
    assert office.announcer.tick() == []
    assert office.ear.heard == []
    office.clock.advance(1)
    office.announcer.tick()
    assert office.ear.heard == ["a", "b"]


def test_one_that_is_refused_does_not_hold_up_the_others(office):
    office.queue("a", "b")
    office.ear.deaf_to = "a"
    [said] = office.announcer.tick()
    assert "too long" in said
    assert office.ear.heard == ["b"]
    office.queue("c")
    assert office.announcer.tick() == []
    assert office.ear.heard == ["b", "c"]
    office.ear.deaf_to = ""
    office.clock.advance(3600)
    office.announcer.tick()
    assert office.ear.heard == ["b", "c", "a"]


def test_a_crash_after_saying_it_says_it_again_rather_than_never(office):
    office.queue("a")
    office.ear.errors = [Crash()]
    with pytest.raises(Crash):
        office.announcer.tick()
    Announcer(office.store, office.ear, clock=office.clock).tick()
    assert office.ear.heard == ["a", "a"]
