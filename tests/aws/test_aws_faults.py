"""One replacement on AWS with a fault at each of its calls: whatever fails, it ends as if nothing had.

By the shipped controller and its store, on the emulator without servers: alone is a group that driftd launches for,
scaled an Auto Scaling group, owning one whose slots have a volume and an address each.
"""

from __future__ import annotations

from collections import Counter

import pytest
from played import Story

from driftd.core.replacement import State

TRANSIENT = ("throttle", "500", "timeout-before", "expired", "timeout-after")
UNDONE = {State.FAILED_CLEAN, State.ABORTED_SAFE}
KINDS = {"alone": (False, False), "scaled": (True, False), "owning": (True, True)}
ALWAYS = {"RunInstances", "StopInstances", "CreateTags", "DeleteTags"}
SCALED = {"AttachInstances", "EnterStandby", "TerminateInstanceInAutoScalingGroup"}
MOVED = {"CreateSnapshot", "DetachVolume", "AttachVolume", "AssociateAddress"}
CHANGES = {
    "alone": ALWAYS | {"RegisterTargets", "DeregisterTargets", "TerminateInstances"},
    "scaled": ALWAYS | SCALED,
    "owning": ALWAYS | SCALED | MOVED,
}
SOAK = pytest.mark.soak
every_kind = pytest.mark.parametrize("story", KINDS, indirect=True)
mostly_alone = pytest.mark.parametrize(
    "story", [pytest.param(one, marks=() if one == "alone" else SOAK) for one in KINDS], indirect=True
)


@pytest.fixture
def story(request, cloud, monkeypatch, tmp_path):
    scaled, owning = KINDS[getattr(request, "param", "alone")]
    made = Story(cloud, monkeypatch, tmp_path, scaled=scaled, owning=owning)
    made.kind = getattr(request, "param", "alone")
    yield made
    made.close()


def succeeded(story, record):
    """With one newcomer launched, and all as it should be."""
    assert record.state is State.SUCCEEDED, record
    story.check(replaced=True)
    assert story.launched() == 1


def only(number, fault):
    """The fault at this call of those that change something, and at no other."""
    return lambda asked: fault if (asked.how, asked.nth) == ("change", number) else ""


@every_kind
def test_the_calls_of_one_replacement(story):
    """What the tests below break, by the emulator's own count."""
    succeeded(story, story.replace())
    changed = {one.name for one in story.wire.asked if one.how == "change"}
    assert changed == CHANGES[story.kind]
    assert changed <= set(story.emulator.calls())


def called_off(story, record):
    """As before, or done all the same; of whoever could not be ended a person is told."""
    if record.state is State.STUCK:
        assert "end the old one by hand" in record.note
        story.end_by_hand()
        story.check(replaced=True)
    else:
        assert record.state in {State.SUCCEEDED, *UNDONE}, record
        story.check(replaced=record.state is State.SUCCEEDED)


@every_kind
def test_each_change_fails_in_each_way(story):
    """One after the other, then it succeeds; the answer that is lost comes last, since nothing is asked for again."""
    met = Counter()

    def choose(asked):
        if asked.how != "change":
            return ""
        met[asked.operation, asked.said] += 1
        return dict(enumerate(TRANSIENT, 1)).get(met[asked.operation, asked.said], "")

    succeeded(story, story.replace(choose))
    failed = {(kind, asked.name) for kind, asked in story.wire.failed}
    assert failed == {(kind, name) for kind in TRANSIENT for name in CHANGES[story.kind]}


@every_kind
def test_each_reading_fails_in_each_state(story):
    """In one way or another."""
    met = {}

    def choose(asked):
        key = asked.operation, asked.state
        new = asked.how == "read" and key not in met
        met.setdefault(key, TRANSIENT[len(met) % len(TRANSIENT)])
        return met[key] if new else ""

    succeeded(story, story.replace(choose))
    assert {kind for kind, _ in story.wire.failed} == set(TRANSIENT)


@mostly_alone
def test_each_change_is_denied(story):
    number = 0
    while True:
        record = story.replace(only(number, "denied"))
        if not story.wire.failed:
            break
        called_off(story, record)
        number += 1
    assert number >= len(CHANGES[story.kind])


@mostly_alone
def test_no_capacity_ends_nobody(story):
    real = []

    def choose(asked):
        if asked.operation != "run_instances" or "DryRun" in asked.said:
            return ""
        real.append(asked)
        return "capacity" if len(real) == 1 else ""

    record = story.replace(choose)
    assert record.state is State.FAILED_CLEAN
    assert "InsufficientInstanceCapacity" in record.note
    story.check(replaced=False)
    succeeded(story, story.replace())


@mostly_alone
@pytest.mark.parametrize("fault", ["", "timeout-after"])
def test_who_is_in_no_listing_for_two_minutes_is_not_launched_again(story, fault):
    story.emulator.knobs(lag=120)
    story.forward(120)

    def choose(asked):
        launch = asked.operation == "run_instances" and "DryRun" not in asked.said
        return fault if launch and not story.wire.failed else ""

    succeeded(story, story.replace(choose))


@pytest.mark.parametrize(
    "story", [pytest.param(one, marks=() if one == "owning" else SOAK) for one in KINDS], indirect=True
)
def test_what_takes_its_time_is_waited_for(story):
    story.emulator.knobs(settle=30)
    succeeded(story, story.replace())


# --- each by itself --------------------------------------------------------------------------------------------------


@SOAK
@every_kind
@pytest.mark.parametrize("fault", TRANSIENT)
def test_each_single_change_fails(story, fault):
    number = 0
    while True:
        succeeded(story, story.replace(only(number, fault)))
        if not story.wire.failed:
            return
        number += 1


@SOAK
@every_kind
@pytest.mark.parametrize("fault", [*TRANSIENT, "denied"])
def test_each_reading_fails_in_each_state_in_this_way(story, fault):
    met = set()

    def choose(asked):
        new = asked.how == "read" and (asked.operation, asked.state) not in met
        met.add((asked.operation, asked.state))
        return fault if new else ""

    record = story.replace(choose)
    (called_off if fault == "denied" else succeeded)(story, record)
