"""The pure parts of a plan: a rehearsal of each variant, the longest it may take, the differences of two readings."""

from __future__ import annotations

import copy
from dataclasses import replace
from datetime import timedelta

import pytest

from driftd.core.hooks import Terms
from driftd.core.planning.rehearsal import Shape, at_most, rehearse
from driftd.core.planning.stale import differences
from driftd.core.variants import VARIANTS
from driftd.core.world import Limits, Manner

LIMITS = Limits()
GROUP = {
    "configuration": "c",
    "policy": "p",
    "settings": {"replacing.at_once": "1"},
    "size": 3,
    "open": {},
    "stopped": "",
    "breakers": [],
}
ONE = {
    "group": "web",
    "slot": "web/1",
    "image": "golden",
    "zone": "a",
    "verdict": "drifted",
    "reason": "1 finding",
    "action": "replace",
    "taint": "",
    "root": "ab",
    "volumes": {"vol-1": "i-1"},
    "addresses": {},
    "held": "",
    "replacement": "",
}
BEFORE = {"groups": {"web": GROUP}, "instances": {"i-1": ONE}}


BESIDE = {"surge", "switch", "handover"}  # the newcomer serves before the old one is touched


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("volumes", [0, 3])
@pytest.mark.parametrize("target", [True, False])
def test_a_rehearsal_ends_the_old_one_last_and_within_its_limits(variant, volumes, target):
    owned = 0 if variant in BESIDE else volumes
    names = volumes if variant == "handover" else owned
    shape = Shape(variant, LIMITS, Manner(), owned, (True,) * names, target)
    made = rehearse(shape)
    verbs = [one.verb.value for one in made.calls]
    assert verbs[-2:] == ["terminate", "tag"]
    assert verbs.count("attach") == verbs.count("detach") == owned
    assert verbs.count("associate") == names
    assert ("drain" in verbs) == target
    assert LIMITS.soak + LIMITS.park <= made.takes <= at_most(shape)
    assert {one.on for one in made.calls} <= {"old", "new", ""}
    assert (made.leaves < made.serves) == (variant not in BESIDE)


def test_a_canary_is_watched_longer_and_nothing_parked_is_not_stopped():
    shape = Shape("surge", LIMITS, Manner())
    more = rehearse(replace(shape, canary=True)).takes - rehearse(shape).takes
    assert more == LIMITS.canary_soak - LIMITS.soak
    bare = rehearse(replace(shape, limits=replace(LIMITS, park=timedelta(0))))
    assert "stop" not in [one.verb.value for one in bare.calls]


def test_what_goes_with_its_set_is_kept_for_as_long_as_the_rollout_says():
    kept = rehearse(Shape("switch", LIMITS, Manner(), keep_s=7200)).takes
    assert kept - rehearse(Shape("switch", LIMITS, Manner())).takes >= timedelta(seconds=7200) - LIMITS.poll


@pytest.mark.parametrize("variant", VARIANTS)
def test_limits_that_nobody_could_keep_still_have_steps(variant):
    short = timedelta(seconds=1)
    limits = Limits(soak=timedelta(days=3), enroll_timeout=short, stop_timeout=short, drain_timeout=short, poll=short)
    assert rehearse(Shape(variant, limits, Manner())).takes >= limits.soak


@pytest.mark.parametrize("variant", ["move", "handover"])
def test_names_that_linger_make_it_longer(variant):
    """A move keeps the old one for that anyway, where it is parked longer."""
    limits = replace(LIMITS, park=timedelta(0))
    shape = Shape(variant, limits, Manner(), int(variant == "move"), (True,))
    more = rehearse(replace(shape, linger=timedelta(hours=1)))
    assert more.takes - rehearse(shape).takes >= timedelta(hours=1)
    assert more.takes <= at_most(replace(shape, linger=timedelta(hours=1)))


TOLD = frozenset({"pre_drain", "post_attach", "pre_terminate"})


@pytest.mark.parametrize("variant", VARIANTS)
def test_hooks_are_calls_of_a_plan_each_once_and_at_its_moment(variant):
    owned = 0 if variant in BESIDE else 1
    shape = Shape(variant, LIMITS, Manner(hooks=TOLD), owned, (True,) * owned)
    made = rehearse(shape)
    found = [(one.verb.value, one.on) for one in made.calls]
    order = [call for call, _ in found]
    for hook, on in (("pre_drain", "old"), ("post_attach", "new"), ("pre_terminate", "old")):
        assert found.count((hook, on)) == order.count(hook) == 1
    assert order.index("pre_drain") + 1 == order.index("drain")
    assert order.index("pre_terminate") + 1 == order.index("terminate")
    assert order[order.index("post_attach") - 1] == ("register" if variant in BESIDE else "associate")
    assert [one for one in order if one not in TOLD] == [
        one.verb.value for one in rehearse(replace(shape, manner=Manner())).calls
    ]
    longer = Terms("pre_drain", within=timedelta(hours=3))
    assert at_most(replace(shape, manner=Manner(hooks=TOLD, terms=(longer,)))) - at_most(shape) > timedelta(hours=2)


def _now(**of_one):
    fresh = copy.deepcopy(BEFORE)
    fresh["instances"]["i-1"] |= of_one
    return fresh


def test_what_is_the_same_is_no_difference_and_another_root_is_none():
    assert differences(BEFORE, _now(), {}) == []
    assert differences(BEFORE, _now(root="cd"), {}) == []
    assert differences(_now(held="bob"), _now(), {}) == [], "a hold that is over stops nobody"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"verdict": "clean"}, "the verdict of web/1 is 'clean' now, the plan says 'drifted'"),
        ({"held": "bob until noon"}, "a hold on web/1 came since: bob until noon"),
        ({"volumes": {"vol-1": ""}}, "volume vol-1 of web/1 is free now, the plan says i-1"),
        ({"volumes": {}}, "volume vol-1 does not belong to web/1 any more"),
        ({"addresses": {"a": ""}}, "address a belongs to web/1 now, and the plan does not know it"),
        ({"slot": "web/2"}, "i-1 is in slot web/2 now, the plan says web/1"),
    ],
)
def test_each_difference_of_an_instance_is_one_sentence(change, said):
    assert differences(BEFORE, _now(**change), {}) == [said]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"policy": "q"}, "the policy of web changed"),
        ({"configuration": "d"}, "the configuration of web changed"),
        ({"settings": {"replacing.at_once": "2"}}, "replacing.at_once of web is 2 now, the plan says 1"),
        ({"size": 4}, "web has 4 members now, the plan says 3"),
        ({"stopped": "a fire"}, "changes in web were stopped since: a fire"),
        ({"breakers": ["C1 group:web"]}, "breaker C1 group:web opened for web since"),
        ({"open": {"R": "launching"}}, "web has a replacement that the plan does not know: R"),
    ],
)
def test_each_difference_of_a_group_is_one_sentence(change, said):
    fresh = _now()
    fresh["groups"]["web"] |= change
    assert differences(BEFORE, fresh, {}) == [said]


def test_who_is_gone_is_named_with_who_is_in_its_place():
    fresh = _now()
    del fresh["instances"]["i-1"]
    assert differences(BEFORE, fresh, {}) == ["web/1 (i-1) is gone"]
    assert differences(BEFORE, fresh, {"web/1": "i-7"}) == ["web/1 is i-7 now, the plan says i-1"]
