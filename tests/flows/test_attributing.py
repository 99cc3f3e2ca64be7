"""From a look to what people are told: each change is tied to whoever was there, and that is kept."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sweeping import CLEAN, EDITED, MALLORY, VISITED, Fleet, drifted
from trees import IMAGE, NOW, baked, file, fingerprint

from driftd.core.asks import Answer, Ask
from driftd.core.attributed import Attribution, Level
from driftd.core.attribution import Scene, attribute
from driftd.core.facts import Instance, Session
from driftd.core.history import history
from driftd.core.marks import Past
from driftd.core.policy import Policy
from driftd.flows.audit import Rules, audit
from driftd.flows.remembering import past
from driftd.probe import wire

SERVER = Instance("i-1", "web", IMAGE, launched_at=NOW - timedelta(days=1))
TREE = [file(b"/etc/hosts", b"a"), file(b"/usr/bin/ls", b"elf", 0o755)]
EVIL = file(b"/usr/bin/evil", b"x", 0o755)
BEFORE = NOW - timedelta(minutes=30)
ANN = Session(
    "ssh", "root", "10.0.0.7", NOW - timedelta(minutes=9), ended_at=NOW, key="SHA256:ann", evidence="log", port=7
)


class Looks:
    """A looker that has a trail to tell of what differs."""

    def __init__(self, changed_at, rows=(), others=(ANN,), **more):
        self.seen = replace(
            fingerprint([*TREE, EVIL], booted_at=NOW - timedelta(days=1), live=True, **more), sessions=tuple(others)
        )
        self.changed_at, self.rows = changed_at, rows
        self.asked = []

    def look(self, instance, *, deadline_s, key=None, ask=None, image=None):
        self.asked = ask(self.seen)
        size, content = int(self.changed_at.timestamp() * 1e9), wire.pack(list(self.rows))
        told = {one: Answer(yes=True, size=size, content=content) for one in self.asked if one.what == "trail"}
        return replace(self.seen, answers=told)

    def own_key(self, instance):
        return ""

    def for_image(self, image):
        return baked(TREE)

    def audit(self, **known):
        found = audit(SERVER, self, self, Rules(Policy()), lambda: (), lambda: NOW, past=Past(**known))
        (made,) = found.attributions.values()
        return made


def test_a_look_asks_for_the_trail_of_what_differs_and_of_nothing_else():
    looks = Looks(NOW)
    looks.audit(looked_at=BEFORE)
    assert [one for one in looks.asked if one.what == "trail"] == [Ask(b"/usr/bin/evil", "trail")]
    assert looks.audit(looked_at=BEFORE).session.key == "SHA256:ann"


def test_a_look_ties_what_it_found_to_who_was_there():
    made = Looks(NOW - timedelta(minutes=5)).audit(looked_at=BEFORE)
    assert (made.level, made.session.key, made.session.confidence) == (Level.PROBABLE, "SHA256:ann", "unverified")
    assert "unverified" in made.why
    assert Looks(NOW - timedelta(minutes=15)).audit(looked_at=BEFORE).level is Level.NONE
    ben = replace(ANN, key="SHA256:ben", port=8, started_at=NOW - timedelta(minutes=6))
    assert Looks(NOW - timedelta(minutes=5), others=(ANN, ben)).audit(looked_at=BEFORE).level is Level.POSSIBLE
    only_before = Looks(NOW - timedelta(minutes=5), others=()).audit(looked_at=BEFORE, sessions=[ANN])
    assert only_before.session == ANN, "the log tells of it no more"


def test_the_kernels_word_proves_it():
    live = replace(ANN, live=True, ended_at=None, pid=77, evidence="log+process", number=4)
    made = Looks(NOW, [[b"wrote", 4, 1, [90, 77]]], (live,)).audit(looked_at=BEFORE)
    assert (made.level, made.session.key) == (Level.PROVED, "SHA256:ann")


def test_a_clock_that_is_ahead_is_allowed_for():
    ahead = timedelta(hours=3)
    came = Session("ssh", "root", "10.0.0.1", NOW + ahead, live=True, ancestor=True, evidence="log+process", port=1)
    ann = replace(ANN, started_at=ANN.started_at + ahead, ended_at=ANN.ended_at + ahead)
    made = Looks(NOW + ahead - timedelta(minutes=5), others=(came, ann)).audit(looked_at=BEFORE)
    assert (made.level, made.session.key) == (Level.PROBABLE, "SHA256:ann")


@pytest.fixture
def fleet(tmp_path):
    made = Fleet(tmp_path)
    yield made
    made.close()


TIED = Attribution(Level.PROBABLE, "nobody else was there", MALLORY)


def attributed(fleet, *findings, made=TIED, others=(MALLORY,)):
    """One look that found these, and what it ties the first of them to."""
    plain = fleet.look

    def look(instance):
        return replace(plain(instance), attributions={findings[0].signature: made})

    fleet.look = look
    fleet.restart()
    fleet.one(drifted(*findings), others)
    fleet.look = plain
    return fleet.read("attributions", "i-0002")


def test_it_is_kept_with_the_finding_and_told(fleet):
    fleet.one(CLEAN)
    (kept,) = attributed(fleet, EDITED, VISITED).values()
    assert (kept.level, kept.session.key) == (Level.PROBABLE, "SHA256:m")
    said = [one.text for one in fleet.read("unsent")]
    assert any("; by what is known it was mallory's key SHA256:m from 203.0.113.9 (1 probable)" in one for one in said)


def test_the_first_stands_unless_a_later_one_is_surer(fleet):
    attributed(fleet, EDITED, VISITED)
    (kept,) = attributed(fleet, EDITED, VISITED, made=Attribution(Level.POSSIBLE, "several")).values()
    assert kept.level is Level.PROBABLE
    (kept,) = attributed(fleet, EDITED, VISITED, made=replace(TIED, level=Level.PROVED)).values()
    assert kept.level is Level.PROVED


def test_the_next_look_is_told_of_it(fleet):
    attributed(fleet, EDITED, VISITED)
    instance = fleet.provider.compute.describe("i-0002")
    known = past(fleet.store, instance)
    assert known.attributed[EDITED.signature].session.key == "SHA256:m"
    assert [one.key for one in known.sessions] == ["SHA256:m"]
    assert known.looked_at == fleet.read("instance", "i-0002").looked_at
    scene = Scene(NOW, known.looked_at, standing=known.attributed)
    assert attribute([EDITED], {}, scene)[EDITED.signature].level is Level.PROBABLE


def test_its_history_says_what_each_session_did(fleet):
    attributed(fleet, EDITED, VISITED)
    row = fleet.read("instance", "i-0002")
    rows = fleet.read("open_findings", "i-0002")
    made = history(row, fleet.read("sessions", "i-0002"), rows, [], [], None, fleet.read("attributions", "i-0002"))
    (session,) = (one.says for one in made.events if one.what == "session")
    assert session.endswith("; changed 1 file (1 probable)")
    (found,) = (one.says for one in made.events if one.what == "finding")
    assert found.endswith("; probable: mallory's key SHA256:m from 203.0.113.9; nobody else was there")
