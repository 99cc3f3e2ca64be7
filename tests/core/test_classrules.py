"""Classes: filled in from a policy when an image is baked, and asked last when an instance is judged."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from trees import NOW, baked, device, directory, file, link

from driftd.core import classrules, globs
from driftd.core.classes import KINDS_OF, Expected, parse
from driftd.core.difference import Change, Difference
from driftd.core.expect import Expect
from driftd.core.findings import Action, Severity
from driftd.core.policy import Policy, judge
from driftd.core.rules import Match, Rule

TREE = [
    file(b"/etc/machine-id", b"", 0o444),
    file(b"/etc/hosts", b"a"),
    file(b"/usr/bin/ls", b"elf", 0o755),
    directory(b"/var/log"),
    file(b"/var/log/boot.log", b"booted\n", 0o640),
    file(b"/var/log/run.sh", b"#!", 0o755),
    device(b"/var/log/null"),
    link(b"/var/log/last", b"boot.log"),
    file(b"/var/cache/x\n\xff", b"x"),
]
MADE = baked(TREE)


def rule(path: str, expect: Expect | None = None, **fields) -> Rule:
    action = None if expect else fields.pop("action", Action.ALERT)
    return Rule("pack", "one", Match(paths=(globs.path(path),)), "Why.", expect=expect, action=action, **fields)


def classes(*rules: Rule) -> dict[bytes, str]:
    made = classrules.filled(MADE, Policy(rules))
    return {path: given.word for path, given in made.classes.items()}


def test_the_first_rule_that_speaks_of_a_path_gives_its_class():
    given = classes(
        rule("/etc/machine-id", Expect.TEMPLATE, template="hex32"),
        rule("/var/log/boot.log", Expect.GROWING),
        rule("/var/**", Expect.EPHEMERAL),
    )
    assert given[b"/etc/machine-id"] == "template:hex32"
    assert given[b"/var/log/boot.log"] == "growing"
    assert given[b"/var/cache/x\n\xff"] == given[b"/var/log/last"] == "ephemeral"
    assert b"/etc/hosts" not in given
    assert classrules.filled(MADE, Policy()).closed == MADE.root


def test_what_can_be_run_or_is_a_device_is_exact():
    given = classes(rule("/var/**", Expect.EPHEMERAL), rule("/usr/bin/ls", Expect.FIRSTBOOT))
    assert not {b"/var/log/run.sh", b"/var/log/null", b"/usr/bin/ls"} & given.keys()


def test_a_rule_that_alerts_first_keeps_a_path_exact():
    assert classes(rule("/var/log/*"), rule("/var/**", Expect.EPHEMERAL)).keys() == {
        b"/var/cache", b"/var/cache/x\n\xff", b"/var/log",
    }  # fmt: skip


def test_what_was_baked_must_keep_to_what_is_expected_of_it():
    assert classes(rule("/var/log", Expect.GROWING)) == {}, "a directory does not grow"
    assert classes(rule("/etc/hosts", Expect.TEMPLATE, template="ssh-private-key")) == {}, "0644 is no such mode"
    assert classes(rule("/etc/hosts", Expect.ABSENT)) == {}, "it is there"


def test_an_open_directory_is_one_and_what_was_baked_in_it_comes_and_goes():
    given = classes(rule("/var/log", Expect.OPEN_DIR), rule("/var/cache/**", Expect.OPEN_DIR))
    assert given == {b"/var/log": "open-dir", b"/var/cache/x\n\xff": "ephemeral"}
    there = {path: parse(word) for path, word in given.items()}
    added = replace(OTHER, change=Change.ADDED, expected={}, actual={"mode": "0644", "size": "1"})
    assert judged(added, there).rule == "manifest:open-dir"
    assert judged(replace(added, subject=b"/var/other"), there).rule == "driftd:default"
    assert judged(replace(added, actual={"mode": "0755"}), there).action is Action.REPLACE
    moved = replace(added, subject=b"/var/log", kind="directory", change=Change.MODIFIED, actual={"mode": "0777"})
    assert judged(moved, there).action is Action.REPLACE


def test_a_form_of_a_rules_own_has_no_name_that_a_manifest_could_say():
    assert classes(rule("/etc/hosts", Expect.TEMPLATE, pattern="[a-z]+")) == {}


def test_what_expires_is_not_baked_in():
    assert classes(rule("/etc/hosts", Expect.FIRSTBOOT, expires=date(2099, 1, 1))) == {}


def test_a_rule_of_facts_says_nothing_of_paths():
    only_facts = Rule("pack", "id", Match(facts={"package": (globs.word("*"),)}), "Why.", action=Action.IGNORE)
    assert classes(only_facts) == {}


# --- judging ---------------------------------------------------------------------------------------------------------

GROWN = Difference(
    "file", b"/var/log/boot.log", Change.MODIFIED, {"size": "7", "sha256": "aa"}, {"size": "9", "sha256": "bb"}
)
OTHER = replace(GROWN, subject=b"/var/log/other.log")


NOTHING = Policy()


def judged(difference: Difference, given: dict[bytes, Expected], policy: Policy = NOTHING, *, strict: bool = False):
    judgement = judge([difference], policy, (), NOW, classes=given, strict=strict)
    (one,) = (*judgement.findings, *judgement.explained)
    return one


GIVEN = {b"/var/log/boot.log": Expected("firstboot")}


def test_a_class_explains_where_no_rule_speaks():
    found = judged(GROWN, GIVEN)
    assert (found.action, found.rule) == (Action.EXPLAIN, "manifest:firstboot")
    assert "manifest" in found.because
    assert judged(OTHER, GIVEN).rule == "driftd:default"


def test_every_rule_of_the_group_is_asked_before():
    alert = Policy((rule("/var/log/boot.log", severity=Severity.CRITICAL),))
    found = judged(GROWN, GIVEN, alert)
    assert (found.rule, found.severity, found.action) == ("pack:one", Severity.CRITICAL, Action.ALERT)


def test_strict_switches_it_off():
    assert judged(GROWN, GIVEN, strict=True).rule == "driftd:default"


def test_what_does_not_keep_to_its_class_is_a_finding_that_names_it():
    moved = replace(GROWN, expected={"mode": "0640"}, actual={"mode": "0666"})
    found = judged(moved, GIVEN)
    assert (found.rule, found.action) == ("manifest:firstboot", Action.REPLACE)
    assert judged(replace(GROWN, change=Change.REMOVED, actual={}), GIVEN).action is Action.REPLACE


def test_a_class_of_a_file_lets_nothing_be_added():
    added = replace(OTHER, change=Change.ADDED, expected={}, actual={"mode": "0644", "size": "1"})
    assert judged(added, GIVEN | {b"/var/log": Expected("firstboot")}).rule == "driftd:default"


@pytest.mark.parametrize("path", [b"/srv/x\n\xff", b"/srv/*", b"/srv/[a]\\x41"])
def test_names_are_bytes_and_no_globs(path):
    found = judged(replace(GROWN, subject=path), {path: Expected("firstboot")})
    assert found.rule == "manifest:firstboot"


def test_a_template_that_this_driftd_does_not_know_explains_nothing():
    assert judged(GROWN, {GROWN.subject: Expected("template", "of-tomorrow")}).rule == "driftd:default"


def test_every_class_is_an_expectation_and_every_expectation_but_absent_a_class():
    assert set(KINDS_OF) == {word.value for word in Expect} - {"absent"}


@pytest.mark.parametrize("word", ["", "exacT", "absent", "template", "exact:x", "template:X", "growing ", "template:"])
def test_what_is_no_class_is_refused(word):
    with pytest.raises(ValueError, match="is no class"):
        parse(word)
