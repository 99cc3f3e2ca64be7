"""Each guard alone: when it says nothing, when it says no, with which arithmetic, and until when."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from guarding import FACTS, NAMES, NOW, OLD, RECORD, RULES, case, flight
from hypothesis import given
from hypothesis import strategies as st

from driftd.core.guards import ADMISSION, admission, allowed, going_on, health
from driftd.core.guards.calendar import WORK_HOURS, Calendar, Freeze
from driftd.core.guards.case import UNPACED, AtOnce, Case, Failures, GroupFacts, Held, Pace, Presence, Retired
from driftd.core.guards.pace import back_off_ends
from driftd.core.ports import Target, TargetState
from driftd.core.replacement import State

HAND = replace(RECORD, manual=True)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def ago(minutes: float) -> Retired:
    return Retired(NOW - minutes * MINUTE)


def lately(count: int) -> tuple[Retired, ...]:
    return tuple(ago(6 + 10 * number) for number in range(count))


def only(refusals):
    (one,) = refusals
    return one


def test_nothing_speaks_against_a_healthy_group():
    assert admission(case(), NOW) == []
    assert "10 of 10 in service, its minimum is 10 (100 % of 10)" in allowed(case())


APPROVE = replace(RULES, approve=True)
CLOSED = replace(RULES, calendar=WORK_HOURS)


@pytest.mark.parametrize(
    ("made", "guard", "said", "until"),
    [
        (
            case(size=9, flights=(flight(1, attended=True),)),
            "budget",
            "1 at once (10 % of 9 is 0; at least 1, at most 5): 1 is under way",
            None,
        ),
        (
            case(size=100, flights=tuple(flight(n) for n in range(1, 6))),
            "budget",
            "5 at once (10 % of 100 is 10; at least 1, at most 5): 5 are",
            None,
        ),
        (case(unready=frozenset({"i-3"})), "budget", "0 are under way already, 1 is not ready, 0 are ending", None),
        (case(ending=frozenset({"i-3", "i-4"})), "budget", "0 are not ready, 2 are ending by other hands", None),
        (case(fleet=10), "fleet", "the fleet has 10 replacements under way, and at most 10 may be", None),
        (
            case(size=1, healthy=frozenset({OLD})),
            "singleton",
            "replacing.allow_singleton: true, or ask for it by hand",
            None,
        ),
        (
            case(replace(HAND, variant="move"), replace(RULES, min_percent=0), size=1, healthy=frozenset({OLD})),
            "singleton",
            "replacing.allow_singleton: true (this one is a move)",
            None,
        ),
        (
            case(replace(RECORD, variant="move"), replace(RULES, min_percent=0), size=2),
            "singleton",
            "and of two none may go before",
            None,
        ),
        (
            case(size=40, flights=(flight(1, zone="b"),), zones={OLD: "a"}),
            "zone",
            "b is under way, and this one is in a",
            None,
        ),
        (
            case(HAND, size=40, flights=(flight(1, zone="b"), flight(2, zone="c")), zones={"web/0": "a"}),
            "zone",
            "b and c are under way, and this one is in a",
            None,
        ),
        (
            case(size=40, flights=(flight(1),), zones={OLD: "a"}),
            "zone",
            "an unknown zone is under way, and this one is in a",
            None,
        ),
        (
            case(size=40, flights=(flight(1, zone="b"),)),
            "zone",
            "b is under way, and this one is in an unknown zone",
            None,
        ),
        (
            case(healthy=frozenset(NAMES[:9])),
            "min healthy",
            "9 in service afterwards, and its minimum is 10 (100 % of 10)",
            None,
        ),
        (
            case(replace(RECORD, variant="move"), healthy=frozenset(NAMES[:9])),
            "min healthy",
            "8 in service meanwhile, and its minimum is 9 (90 % of 10)",
            None,
        ),
        (case(rules=replace(RULES, min_healthy=12, min_percent=0)), "min healthy", "and its minimum is 12", None),
        (
            case(retired=(ago(3),)),
            "pace",
            "at least 5 min pass between two; the next may go at 12:02:00 UTC",
            NOW + 2 * MINUTE,
        ),
        (
            case(size=5, retired=(replace(ago(8), attended=True),)),
            "pace",
            "1 of 5 in 24 h is the checkpoint at 20 %, watched for 10 min",
            NOW + 2 * MINUTE,
        ),
        (
            case(size=100, retired=lately(6)),
            "pace",
            "6 of web were retired within the hour and 0 are under way",
            NOW + 4 * MINUTE,
        ),
        (
            case(size=10, retired=(ago(90), ago(200))),
            "pace",
            "2 (20 % of 10) may go; the next may go at Thu 2030-01-03 08:40",
            NOW + 24 * HOUR - 200 * MINUTE,
        ),
        (
            case(failures=Failures(1, NOW)),
            "back-off",
            "1 replacement in web failed in a row; the next one waits until 12:30",
            NOW + 30 * MINUTE,
        ),
        (
            case(replace(RECORD, signature="s"), signatures={"s": Failures(2, NOW)}),
            "back-off",
            "2 replacements for drift of the same look (s)",
            NOW + HOUR,
        ),
        (case(stuck="S"), "stuck", "stuck (S); mend it (docs/stuck.md)", None),
        (case(rules=APPROVE), "approval", "enforce: approve); it waits for driftd approve R", None),
        (
            case(holds={OLD: Held("ann", "a crash", NOW + HOUR)}),
            "hold",
            "until 13:00:00 UTC: a crash; it waits for that, or for driftd release i-0",
            NOW + HOUR,
        ),
        (
            case(present={OLD: Presence(2, NOW - HOUR)}),
            "session",
            "2 live sessions on i-0, and nobody is cut off: it waits until the last one ends",
            None,
        ),
        (
            case(present={OLD: Presence(1, NOW - 24 * HOUR)}),
            "session",
            "1 live session on i-0, and nobody is cut off: it waits until the last one ends, which takes longer",
            None,
        ),
        (
            case(present={OLD: Presence(0, NOW - 24 * HOUR + 5 * MINUTE, NOW - MINUTE)}),
            "session",
            "and who was there may come back; it waits until 12:05:00 UTC",
            NOW + 5 * MINUTE,
        ),
        (
            case(present={OLD: Presence(0, None, NOW - 10 * MINUTE)}),
            "session",
            "and who was there may come back; it waits until 12:20:00 UTC",
            NOW + 20 * MINUTE,
        ),
        (case(foreign="a deploy is under way in web"), "foreign", "a deploy is under way in web; it waits", None),
        (case(cold="3 of 10 were looked at"), "cold start", "3 of 10 were looked at", None),
    ],
)
def test_each_guard_alone_refuses_with_its_arithmetic(made, guard, said, until):
    refusal = only(admission(made, NOW))
    assert refusal.guard == guard
    assert said in refusal.why
    assert refusal.until == until
    assert "\n" not in refusal.why
    assert not refusal.why.endswith(".")


@pytest.mark.parametrize(
    "made",
    [
        case(size=20, flights=(flight(1),)),
        case(size=9, unready=frozenset({OLD}), healthy=frozenset(NAMES[1:])),
        case(ending=frozenset({OLD})),
        case(rules=replace(RULES, allow_singleton=True), size=1, healthy=frozenset({OLD})),
        case(flights=(flight(1, zone="a"),), zones={OLD: "a"}, size=40),
        case(retired=(ago(5),)),
        case(size=50, retired=lately(5)),
        case(size=10, retired=(replace(ago(90), attended=True), replace(ago(200), attended=True), ago(300))),
        case(replace(RECORD, approved_by="ann"), APPROVE, retired=(ago(90), ago(200), ago(300))),
        case(failures=Failures(1, NOW - 31 * MINUTE)),
        case(holds={"i-1": Held("ann", "a crash", NOW + HOUR)}),
        case(holds={OLD: Held("ann", "a crash", NOW)}),
        case(present={OLD: Presence(0, NOW - 24 * HOUR, NOW - MINUTE)}),
        case(present={OLD: Presence(0, None, NOW - 30 * MINUTE), "i-1": Presence(1, NOW)}),
        case(replace(RECORD, signature="t"), signatures={"s": Failures(2, NOW)}),
    ],
)
def test_what_is_just_inside_every_limit_is_let_in(made):
    assert admission(made, NOW) == []


def test_by_hand_is_exempt_from_time_and_pace_and_never_from_the_minimum():
    everything = replace(
        FACTS,
        retired=(ago(1), ago(2), ago(3), ago(4), ago(5), ago(6), ago(7)),
        failures=Failures(3, NOW),
        stuck="S",
        signatures={"": Failures(3, NOW)},
    )
    closed = replace(
        CLOSED, approve=True, calendar=replace(WORK_HOURS, freezes=(Freeze(date(2030, 1, 2), date(2030, 1, 2)),))
    )
    assert {one.guard for one in admission(Case(RECORD, closed, everything), NOW)} >= {
        "freeze",
        "pace",
        "stuck",
        "back-off",
        "approval",
    }
    assert admission(Case(HAND, closed, everything), NOW) == []
    for change in (
        {"healthy": frozenset(NAMES[:8])},
        {"holds": {OLD: Held("ann", "why", NOW + HOUR)}},
        {"cold": "cold"},
        {"present": {OLD: Presence(1, NOW)}},
        {"foreign": "f"},
        {"flights": (flight(1),)},
    ):
        assert len(admission(Case(HAND, closed, replace(everything, **change)), NOW)) == 1, change


def test_an_ill_group_is_mended_by_hand_alone():
    ill = {"healthy": frozenset(NAMES[1:9]), "unready": frozenset({OLD, "i-9"})}
    rules = replace(RULES, min_healthy=9, min_percent=0)
    assert {one.guard for one in admission(case(rules=rules, **ill), NOW)} == {"budget", "min healthy"}
    assert admission(case(HAND, rules, **ill), NOW) == []


def test_a_window_that_nobody_chose_says_that_it_is_the_default():
    friday = NOW + timedelta(days=2)
    refusal = only(admission(case(rules=CLOSED), friday))
    assert refusal.guard == "window"
    assert (
        "it is Fri 12:00, and web is changed in mon-thu 09:00-16:00 (UTC, the default: replacing.windows changes it)"
        in refusal.why
    )
    assert "it opens at Mon 2030-01-07 09:00:00 UTC" in refusal.why
    chosen = replace(CLOSED, calendar=Calendar(chosen=True))
    assert "default" not in only(admission(case(rules=chosen), friday)).why


def test_all_refusals_are_said_at_once():
    made = case(rules=APPROVE, failures=Failures(1, NOW), fleet=10, healthy=frozenset(NAMES[:9]))
    assert [one.guard for one in admission(made, NOW)] == ["approval", "back-off", "fleet", "min healthy"]


def test_back_off_doubles_three_times():
    ends = [back_off_ends(30 * MINUTE, Failures(count, NOW)) for count in (1, 2, 3, 4, 5, 50)]
    assert [(at - NOW) / MINUTE for at in ends] == [30, 60, 120, 240, 240, 240]
    assert back_off_ends(30 * MINUTE, Failures()) is None


# --- before a call ---------------------------------------------------------------------------------------------------

OUT = replace(RECORD, state=State.DRAINING, variant="surge", drain_sent=True, drain_seen=True)
HELD = {"holds": {OLD: Held("ann", "a crash", NOW + HOUR)}}
PRESENT = {"present": {OLD: Presence(1, NOW)}}
SHORT = {"healthy": frozenset(NAMES)}
SERVING = {"healthy": frozenset([*NAMES, "n-0"])}
VERBS = [
    "launch",
    "register",
    "drain",
    "deregister",
    "quiesce",
    "stop",
    "snapshot",
    "detach",
    "attach",
    "associate",
    "release",
    "serve",
    "terminate",
    "tag",
]


@pytest.mark.parametrize(
    ("record", "rules", "facts", "held"),
    [
        (RECORD, RULES, HELD, "launch register drain quiesce stop detach terminate"),
        (RECORD, CLOSED, {}, "launch register drain quiesce stop"),
        (RECORD, APPROVE, {}, "launch register drain quiesce stop"),
        (RECORD, RULES, {"foreign": "f"}, "launch register drain quiesce stop"),
        (RECORD, RULES, PRESENT, "drain quiesce stop terminate"),
        (RECORD, RULES, SHORT, "drain quiesce stop terminate"),
        (RECORD, RULES, {"quorum": {OLD: "2 of 3 would be left"}}, "drain quiesce stop terminate"),
        (RECORD, RULES, {"retired": (ago(1),)}, "drain quiesce stop"),
        (RECORD, RULES, {"flights": (flight(1, State.SOAKING, out=True),)}, "drain quiesce stop"),
        (RECORD, RULES, {"flights": (flight(1, State.DRAINING),)}, ""),
        (replace(RECORD, drain_sent=True), RULES, {"flights": (flight(1, State.DRAINING, out=True),)}, ""),
        (RECORD, RULES, {"flights": (flight(1, State.BOOTING),)}, ""),
        (RECORD, RULES, {"cold": "c"}, " ".join(VERBS)),
        (OUT, RULES, HELD, "drain quiesce stop detach terminate"),
        (OUT, CLOSED, {}, ""),
        (OUT, APPROVE, {}, ""),
        (OUT, RULES, {"foreign": "f", "retired": (ago(1),)}, ""),
        (OUT, RULES, SHORT, "drain quiesce stop terminate"),
    ],
)
def test_each_call_asks_its_own_guards_again(record, rules, facts, held):
    saturday = NOW + timedelta(days=3) if rules is CLOSED else NOW
    refused = [verb for verb in VERBS if going_on(case(record, rules, **SERVING | facts), verb, saturday)]
    assert refused == held.split()


# --- facts -----------------------------------------------------------------------------------------------------------


def test_facts_are_read_again_live():
    facts = replace(FACTS, flights=(flight(1),))
    targets = {name: Target(name, TargetState.HEALTHY) for name in NAMES[3:]}
    targets |= {"i-1": Target("i-1", TargetState.DRAINING), "i-2": Target("i-2", TargetState.UNHEALTHY)}
    seen = facts.seen(targets)
    assert (seen.in_service, seen.unready) == (7, {"i-2"})
    live = seen.looked(OLD, 2, NOW)
    assert live.present[OLD] == Presence(2, NOW)
    assert live.looked(OLD, 1, NOW + HOUR).present[OLD] == Presence(1, NOW)
    assert live.looked(OLD, 0, NOW + HOUR).present[OLD] == Presence(0, NOW, NOW + HOUR)
    assert seen.looked(OLD, 0, NOW).present[OLD] == Presence()


# --- what must hold whatever the facts -------------------------------------------------------------------------------

names = st.sampled_from([*NAMES, "n-1", "n-2"])
facts = st.builds(
    GroupFacts,
    size=st.integers(0, 40),
    healthy=st.frozensets(names),
    unready=st.frozensets(names),
    ending=st.frozensets(names, max_size=3),
    flights=st.lists(st.integers(0, 9), unique=True, max_size=6).map(lambda found: tuple(flight(n) for n in found)),
    fleet=st.integers(0, 12),
    retired=st.lists(st.integers(0, 3000), max_size=8).map(lambda found: tuple(ago(m) for m in found)),
)
rules = st.builds(
    lambda least, percent, share, most, alone: replace(
        RULES, min_healthy=least, min_percent=percent, at_once=AtOnce(share, most), allow_singleton=alone, pace=UNPACED
    ),
    st.integers(0, 12),
    st.none() | st.integers(0, 100),
    st.integers(0, 100),
    st.integers(1, 9),
    st.booleans(),
)
records = st.builds(
    lambda manual, variant: replace(RECORD, manual=manual, variant=variant),
    st.booleans(),
    st.sampled_from(["", "surge", "move", "delete-first"]),
)


@given(records, rules, facts)
def test_nobody_is_taken_out_below_the_minimum_whatever_the_facts(record, allowed_by, seen):
    made = Case(record, allowed_by, seen)
    need, _ = health.least(made)
    without = len(seen.healthy - {OLD})
    for verb in ("drain", "quiesce", "stop", "terminate"):
        if going_on(made, verb, NOW) is None:
            assert without >= need
            assert without >= allowed_by.min_healthy
    if not admission(made, NOW):
        assert without + (1 if record.variant in {"", "surge"} else 0) >= need


@given(records, rules, facts)
def test_the_budget_is_kept_whatever_the_facts(record, allowed_by, seen):
    made = Case(record, allowed_by, seen)
    if not admission(made, NOW):
        under_way = len(made.others) + 1
        assert under_way <= max(1, seen.size * allowed_by.at_once.percent // 100)
        assert under_way <= allowed_by.at_once.most
        assert (
            record.manual
            or not (seen.unready - {OLD})
            or under_way + len(seen.unready - {OLD}) <= max(1, seen.size * allowed_by.at_once.percent // 100)
        )


@given(records, rules, facts)
def test_a_share_spares_somebody_and_never_more_than_it_says(record, allowed_by, seen):
    made = Case(record, allowed_by, seen)
    need, _ = health.least(made)
    share = health.SURGE_PERCENT if made.surge else health.OTHER_PERCENT
    share = share if allowed_by.min_percent is None else allowed_by.min_percent
    if seen.size and share < 100 and allowed_by.min_healthy < seen.size:
        assert need <= max(seen.size - 1, allowed_by.min_healthy)
    assert need >= allowed_by.min_healthy
    assert seen.size - need <= max(1, seen.size * (100 - share) // 100)


def test_every_guard_is_a_function_with_a_because():
    for guard in ADMISSION:
        assert guard.__doc__, guard
    assert Pace().per_day == 20
