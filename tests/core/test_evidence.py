"""Expectations held against evidence: what was asked, what was baked, what earlier looks left."""

import hashlib
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trees import NOW, baked, directory, file, fingerprint, link

from driftd.core import drift
from driftd.core.asking import Speaking, asks_for, departed, remember
from driftd.core.asks import Answer, Ask
from driftd.core.classes import NO_CLASSES, Expected
from driftd.core.difference import Change, Difference
from driftd.core.evidence import Evidence, state
from driftd.core.expect import Expect, held, questions
from driftd.core.facts import Kept
from driftd.core.findings import Action, Verdict
from driftd.core.globs import path as glob
from driftd.core.marks import SETTLING, UNSET, Mark
from driftd.core.policy import Policy, judge
from driftd.core.rules import Match, Rule
from driftd.core.templates import TEMPLATES, of_pattern

LOG = b"/var/log/x"
LATER = NOW + timedelta(days=1)
BASE = [directory(path) for path in b"/etc /srv /usr /usr/lib /usr/lib/python3 /var /var/log".split()]


def sha(data):
    return hashlib.sha256(data).digest()


def answering(contents):
    """Answers as a probe gives them to prefixes, of files with these contents."""

    def answer(ask):
        data = contents[ask.path]
        size = int(ask.argument)
        return Answer(size=len(data), sha256=sha(data[:size]) if size <= len(data) else b"")

    return answer


def audited(before, now, rules, marks=(), born=NOW, answers=None, kept=(), at=LATER, classes=NO_CLASSES):
    """One judgement of a tree, entries given as files; the answers are what ``answers`` makes of each question."""
    manifest, seen = baked([*BASE, *before]), fingerprint([*BASE, *now], kept=tuple(kept))
    evidence = Evidence.of(manifest, seen, {mark.path: mark for mark in marks}, at, born)
    found = drift.compare(manifest, seen)
    speaking = Speaking(rules, classes)
    asked = asks_for((*found, *departed(found, evidence)), speaking, evidence)
    evidence = replace(evidence, answers={ask: answers(ask) for ask in asked} if answers else {})
    found = (*found, *departed(found, evidence))
    judgement = judge(found, Policy(tuple(rules)), (), at, evidence=evidence)
    return judgement, remember(found, judgement, speaking, evidence), asked


def rule(path, expect, **more):
    return Rule("p", "r", Match(paths=tuple(map(glob, path.split()))), "It may.", expect=expect, **more)


GROWS = [rule("/var/log/x", Expect.GROWING)]


# --- growing ---------------------------------------------------------------------------------------------------------


@given(old=st.binary(min_size=1, max_size=200), more=st.binary(max_size=200))
def test_whatever_is_appended_is_kept(old, more):
    judgement, marks, _ = audited(
        [file(LOG, old)], [file(LOG, old + more)], GROWS, answers=answering({LOG: old + more})
    )
    assert judgement.findings == ()
    assert [(mark.size, mark.sha256) for mark in marks] == ([(len(old + more), sha(old + more))] if more else [])


@given(data=st.data(), old=st.binary(min_size=1, max_size=200), more=st.binary(max_size=200))
def test_any_change_within_what_was_there_is_found_and_stays_the_reference(data, old, more):
    at = data.draw(st.integers(0, len(old) - 1))
    new = old[:at] + bytes([old[at] ^ data.draw(st.integers(1, 255))]) + old[at + 1 :] + more
    judgement, marks, _ = audited([file(LOG, old)], [file(LOG, new)], GROWS, answers=answering({LOG: new}))
    assert [one.subject for one in judgement.findings] == [LOG]
    assert [(mark.size, mark.sha256) for mark in marks] == [(len(old), sha(old))]
    again, _, _ = audited([file(LOG, old)], [file(LOG, new)], GROWS, marks, answers=answering({LOG: new}))
    assert [one.subject for one in again.findings] == [LOG]


@given(old=st.binary(min_size=2, max_size=200), cut=st.integers(1, 100))
def test_what_is_cut_off_is_found(old, cut):
    new = old[: max(0, len(old) - cut)]
    judgement, _, asked = audited([file(LOG, old)], [file(LOG, new)], GROWS, answers=answering({LOG: new}))
    assert [one.subject for one in judgement.findings] == [LOG]
    assert asked == [], "a shorter file cannot hold it"


def test_an_earlier_looks_mark_counts_for_more_than_the_image():
    mark = Mark(LOG, "growing", 4, sha(b"abcd"), NOW)
    judgement, _, asked = audited(
        [file(LOG, b"ab")], [file(LOG, b"abxdef")], GROWS, [mark], answers=answering({LOG: b"abxdef"})
    )
    assert asked == [Ask(LOG, "prefix", b"4")]
    assert judgement.verdict is Verdict.DRIFTED


