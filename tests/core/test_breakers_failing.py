"""C2, replacements that fail, with its probes; C3, replacements that do not help."""

import pytest
from breaking import MIN, NOW, Watched, X, Y, record, standing
from hypothesis import given
from hypothesis import strategies as st

from driftd.core.breakers.breaker import State
from driftd.core.breakers.facts import Facts
from driftd.core.replacement import State as Step

BAD, GOOD = Step.FAILED_CLEAN, Step.SUCCEEDED


def ended(*states, group="web", start=NOW, step=MIN):
    return [record(f"{group}{n}", state, start + n * step, group=group) for n, state in enumerate(states)]


def facts(*records, image="golden", groups=("web", "db", "mail")):
    return Facts(groups={name: standing(9, name, image=image) for name in groups}, records=records)


@pytest.mark.parametrize(
    ("states", "opens"),
    [
        ([BAD], False),
        ([BAD, BAD], True),
        ([BAD, GOOD, BAD], False),
        ([BAD, Step.CANCELLED, BAD], True),
        ([Step.STUCK, Step.ABORTED_SAFE], True),
        ([BAD, BAD, GOOD], False),
        ([GOOD, GOOD], False),
    ],
)
def test_two_in_a_row_stop_the_group(states, opens):
    watched = Watched(now=NOW + 9 * MIN)
    watched.see(facts(*ended(*states)))
    assert watched.open("C2") == ({"group:web"} if opens else set())


@pytest.mark.parametrize(("apart", "opens"), [(1, True), (29, True), (31, False)])
def test_three_within_the_hour_anywhere_stop_the_fleet(apart, opens):
    spread = [record(name, BAD, NOW + n * apart * MIN, group=name) for n, name in enumerate(("web", "db", "mail"))]
    watched = Watched(now=NOW + 2 * apart * MIN)
    watched.see(facts(*spread))
    assert watched.open("C2") == ({"fleet"} if opens else set())


def test_what_failed_before_a_person_closed_it_does_not_open_it_again():
    watched = Watched(now=NOW + 9 * MIN)
    past = ended(BAD, BAD)
    watched.see(facts(*past))
    watched.reset("C2", "group:web")
    watched.see(facts(*past), 61)
    watched.see(facts(*past, record("n", BAD, watched.now)), 1)
    assert not watched.open()
    watched.see(facts(*past, record("n", BAD, watched.now), record("o", BAD, watched.now)), 1)
    assert "group:web" in watched.open()


def half_open():
    watched = Watched(now=NOW + 2 * MIN)
    past = ended(BAD, BAD)
    waiting = [record(f"w{n}", Step.ADMITTING, NOW + n * MIN) for n in range(3)]
    watched.see(facts(*past, *waiting))
    watched.see(facts(*past, *waiting), 29)
    assert watched.rows["C2", "group:web"].state is State.OPEN
    watched.see(facts(*past, *waiting), 1)
    one = watched.rows["C2", "group:web"]
    assert (one.state, one.probe) == (State.HALF_OPEN, "w0")
    return watched, past, waiting


def test_after_half_an_hour_one_probe_is_let_through_and_who_cannot_begin_makes_room():
    watched, past, waiting = half_open()
    watched.see(facts(*past, *waiting), 0.5)
    assert watched.rows["C2", "group:web"].probe == "w0"
    turns = []
    for _ in range(4):
        watched.see(facts(*past, *waiting), 1)
        turns.append(watched.rows["C2", "group:web"].probe)
    assert turns == ["w1", "w2", "w0", "w1"]


def test_a_probe_under_way_stays_the_probe():
    watched, past, waiting = half_open()
    begun = [record("w0", Step.BOOTING, NOW), *waiting[1:]]
    for _ in range(3):
        watched.see(facts(*past, *begun), 5)
        assert watched.rows["C2", "group:web"].probe == "w0"


def test_two_that_succeed_close_it():
    watched, past, waiting = half_open()
    first = record("w0", GOOD, watched.now + MIN)
    watched.see(facts(*past, first, *waiting[1:]), 2)
    one = watched.rows["C2", "group:web"]
    assert (one.state, one.count, one.probe) == (State.HALF_OPEN, 1, "w1")
    watched.see(facts(*past, first, record("w1", GOOD, watched.now + MIN)), 2)
    assert watched.rows["C2", "group:web"].state is State.CLOSED
    watched.see(facts(*past, first), 2)
    assert not watched.open(), "what failed before does not open it again"


def test_one_that_fails_opens_it_again_for_as_long():
    watched, past, _ = half_open()
    watched.see(facts(*past, record("w0", BAD, watched.now + MIN, fault="no boot")), 2)
    one = watched.rows["C2", "group:web"]
    assert (one.state, one.until) == (State.OPEN, watched.now + 30 * MIN)
    assert "no boot" in one.why


