"""For each instance: why it is not being replaced, and what happens next."""

from datetime import UTC, datetime, timedelta

import pytest

from driftd.core.findings import Action, Verdict
from driftd.core.memory import InstanceRow, Pause
from driftd.core.outlook import outlook
from driftd.core.replacement import Record, State

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
EVERY = timedelta(minutes=5)


def row(
    verdict: Verdict = Verdict.CLEAN, action: Action = Action.IGNORE, taint: str = "", looked: int = 60
) -> InstanceRow:
    return InstanceRow(
        id="i-1",
        group="web",
        slot="web/1",
        image="img",
        address="192.0.2.1",
        state="running",
        verdict=verdict,
        reason="no route to it",
        root="",
        verdict_since=NOW,
        looked_at=NOW - timedelta(seconds=looked) if looked else None,
        first_seen=NOW,
        action=action,
        taint=taint,
    )


def record(state: State = State.DRAINING, old: str = "i-1") -> Record:
    return Record("01J", "web", "web/1", "img", old, "why", state, NOW, NOW, "i-2", note="3 connections are open")


DRIFTED = row(Verdict.DRIFTED, Action.REPLACE)


@pytest.mark.parametrize(
    ("seen", "open_record", "pauses", "enforce", "why_not", "ahead"),
    [
        (row(), None, (), Action.REPLACE, "", "looked at again in 4 min"),
        (row(looked=0), None, (), Action.REPLACE, "", "its first look"),
        (row(looked=400), None, (), Action.REPLACE, "", "looked at again now"),
        (row(looked=900), None, (), Action.REPLACE, "", "overdue by 10 min: see that driftd runs"),
        (DRIFTED, None, (), Action.ALERT, "group web only observes", "replace i-1 --reason …, or "),
        (row(action=Action.ALERT, taint="bob was on it"), None, (), Action.REPLACE, "", "looked at again in 4 min"),
        (DRIFTED, None, (), Action.REPLACE, "the next look decides", "looked at again in 4 min"),
        (DRIFTED, None, (Pause("", "ann", "a fire", NOW),), Action.REPLACE, "ann paused everything: a fire", "again"),
        (DRIFTED, None, (Pause("db", "ann", "a fire", NOW),), Action.REPLACE, "the next look decides", "again"),
        (row(Verdict.UNKNOWN, Action.REPLACE), None, (), Action.REPLACE, "could not be seen: no route to it", "again"),
        (DRIFTED, record(), (), Action.REPLACE, "", "being replaced, draining: 3 connections are open"),
        (row(), record(old="i-0"), (), Action.REPLACE, "", "the newcomer of a replacement, draining"),
        (
            DRIFTED,
            record(),
            (Pause("web", "ann", "a fire", NOW),),
            Action.REPLACE,
            "ann paused web: a fire",
            "draining",
        ),
    ],
)
def test_it_says_what_stands_in_the_way_and_what_comes(seen, open_record, pauses, enforce, why_not: str, ahead: str):
    said = outlook(seen, open_record, pauses, enforce, EVERY, NOW)
    assert why_not in said.why_not
    assert bool(said.why_not) == bool(why_not)
    assert ahead in said.next