def test_nothing_is_asked_where_nothing_differs_and_nothing_when_a_file_only_moved_on():
    assert audited([file(LOG, b"a")], [file(LOG, b"a")], GROWS)[2] == []
    judgement, _, asked = audited([file(LOG, b"old")], [file(LOG, b""), file(LOG + b".1", b"old")], GROWS)
    assert asked == []
    assert [one.subject for one in judgement.findings] == [LOG + b".1"], "its own rule speaks of the rotated one"


@pytest.mark.parametrize(
    ("how", "verdict"), [("cut short", True), ("changed", True), ("not permitted", False), ("not available", False)]
)
def test_what_could_not_be_told_is_neither_kept_nor_a_finding(how, verdict):
    judgement, marks, _ = audited(
        [file(LOG, b"a")], [file(LOG, b"ab")], GROWS, answers=lambda _ask: Answer(how=how, why="so it is")
    )
    assert judgement.findings == ()
    assert [(one.path, one.why, one.cut) for one in judgement.unchecked] == [(LOG, f"{how}: so it is", verdict)]
    assert [(mark.size, mark.sha256) for mark in marks] == [(1, sha(b"a"))], "it is held against the same the next time"


def test_a_host_that_cannot_be_asked_is_held_against_sizes():
    deaf = [Kept("asks", "not available", "this host has no Python")]
    judgement, _, _ = audited([file(LOG, b"a")], [file(LOG, b"xyz")], GROWS, kept=deaf)
    assert [(one.path, one.cut) for one in judgement.unchecked] == [(LOG, False)]
    judgement, _, _ = audited([file(LOG, b"abc")], [file(LOG, b"a")], GROWS, kept=deaf)
    assert [one.subject for one in judgement.findings] == [LOG]


def test_a_log_that_was_written_while_it_was_read_keeps_its_mark():
    mark = Mark(LOG, "growing", 4, sha(b"abcd"), NOW)
    busy = file(LOG, b"abcdef")._replace(sha256=b"")
    judgement, marks, _ = audited([], [busy], GROWS, [mark], answers=answering({LOG: b"abcdef"}))
    assert (judgement.findings, marks) == ((), (mark,))


def test_what_cannot_be_seen_is_not_gone():
    mark = Mark(LOG, "growing", 4, sha(b"abcd"), NOW)
    manifest, seen = baked([]), fingerprint([directory(b"/var"), directory(b"/var/log")], covered=(b"/var/log",))
    evidence = Evidence.of(manifest, seen, {LOG: mark}, LATER, NOW)
    assert departed((), evidence) == ()
    assert departed((), replace(evidence, blind=frozenset()))[0].change is Change.REMOVED


# --- set once --------------------------------------------------------------------------------------------------------

ONCE = [rule("/etc/once", Expect.FIRSTBOOT)]
PATH = b"/etc/once"


def test_what_is_set_at_the_first_boot_is_explained_then_and_a_later_change_is_found():
    before = [file(PATH, b"image")]
    judgement, marks, _ = audited(before, [file(PATH, b"mine")], ONCE)
    assert judgement.verdict is Verdict.EXPLAINED
    assert audited(before, [file(PATH, b"mine")], ONCE, marks)[0].verdict is Verdict.EXPLAINED
    judgement, after, _ = audited(before, [file(PATH, b"yours")], ONCE, marks)
    assert "it was changed after the first boot" in judgement.findings[0].because
    assert after == marks, "the first stays what later ones are held against"


@pytest.mark.parametrize(
    "now", [[], [file(PATH, b"image")], [file(PATH, b"mine", 0o600)], [file(PATH, b"mine", uid=3)]]
)
def test_gone_as_it_was_baked_again_or_of_another_mode_is_later_too(now):
    before = [file(PATH, b"image")] if now and now[0].size == 5 else []
    _, marks, _ = audited(before, [file(PATH, b"mine")], ONCE)
    judgement, _, _ = audited(before, now, ONCE, marks)
    assert [one.subject for one in judgement.findings] == [PATH]


def test_while_the_first_boot_may_still_be_writing_the_reference_moves():
    soon = NOW + SETTLING / 2
    _, marks, _ = audited([], [file(PATH, b"half")], ONCE, at=NOW + SETTLING / 4)
    judgement, marks, _ = audited([], [file(PATH, b"whole")], ONCE, marks, at=soon)
    assert judgement.verdict is Verdict.EXPLAINED
    assert [mark.sha256 for mark in marks] == [state(file(PATH, b"whole"))]
    assert audited([], [file(PATH, b"other")], ONCE, marks)[0].verdict is Verdict.DRIFTED


