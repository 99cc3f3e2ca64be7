"""Watching: what a glimpse adds to the store, and what brings the next look forward. The probe is pretended."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest
from sweeping import CLEAN, MALLORY, drifted

from driftd.core.facts import Coverage, Instance, Reach, Session, Unseen
from driftd.core.findings import Verdict
from driftd.core.fingerprint import Fingerprint
from driftd.core.manifest import Manifest
from driftd.core.marks import NO_PAST
from driftd.core.policy import Policy
from driftd.core.visits import Way
from driftd.core.watching import Beat, Glimpse, Greeting, Why
from driftd.flows.audit import Rules
from driftd.flows.glimpse import Beholder
from driftd.flows.watch import AGAIN, Watcher
from driftd.probe.wire import Entry

KEY = "SHA256:driftd"
GREETING = Greeting("inotify", "connector", 12, 0)


def entry(path: bytes, kind: bytes = b"f", digest: bytes = b"a") -> Entry:
    return Entry(path, kind, 0o755, 0, 0, 0, digest * 32 if kind == b"f" else b"", b"", (0, 0), ())


TREE = [entry(b"/", b"d"), entry(b"/etc", b"d"), entry(b"/etc/hosts"), entry(b"/etc/ssh", b"d"), entry(b"/etc/ssh/c")]
MANIFEST = Manifest("golden", tuple(TREE), (), (), b"r" * 32)


def seen(*entries: Entry, sessions: tuple[Session, ...] = ()) -> Fingerprint:
    return Fingerprint((*TREE[:2], *entries), (), (), sessions, Coverage(), b"")


class Pretended:
    """``Residents``. A watch says what ``say`` was given, and lasts until ``lose`` or until it is to stop."""

    def __init__(self) -> None:
        self.heard = {}
        self.lost = {}
        self.came = threading.Semaphore(0)
        self.refuses = ""

    def own_key(self, instance: Instance) -> str:  # the port's signature
        return KEY

    def watch(self, instance, heard, stopping) -> Unseen:
        if self.refuses:
            return Unseen(self.refuses)
        instance.reach.visit.came(Way("192.0.2.1", 40000, instance.reach.user, KEY))
        instance.reach.visit.entered()
        over = self.lost[instance.id] = threading.Event()
        heard(GREETING)
        self.heard[instance.id] = heard
        self.came.release()
        while not over.wait(0.01):
            if stopping():
                return Unseen("")
        return Unseen("it said nothing for 30 s")


@pytest.fixture
def watched(fleet):
    fleet.groups["web"] = fleet.group = replace(fleet.group, watch=True, every=timedelta(minutes=5))
    fleet.sweeper.tick()
    fleet.residents = Pretended()
    manifests = SimpleNamespace(for_image=lambda _image: MANIFEST)
    visits = []

    def reached():
        return {
            name: replace(one, reach=Reach("192.0.2.9", user="root")) for name, one in fleet.sweeper.known().items()
        }

    fleet.visits = visits
    fleet.watcher = Watcher(
        fleet.store,
        fleet.groups,
        fleet.residents,
        fleet.queue,
        members=reached,
        beholder=lambda one: Beholder(one, manifests, KEY, lambda: NO_PAST),
        rules=lambda _group: Rules(Policy()),
        visits=lambda _instance: visits,
        clock=fleet.clock,
    )
    fleet.watcher.tick()
    for _ in range(3):
        assert fleet.residents.came.acquire(timeout=10)
    fleet.clock.advance(1)
    again(fleet)
    yield fleet
    fleet.watcher.stop()
    fleet.watcher.close()


def again(fleet) -> list[str]:
    """The next looks, those alone that are due; who was looked at."""
    fleet.looked.clear()
    fleet.watcher.tick()
    fleet.sweeper.sweep()
    fleet.watcher.tick()
    return sorted(fleet.looked)


def show(fleet, glimpse: Glimpse) -> None:
    fleet.residents.heard["i-0002"](glimpse)


def findings(fleet) -> set[bytes]:
    return {row.finding.subject for row in fleet.read("open_findings", "i-0002")}


def state(fleet):
    return next(one for one in fleet.watcher.watched() if one.instance == "i-0002")


def test_a_watch_that_begins_has_everybody_looked_at_once(watched):
    assert {one.counted[Why.BEGUN] for one in watched.watcher.watched()} == {1}
    watched.clock.advance(60)
    assert again(watched) == []


def test_what_a_glimpse_adds_is_a_finding_at_once_and_a_look_confirms_it(watched):
    watched.clock.advance(60)
    show(watched, Glimpse(seen(entry(b"/etc/evil"))))
    assert findings(watched) == {b"/etc/evil"}
    row = watched.read("instance", "i-0002")
    assert row.verdict is Verdict.DRIFTED
    assert row.looked_at < watched.clock()
    assert watched.read("open_replacements") == []  # that takes a whole look
    watched.said["i-0002"] = (drifted(watched.read("open_findings", "i-0002")[0].finding), ())
    assert again(watched) == ["i-0002"]
    assert [record.old_id for record in watched.read("open_replacements")] == ["i-0002"]
    assert findings(watched) == {b"/etc/evil"}


def test_what_is_changed_or_gone_is_a_finding_too_with_all_that_was_below_it(watched):
    show(watched, Glimpse(seen(entry(b"/etc/hosts", digest=b"b")), {b"/etc": frozenset([b"hosts"])}))
    assert findings(watched) == {b"/etc/hosts", b"/etc/ssh", b"/etc/ssh/c"}


def test_what_is_as_the_image_has_it_says_nothing_and_asks_for_nothing(watched):
    watched.clock.advance(60)
    lines = len(watched.read("journal_lines"))
    show(watched, Glimpse(seen(entry(b"/etc/hosts")), {b"/etc": frozenset([b"hosts", b"ssh"])}, (b"/etc/hosts",)))
    assert findings(watched) == set()
    assert len(watched.read("journal_lines")) == lines
    assert again(watched) == []


def test_a_glimpse_never_makes_anything_better(watched):
    show(watched, Glimpse(seen(entry(b"/etc/evil"))))
    show(watched, Glimpse(seen(), {b"/etc": frozenset([b"hosts", b"ssh"])}))
    assert findings(watched) == {b"/etc/evil"}
    watched.clock.advance(60)
    assert again(watched) == ["i-0002"]  # which sees that it is gone
    assert findings(watched) == set()
    assert watched.read("instance", "i-0002").verdict is Verdict.CLEAN


def test_a_look_that_began_before_a_glimpse_takes_back_nothing_of_it(watched):
    begun, look = watched.clock(), watched.sweeper._look  # a look that lasts

    def slow(instance):
        watched.clock.advance(5)
        show(watched, Glimpse(seen(entry(b"/etc/evil"))))
        return replace(look(instance), at=begun, judgement=CLEAN)

    watched.sweeper._look = slow  # as above
    watched.sweeper.sweep_one(watched.provider.compute.describe("i-0002"))
    assert findings(watched) == {b"/etc/evil"}
    assert watched.read("instance", "i-0002").verdict is Verdict.DRIFTED


@pytest.mark.parametrize("why", [Why.OVERFLOW, Why.TOO_MUCH, Why.UNSEEN])
def test_what_it_could_not_show_is_looked_at_and_counted(watched, why):
    watched.clock.advance(60)
    show(watched, Glimpse(full=why))
    assert again(watched) == ["i-0002"]
    assert state(watched).counted[why] == 1


def test_a_program_that_is_not_in_the_image_is_looked_at(watched):
    watched.clock.advance(60)
    show(watched, Glimpse(programs=(b"/etc/hosts", b"/memfd:x (deleted)")))
    assert again(watched) == ["i-0002"]
    assert state(watched).counted[Why.PROGRAM] == 1


def test_somebody_who_logs_in_taints_at_once_and_our_own_watch_does_not(watched):
    ours = Session("ssh", "root", "192.0.2.1", watched.clock(), port=40000, key=KEY, ancestor=True, live=True)
    show(watched, Glimpse(seen(sessions=(ours,)), logins=True))
    assert watched.read("instance", "i-0002").taint == ""
    assert [row.own for row in watched.read("sessions", "i-0002")] == [True]
    show(watched, Glimpse(seen(sessions=(ours, replace(MALLORY, live=True, kind="interactive"))), logins=True))
    assert "mallory" in watched.read("instance", "i-0002").taint
    assert {row.session.user: row.own for row in watched.read("sessions", "i-0002")} == {"root": True, "mallory": False}


def test_who_has_just_come_in_is_left_to_a_look_until_it_shows_what_for(watched):
    watched.clock.advance(60)
    show(watched, Glimpse(seen(sessions=(replace(MALLORY, live=True),)), logins=True))
    assert watched.read("sessions", "i-0002") == []
    show(watched, Glimpse(seen(sessions=(replace(MALLORY, door="exec", live=True),)), logins=True))
    assert [row.session.door for row in watched.read("sessions", "i-0002")] == ["exec"]
    assert again(watched) == ["i-0002"]


def test_a_lost_watch_is_looked_at_counted_and_begun_again_after_a_while(watched):
    watched.clock.advance(60)
    watched.residents.lost["i-0002"].set()
    watched.watcher._watches["i-0002"].thread.join()  # its end
    assert again(watched) == ["i-0002"]
    assert (state(watched).lost, state(watched).counted[Why.LOST], state(watched).greeting) == (1, 1, None)
    assert not watched.residents.came.acquire(timeout=0)
    watched.clock.advance(AGAIN.total_seconds() + 1)
    watched.watcher.tick()
    assert watched.residents.came.acquire(timeout=10)


def test_who_cannot_be_watched_is_said_once_and_asked_ever_more_seldom(watched):
    watched.residents.refuses = "it has no Python"
    watched.residents.lost["i-0002"].set()
    said = []
    tries = 0
    for _ in range(600):
        watched.clock.advance(1)
        before = watched.watcher._watches["i-0002"].thread  # each try is a thread
        said += watched.watcher.tick()
        now = watched.watcher._watches["i-0002"].thread  # as above
        now.join()
        tries += now is not before
    assert tries <= 8
    assert len([sentence for sentence in said if "no Python" in sentence or "nothing for 30 s" in sentence]) <= 2


def test_who_is_gone_is_watched_no_more(watched):
    watched.provider.compute.terminate("i-0002")
    watched.sweeper.discover("web")
    thread = watched.watcher._watches["i-0002"].thread  # its end
    watched.watcher.tick()
    thread.join(10)
    watched.watcher.tick()
    assert not thread.is_alive()
    assert {one.instance for one in watched.watcher.watched()} == {"i-0001", "i-0003"}


def test_an_end_ends_all_of_them(watched):
    watched.watcher.stop()
    watched.watcher.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("watch-")]
    watched.watcher.tick()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("watch-")]


def test_what_it_costs_is_told(watched):
    watched.residents.heard["i-0002"](Beat(1.5, 13_000_000, 4, 0))
    assert (state(watched).beat, state(watched).greeting) == (Beat(1.5, 13_000_000, 4, 0), GREETING)
