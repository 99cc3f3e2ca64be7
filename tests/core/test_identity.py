"""What makes an instance itself: unset in the image, and nobody else's."""

from dataclasses import replace

import pytest
from trees import NOW, baked, directory, file, fingerprint

from driftd.core import identity
from driftd.core.difference import Change
from driftd.core.findings import Action, Severity, signature
from driftd.core.globs import path as glob
from driftd.core.marks import Twin
from driftd.core.policy import Policy, judge
from driftd.core.rules import Match, Rule

MACHINE, KEY = b"/etc/machine-id", b"/etc/ssh/ssh_host_ed25519_key"
ID = file(MACHINE, b"0123456789abcdef0123456789abcdef\n", 0o444)
HOST_KEY = file(KEY, b"a private key", 0o600)
LIVE = replace(fingerprint([ID, HOST_KEY, file(b"/etc/hostname", b"web-1\n")]), live=True)


@pytest.mark.parametrize("unset", [b"", b"uninitialized\n", b"uninitialized", b"\n"])
def test_an_image_with_nothing_set_gives_nothing_to_tell(unset):
    image = baked([file(MACHINE, unset, 0o444), directory(b"/etc/ssh")])
    assert identity.shared(image, LIVE, ()) == ()
    assert identity.unclean(image) == {}


def test_what_was_copied_from_the_image_is_told_of_each_file():
    image = baked([ID, HOST_KEY])
    found = identity.shared(image, LIVE, ())
    assert [(one.kind, one.subject, one.actual["same_as"]) for one in found] == [
        ("identity", MACHINE, "the image"),
        ("identity", KEY, "the image"),
    ]
    assert set(identity.unclean(image)) == {MACHINE, KEY}
    judgement = judge(found, Policy(), (), NOW)
    assert [(one.subject, one.severity, one.action) for one in judgement.findings] == [
        (KEY, Severity.HIGH, Action.ALERT),
        (MACHINE, Severity.MEDIUM, Action.ALERT),
    ]
    assert "copied from the image" in judgement.findings[0].because


def test_a_tree_that_is_no_machine_and_what_was_baked_from_a_running_one_are_not_told():
    assert identity.shared(baked([ID]), replace(LIVE, live=False), ()) == ()
    assert identity.shared(replace(baked([ID]), live=True), LIVE, ()) == ()


def test_another_instance_with_the_same_is_told_by_name():
    twins = [Twin("i-9", MACHINE), Twin("i-2", MACHINE), Twin("i-2", b"/etc/nvme/hostnqn")]
    (found,) = identity.shared(baked([]), LIVE, twins)
    assert (found.subject, found.change, found.actual["same_as"]) == (MACHINE, Change.MODIFIED, "i-2, i-9")
    (finding,) = judge([found], Policy(), (), NOW).findings
    assert "it is not its own: i-2, i-9 has the same" in finding.because
    (other,) = identity.shared(baked([]), LIVE, twins[:1])
    assert signature(found) == signature(other), "the same shape whoever is named"
    many = [Twin(f"i-{number}", MACHINE) for number in range(9)]
    assert identity.shared(baked([]), LIVE, many)[0].actual["same_as"] == "i-0, i-1, i-2 and 6 more"


def test_a_rule_of_the_path_says_nothing_of_it_and_one_of_its_kind_does():
    found = identity.shared(baked([ID]), LIVE, ())

    def judged(**match):
        rule = Rule("p", "r", Match(paths=(glob("/etc/machine-id"),), **match), "So it is.", action=Action.EXPLAIN)
        return judge(found, Policy((rule,)), (), NOW).findings

    assert len(judged()) == 1
    assert judged(kinds=frozenset({"identity"})) == ()
