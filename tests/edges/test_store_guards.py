"""What guards read from the store: holds, people on instances, how replacements ended."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from driftd.core.difference import Change
from driftd.core.facts import Session
from driftd.core.findings import Action, Finding, Severity, Verdict
from driftd.core.holds import Hold, released
from driftd.core.memory import InstanceRow
from driftd.core.replacement import Record, State
from driftd.edges.store import open_store

NOW = datetime(2030, 1, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
HOLD = Hold(0, "i-1", "web", "änn", "a 'crash'\n", NOW, NOW + HOUR)


@pytest.fixture
def store(tmp_path):
    made = open_store(f"sqlite:///{tmp_path / 'driftd.db'}")
    yield made
    made.close()


def test_a_hold_is_kept_until_it_ends_or_is_released(store):
    with store.write() as tx:
        number = tx.put_hold(HOLD)
        other = tx.put_hold(replace(HOLD, instance_id="i-2", until=NOW + 3 * HOUR))
    with store.read() as tx:
        assert tx.holds(NOW) == [
            replace(HOLD, id=number),
            replace(HOLD, id=other, instance_id="i-2", until=NOW + 3 * HOUR),
        ]
        assert [one.id for one in tx.holds(NOW + HOUR)] == [other]
        assert [one.id for one in tx.every_hold("i-1")] == [number]
        assert [one.id for one in tx.every_hold(since=NOW + 2 * HOUR)] == [other]
    with store.write() as tx:
        assert tx.put_hold(released(tx.holds(NOW + HOUR)[0], "bob", NOW + HOUR)) == other
        assert tx.holds(NOW + HOUR) == []
        assert tx.every_hold("i-2")[0].released_by == "bob"


def test_holds_that_ended_long_ago_are_pruned(store):
    with store.write() as tx:
        tx.put_hold(HOLD)
        tx.put_hold(replace(HOLD, until=NOW + 50 * HOUR))
        tx.put_hold(replace(HOLD, until=NOW + 50 * HOUR, released_at=NOW, released_by="bob"))
        assert tx.prune(NOW + 2 * HOUR)["holds"] == 2
        assert [one.until for one in tx.every_hold()] == [NOW + 50 * HOUR]
        assert tx.put_hold(HOLD) == 4, "a number is never given twice"


def row(name: str, group: str = "web", **more) -> InstanceRow:
    return InstanceRow(name, group, "", "golden", "", "running", Verdict.CLEAN, "", "", NOW, NOW, NOW, **more)


def test_only_others_sessions_of_late_on_instances_of_the_group_are_told(store):
    def session(user: str, **more) -> Session:
        return Session("ssh", user, "192.0.2.1", NOW - 9 * HOUR, **more)

    with store.write() as tx:
        for one in (row("i-1"), row("i-2", "db"), row("i-3", gone_at=NOW)):
            tx.put_instance(one)
            tx.add_session(one.id, session("live", live=True), own=False, now=NOW - 5 * HOUR)
        for name, own, seen, more in (
            ("ours", True, NOW, {"live": True}),
            ("long-gone", False, NOW - 5 * HOUR, {"ended_at": NOW - 4 * HOUR}),
            ("just-gone", False, NOW - 5 * HOUR, {"ended_at": NOW - HOUR / 2}),
            ("just-seen", False, NOW - HOUR / 2, {}),
        ):
            tx.add_session("i-1", session(name, **more), own=own, now=seen)
        found = tx.recent_sessions("web", NOW - HOUR)
        assert [(one.instance_id, one.session.user) for one in found] == [
            ("i-1", "live"),
            ("i-1", "just-gone"),
            ("i-1", "just-seen"),
        ]
        # A later look no longer sees it live.
        tx.add_session("i-1", session("live", live=False, ended_at=NOW - 2 * HOUR), own=False, now=NOW)
        assert "live" not in {one.session.user for one in tx.recent_sessions("web", NOW - HOUR)}


def test_who_has_something_critical_that_nobody_accepted(store):
    def finding(shape: str, severity: Severity, accepted: str = "") -> Finding:
        subject = shape.encode()
        return Finding(
            "file", subject, Change.ADDED, severity, Action.REPLACE, shape, "a:b", "x", suppressed_by=accepted
        )

    with store.write() as tx:
        for number in range(4):
            tx.put_instance(row(f"i-{number}"))
        tx.add_finding("i-0", finding("a", Severity.CRITICAL), NOW)
        tx.add_finding("i-0", finding("b", Severity.CRITICAL), NOW)
        tx.add_finding("i-1", finding("a", Severity.HIGH), NOW)
        tx.add_finding("i-2", finding("a", Severity.CRITICAL, "ann"), NOW)
        tx.resolve_finding(tx.add_finding("i-3", finding("a", Severity.CRITICAL), NOW).id, NOW)
        assert tx.critical_instances() == ["i-0"]


def record(rid: str, state: State, entered: datetime, group: str = "web", created: datetime | None = None) -> Record:
    return Record(
        rid, group, f"{group}/{rid}", "golden", f"i-{rid}", "drift", state, created or entered - HOUR, entered
    )


def test_replacements_are_found_by_when_they_ended(store):
    with store.write() as tx:
        for one in (
            record("1", State.SUCCEEDED, NOW - 2 * HOUR),
            record("2", State.SUCCEEDED, NOW - HOUR, created=NOW - 200 * HOUR),
            record("3", State.DRAINING, NOW),
            record("4", State.FAILED_CLEAN, NOW - HOUR / 2, "db"),
            record("5", State.STUCK, NOW - 500 * HOUR),
            record("6", State.SUCCEEDED, NOW - HOUR / 4, created=NOW - 5000 * HOUR),  # it waited for half a year
        ):
            tx.add_replacement(one)
        assert [one.rid for one in tx.ended_replacements(NOW - HOUR)] == ["6", "2", "4"]
        assert [one.rid for one in tx.ended_replacements(NOW - 3 * HOUR, "web")] == ["6", "2", "1"]
        assert [one.rid for one in tx.stuck_replacements("web")] == ["5"]
        assert tx.stuck_replacements("db") == []
