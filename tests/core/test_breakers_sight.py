"""C4 to C6: ill health with hysteresis, blindness, an inventory that cannot be."""

from dataclasses import replace
from datetime import timedelta

import pytest
from breaking import MIN, NOW, QUIET, Watched, record, slots, standing
from hypothesis import given
from hypothesis import strategies as st

from driftd.core.breakers.facts import Facts, Pass
from driftd.core.breakers.table import cannot_close
from driftd.core.replacement import State as Step

WEB = "group:web"


def served(size, ready, zones=None, records=(), group="web"):
    up = frozenset(sorted(slots(size, group))[:ready]) if ready is not None else None
    return Facts(groups={group: standing(size, group, ready=up, zones=zones or {})}, records=records)


@pytest.mark.parametrize(
    ("size", "ready", "opens"),
    [
        (1, 1, False),
        (1, 0, True),
        (2, 1, True),
        (3, 2, False),
        (3, 1, True),
        (6, 4, False),
        (9, 6, False),
        (9, 5, True),
        (100, 67, False),
        (100, 66, True),
        (0, 0, False),
        (9, None, False),
    ],
)
def test_more_than_a_third_not_ready_stops_the_group(size, ready, opens):
    watched = Watched()
    watched.see(served(size, ready))
    assert watched.open("C4") == ({WEB} if opens else set())


def test_what_driftd_took_out_itself_is_not_ill():
    own = [record(f"r{n}", Step.DRAINING, slot=f"web/{n}") for n in (6, 7, 8)]
    watched = Watched()
    watched.see(served(9, 5, records=own))
    assert not watched.open()
    watched.see(served(9, 5, records=[record("r", Step.ADMITTING, slot=f"web/{n}") for n in (6, 7, 8)]))
    assert watched.open() == {WEB}


def test_it_closes_after_a_quarter_of_an_hour_below_half_the_limit():
    watched = Watched()
    watched.see(served(100, 60))
    watched.see(served(100, 83), 1)  # 17 are not less than half of 33
    watched.see(served(100, 83), 60)
    assert watched.open() == {WEB}
    watched.see(served(100, 84), 1)
    watched.see(served(100, 84), 14.9)
    assert watched.open() == {WEB}
    watched.see(served(100, 70), 0.05)
    watched.see(served(100, 84), 1)
    watched.see(served(100, 84), 14.9)
    assert watched.open() == {WEB}, "it has to be calm without a break"
    watched.see(served(100, 84), 0.2)
    assert not watched.open()


def test_while_nobody_can_be_asked_it_stays_as_it_is():
    watched = Watched()
    watched.see(served(9, 3))
    watched.see(served(9, None), 600)
    assert watched.open() == {WEB}
    watched.see(Facts(), 1)
    watched.see(Facts(), 15)
    assert not watched.open(), "its group is not configured any more"


@given(st.lists(st.tuples(st.integers(0, 20), st.floats(0, 40)), max_size=40))
def test_hysteresis_never_flaps(history):
    watched = Watched()
    closed_at = None
    calm_since = None
    for ill, minutes in history:
        for change in watched.see(served(20, 20 - ill), minutes):
            if change.what == "opened":
                assert 100 * ill // 20 > 33
            if change.what == "closed":
                closed_at = watched.now
                assert calm_since is not None
                assert closed_at - calm_since >= 15 * MIN
        calm_since = (calm_since or watched.now) if 200 * ill < 33 * 20 else None


def test_zones_and_all_of_them():
    zones = {slot: f"z{n % 3}" for n, slot in enumerate(sorted(slots(9)))}

    def down(*names):
        up = frozenset(slot for slot, zone in zones.items() if zone not in names)
        return Facts(groups={"web": standing(9, ready=up, zones=zones)})

    watched = Watched()
    watched.see(down("z1"))
    assert watched.open() == {"zone:z1"}, "a third of the group is no more than a third"
    watched.see(down("z0", "z1", "z2"), 1)
    assert watched.open() == {WEB, "zone:z0", "zone:z1", "zone:z2", "fleet"}
    watched.see(down(), 1)
    watched.see(down(), 15)
    assert not watched.open()


def test_a_zone_that_nobody_is_in_any_more_closes_and_one_that_nobody_can_be_asked_about_does_not():
    zones = {slot: "a" if n else "b" for n, slot in enumerate(sorted(slots(9)))}
    watched = Watched()
    watched.see(Facts(groups={"web": standing(9, ready=slots(9) - {"web/0"}, zones=zones)}))
    assert watched.open() == {"zone:b"}
    for minutes in (1, 60):
        watched.see(Facts(groups={"web": standing(9, ready=None, zones=zones)}), minutes)
    assert watched.open() == {"zone:b"}
    for minutes in (1, 15):
        watched.see(Facts(groups={"web": standing(9, ready=slots(9))}), minutes)
    assert not watched.open()


# --- C5 ---


def seen(reported, expected, *passes, groups=("web",)):
    return Facts(
        groups={name: standing(expected, name, expected=expected, reported=reported) for name in groups}, passes=passes
    )


@pytest.mark.parametrize(
    ("reported", "expected", "opens"),
    [(3, 3, False), (2, 3, True), (19, 20, False), (94, 100, True), (95, 100, False), (0, 0, False)],
)
def test_who_sees_too_few_is_blind(reported, expected, opens):
    watched = Watched()
    watched.see(seen(reported, expected))
    assert watched.open("C5") >= ({WEB} if opens else set())
    assert (WEB in watched.open("C5")) is opens


def passed(minutes, size=3, reported=3, unseen="", group="web", known=3):
    return Pass(group, NOW + minutes * MIN, size, known, 3, reported, unseen)


