"""C7 to C12: what comes from outside, what is new, what the provider refuses, what is left over; and persons."""

from dataclasses import replace
from datetime import timedelta

import pytest
from breaking import MIN, NOW, QUIET, Watched, alike, record, standing
from hypothesis import given
from hypothesis import strategies as st

from driftd.core.breakers.breaker import Breaker, State, place
from driftd.core.breakers.calls import back_off
from driftd.core.breakers.facts import Calls, Facts, Leftover, Pass, Reached, Version
from driftd.core.breakers.limits import DEFAULTS
from driftd.core.breakers.table import RULE, RULES, cannot_close
from driftd.core.replacement import State as Step

WEB = "group:web"
GROUPS = {"web": standing(9)}


@pytest.mark.parametrize(("rule", "name", "minutes"), [("C7", "alerts", 10), ("C11", "foreign", 5)])
def test_it_opens_at_once_and_closes_when_it_was_quiet(rule, name, minutes):
    watched = Watched()

    def said(sentence):
        return Facts(groups=GROUPS, **{name: {"web": sentence}})

    watched.see(said(""))
    assert not watched.open()
    watched.see(said("a deploy"))
    assert watched.open(rule) == {WEB}
    assert watched.rows[rule, WEB].why == "a deploy"
    watched.see(said(""), 1)
    watched.see(said(""), minutes - 0.1)
    watched.see(said("another"), 0.05)
    watched.see(said(""), 1)
    watched.see(said(""), minutes - 0.1)
    assert watched.open(rule) == {WEB}
    watched.see(said(""), 0.2)
    assert not watched.open()


# --- C8 ---


def version(what="driftd", scope="fleet", value="1", at=NOW):
    return Version(what, scope, value, at)


def test_what_is_new_is_observed_for_a_day():
    watched = Watched(DEFAULTS)
    watched.see(Facts(versions=[version()]))
    row = watched.rows["C8", "fleet"]
    assert (row.state, row.until) == (State.OPEN, NOW + timedelta(hours=24))
    watched.see(Facts(versions=[version()]), 24 * 60 - 1)
    assert watched.open() == {"fleet"}
    watched.see(Facts(versions=[version()]), 1)
    assert not watched.open()
    watched.see(Facts(versions=[version(value="2", at=watched.now)]))
    assert watched.open() == {"fleet"}


def test_a_person_approves_what_they_know_and_not_what_comes_next():
    watched = Watched(DEFAULTS)
    rules = version("the rules of web", WEB)
    watched.see(Facts(versions=[version(), rules]))
    assert watched.open() == {"fleet", WEB}
    watched.reset("C8", "fleet")
    watched.see(Facts(versions=[version(), rules]), 1)
    assert watched.open() == {WEB}
    watched.see(Facts(versions=[version(), version("probe", value="4", at=watched.now), rules]), 1)
    assert watched.open() == {"fleet", WEB}
    assert "driftd" not in watched.rows["C8", "fleet"].why.split(";")[0]


def test_without_observing_first_nothing_new_opens_anything():
    watched = Watched(QUIET)
    watched.see(Facts(versions=[version()]))
    assert not watched.rows


# --- C9 ---


def asked(*minutes, jitter=0.0):
    """Rows of minute, calls, failed and refused."""
    return Facts(
        calls=[
            Calls("aws", NOW + at * MIN, calls, failed, refused, "throttled") for at, calls, failed, refused in minutes
        ],
        jitter=jitter,
    )


@pytest.mark.parametrize(
    ("calls", "failed", "refused", "opens"),
    [(30, 3, 0, False), (30, 4, 0, True), (2, 2, 0, False), (3, 3, 0, True), (100, 0, 1, True), (100, 10, 0, False)],
)
def test_more_than_a_tenth_or_one_refused_launch(calls, failed, refused, opens):
    watched = Watched()
    watched.see(asked((0, calls, failed, refused)))
    assert watched.open() == ({"account:aws"} if opens else set())


def test_what_is_older_than_five_minutes_is_over():
    watched = Watched(now=NOW + 5.5 * MIN)
    watched.see(asked((0, 9, 9, 0)))
    assert not watched.open()


def test_it_waits_twice_as_long_each_time_and_forgets_after_an_hour():
    watched = Watched()
    watched.see(asked((0, 9, 9, 0)))
    row = ("C9", "account:aws")
    waits, at = [], 0.0
    for _ in range(6):
        one = watched.rows[row]
        wait = (one.until - watched.now) / MIN
        waits.append(wait)
        at += wait
        watched.see(asked((at - 0.5, 9, 9, 0)), wait)
    assert waits == [5, 10, 20, 40, 60, 60]
    wait = (watched.rows[row].until - watched.now) / MIN
    watched.see(asked(), wait)
    assert not watched.open()
    at = (watched.now - NOW) / MIN
    watched.see(asked((at + 1, 9, 9, 0)), 2)
    assert watched.rows[row].count > 0, "at once again: it goes on where it was"
    watched.see(asked(), 60)
    watched.see(asked(((watched.now - NOW) / MIN + 61, 9, 9, 0)), 62)
    assert watched.rows[row].count == 0


