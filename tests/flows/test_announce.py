"""Announcing: each message once, in order, with patience."""

from __future__ import annotations

import pytest

from driftd.core.errors import Refused, Throttled, Unavailable, Unreached
from driftd.core.findings import Severity
from driftd.core.memory import Message
from driftd.core.notices import Notice
from driftd.edges.store import open_store
from driftd.flows.announce import Announcer
from driftd.flows.outlets import Outlet
from driftd.testing import Crash, FakeClock


class Ear:
    """A notifier that hears, until told not to."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.errors: list[BaseException | None] = []
        self.deaf_to = ""

    def send(self, message: Notice) -> None:
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
    office.ear.errors = [Unreached("503"), Unreached("503")]
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
    assert office.ear.heard == ["a", "a (may be said twice)"]


def test_where_nobody_knows_whether_it_arrived_it_says_so_the_next_time(office):
    office.queue("a")
    office.ear.errors = [Unavailable("no answer"), Unreached("refused", "start it")]
    office.announcer.tick()
    office.clock.advance(5)
    assert "refused; start it" in office.announcer.tick()[0]
    office.clock.advance(10)
    office.announcer.tick()
    assert office.ear.heard == ["a (may be said twice)"]


def test_whoever_asks_for_silence_gets_it(office):
    office.queue("a")
    office.ear.errors = [Throttled("slow down", retry_after_s=100)]
    office.announcer.tick()
    office.clock.advance(99)
    office.announcer.tick()
    assert office.ear.heard == []
    office.clock.advance(1)
    office.announcer.tick()
    assert office.ear.heard == ["a"]


def unsent(office):
    with office.store.read() as tx:
        return [one.text for one in tx.unsent()]


def test_an_outlet_that_is_away_holds_up_no_other_and_misses_nothing(office):
    """Over a restart, too: each outlet's state is in the store."""
    other, names = Ear(), ("log", "chat")
    office.queue("a")

    def outlets():
        log = Announcer(office.store, office.ear, clock=office.clock, outlets=names)
        return log, Announcer(office.store, other, clock=office.clock, outlet=Outlet("chat"), outlets=names)

    log, chat = outlets()
    other.errors = [Unreached("down")]
    chat.tick()
    log.tick()
    log.tick()
    assert (office.ear.heard, other.heard, unsent(office)) == (["a"], [], ["a"])
    log, chat = outlets()
    log.tick()
    chat.tick()
    assert (office.ear.heard, other.heard, unsent(office)) == (["a"], ["a"], [])
    assert office.store.read().__enter__().undelivered("chat", 10) == []


def test_an_outlet_that_was_taken_out_of_the_configuration_holds_nothing_up(office):
    office.queue("a")
    Announcer(office.store, office.ear, clock=office.clock, outlets=("log", "chat")).tick()
    assert unsent(office) == ["a"]
    Announcer(office.store, office.ear, clock=office.clock)
    assert unsent(office) == []


def test_what_is_not_severe_enough_is_not_said(office):
    with office.store.write() as tx:
        for one in (Severity.LOW, Severity.HIGH):
            tx.say(Message(one.value, "drift", one, one.value), office.clock())
    outlet = Outlet("log", Severity.MEDIUM)
    Announcer(office.store, office.ear, clock=office.clock, outlet=outlet).tick()
    assert office.ear.heard == ["high"]
    assert unsent(office) == []


def test_an_hour_of_silence_loses_nothing_and_ends_without_a_flood(office):
    """Three messages a minute come while the outlet is away; then they come as crowds, one a minute at most."""
    office.announcer = Announcer(office.store, office.ear, clock=office.clock, outlet=Outlet("log", singly=5))
    down, queued = 3600, []
    for second in range(0, 2 * down, 5):
        if second < down and second % 20 == 0:
            queued.append(f"m{second}")
            office.queue(queued[-1])
        office.ear.errors = [Unreached("down")] if second < down else []
        office.announcer.tick()
        office.clock.advance(5)
    lines = [line for text in office.ear.heard for line in text.split("\n") if not line.endswith(":")]
    assert lines == queued
    assert len(office.ear.heard) <= 3
    assert unsent(office) == []


def test_a_few_are_said_one_by_one_and_more_within_a_minute_together(office):
    office.announcer = Announcer(office.store, office.ear, clock=office.clock, outlet=Outlet("log", singly=2))
    for text in "abcdef":
        office.queue(text)
        office.announcer.tick()
        office.clock.advance(1)
    assert office.ear.heard == ["a", "b", "c"]
    office.clock.advance(60)
    office.announcer.tick()
    assert office.ear.heard[3:] == ["3 messages about driftd itself:\nd\ne\nf"]