def test_two_full_passes_open_its_eyes():
    watched = Watched()
    blind = passed(0, unseen="throttled")
    watched.see(seen(3, 3, blind))
    assert "throttled" in watched.rows["C5", WEB].why
    for passes in ([passed(1)], [passed(1), passed(2, reported=2)], [passed(1), passed(2, reported=2), passed(3)]):
        watched.see(seen(3, 3, blind, *passes), 1)
        assert watched.open() == {WEB}
    watched.see(seen(3, 3, blind, passed(1), passed(2, reported=2), passed(3), passed(4)), 1)
    assert not watched.open()


def test_passes_from_before_it_was_blind_do_not_count():
    watched = Watched(now=NOW + 5 * MIN)
    full = [passed(1), passed(2)]
    watched.see(seen(1, 3, *full))
    watched.see(seen(3, 3, *full), 1)
    assert watched.open() == {WEB}


def test_where_all_groups_are_blind_driftd_is():
    watched = Watched()
    watched.see(seen(0, 3, groups=("web", "db")))
    assert watched.open() == {WEB, "group:db", "fleet"}
    watched.see(seen(3, 3, *(passed(m, group=g) for g in ("web", "db") for m in (1, 2)), groups=("web", "db")), 3)
    assert not watched.open()


# --- C6 ---


def sizes(*numbers, known=9, group="web", start=0):
    return [Pass(group, NOW + (start + n) * MIN, size, known) for n, size in enumerate(numbers)]


def pass_facts(*passes):
    return Facts(groups={"web": standing(9), "db": standing(9, "db")}, passes=passes)


@pytest.mark.parametrize(
    ("numbers", "opens"),
    [
        ([9], False),
        ([9, 9], False),
        ([3, 2], False),
        ([3, 4], False),
        ([4, 2], True),
        ([10, 8], False),
        ([10, 7], True),
        ([10, 20], True),
        ([100, 121], True),
        ([100, 120], False),
        ([0, 9], False),
        ([9, 0], True),
        ([0], True),
    ],
)
def test_a_size_that_cannot_be(numbers, opens):
    watched = Watched(now=NOW + 5 * MIN)
    watched.see(pass_facts(*sizes(*numbers)))
    assert watched.open() == ({"fleet"} if opens else set())


def test_an_inventory_that_was_always_empty_is_no_news():
    watched = Watched(now=NOW + 5 * MIN)
    watched.see(pass_facts(*sizes(0, 0, known=0)))
    assert not watched.open()


def test_a_failed_pass_in_between_hides_no_change():
    watched = Watched(now=NOW + 5 * MIN)
    watched.see(pass_facts(*sizes(10), Pass("web", NOW + MIN, 0, unseen="no answer"), *sizes(5, start=2)))
    assert "fleet" in watched.open("C6")
    assert "went from 10 to 5" in watched.rows["C6", "fleet"].why


def test_two_passes_of_the_same_size_close_it_and_no_person_need_to():
    watched = Watched(now=NOW + 1.5 * MIN)
    watched.see(pass_facts(*sizes(10, 5)))
    assert "2 passes" in watched.rows["C6", "fleet"].closes_by
    assert cannot_close(watched.rows["C6", "fleet"])
    watched.see(pass_facts(*sizes(10, 5, 5)), 1)
    assert watched.open() == {"fleet"}
    watched.see(pass_facts(*sizes(10, 5, 5, 6)), 1)
    assert watched.open() == {"fleet"}
    watched.see(pass_facts(*sizes(10, 5, 5, 6, 6)), 1)
    assert not watched.open()


def test_only_a_person_closes_it_where_it_was_empty():
    watched = Watched(now=NOW + 1.5 * MIN)
    watched.see(pass_facts(*sizes(9, 0)))
    assert not cannot_close(watched.rows["C6", "fleet"])
    watched.see(pass_facts(*sizes(9, 0, 9, 9, 9, 9)), 60)
    assert watched.open() == {"fleet"}
    watched.reset("C6", "fleet")
    watched.see(pass_facts(*sizes(9, 0, 9, 9, 9, 9)), 1)
    assert not watched.open()
    watched.see(pass_facts(*sizes(9, 9, start=100), *sizes(0, start=102)), 60)
    assert watched.open() == {"fleet"}, "empty once more is news"


def test_empty_after_a_change_of_size_is_a_persons_as_well():
    watched = Watched(now=NOW + 1.5 * MIN)
    watched.see(pass_facts(*sizes(10, 5)))
    watched.see(pass_facts(*sizes(10, 5), *sizes(9, 0, group="db", start=1)), 1)
    row = watched.rows["C6", "fleet"]
    assert (row.basis, row.closes_by) == ("empty:db,size:web", "a person")
    watched.see(pass_facts(*sizes(10, 5, 5, 5, 5), *sizes(9, 0, 9, 9, group="db", start=1)), 10)
    assert watched.rows["C6", "fleet"].basis == "empty:db"
    assert watched.open() == {"fleet"}


@given(st.lists(st.integers(0, 30), min_size=1, max_size=25))
def test_an_empty_inventory_stays_a_persons_whatever_comes_after(numbers):
    watched = Watched(replace(QUIET, full_passes=2))
    empty = False
    for upto in range(1, len(numbers) + 1):
        made = sizes(*numbers[:upto], known=9)
        watched.now = made[-1].at + timedelta(seconds=1)
        watched.see(pass_facts(*made))
        empty = empty or numbers[upto - 1] == 0
        if empty:
            assert watched.open() == {"fleet"}
