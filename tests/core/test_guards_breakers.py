"""Which breakers hold which case: by scope, by state, by who asked."""

from dataclasses import replace

import pytest
from guarding import NOW, RECORD, case

from driftd.core import guards
from driftd.core.breakers.breaker import Breaker, State
from driftd.core.breakers.table import RULES
from driftd.core.guards.breakers import breakers_against

MINE = replace(RECORD, signature="aaaaaaaaaaaa+bbbbbbbbbbbb")
WHERE = {"account": "aws", "zones": {RECORD.old_id: "z1"}}


def opened(rule="C1", scope="fleet", state=State.OPEN, **others):
    return Breaker(rule, scope, state, "8 of 40 drifted alike", NOW, closes_by="a person", changed_at=NOW, **others)


def against(*breakers, record=MINE):
    return breakers_against(case(record, breakers=breakers, **WHERE), NOW)


HERE = [
    "fleet",
    "group:web",
    "slot:web/0",
    "image:golden",
    "signature:aaaaaaaaaaaa",
    "signature:bbbbbbbbbbbb",
    "account:aws",
    "zone:z1",
]


@pytest.mark.parametrize("scope", HERE)
def test_it_holds_in_its_scope(scope):
    refusal = against(opened(scope=scope))
    assert refusal.guard == "breaker"
    assert "8 of 40 drifted alike" in refusal.why
    assert f"driftd reset C1 {scope} --reason" in refusal.why


@pytest.mark.parametrize("scope", [f"{scope}0" for scope in HERE if scope != "fleet"] + ["group:", "signature:"])
def test_it_holds_nowhere_else(scope):
    assert against(opened(scope=scope)) is None


def test_closed_holds_nobody_and_half_open_all_but_its_probe():
    assert against(opened(state=State.CLOSED)) is None
    half = opened("C2", state=State.HALF_OPEN, probe="another", count=1)
    assert "half-open for the fleet" in against(half).why
    assert "another is its probe, 1 proven so far" in against(half).why
    assert against(replace(half, probe=MINE.rid)) is None
    assert "waits for a probe" in against(replace(half, probe="")).why
    assert against(opened("C2", probe=MINE.rid)) is not None, "an open one lets no probe through"


@pytest.mark.parametrize("rule", [rule.name for rule in RULES])
def test_what_a_person_asked_for_is_held_where_the_world_would_refuse_it(rule):
    by_hand = against(opened(rule), record=replace(MINE, manual=True))
    unasked = against(opened(rule))
    assert (by_hand is not None) is (rule in {"C6", "C7", "C9", "C11"})
    assert (unasked is not None) is (rule != "C12"), "its guard says pace itself"


def test_a_rule_that_nobody_knows_holds_everybody():
    for manual in (True, False):
        assert against(opened("C99"), record=replace(MINE, manual=manual)) is not None


def test_the_sentence_says_what_closes_it_and_how_many_more_there_are():
    said = against(opened("C9", "account:aws", until=NOW.replace(hour=13)), opened("C1")).why
    assert said == (
        "C9 is open for account aws until 13:00:00 UTC: 8 of 40 drifted alike; closes by a person "
        "(and 1 more: driftd breakers)"
    )


def test_it_waits_for_the_last_of_them_and_for_whenever_where_one_has_no_time():
    one, two = opened("C9", until=NOW.replace(hour=13)), opened("C8", until=NOW.replace(hour=14))
    assert against(one, two).until == NOW.replace(hour=14)
    assert against(one, two, opened("C1")).until is None


def test_it_is_among_the_guards_of_admission():
    assert [no.guard for no in guards.admission(case(MINE, breakers=[opened()], **WHERE), NOW)] == ["breaker"]


@pytest.mark.parametrize("verb", ["launch", "register", "drain", "quiesce", "stop", "terminate"])
def test_it_is_read_again_before_what_begins_or_ends_something(verb):
    assert guards.going_on(case(MINE, breakers=[opened()], **WHERE), verb, NOW).guard == "breaker"


def test_where_the_old_one_is_out_already_only_its_end_is_held():
    out = replace(MINE, drain_seen=True)
    held = {verb: guards.going_on(case(out, breakers=[opened()], **WHERE), verb, NOW) for verb in VERBS}
    assert [verb for verb, no in held.items() if no is not None and no.guard == "breaker"] == ["terminate"]


VERBS = (
    "launch",
    "register",
    "drain",
    "quiesce",
    "stop",
    "detach",
    "attach",
    "associate",
    "release",
    "serve",
    "deregister",
    "tag",
    "terminate",
)
