"""An instance that runs another image than its group is to run."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from driftd.core.facts import Instance
from driftd.core.findings import Action, Severity, Verdict
from driftd.core.imagedrift import Wanted, differences
from driftd.core.policy import Policy, judge
from driftd.core.rollout import Choice, Rollout, Strategy, desired
from driftd.core.world import TAG_RID

AT = datetime(2026, 1, 2, tzinfo=UTC)
I1 = Instance("i-1", "web", "one")


def chose(*images, configured="one"):
    """Choices in their order; one that begins with "<" was gone back to."""
    return [Choice("web", image.lstrip("<"), configured, AT, "r", image.startswith("<")) for image in images]


@pytest.mark.parametrize(
    ("image", "chosen", "kind"),
    [
        ("two", chose("one", "two"), ""),
        ("one", chose("one", "two"), "image.stale"),
        ("three", chose("one", "two"), "image.wrong"),
        ("two", chose("one", "two", "<one"), "image.rolled-back"),
        ("one", chose("one", "two", "<one"), ""),
        ("two", chose("one", "two", "<one", "two", "three"), "image.stale"),
        ("one", [], ""),
        ("two", [], "image.wrong"),
    ],
)
def test_what_it_is_told_as(image, chosen, kind):
    found = differences(replace(I1, image=image), Wanted("one", chosen))
    assert [one.kind for one in found] == ([kind] if kind else [])
    assert all(one.expected["image"] == desired("one", chosen) for one in found)


def test_a_rollouts_choice_counts_until_the_configuration_says_something_else():
    chosen = chose("one", "two", configured="one")
    assert desired("one", chosen) == "two", "nobody has brought the configuration up to date yet"
    assert desired("two", chosen) == "two"
    assert desired("three", chosen) == "three"


def test_nobody_is_told_where_nobody_says_what_is_to_run_or_a_rollout_is_under_way_or_it_is_a_newcomer():
    other = replace(I1, image="two")
    assert not differences(other, Wanted("", ()))
    rollout = Rollout(
        "r", "web", "two", "one", Strategy.CANARY, 5, timedelta(0), "kim", "why", created_at=AT, entered_at=AT
    )
    assert not differences(other, Wanted("three", (), [rollout]))
    assert not differences(replace(other, tags={TAG_RID: "r-1"}), Wanted("one", ()))


@pytest.mark.parametrize("chosen", [chose("two", "one"), chose("one", "two", "<one"), []])
def test_it_is_drift_that_asks_for_nobodys_replacement(chosen):
    found = differences(replace(I1, image="two"), Wanted("one", chosen))
    judged = judge(found, Policy(), (), AT, group="web", image="two")
    assert (judged.verdict, judged.action) == (Verdict.DRIFTED, Action.ALERT)
    assert judged.findings[0].severity in {Severity.MEDIUM, Severity.HIGH}
