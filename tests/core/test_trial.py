"""A trial: what a policy would make of what was seen before."""

from dataclasses import replace
from datetime import timedelta

from trees import NOW, baked, file

from driftd.core import globs
from driftd.core.classes import Expected
from driftd.core.difference import Change, Difference
from driftd.core.expect import Expect
from driftd.core.findings import Action, Finding, Severity, Verdict, signature
from driftd.core.memory import ExplainedRow, FindingRow, InstanceRow, Suppression
from driftd.core.policy import DEFAULT_RULE, Policy
from driftd.core.rules import Match, Rule
from driftd.core.trial import Came, Case, Past, Wanted, run, simulate, tried

FIELDS = {"kind": "file", "mode": "0644", "uid": "0", "gid": "0", "size": "3", "sha256": "ab" * 32}


def added(path: bytes, **fields: str) -> Difference:
    return Difference("file", path, Change.ADDED, {}, {**FIELDS, **fields})


def rule(ident: str, *paths: str, **more) -> Rule:
    more = more or {"action": Action.EXPLAIN}
    return Rule("pack", ident, Match(paths=tuple(map(globs.path, paths))), "it is so", **more)


LOG, BINARY = added(b"/var/log/x"), added(b"/usr/bin/x", mode="0755")
LOGS = rule("logs", "/var/log/**", expect=Expect.EPHEMERAL)


# --- cases -----------------------------------------------------------------------------------------------------------


def case(*differences, **more):
    return Case("a-case", differences or (LOG, BINARY), more.pop("manifest", baked([])), **more)


def test_a_case_that_comes_out_as_it_says():
    wanted = case(
        verdict=Verdict.DRIFTED,
        findings=(Wanted(b"/usr/bin/x", kind="file", severity=Severity.CRITICAL),),
        explained=(Wanted(b"/var/log/x", rule="pack:logs"),),
    )
    assert run(wanted, Policy((LOGS,)), NOW).wrong == ()


def test_what_came_out_otherwise_is_told():
    wanted = case(
        verdict=Verdict.EXPLAINED,
        findings=(Wanted(b"/usr/bin/y"),),
        explained=(Wanted(b"/var/log/x", rule="pack:others"),),
    )
    assert run(wanted, Policy((LOGS,)), NOW).wrong == (
        "the verdict is drifted, not explained: 1 finding: critical /usr/bin/x added",
        "no finding: anything /usr/bin/y",
        "a finding that is not expected: critical file /usr/bin/x added (driftd:default)",
        "not explained: anything /var/log/x by pack:others",
    )


def test_any_findings_will_do_where_a_case_names_none():
    assert run(case(verdict=Verdict.DRIFTED), Policy(()), NOW).wrong == ()


def test_a_case_is_judged_as_of_its_own_day():
    lasting = rule("a", "/var/log/x", action=Action.EXPLAIN, expires=NOW.date())
    given = case(LOG, verdict=Verdict.EXPLAINED)
    later = NOW + timedelta(days=2)
    assert run(given, Policy((lasting,)), later).wrong
    assert run(replace(given, at=NOW), Policy((lasting,)), later).wrong == ()


def test_the_classes_of_the_image_count():
    grown = Difference("file", b"/srv/x", Change.MODIFIED, {"size": "1", "sha256": "00"}, {"size": "3", "sha256": "ab"})
    manifest = replace(baked([file(b"/srv/x")]), classes={b"/srv/x": Expected("growing")})
    assert run(case(grown, verdict=Verdict.EXPLAINED, manifest=manifest), Policy(()), NOW).wrong == ()


def test_what_is_known_not_to_have_kept_its_expectation_is_a_finding():
    broken = frozenset({("file", b"/var/log/x", "added")})
    given = case(LOG, verdict=Verdict.DRIFTED, findings=(Wanted(b"/var/log/x"),), broken=broken)
    assert run(given, Policy((LOGS,)), NOW).wrong == ()
    # A rule that expects nothing lets it pass all the same.
    assert tried([LOG], Policy((rule("a", "/var/log/x"),)), NOW, broken=broken).verdict is Verdict.EXPLAINED


