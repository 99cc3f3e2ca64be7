"""Hooks that are called once, rehearsed: in time, whatever befalls driftd; and one that is forgotten is missed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from unittest import mock

import pytest

from driftd.core.guards.calendar import ALWAYS
from driftd.core.hooks import CALLED_ONCE, HookName, OnFailure, Terms
from driftd.core.steps import arriving, leaving
from driftd.rehearsal.scenario import GroupPlan, draw
from driftd.rehearsal.shape import Asked, play

SEEDS = range(6)
HELD = Terms("pre_terminate", OnFailure.HOLD, timedelta(minutes=2))


def asked(*terms: Terms) -> Asked:
    """A group of three, which anybody may have, with all three of them."""
    plan = next(plan for seed in range(50) for plan in draw(seed).groups if is_plain(plan))
    rules = replace(plan.rules, calendar=ALWAYS, approve=False)
    manner = replace(plan.manner, terms=terms)
    return Asked((replace(plan, name="web", size=3, rules=rules, manner=manner, once=CALLED_ONCE, zones=()),))


def is_plain(plan: GroupPlan) -> bool:
    return not plan.owning and not plan.manner.delete_first and not plan.hooked and plan.rules.min_healthy <= 2


def broken(played) -> set[str]:
    return {f"{one.rule}: {one}" for one in played.broken}


def test_whatever_happens_the_groups_owner_is_told_in_time():
    tested = [play(seed, asked(HELD)) for seed in SEEDS]
    assert [broken(one) for one in tested] == [set()] * len(tested)
    assert any("hooks" in one.tested and one.replaced for one in tested)


@pytest.mark.parametrize(
    ("where", "what", "said"),
    [
        (leaving, "_before_the_drain", "the pre_drain hook was not called before traffic.drain"),
        (leaving, "_before_the_end", "the pre_terminate hook was not called before compute.terminate"),
        (arriving, "attached", "the post_attach hook was not called before compute.terminate"),
    ],
)
def test_a_hook_that_is_forgotten_is_missed(where, what, said):
    with mock.patch.object(where, what, return_value=None):
        found = [one for seed in SEEDS for one in broken(play(seed, asked()))]
    assert any(said in one for one in found), found
    assert all(one.startswith("hooks: ") for one in found), found


def test_a_hook_that_may_be_gone_without_is_not_missed():
    terms = [Terms(name.value, OnFailure.CONTINUE) for name in sorted(CALLED_ONCE)]
    with mock.patch.object(leaving, "_before_the_drain", return_value=None):
        found = [one for seed in SEEDS for one in broken(play(seed, asked(*terms)))]
    assert found == []


def test_a_group_without_them_is_played_as_before():
    assert HookName.QUIESCE not in CALLED_ONCE
    plain = asked()
    (plan,) = plain.groups
    played = play(0, replace(plain, groups=(replace(plan, once=frozenset()),)))
    assert "hooks" not in played.tested