def test_what_opened_it_does_not_keep_it_open():
    watched = Watched(now=NOW + 0.5 * MIN)
    watched.see(asked((0, 9, 9, 0), jitter=-1.0))
    assert watched.rows["C9", "account:aws"].until == watched.now + 4 * MIN
    watched.see(asked((0, 9, 9, 0), (1, 9, 0, 0)), 4)
    assert not watched.open()


@given(st.integers(0, 200), st.floats(-9, 9))
def test_back_off_stays_within_its_bounds(times, jitter):
    span = back_off(times, jitter, DEFAULTS)
    plain = min(5 * 2 ** min(times, 9), 60)
    assert 0.8 * plain * MIN <= span <= 1.2 * plain * MIN


# --- C10, C12 ---


def test_what_is_left_over_holds_until_it_is_gone_or_a_person_has_seen_it():
    left = Leftover("r1", "stuck", NOW)
    facts = Facts(groups=GROUPS, leftovers={"web": [left]})
    watched = Watched()
    watched.see(facts)
    assert watched.open() == {WEB}
    watched.see(Facts(groups=GROUPS), 1)
    assert watched.open() == {WEB}, "nobody has looked"
    watched.see(Facts(groups=GROUPS, leftovers={"web": []}), 1)
    assert not watched.open()
    watched.see(facts, 1)
    assert watched.open() == {WEB}
    watched.reset("C10", WEB)
    watched.see(facts, 1)
    assert not watched.open()
    watched.see(Facts(groups=GROUPS, leftovers={"web": [left, Leftover("r2", "stuck", watched.now)]}), 1)
    assert watched.open() == {WEB}


def test_pace_is_shown_with_its_own_time():
    until = NOW + 4 * MIN
    watched = Watched()
    watched.see(Facts(groups=GROUPS, paced={"web": Reached("6 within the hour", until)}))
    assert watched.open() == {WEB}
    assert watched.rows["C12", WEB].until == until
    watched.see(Facts(groups=GROUPS), 1)
    assert not watched.open()


# --- all of them ---


def test_every_rule_is_in_the_table_once_and_in_order():
    assert [one.name for one in RULES] == [f"C{n}" for n in range(1, 13)]


def test_whom_a_person_may_close():
    may = {name for name, rule in RULE.items() if not rule.person}
    assert may == {"C1", "C2", "C3", "C8", "C10"}
    assert cannot_close(Breaker("C6", "fleet", State.OPEN, "", NOW, basis="size:web"))
    assert not cannot_close(Breaker("C6", "fleet", State.OPEN, "", NOW, basis="empty:web"))


def test_places_in_words():
    assert (place("fleet"), place("group:web"), place("image:a:b")) == ("the fleet", "group web", "image a:b")


EVENTS = st.sampled_from(["alike", "quiet", "fail", "good", "empty", "full", "alert", "busy", "sick", "loop"])


@given(st.lists(st.tuples(EVENTS, st.floats(0, 2000)), max_size=25))
def test_what_is_a_persons_never_closes_without_one(events):
    """Whatever happens and however long it lasts: C1, and C6 over an empty inventory."""
    watched = Watched()
    records, passes = [], []
    for number, (event, minutes) in enumerate(events):
        now = watched.now + minutes * MIN
        if event in {"fail", "good", "loop"}:
            state = Step.FAILED_CLEAN if event == "fail" else Step.SUCCEEDED
            records.append(record(f"r{number}", state, now, signature="0123456789ab" if event == "loop" else ""))
        if event in {"empty", "full"}:
            passes.append(Pass("web", now, 9 * (event == "full"), 9))
        held = {key for key in watched.holding() if key[0] == "C1" or watched.rows[key].basis.startswith("empty")}
        watched.see(
            Facts(
                groups={"web": standing(9, ready=frozenset() if event == "sick" else None, image="golden")},
                sightings=alike(9, at=now) if event == "alike" else (),
                records=records,
                passes=passes[-12:],
                alerts={"web": "fires" if event == "alert" else ""},
                foreign={"web": "deploys" if event == "busy" else ""},
            ),
            minutes,
        )
        assert held <= watched.holding()


def test_a_row_that_nothing_changes_is_no_change():
    watched = Watched()
    facts = Facts(groups={"web": standing(40)}, sightings=alike(8))
    assert [change.what for change in watched.see(facts)] == ["opened"]
    assert watched.see(facts) == []


def test_thresholds_are_what_is_asked():
    watched = Watched(replace(QUIET, ill_percent=80))
    watched.see(Facts(groups={"web": standing(10, ready=frozenset({"web/0", "web/1"}))}))
    assert not watched.open()
