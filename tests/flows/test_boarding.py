"""Boarding: one place for each incident, changed in place; crowds, crashes and an hour of silence."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from store_rows import finding, instance

from driftd.core.breakers.breaker import Breaker
from driftd.core.breakers.breaker import State as Breaking
from driftd.core.cards import Press
from driftd.core.errors import Refused, Throttled, Unavailable, Unreached
from driftd.core.findings import Severity, Verdict
from driftd.core.memory import Message
from driftd.core.replacement import Record, State
from driftd.edges.store import open_store
from driftd.flows import holding
from driftd.flows.boarding import Boarder
from driftd.flows.outlets import Outlet
from driftd.testing import Crash, FakeBoard, FakeClock

ALL = frozenset(Press)


class Room:
    """A store, a board, and whoever keeps it."""

    def __init__(self, home, **options) -> None:
        self.clock, self.board = FakeClock(), FakeBoard()
        self.store = open_store(f"sqlite:///{home / 'driftd.db'}")
        self.options = {"asks": lambda group: True, "may": ALL} | options
        self.begin()

    def begin(self, singly=5):
        """As after a restart."""
        outlet = Outlet("slack", Severity.LOW, singly)
        self.boarder = Boarder(self.store, self.board, outlet, ("slack",), clock=self.clock, **self.options)

    def there(self, *names, **others):
        with self.store.write() as tx:
            for name in names:
                drifted = {"verdict": Verdict.DRIFTED, "group": "web"} | others
                tx.put_instance(instance(name, **drifted))
                if others.get("verdict", Verdict.DRIFTED) is Verdict.DRIFTED:
                    tx.add_finding(name, finding(), self.clock())

    def says(self, name, text, code="drift", severity=Severity.HIGH, *, due_s=None, rid=""):
        now = self.clock()
        due = None if due_s is None else now + timedelta(seconds=due_s)
        with self.store.write() as tx:
            assert tx.say(Message(f"{code}/{name}/{text}", code, severity, text, name, rid, due=due), now)
            tx.journal("decision", name or "x", {"said": text}, now)

    def happens(self, what):
        with self.store.write() as tx:
            what(tx)
            tx.journal("observation", "x", {}, self.clock())

    def tick(self, seconds=1.0):
        said = self.boarder.tick()
        self.clock.advance(seconds)
        return said

    @property
    def places(self):
        return list(self.board.places.values())

    def unsent(self):
        with self.store.read() as tx:
            return [one.text for one in tx.unsent()]

    def open(self):
        with self.store.read() as tx:
            return [one.key for one in tx.incidents("slack")]


@pytest.fixture
def room(tmp_path):
    made = Room(tmp_path)
    yield made
    made.store.close()


def record(clock, **others):
    now = clock()
    values = {"rid": "R1", "group": "web", "slot": "web/i-1", "image": "img", "old_id": "i-1", "why": "it drifted"}
    return Record(**values | {"state": State.ADMITTING, "created_at": now, "entered_at": now} | others)


def test_an_incident_is_one_place_that_changes_until_it_is_over(room):
    room.there("i-1")
    room.says("i-1", "i-1 in web drifted")
    assert room.tick() == []
    [place] = room.places
    assert place.card.title == "web/i-1 in web: drifted"
    assert any("/etc/passwd" in line for line in place.card.changes)
    room.happens(lambda tx: tx.add_replacement(record(room.clock)))
    room.tick()
    assert place.card.title == "web/i-1 in web: waits for approval"
    assert {one.press for one in place.card.buttons} == ALL
    holding.approve(room.store, "R1", "jane", room.clock())
    room.tick()
    assert ("Approved by", "jane") in place.card.fields
    assert Press.APPROVE not in {one.press for one in place.card.buttons}
    assert place.card.title == "web/i-1 in web: replacement admitting"
    room.says("i-1", "i-1 in web is being replaced", "replacement-launching", Severity.INFO, rid="R1")
    room.tick()
    assert place.lines == ["jane: approve", "i-1 in web is being replaced"]

    def done(tx):
        tx.save_replacement(replace(tx.replacement("R1"), state=State.SUCCEEDED, new_id="i-9"))
        tx.put_instance(replace(tx.instance("i-1"), gone_at=room.clock()))

    room.happens(done)
    room.says("i-1", "the replacement of i-1 is over", "replacement-succeeded", Severity.INFO, rid="R1")
    room.tick()
    room.tick()
    assert place.lines[2:] == ["the replacement of i-1 is over"]
    assert place.card.over
    assert place.card.title == "web/i-1 in web: replaced by i-9"
    assert place.card.buttons == ()
    assert (len(room.places), room.open(), room.unsent()) == (1, [], [])


def test_nothing_is_updated_while_nothing_changes(room):
    room.there("i-1")
    room.says("i-1", "drifted")
    for _ in range(200):
        room.tick()
    assert room.places[0].updates == 0


def test_what_others_may_join_is_shown_at_once_and_changes_with_them(room):
    room.there("i-1", "i-2")
    room.says("i-1", "i-1 drifted", due_s=60)
    room.tick()
    assert room.places[0].card.text == "i-1 drifted"
    assert room.unsent() == ["i-1 drifted"]

    def joins(tx):
        [message] = tx.unsent()
        tx.retell(replace(message, text="2 instances drifted", severity=Severity.CRITICAL))

    room.happens(joins)
    room.tick()
    assert (room.places[0].card.text, room.places[0].card.severity) == ("2 instances drifted", Severity.CRITICAL)
    room.clock.advance(60)
    room.tick()
    assert room.unsent() == []
    assert (len(room.places), room.places[0].lines) == (1, [])


def test_a_restart_forgets_nothing(room):
    room.there("i-1")
    room.says("i-1", "drifted", due_s=60)
    room.tick()
    room.begin()
    room.tick()
    room.clock.advance(60)
    room.begin()
    room.tick()
    room.says("i-1", "more", "session")
    room.begin()
    room.tick()
    assert (len(room.places), room.places[0].lines, room.unsent()) == (1, ["more"], [])


def test_a_crash_between_the_call_and_its_outcome_makes_one_that_says_so(room):
    room.there("i-1")
    room.says("i-1", "drifted")
    posting = room.board.post

    def dies(card, *, doubt):
        posting(card, doubt=doubt)
        raise Crash

    room.board.post = dies
    with pytest.raises(Crash):
        room.tick()
    room.board.post = posting
    room.begin()
    for _ in range(5):
        room.tick()
    assert [place.lines for place in room.places] == [[], ["drifted (may be said twice)"]]


def test_a_crash_before_the_call_makes_one_that_says_so_too(room):
    """Nobody knows then, either."""
    room.there("i-1")
    room.says("i-1", "drifted")
    room.board.down = Crash()
    with pytest.raises(Crash):
        room.tick()
    room.board.down = None
    room.begin()
    room.tick()
    assert [place.lines for place in room.places] == [["drifted (may be said twice)"]]


def test_what_surely_did_not_arrive_is_said_without_a_doubt(room):
    room.there("i-1")
    room.says("i-1", "drifted")
    for error in (Unreached("down"), Throttled("often", retry_after_s=30)):
        room.board.down = error
        assert "tried again" in room.tick(60)[0]
    room.board.down = None
    room.tick()
    assert [place.lines for place in room.places] == [[]]


def test_many_at_once_are_one_place_and_what_follows_stands_there(room):
    names = [f"i-{number}" for number in range(30)]
    room.there(*names)
    for name in names:
        room.says(name, f"{name} drifted")
    room.tick()
    [crowd] = room.places
    assert crowd.card is None
    assert all(f"{name} drifted" in crowd.lines[0] for name in names)
    for name in names:
        room.says(name, f"{name} is being replaced", "replacement-launching", Severity.INFO)
    room.tick()
    assert len(room.places) == 1
    assert len(crowd.lines) == 2
    assert room.unsent() == []


def test_an_hour_of_silence_loses_nothing_and_ends_without_a_flood(room):
    said = []
    for number in range(120):
        room.there(f"i-{number}")
        room.says(f"i-{number}", f"i-{number} drifted;")
        room.says(f"i-{number}", f"i-{number} was visited;", "session")
        said += [f"i-{number} drifted;", f"i-{number} was visited;"]
        room.board.down = Unreached("down")
        for _ in range(3):
            room.tick(10)
    room.board.down = None
    calls = room.board.posts
    for _ in range(40):
        room.tick(20)
    heard = "\n".join(
        line for place in room.places for line in [*place.lines, *([place.card.text] if place.card else [])]
    )
    assert [text for text in said if heard.count(text) != 1] == []
    assert room.board.posts - calls <= 3
    assert room.unsent() == []


def test_one_that_it_will_never_take_holds_up_no_other(room):
    room.there("i-1", "i-2")
    room.says("i-1", "bad")
    room.says("i-2", "good")
    posting = room.board.post

    def picky(card, *, doubt):
        if card.text == "bad":
            raise Refused("invalid_blocks")
        return posting(card, doubt=doubt)

    room.board.post = picky
    assert "invalid_blocks" in room.tick()[0]
    assert [place.card.text for place in room.places] == ["good"]


def test_what_somebody_deleted_is_begun_anew_with_what_comes_next(room):
    room.there("i-1")
    room.says("i-1", "drifted")
    room.tick()
    room.board.places.clear()
    room.happens(lambda tx: tx.put_instance(replace(tx.instance("i-1"), image="img-2")))
    room.tick()
    assert room.places == []
    room.says("i-1", "more", "session")
    room.tick()
    assert [place.card.text for place in room.places] == ["more"]


def test_what_is_not_severe_is_said_only_of_what_is_shown(room):
    room.there("i-1", "i-2")
    room.says("i-1", "held", "hold", Severity.INFO)
    room.says("i-2", "drifted")
    room.says("i-2", "held", "hold", Severity.INFO)
    room.tick()
    room.tick()
    assert [(place.card.instance_id, place.lines) for place in room.places] == [("i-2", ["held"])]
    assert room.unsent() == []


def test_what_is_no_instance_stands_for_itself(room):
    room.says("", "the journal is broken", "journal-broken", Severity.CRITICAL)
    room.tick()
    [place] = room.places
    assert place.card.text == "the journal is broken"
    room.tick()
    assert room.open() == []


def test_no_answer_to_an_update_is_no_doubt(room):
    room.there("i-1")
    room.says("i-1", "drifted")
    room.tick()
    room.happens(lambda tx: tx.put_instance(replace(tx.instance("i-1"), image="img-2")))
    room.board.down = Unavailable("no answer")
    room.tick(60)
    room.board.down = None
    room.tick()
    assert ("Image", "img-2") in room.places[0].card.fields
    assert room.places[0].lines == []


def moves(room, to, why):
    room.happens(lambda tx: tx.save_replacement(replace(tx.replacement("R1"), state=State(to))))
    room.happens(lambda tx: tx.journal("decision", "R1", {"to": to, "why": why}, room.clock()))


def test_the_steps_of_a_replacement_stand_below_it_each_once(room):
    room.there("i-1")
    room.says("i-1", "drifted")
    room.happens(lambda tx: tx.add_replacement(record(room.clock)))
    room.tick()
    moves(room, "planning", "every guard allows it")
    room.tick()
    moves(room, "launching", "planned")  # a message of its own
    moves(room, "booting", "i-9 was launched")
    room.tick()
    room.begin()
    room.tick()
    assert room.places[0].lines == ["planning: every guard allows it", "booting: i-9 was launched"]


def test_a_step_that_a_crash_left_open_is_told_again_and_says_so(room):
    room.there("i-1")
    room.says("i-1", "drifted")
    room.happens(lambda tx: tx.add_replacement(record(room.clock)))
    room.tick()
    following = room.board.follow

    def dies(ref, notice):
        following(ref, notice)
        raise Crash

    room.board.follow = dies
    moves(room, "planning", "allowed")
    with pytest.raises(Crash):
        room.tick()
    room.board.follow = following
    room.begin()
    room.tick()
    room.tick()
    assert room.places[0].lines == ["planning: allowed", "planning: allowed (may be said twice)"]


@pytest.mark.parametrize(
    "away", [Throttled("too many", retry_after_s=1), Unreached("no route"), Unavailable("no answer")]
)
def test_a_step_that_was_told_is_not_told_again_where_the_card_could_not_change(room, away):
    room.there("i-1")
    room.says("i-1", "drifted")
    room.happens(lambda tx: tx.add_replacement(record(room.clock)))
    room.tick()
    updating = room.board.update

    def refuses(ref, card):
        raise away

    room.board.update = refuses
    moves(room, "planning", "allowed")
    for _ in range(3):
        room.tick(300)
    room.board.update = updating
    room.tick(300)
    assert room.places[0].lines == ["planning: allowed"]
    assert room.places[0].card.title == "web/i-1 in web: replacement planning"


def test_a_change_that_is_never_taken_is_not_asked_for_again_and_holds_up_no_other(room):
    room.there("i-1", "i-2")
    room.says("i-1", "one")
    room.says("i-2", "two")
    room.tick()
    updating, asked = room.board.update, []

    def picky(ref, card):
        asked.append(card.text)
        if card.text == "one":
            raise Refused("invalid_blocks")
        return updating(ref, card)

    room.board.update = picky
    for name in ("i-1", "i-2"):
        room.happens(lambda tx, name=name: tx.put_instance(replace(tx.instance(name), image="img-2")))
    for _ in range(5):
        room.tick(60)
    assert sorted(asked) == ["one", "two"]


def test_what_stands_for_many_is_not_over_before_the_last_of_them(room):
    room.there("i-1", "i-2")
    room.says("i-1", "2 instances drifted")
    room.tick()
    for name, left in (("i-1", 1), ("i-2", 0)):
        room.happens(lambda tx, name=name: tx.put_instance(replace(tx.instance(name), gone_at=room.clock())))
        room.tick(60)
        room.tick(60)
        assert (len(room.open()), room.places[0].card.over) == (left, not left)


def test_a_board_that_forgets_is_told_again_while_it_lasts_and_once_that_it_is_over(tmp_path):
    """Alertmanager lets go of what nobody repeats."""
    room = Room(tmp_path, renew=timedelta(minutes=1))
    room.there("i-1")
    room.says("i-1", "drifted")
    for _ in range(31):
        room.tick(10)
    assert room.places[0].updates in {4, 5}
    room.happens(lambda tx: tx.put_instance(replace(tx.instance("i-1"), verdict=Verdict.CLEAN)))
    for _ in range(20):
        room.tick(10)
    assert room.places[0].card.over
    assert room.places[0].updates in {5, 6}
    room.store.close()


def test_a_place_that_was_named_anew_is_found_by_its_new_name_also_after_a_restart(room):
    room.board.renames = True
    room.there("i-1")
    room.says("i-1", "i-1 in web drifted")
    room.tick()
    for number, severity in enumerate((Severity.CRITICAL, Severity.MEDIUM), 1):
        room.says("i-1", f"more, {severity}", severity=severity)
        assert room.tick() == []
        room.begin()
        [place] = room.places
        assert (place.updates, place.card.severity, len(place.lines)) == (number, Severity.CRITICAL, number)
    assert room.board.posts == 1


def test_a_breaker_is_shown_until_it_closes(room):
    opened = Breaker("C1", "web", Breaking.OPEN, "much alike", room.clock())
    room.happens(lambda tx: tx.put_breaker(opened))
    with room.store.write() as tx:
        key = f"breaker/C1/web/opened/{room.clock().isoformat()}"
        tx.say(Message(key, "breaker-opened", Severity.CRITICAL, "C1 of web is open"), room.clock())
    room.tick()
    [place] = room.places
    assert (place.card.title, place.card.over) == ("breaker C1 web: open", False)
    room.happens(lambda tx: tx.put_breaker(replace(opened, state=Breaking.CLOSED)))
    room.tick()
    assert place.card.over
    assert room.open() == []