def test_the_probe_of_the_fleet_is_one_that_its_group_lets_through():
    past = [record(f"b{n}", BAD, NOW, group=group) for n, group in enumerate(("web", "web", "db"))]
    waiting = [record(f"w{n}", Step.ADMITTING, NOW + n * MIN) for n in range(3)]
    watched = Watched()
    watched.see(facts(*past, *waiting))
    assert watched.open("C2") == {"fleet", "group:web"}
    for minutes in (30, 1, 1, 1):
        watched.see(facts(*past, *waiting), minutes)
        assert watched.rows["C2", "fleet"].probe == watched.rows["C2", "group:web"].probe != ""


def test_the_fleet_does_not_probe_in_a_group_that_is_open():
    past = [record(f"b{n}", BAD, NOW, group="db") for n in range(3)]
    waiting = [record("a", Step.ADMITTING, NOW), record("z", Step.ADMITTING, NOW, group="db")]
    watched = Watched()
    watched.see(facts(*past, *waiting))
    past += [record(f"c{n}", BAD, NOW + 20 * MIN) for n in range(2)]
    watched.see(facts(*past, *waiting), 20)
    assert watched.open() == {"fleet", "group:db", "group:web"}
    watched.see(facts(*past, *waiting), 10)
    assert watched.open() == {"group:web"}
    assert watched.rows["C2", "fleet"].probe == "z"


@given(st.lists(st.sampled_from([BAD, GOOD, Step.CANCELLED, None]), max_size=30))
def test_a_half_open_breaker_never_names_two_probes_and_closes_only_on_proof(outcomes):
    watched, past, _ = half_open()
    row = ("C2", "group:web")
    good = 0
    for number, outcome in enumerate(outcomes):
        if outcome is not None:
            past.append(record(f"p{number}", outcome, watched.now + MIN))
        before = watched.rows[row].state
        watched.see(facts(*past, record("next", Step.ADMITTING, NOW)), 2)
        after = watched.rows[row]
        good = good + (outcome is GOOD) if before is State.HALF_OPEN and outcome is not BAD else 0
        assert after.probe in {"", "next"}
        if before is State.HALF_OPEN and after.state is State.CLOSED:
            assert good >= 2
            return


def again(times, signature=X, **others):
    return [record(f"r{n}", GOOD, NOW - n * MIN, signature=signature, **others) for n in range(times)]


def test_a_slot_that_drifts_alike_after_each_replacement_is_left_alone():
    watched = Watched()
    watched.see(facts(*again(1)))
    assert not watched.open()
    watched.see(facts(*again(2)))
    assert watched.open() == {"slot:web/1"}
    assert "slot web/1 was replaced 2 times within 1 d for the same drift" in watched.rows["C3", "slot:web/1"].why


@pytest.mark.parametrize(
    "others",
    [
        [record("a", GOOD, NOW, signature=X), record("b", GOOD, NOW, signature=Y)],
        [record("a", GOOD, NOW, signature=X), record("b", GOOD, NOW - 1441 * MIN, signature=X)],
        [record("a", GOOD, NOW, signature=X), record("b", GOOD, NOW, signature=X, slot="web/2")],
        [record("a", GOOD, NOW, signature=X), record("b", BAD, NOW, signature=X)],
        [record("a", GOOD, NOW), record("b", GOOD, NOW)],
    ],
    ids=["another drift", "long ago", "another slot", "it failed", "by hand"],
)
def test_what_is_no_loop(others):
    watched = Watched()
    watched.see(facts(*others))
    assert not watched.open()


def test_a_part_in_common_is_enough():
    watched = Watched()
    watched.see(facts(*again(1, f"{X}+{Y}"), record("b", GOOD, NOW, signature=Y)))
    assert watched.open() == {"slot:web/1"}


def test_two_slots_of_an_image_stop_the_image_and_another_image_closes_all():
    both = [*again(2), *(record(f"s{n}", GOOD, NOW, signature=X, slot="web/2") for n in range(2))]
    watched = Watched()
    watched.see(facts(*both))
    assert watched.open() == {"slot:web/1", "slot:web/2", "image:golden"}
    watched.see(facts(image="golden"), 3000)
    assert len(watched.open()) == 3, "time closes none"
    watched.see(facts(image=""), 1)
    assert len(watched.open()) == 3, "nobody knows the image"
    watched.see(facts(image="platinum"), 1)
    assert not watched.open()


def test_a_person_closes_a_loop_until_it_goes_round_again():
    watched = Watched()
    watched.see(facts(*again(2)))
    watched.reset("C3", "slot:web/1")
    watched.see(facts(*again(2)), 1)
    assert not watched.open()
    news = [record(f"n{n}", GOOD, watched.now + MIN, signature=X) for n in range(2)]
    watched.see(facts(*again(2), *news), 2)
    assert watched.open() == {"slot:web/1"}
