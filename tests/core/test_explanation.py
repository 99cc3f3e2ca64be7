"""An explanation is put together from rows: what a name speaks of, who was there, where else, how to stop it."""

from datetime import date, datetime, timedelta

import pytest
from trees import NOW

from driftd.core import explanation
from driftd.core.causes.fleet import spread
from driftd.core.difference import Change
from driftd.core.facts import Session
from driftd.core.findings import Action, Finding, Severity, Verdict
from driftd.core.memory import FindingRow, InstanceRow, SessionRow
from driftd.core.policy import DEFAULT_RULE, Policy
from driftd.core.replacement import Record, State
from driftd.core.rules import Match, Rule
from driftd.core.shown import NOTHING, Exhibit

EVERY = timedelta(minutes=5)


def instance(name="i-1", **others):
    values = {"group": "web", "slot": f"web/{name[-1]}", "image": "img", "address": f"10.0.0.{name[-1]}"}
    values |= {"state": "running", "verdict": Verdict.DRIFTED, "reason": "", "root": "", "looked_at": NOW}
    return InstanceRow(id=name, verdict_since=NOW, first_seen=NOW, **{**values, **others})


def row(number=1, name="i-1", signature="ab" * 8, **others):
    values = {"kind": "file", "subject": b"/etc/a", "change": Change.MODIFIED, "severity": Severity.HIGH}
    values |= {"action": Action.REPLACE, "rule": DEFAULT_RULE, "because": "it is so", "actual": {"sha256": "ab"}}
    resolved = others.pop("resolved_at", None)
    made = Finding(signature=signature, **{**values, **others})
    return FindingRow(number, name, made, NOW - timedelta(hours=1), NOW, resolved)


INSTANCES = [instance("i-1"), instance("i-2"), instance("i-3")]
ROWS = [
    row(1),
    row(2, "i-2"),
    row(3, "i-1", "cd" * 8, severity=Severity.LOW),
    row(4, "i-1", "ef" * 8, severity=Severity.CRITICAL),
]


@pytest.mark.parametrize(
    ("name", "numbers", "slot"),
    [
        ("2", [2], None),
        ("ab" * 8, [1], None),
        ("i-1", [4, 1, 3], "web/1"),
        ("web/1", [4, 1, 3], "web/1"),
        ("10.0.0.2", [2], "web/2"),
        ("web/3", [], "web/3"),
        ("nobody", [], None),
    ],
)
def test_a_name_is_a_finding_or_an_instance(name, numbers, slot):
    found = explanation.named(name, ROWS, spread(ROWS), INSTANCES)
    assert [one.id for one in found.rows] == numbers
    assert (found.instance.slot if found.instance else None) == slot


def test_the_signature_of_a_cause_speaks_of_its_findings_on_one_instance():
    values = {"change": Change.REMOVED, "cause": "tree-removed", "about": b"/opt/x"}
    gone = [
        row(number + first, name, f"{number:016x}", subject=b"/opt/x/%d" % number, **values)
        for name, first in (("i-1", 10), ("i-2", 20))
        for number in range(3)
    ]
    causes = spread(gone)
    (cause,) = causes
    found = explanation.named(cause.cause.signature, gone, causes, INSTANCES)
    assert found.cause is cause
    assert {one.instance_id for one in found.rows} == {"i-1"}
    assert len(found.rows) == 3
    assert explanation.came_of(gone[0], causes) == cause.cause.sentence
    assert explanation.came_of(ROWS[0], spread(ROWS)) == ""


def visit(started: datetime, ended: datetime | None = None, *, live=False, own=False) -> SessionRow:
    return SessionRow(1, "i-1", Session("ssh", "eve", "10.9.9.9", started, ended_at=ended, live=live), own, NOW)


SEEN = NOW - timedelta(hours=1)  # first seen
THERE = {
    "just before": (visit(SEEN - timedelta(minutes=3), SEEN - timedelta(minutes=2)), True),
    "still there": (visit(SEEN - timedelta(days=9), live=True), True),
    "across": (visit(SEEN - timedelta(hours=9), SEEN + timedelta(hours=1)), True),
    "long before": (visit(SEEN - timedelta(hours=9), SEEN - timedelta(hours=8)), False),
    "afterwards": (visit(SEEN + timedelta(minutes=1)), False),
    "driftd's own": (visit(SEEN - timedelta(minutes=1), own=True), False),
}


@pytest.mark.parametrize("name", THERE)
def test_who_was_there_while_it_came_about(name):
    session, there = THERE[name]
    assert bool(explanation.overlapping(ROWS[0], [session], EVERY)) is there


def test_the_same_elsewhere():
    found = explanation.same_elsewhere(ROWS[0], ROWS, INSTANCES)
    assert [(other.id, its.id) for other, its in found] == [("i-2", 2)]
    assert explanation.same_elsewhere(ROWS[0], ROWS, INSTANCES[:1]) == ()


def record(**others) -> Record:
    return Record("rid-1", "web", "web/1", "img", "i-1", "why", State.SOAKING, NOW, NOW, **others)


WAYS = {
    "observed": (ROWS[0], None, Action.ALERT, False, ["driftd accept 1"]),
    "to be replaced": (ROWS[0], None, Action.REPLACE, False, ["driftd accept 1", "driftd pause --group web"]),
    "being replaced": (
        ROWS[0],
        record(),
        Action.REPLACE,
        False,
        ["driftd accept 1", "driftd cancel rid-1", "driftd pause"],
    ),
    "too late": (ROWS[0], record(committed=True), Action.REPLACE, True, ["driftd accept 1"]),
    "accepted": (row(9, suppressed_by="eve"), None, Action.ALERT, False, []),
    "over": (row(9, resolved_at=NOW), record(), Action.REPLACE, False, []),
}


@pytest.mark.parametrize("name", WAYS)
def test_how_to_stop_it(name):
    one, replacement, enforce, paused, expected = WAYS[name]
    ways = explanation.ways_to_stop(one, INSTANCES[0], replacement, enforce, paused=paused)
    assert len(ways) == len(expected)
    assert all(command.startswith(wanted) and does for (command, does), wanted in zip(ways, expected, strict=True))


def test_which_rule_judged():
    rule = Rule(
        "mine", "a", Match(), "so", where="web.yaml:7", owner="ops", expires=date(2026, 2, 1), severity=Severity.LOW
    )
    policy = Policy(rules=(rule,))
    judged = explanation.judged_by(row(rule="mine:a").finding, policy)
    assert judged == explanation.JudgedBy("mine:a", "web.yaml:7", "ops", "2026-02-01")
    assert "no rule" in explanation.judged_by(ROWS[0].finding, policy).says
    assert "no more" in explanation.judged_by(row(rule="old:b").finding, policy).says


def test_why_nothing_is_shown():
    found = ROWS[0].finding
    assert "no pack lists" in explanation.unshown(found, None, showable=False, sidecar="")
    assert explanation.unshown(found, None, showable=True, sidecar="it is damaged") == "it is damaged"
    assert "not kept" in explanation.unshown(found, None, showable=True, sidecar="")
    assert explanation.unshown(found, Exhibit(None, None, NOTHING), showable=True, sidecar="") == ""
    assert explanation.unshown(row(actual={"mode": "0666"}).finding, None, showable=False, sidecar="") == ""
    assert explanation.unshown(row(kind="unit").finding, None, showable=False, sidecar="") == ""