@pytest.mark.parametrize(("after", "verdict"), [(UNSET, Verdict.DRIFTED), (UNSET / 2, Verdict.EXPLAINED)])
def test_what_the_first_boot_left_as_it_was_baked_is_set(after, verdict):
    """Weeks later it is no more explained by a first boot."""
    before, classes = [file(PATH, b"image")], {PATH: Expected("firstboot")}
    judgement, marks, _ = audited(before, before, ONCE, at=NOW + after, classes=classes)
    assert judgement.verdict is Verdict.CLEAN
    judgement, marks, _ = audited(before, [file(PATH, b"mine")], ONCE, marks, classes=classes)
    assert judgement.verdict is verdict
    assert audited(before, before, ONCE, marks, classes=classes)[0].verdict is (
        Verdict.CLEAN if verdict is Verdict.DRIFTED else Verdict.DRIFTED
    )


def test_a_restart_does_not_open_the_first_boot_again():
    _, marks, _ = audited([], [file(PATH, b"mine")], ONCE)
    restarted = LATER + timedelta(days=3)
    assert audited([], [file(PATH, b"yours")], ONCE, marks, born=restarted, at=restarted)[0].verdict is Verdict.DRIFTED


@pytest.mark.parametrize(("template", "found"), [("hostname", True), ("resolv-conf", False), ("hex32", True)])
def test_a_value_that_is_an_instances_own_is_set_once_and_others_may_change(template, found):
    form = [rule("/etc/once", Expect.TEMPLATE, template=template)]

    def yes(_ask):
        return Answer(yes=True)

    first, second = (file(PATH, text * 32) for text in (b"a", b"b"))
    _, marks, _ = audited([], [first], form, answers=yes)
    assert bool(audited([], [second], form, marks, answers=yes)[0].findings) is found


# --- forms -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("template", [*sorted(TEMPLATES.keys() - {"pyc"})])
def test_a_template_is_held_against_the_content(template):
    form = TEMPLATES[template]
    entry = file(PATH, b"x" * max(form.least, 1), int(min(form.modes), 8))
    rules = [rule("/etc/once", Expect.TEMPLATE, template=template)]
    for yes, verdict in ((True, Verdict.EXPLAINED), (False, Verdict.DRIFTED)):
        judgement, _, asked = audited([], [entry], rules, answers=lambda _ask, yes=yes: Answer(yes=yes))
        assert asked == [Ask(PATH, "match", form.pattern)]
        assert judgement.verdict is verdict


def test_a_rules_own_pattern_is_asked():
    rules = [rule("/srv/token", Expect.TEMPLATE, pattern=r"v[0-9]+\n")]
    judgement, _, asked = audited([], [file(b"/srv/token", b"v1\n")], rules, answers=lambda _ask: Answer(yes=False))
    assert asked == [Ask(b"/srv/token", "match", rb"v[0-9]+\n")]
    assert "is not what the rule's pattern says" in judgement.findings[0].because
    assert of_pattern("x").pattern == b"x"


@pytest.mark.parametrize("mode", [0o755, 0o4644, 0o666])
def test_nothing_is_asked_about_what_breaks_its_expectation_by_itself(mode):
    assert audited([], [file(PATH, b"a" * 32, mode)], [rule("/etc/once", Expect.TEMPLATE, template="hex32")])[2] == []


SOURCE, PYC = b"/usr/lib/python3/x.py", b"/usr/lib/python3/__pycache__/x.cpython-311.opt-1.pyc"
COMPILED = [rule("/usr/**/__pycache__ /usr/**/__pycache__/*.pyc", Expect.TEMPLATE, template="pyc")]
TEXT = b"x = 1\n"
BAKED = (file(SOURCE, TEXT),)


def compiled(now, before=BAKED, *, yes=True, source=TEXT):
    answer = Answer(yes=yes, sha256=sha(source), why="" if yes else "no")
    return audited(list(before), now, COMPILED, answers=lambda _ask: answer)[0]


def test_a_compiled_module_is_explained_by_its_baked_source_alone():
    tree = [file(SOURCE, TEXT), directory(b"/usr/lib/python3/__pycache__"), file(PYC, b"p" * 20)]
    assert compiled(tree).verdict is Verdict.EXPLAINED
    for broken in (
        compiled(tree, yes=False),
        compiled(tree, source=b"another"),
        compiled(tree, before=[file(SOURCE, b"y = 2\n")]),
        compiled(tree[1:], before=[]),
        compiled([*tree[:2], file(PYC, b"p" * 20, 0o755)]),
        compiled([*tree[:2], file(PYC, b"p" * 20, uid=1000)]),
        compiled([*tree, file(b"/usr/lib/python3/__pycache__/x.so", b"elf")]),
    ):
        assert broken.verdict is Verdict.DRIFTED
    odd = directory(b"/usr/lib/python3/__pycache__", 0o777)
    assert compiled([tree[0], odd]).verdict is Verdict.DRIFTED


