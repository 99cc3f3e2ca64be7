"""Rows for the store's tests."""

from datetime import UTC, datetime, timedelta

from driftd.core.difference import Change
from driftd.core.facts import Session
from driftd.core.findings import Action, Finding, Severity, Verdict
from driftd.core.memory import InstanceRow
from driftd.core.replacement import Record, State

NOW = datetime(2026, 1, 31, 8, 0, tzinfo=UTC)


def later(seconds=1.0):
    return NOW + timedelta(seconds=seconds)


def instance(name="i-1", **others):
    values = {
        "id": name,
        "group": "web",
        "slot": f"web/{name}",
        "image": "img",
        "address": "10.0.0.1",
        "state": "running",
        "verdict": Verdict.CLEAN,
        "reason": "as baked",
        "root": "ab" * 32,
        "verdict_since": NOW,
        "looked_at": NOW,
        "first_seen": NOW,
    }
    return InstanceRow(**values | others)


def finding(signature="sig", **others):
    values = {
        "kind": "file",
        "subject": b"/etc/passwd",
        "change": Change.MODIFIED,
        "severity": Severity.HIGH,
        "action": Action.REPLACE,
        "signature": signature,
        "rule": "base:closed-world",
        "because": "the image does not explain it",
        "expected": {"mode": "0644"},
        "actual": {"mode": "0666"},
    }
    return Finding(**values | others)


def session(**others):
    return Session(**{"door": "ssh", "user": "root", "source": "10.0.0.9", "started_at": NOW, "pid": 7} | others)


def record(rid="r1", **others):
    values = {
        "rid": rid,
        "group": "web",
        "slot": "web/1",
        "image": "img",
        "old_id": "i-1",
        "why": "somebody logged in",
        "state": State.CONFIRMING,
        "created_at": NOW,
        "entered_at": NOW,
    }
    return Record(**values | others)
