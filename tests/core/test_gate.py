"""The gate before service: who is let through, and who waits."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from driftd.core.findings import Action, Verdict
from driftd.core.gate import decide
from driftd.core.memory import InstanceRow
from driftd.core.replacement import Record, State

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
EVERY = timedelta(minutes=5)
ROW = InstanceRow(
    id="i-1",
    group="web",
    slot="web/i-1",
    image="golden",
    address="192.0.2.1",
    state="running",
    verdict=Verdict.CLEAN,
    reason="as baked",
    root="",
    verdict_since=NOW,
    looked_at=NOW,
    first_seen=NOW,
)
RECORD = Record("R", "web", "web/1", "golden", "i-0", "drift", State.ENROLLING, NOW, NOW, new_id="i-1", verified=True)


@pytest.mark.parametrize("verdict", Verdict)
def test_only_who_was_seen_to_be_as_baked_is_let_through(verdict):
    answer = decide("i-1", replace(ROW, verdict=verdict), None, EVERY, NOW)
    assert answer.admits is (verdict in {Verdict.CLEAN, Verdict.EXPLAINED})
    assert str(verdict) in answer.why


def test_who_was_never_looked_at_waits():
    assert not decide("i-1", None, None, EVERY, NOW).admits
    answer = decide("i-1", replace(ROW, looked_at=None), None, EVERY, NOW)
    assert (answer.admits, answer.why) == (False, "it was not looked at yet")


def test_a_look_counts_for_as_long_as_two_looks_may_be_apart():
    assert decide("i-1", ROW, None, EVERY, NOW + 2 * EVERY).admits
    answer = decide("i-1", ROW, None, EVERY, NOW + 2 * EVERY + timedelta(seconds=1))
    assert (answer.admits, answer.why) == (
        False,
        "it was last looked at 2026-11-23T12:00:00Z, and that is too long ago",
    )


def test_whom_policy_would_have_replaced_waits_however_clean_it_looks():
    """Somebody was on it: what was removed again is seen by no look."""
    assert not decide("i-1", replace(ROW, action=Action.REPLACE), None, EVERY, NOW).admits


def test_a_newcomer_is_let_through_when_its_own_replacement_has_verified_it():
    never = replace(ROW, looked_at=None, verdict=Verdict.UNKNOWN)
    assert decide("i-1", never, RECORD, EVERY, NOW).admits
    assert decide("i-1", None, RECORD, EVERY, NOW).admits
    assert not decide("i-1", ROW, replace(RECORD, verified=False), EVERY, NOW).admits


def test_a_newcomer_that_is_taken_back_or_was_seen_to_have_drifted_since_is_not():
    assert not decide("i-1", ROW, replace(RECORD, state=State.UNDOING), EVERY, NOW).admits
    for verdict in (Verdict.DRIFTED, Verdict.TAMPERED):
        assert not decide("i-1", replace(ROW, verdict=verdict), RECORD, EVERY, NOW).admits


def test_who_is_in_quarantine_is_not_whatever_its_last_look_said():
    answer = decide("i-1", replace(ROW, gone_at=NOW), None, EVERY, NOW)
    assert (answer.admits, answer.why) == (False, "it is in quarantine, or was taken for gone")


def test_who_is_being_replaced_is_not_let_into_service_meanwhile():
    for row in (ROW, None):
        assert not decide("i-1", row, replace(RECORD, old_id="i-1", new_id="i-2"), EVERY, NOW).admits
    answer = decide("i-1", ROW, replace(RECORD, old_id="i-1", new_id="i-2"), EVERY, NOW)
    assert (answer.admits, answer.why) == (False, "replacement R replaces it")
