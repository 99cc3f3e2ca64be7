"""Slow start: one, then twice as many after each proven success; a failure, or a clean group, starts it again."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.core.guards import width as slow_start
from driftd.core.guards.width import WIDEST, Earned, Widths, width
from driftd.core.replacement import Record, State

T0 = datetime(2030, 1, 1, tzinfo=UTC)
OVER = [State.SUCCEEDED, State.FAILED_CLEAN, State.ABORTED_SAFE, State.STUCK, State.CANCELLED]


def at(minute):
    return T0 + timedelta(minutes=minute)


def record(rid, state=State.ADMITTING, began=0, entered=0, **more):
    values = {"group": "web", "slot": f"web/{rid}", "image": "img", "signature": "sig"} | more
    return Record(
        rid=rid, old_id=f"old-{rid}", why="drift", state=state, created_at=at(began), entered_at=at(entered), **values
    )


def widths(history, zones=None):
    return slow_start.widths(history, history, zones)


WAITS = record("waits")


@pytest.mark.parametrize(
    ("ends", "allowed"),
    [
        ([], 1),
        ([State.SUCCEEDED], 2),
        ([State.SUCCEEDED] * 3, 8),
        ([State.SUCCEEDED] * 2 + [State.FAILED_CLEAN], 1),
        ([State.SUCCEEDED, State.ABORTED_SAFE, State.SUCCEEDED], 2),
        ([State.SUCCEEDED, State.STUCK], 1),
        ([State.SUCCEEDED, State.CANCELLED, State.SUCCEEDED], 4),
        ([State.SUCCEEDED] * 30, WIDEST),
    ],
)
def test_each_success_doubles_it_and_a_failure_starts_it_again(ends, allowed):
    history = [record(f"r{n}", state, entered=n + 1) for n, state in enumerate(ends)]
    assert width([*history, WAITS]).allowed == allowed
    assert width([WAITS, *reversed(history)]).allowed == allowed


def test_a_clean_group_starts_at_one_again():
    history = [record(f"r{n}", State.SUCCEEDED, entered=n + 1) for n in range(4)]
    assert width(history).allowed == 1
    later = record("later", began=10)
    assert width([*history, later]) == Earned(1)
    at_once = record("at-once", began=4)
    assert width([*history, at_once]).allowed == 1
    overlapping = record("overlapping", began=3)
    assert width([*history, overlapping]).allowed == 16


def test_one_asked_for_by_hand_proves_and_fails_but_is_no_drift():
    by_hand = record("hand", State.SUCCEEDED, entered=2, manual=True)
    assert width([by_hand]).allowed == 1
    assert width([by_hand, WAITS]).allowed == 2
    failed = record("hand2", State.FAILED_CLEAN, entered=3, manual=True)
    assert width([by_hand, failed, WAITS]).allowed == 1
    open_by_hand = record("hand3", State.SOAKING, began=1, manual=True)
    assert width([open_by_hand, record("r", State.SUCCEEDED, entered=2), record("new", began=5)]).allowed == 1


def test_one_that_was_over_at_once_does_not_make_the_group_clean():
    history = [record("a", State.SUCCEEDED, entered=1), WAITS, record("b", State.CANCELLED, began=5, entered=5)]
    assert width(history).allowed == 2


def test_only_what_was_admitted_is_under_way():
    states = [State.CONFIRMING, State.ADMITTING, State.PLANNING, State.SOAKING, State.UNDOING, State.SUCCEEDED]
    history = [record(state, state, entered=1) for state in states]
    assert width(history).in_flight == 3


def model(steps):
    """The rule, told as a story in time instead of computed from a history."""
    narrow, waiting = 1, 0
    for step in steps:
        if step == "drift":
            narrow = narrow if waiting else 1
            waiting += 1
        elif waiting:
            narrow = {"succeeded": min(2 * narrow, WIDEST), "failed": 1, "cancelled": narrow}[step]
            waiting -= 1
    return narrow if waiting else 1


@given(st.lists(st.sampled_from(["drift", "drift", "succeeded", "succeeded", "failed", "cancelled"]), max_size=40))
def test_it_is_what_the_story_says(steps):
    state_of = {"succeeded": State.SUCCEEDED, "failed": State.FAILED_CLEAN, "cancelled": State.CANCELLED}
    history, waiting = [], []
    for minute, step in enumerate(steps):
        if step == "drift":
            waiting.append((f"r{minute}", minute))
        elif waiting:
            rid, began = waiting.pop(0)
            history.append(record(rid, state_of[step], began, minute))
    history += [record(rid, State.ADMITTING, began, began) for rid, began in waiting]
    assert width(history).allowed == model(steps)
    assert width(history[::-1]) == width(history)


@given(st.lists(st.sampled_from(OVER), max_size=12), st.integers(0, 12))
def test_a_history_that_was_cut_off_never_makes_it_wider(ends, lost):
    history = [record(f"r{n}", state, entered=n + 1) for n, state in enumerate(ends)]
    assert width([*history[lost:], WAITS]).allowed <= width([*history, WAITS]).allowed


def test_the_narrowest_domain_decides_and_says_its_arithmetic():
    history = [
        record("a", State.SUCCEEDED, entered=1, signature="one"),
        record("b", State.SOAKING, signature="one"),
        record("c", signature="one"),
        record("d", signature="two"),
        record("e", State.DRAINING, group="db", slot="db/1", signature="two"),
    ]
    found = widths(history, {"web/b": "z1", "web/c": "z1", "web/d": "z2"})
    assert found.refusal(history[3]) == (
        "this kind of drift has 1 under way, and slow start allows 1: 0 succeeded since it was clean, "
        "and each success doubles it"
    )
    assert found.refusal(history[2]).startswith("zone z1 has 1 under way, and slow start allows 1")
    assert widths(history).refusal(history[2]) == ""
    assert (
        widths([*history, record("f", State.BOOTING, signature="one")])
        .refusal(history[2])
        .startswith("web has 2 under way, and slow start allows 2: 1 succeeded since it was clean")
    )


def test_after_a_failure_the_sentence_says_so():
    history = [record("a", State.FAILED_CLEAN, entered=1), record("b", State.BOOTING), WAITS]
    assert "0 succeeded since the last one failed" in widths(history).refusal(WAITS)


def test_a_zone_is_known_by_whoever_is_left():
    history = [
        record("a", State.SUCCEEDED, entered=1, new_id="new-a", group="db", signature="x"),
        record("b", State.BOOTING, signature="y"),
        record("c", signature="z"),
    ]
    found = widths(history, {"new-a": "z1", "old-b": "z1", "old-c": "z1"})
    assert found.zones["z1"] == Earned(2, 1, 1, kinds=frozenset({("img", "x")}), going=frozenset({("img", "y")}))


# --- who goes first --------------------------------------------------------------------------------------------------


def first(waits, *history):
    return widths([*history, waits]).canary(waits)


def test_the_first_of_a_kind_is_the_canary_until_one_succeeded():
    assert first(WAITS)
    assert first(WAITS, record("a", State.SOAKING))
    assert not first(WAITS, record("a", State.SUCCEEDED, entered=1))


def test_another_image_signature_or_group_proves_nothing():
    assert first(WAITS, record("a", State.SUCCEEDED, entered=1, image="other"))
    assert first(WAITS, record("a", State.SUCCEEDED, entered=1, signature="other"))
    assert first(WAITS, record("a", State.SUCCEEDED, entered=1, group="db"))


def test_every_part_of_a_signature_has_to_be_proven():
    both = record("both", signature="a+b")
    one, other = (record(x, State.SUCCEEDED, entered=1, signature=x) for x in "ab")
    assert first(both, one)
    assert not first(both, one, other)
    assert not first(record("one", signature="a"), record("x", State.SUCCEEDED, entered=1, signature="a+b"))


def test_a_failure_or_a_clean_group_takes_the_proof_away():
    proven = record("a", State.SUCCEEDED, entered=1)
    assert first(WAITS, proven, record("b", State.FAILED_CLEAN, entered=2))
    assert not first(WAITS, proven, record("b", State.CANCELLED, entered=2))
    assert first(record("later", began=5), proven)


def test_what_a_person_asked_for_is_watched_by_that_person():
    assert not first(record("hand", manual=True))


def test_while_the_canary_is_under_way_nobody_like_it_follows():
    """Even where the group itself may have several under way."""
    proven = [record(f"p{n}", State.SUCCEEDED, entered=n + 1) for n in range(2)]
    elsewhere = [record(f"e{n}", State.SUCCEEDED, entered=n + 1, group="db", signature="new") for n in range(2)]
    canary, waits = record("c", State.SOAKING, signature="new"), record("w", signature="new")
    found = widths([*proven, *elsewhere, canary, waits, WAITS])
    assert found.refusal(waits) == "web has one of its kind under way that goes first"
    assert found.refusal(WAITS) == ""


def test_only_the_domains_that_are_asked_about_are_told():
    history = [record("a", State.SUCCEEDED, entered=1, signature="x"), record("b", group="db", signature="y"), WAITS]
    told, known = slow_start.widths(history, [WAITS]), widths(history)
    assert told.groups == {"web": known.groups["web"]}
    assert told.signatures == {"sig": known.signatures["sig"]}


def test_nothing_known_is_a_width_of_one():
    assert Widths().refusal(WAITS) == ""
    assert Widths().canary(WAITS)
    assert Earned().allowed == 1