# --- history ---------------------------------------------------------------------------------------------------------


def finding(difference, rule=DEFAULT_RULE, action=Action.REPLACE, **more):
    return Finding(
        difference.kind,
        difference.subject,
        difference.change,
        Severity.HIGH,
        action,
        signature(difference),
        rule,
        "why",
        difference.expected,
        difference.actual,
        **more,
    )


def past(*rules, findings=(), explained=(), replaces=True, **more):
    row = InstanceRow("i-1", "web", "web/0", "img", "", "running", Verdict.DRIFTED, "", "", NOW, NOW, NOW)
    rows = tuple(FindingRow(number, "i-1", one, NOW, NOW) for number, one in enumerate(findings))
    kept = tuple(ExplainedRow("i-1", one, by, "why", NOW) for one, by in explained)
    return Past(row, rows, kept, Policy(rules), replaces, **more)


def outcomes(one):
    return {row.difference.subject: (row.was, row.would) for row in simulate([one], NOW, NOW).rows}


def test_the_same_policy_judges_the_same():
    found = simulate([past(LOGS, findings=[finding(BINARY)], explained=[(LOG, "pack:logs")])], NOW, NOW)
    assert [row.differs for row in found.rows] == [False, False]
    assert (found.then, found.would, found.held) == (("i-1",), ("i-1",), ())


def test_a_policy_without_the_rule_would_have_replaced():
    found = simulate([past(explained=[(LOG, "pack:logs")])], NOW, NOW)
    assert outcomes(past(explained=[(LOG, "pack:logs")])) == {b"/var/log/x": (Came.EXPLAINED, Came.REPLACEMENT)}
    assert (found.then, found.would) == ((), ("i-1",))


def test_a_group_that_only_observes_would_have_held():
    found = simulate([past(findings=[finding(BINARY)], replaces=False)], NOW, NOW)
    assert (found.rows[0].was, found.rows[0].would, found.would, found.held) == (Came.HELD, Came.HELD, (), ("i-1",))


def test_a_new_rule_would_have_explained_alerted_or_ignored():
    for action, came in [
        (Action.EXPLAIN, Came.EXPLAINED),
        (Action.ALERT, Came.ALERT),
        (Action.IGNORE, Came.IGNORED),
    ]:
        rules = rule("a", "/var/log/x", action=action)
        assert outcomes(past(rules, findings=[finding(LOG)])) == {b"/var/log/x": (Came.REPLACEMENT, came)}


def test_what_a_person_accepted_is_accepted_still():
    by = Suppression(1, signature(BINARY), "web", "eve", "mine", NOW, NOW + timedelta(days=1))
    was = finding(BINARY, suppressed_by="accepted by eve")
    assert outcomes(past(findings=[was], suppressions=(by,))) == {b"/usr/bin/x": (Came.ACCEPTED, Came.ACCEPTED)}


def test_a_finding_that_a_look_asked_about_stays_one_by_the_same_rule():
    was = finding(LOG, rule="pack:logs")
    assert outcomes(past(LOGS, findings=[was])) == {b"/var/log/x": (Came.REPLACEMENT, Came.REPLACEMENT)}
    other = rule("other", "/var/log/**", expect=Expect.EPHEMERAL)
    assert outcomes(past(other, findings=[was])) == {b"/var/log/x": (Came.REPLACEMENT, Came.EXPLAINED)}


def test_one_path_that_differed_in_two_ways_is_two():
    first, second = added(b"/var/log/x", mode="0755"), LOG
    found = simulate([past(LOGS, findings=[finding(first, "pack:logs"), finding(second)])], NOW, NOW)
    assert [row.would for row in found.rows] == [Came.REPLACEMENT, Came.EXPLAINED]