def test_the_source_may_be_a_link_that_was_baked_to_a_file_that_was():
    """Debian's sitecustomize.py lies in /etc."""
    real = b"/etc/python3/x.py"
    made = [directory(b"/etc/python3"), file(real, TEXT), link(SOURCE, b"../../../etc/python3/x.py")]
    tree = [*made, directory(b"/usr/lib/python3/__pycache__"), file(PYC, b"p" * 20)]
    right = Answer(yes=True, sha256=sha(TEXT))
    judgement, _, asked = audited(made, tree, COMPILED, answers=lambda _ask: right)
    assert judgement.verdict is Verdict.EXPLAINED
    assert asked == [Ask(PYC, "pyc", real)]
    for odd in (
        [made[0], file(real, b"y = 2\n"), *tree[2:]],
        [*made[:2], link(SOURCE, b"/etc/python3/y.py"), *tree[3:], file(b"/etc/python3/y.py", TEXT)],
        [made[0], link(real, SOURCE), *tree[2:]],
    ):
        judgement, _, asked = audited(made, odd, COMPILED, answers=lambda _ask: right)
        assert PYC in {one.subject for one in judgement.findings}
        assert asked == []
    looped = [made[0], link(real, SOURCE), made[2]]
    judgement, _, asked = audited(looped, [*looped, *tree[3:]], COMPILED, answers=lambda _ask: right)
    assert (judgement.verdict, asked) == (Verdict.DRIFTED, [])


# --- the others ------------------------------------------------------------------------------------------------------


def differs(**actual):
    return Difference(
        "file", PATH, Change.MODIFIED, {"size": "1", "sha256": "aa"}, {"size": "2", "sha256": "bb", **actual}
    )


@pytest.mark.parametrize("expect", [Expect.PRESENCE, Expect.VARIABLE, Expect.FIRSTBOOT])
def test_content_may_differ_and_nothing_else_and_never_that_of_a_program(expect):
    assert held(expect, differs(), Evidence()).why == ""
    assert held(expect, differs(mode="0755"), Evidence()).why
    same = replace(differs(mode="0755"), expected={"mode": "0755", "sha256": "aa"})
    assert held(expect, same, Evidence()).why == "it is executable"
    assert held(expect, replace(differs(), change=Change.REMOVED), Evidence()).why == "it is gone"


def test_presence_is_of_what_was_baked_and_absence_of_what_is_not_there():
    added = Difference("file", PATH, Change.ADDED, {}, {"mode": "0644", "uid": "0"})
    gone = Difference("file", PATH, Change.REMOVED, {"mode": "0644"}, {})
    assert held(Expect.PRESENCE, added, Evidence()).why == "it was not baked"
    assert held(Expect.VARIABLE, added, Evidence()).why == ""
    assert (held(Expect.ABSENT, gone, Evidence()).why, held(Expect.ABSENT, added, Evidence()).why) == (
        "",
        "it is there",
    )
    assert all(held(Expect.EXACT, one, Evidence()).why for one in (added, gone, differs()))
    assert list(questions(Expect.PRESENCE, added, Evidence(), None)) == []


def test_an_open_directory_is_itself_as_baked_and_open_below():
    rules = [rule("/srv/in /srv/in/**", Expect.OPEN_DIR)]
    before = [directory(b"/srv/in", 0o700)]
    assert audited(before, [*before, file(b"/srv/in/a/b", b"x")], rules)[0].verdict is Verdict.EXPLAINED
    below = audited([*before, file(b"/srv/in/a", b"x")], [*before, file(b"/srv/in/a", b"y")], rules)[0]
    assert below.verdict is Verdict.EXPLAINED
    for now in ([directory(b"/srv/in", 0o755)], [], [*before, file(b"/srv/in/x", b"x", 0o755)]):
        assert audited(before, now, rules)[0].verdict is Verdict.DRIFTED


def test_a_faint_loss_alerts_and_a_plain_one_replaces():
    marks = [Mark(LOG, "growing", 4, sha(b"abcd"), NOW), Mark(LOG + b".1", "rotated", 4, sha(b"wxyz"), NOW)]
    rotated = [rule("/var/log/x", Expect.GROWING), rule("/var/log/x.*", Expect.ROTATED)]
    after = NOW + timedelta(hours=1)
    both = {LOG: b"neew", LOG + b".1": b"newer"}
    faint, _, _ = audited(
        [], [file(path, text) for path, text in both.items()], rotated, marks, answers=answering(both), at=after
    )
    assert faint.action is Action.ALERT
    one = {LOG: b"neew", LOG + b".1": b"wxyz"}
    plain, _, _ = audited(
        [], [file(path, text) for path, text in one.items()], rotated, marks, answers=answering(one), at=after
    )
    assert (plain.action, [found.subject for found in plain.findings]) == (Action.REPLACE, [LOG])
