"""C1: what happens to many at once is not replaced; what happens to one is."""

from dataclasses import replace
from datetime import timedelta

import pytest
from breaking import MIN, NOW, QUIET, Watched, X, Y, Z, alike, sighting, slots, standing
from hypothesis import given
from hypothesis import strategies as st

from driftd.core.breakers.facts import Facts, Standing

SCOPE = f"signature:{X}"


def see(seen, size=40, watched=None, minutes=0.0, **groups):
    watched = watched or Watched()
    watched.see(Facts(groups={"web": standing(size), **groups}, sightings=seen), minutes)
    return watched


@pytest.mark.parametrize(
    ("size", "many", "opens"),
    [
        (1, 1, False),
        (2, 1, False),
        (2, 2, True),
        (3, 1, False),
        (3, 2, False),
        (3, 3, True),
        (4, 3, False),
        (4, 4, True),
        (5, 4, False),
        (5, 5, True),
        (10, 4, False),
        (10, 5, True),
        (25, 5, True),
        (26, 5, False),  # 20 % are 5.2, so that 6 are needed
        (26, 6, True),
        (40, 7, False),
        (40, 8, True),
        (120, 23, True),  # 24 of the group, but 12 of the fleet
        (120, 11, False),
        (120, 12, True),
    ],
)
def test_how_many_of_a_group_may_drift_alike(size, many, opens):
    bystanders = {"db": standing(0 if size > 100 else 400, "db")}
    assert (SCOPE in see(alike(many), size, **bystanders).open()) is opens


@given(st.integers(1, 10), st.data())
def test_in_groups_of_one_to_ten_one_is_never_too_many_and_all_are_from_two_on(size, data):
    many = data.draw(st.integers(0, size))
    is_open = SCOPE in see(alike(many), size, db=standing(400, "db")).open()
    assert is_open is (many >= 5 or (2 <= size <= 4 and many == size))


def test_the_sentence_has_the_arithmetic():
    seen = [*alike(7), sighting(7, at=NOW - 10 * MIN)]
    why = see(seen).rows["C1", SCOPE].why
    assert why == (
        f"8 of 40 instances in web drifted alike ({X}: /etc/x modified) within 10 min; fewer than 8 may (the greater "
        "of 5 and 20 %): the manifest or the detector is probably wrong, or somebody changed them on purpose"
    )


def test_what_comes_slowly_is_not_alike_for_that():
    slowly = [sighting(n, at=NOW - 16 * n * MIN) for n in range(8)]
    assert not see(slowly, 40, db=standing(400, "db")).open()
    # Where a round of looks takes longer, it is as long as that.
    rare = Standing(slots(40), every=timedelta(hours=3))
    assert SCOPE in see(slowly, web=rare, db=standing(400, "db")).open()


@pytest.mark.parametrize("ago", [0, 14, 15, 16])
def test_those_that_were_replaced_meanwhile_count_for_as_long(ago):
    seen = [*alike(1), *(sighting(n, at=NOW - ago * MIN, ended_at=NOW - MIN) for n in range(1, 5))]
    assert (SCOPE in see(seen, 20).open()) is (ago < 15)


def test_a_slot_that_was_replaced_counts_once():
    again = [sighting(n, at=NOW - MIN, instance_id=f"new-{n}") for n in range(4)]
    assert not see([*alike(4), *again], 20).open()


@pytest.mark.parametrize(("groups", "opens"), [(1, False), (2, False), (3, True)])
def test_three_groups_stop_the_signature_and_the_fleet(groups, opens):
    names = ["web", "db", "mail"][:groups]
    others = {name: standing(40, name) for name in ("db", "mail")}
    seen = [sighting(1, group=name) for name in names]
    assert see(seen, **others).open() == ({SCOPE, "fleet"} if opens else set())


def test_ten_percent_of_the_fleet_over_groups():
    others = {"db": standing(60, "db")}
    of_both = [*alike(5), *alike(4, group="db")]
    assert not see(of_both, 40, **others).open()
    why = see([*of_both, sighting(9, group="db")], 40, **others).rows["C1", SCOPE].why
    assert "10 of 100 instances in 2 groups" in why
    assert "fewer than 10 may (the greater of 5 and 10 % of the fleet)" in why


def test_three_different_drifts_at_once_stop_the_fleet():
    def on(signature, first):
        return [sighting(n, signature) for n in range(first, first + 8)]

    two = see([*on(X, 0), *on(Y, 8)])
    assert two.open() == {SCOPE, f"signature:{Y}"}
    assert "fleet" in see([*on(X, 0), *on(Y, 8), *on(Z, 16)]).open()
    assert "fleet" not in see([*on(X, 0), *on(Y, 0), *on(Z, 0)]).open(), "three parts of one drift are one drift"


def test_drifts_that_a_person_saw_with_the_fleet_stop_it_no_more():
    def on(signature, first):
        return [sighting(n, signature) for n in range(first, first + 8)]

    three = [*on(X, 0), *on(Y, 8), *on(Z, 16)]
    watched = see(three)
    watched.reset("C1", "fleet")
    see(three, watched=watched, minutes=1)
    assert "fleet" not in watched.open()


def test_only_a_person_closes_it_and_what_they_saw_opens_it_no_more():
    db = standing(400, "db")
    watched = see(alike(8), db=db)
    for minutes in (1, 60, 6000):
        see([], watched=watched, minutes=minutes, db=db)
        assert SCOPE in watched.open()
    watched = see(alike(8), db=db)
    watched.reset("C1", SCOPE)
    see(alike(8), watched=watched, minutes=1, db=db)
    assert not watched.open()
    news = [sighting(n, at=watched.now + MIN) for n in range(10, 17)]
    see([*alike(8), *news], watched=watched, minutes=2, db=db)
    assert not watched.open(), "seven are fewer than eight"
    see([*alike(8), *news, sighting(17, at=watched.now)], watched=watched, minutes=1, db=db)
    assert SCOPE in watched.open()


def test_after_a_person_closed_the_fleet_the_same_groups_do_not_stop_it_again():
    others = {name: standing(40, name) for name in ("db", "mail")}
    seen = [sighting(1, group=name) for name in ("web", "db", "mail")]
    watched = see(seen, **others)
    watched.reset("C1", "fleet")
    see(seen, watched=watched, minutes=1, **others)
    assert watched.open() == {SCOPE}


def test_numbers_may_be_set():
    watched = Watched(replace(QUIET, alike=2, alike_percent=1))
    assert SCOPE in see(alike(2), watched=watched).open()


def test_of_groups_that_are_not_configured_nothing_is_said():
    assert not see(alike(40, group="gone")).open()
