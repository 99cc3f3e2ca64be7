"""Whatever pristine instances show: the same rules in any order, none where a person decides, and no more than seen."""

from __future__ import annotations

from dataclasses import replace

from calibrating import MOMENTS, added, edited, gone, judged, learnt, link, made, sample, showed
from hypothesis import given
from hypothesis import strategies as st

from driftd.core.calibration.never import HOST_KEY, why_not
from driftd.core.difference import Difference
from driftd.core.expect import PATH_KINDS, Expect
from driftd.core.findings import Severity
from driftd.core.policy import DEFAULT_RULE

PATHS = (
    "/etc/hostname",
    "/etc/app.conf",
    "/etc/passwd",
    "/etc/cron.d/x",
    "/etc/ssh/ssh_host_ed25519_key",
    "/etc/systemd/system/x.service",
    "/boot/vmlinuz",
    "/root/.profile",
    "/usr/bin/x",
    "/var/lib/app/x",
    "/var/lib/app/run-1",
    "/var/lib/app/run-2",
    "/var/lib/app/lib.so",
    "/var/lib/systemd/linger/bob",
    "/var/log/app.log",
)
path = st.sampled_from(PATHS)
content = st.integers(0, 2)
size = st.sampled_from([10, 20, 30])
differences = st.one_of(
    st.builds(added, path, content, size, st.sampled_from(["0644", "0600", "0755", "4755"])),
    st.builds(edited, path, content, size),
    st.builds(made, path, st.sampled_from(["0755", "0777", "1777"])),
    st.builds(link, path, st.sampled_from(["/a", "/b"])),
    st.builds(gone, path),
    st.builds(
        showed,
        st.sampled_from(["listener", "sysctl", "mount", "unit", "account", "key", "hostkey", "kernel", "process"]),
        st.sampled_from(["a", "/tmp", "/usr"]),
        live=st.sampled_from(["x", "y"]),
        image_kernel=st.sampled_from(["", "none"]),
    ),
)
moments = st.lists(
    st.lists(differences, max_size=5, unique_by=lambda one: (one.kind in {"file", "directory", "link"}, one.subject)),
    min_size=3,
    max_size=3,
)
forms = st.dictionaries(path, st.sets(st.sampled_from(["hex32", "hostname", "ssh-private-key"])), max_size=4)
instances = st.lists(st.tuples(moments, forms), min_size=1, max_size=3)


def samples_of(instances):
    return [
        sample(f"i-{number}", moment, found, forms=known)
        for number, (seen, known) in enumerate(instances)
        for moment, found in zip(MOMENTS, seen, strict=True)
    ]


def shown(samples):
    """Everything that was seen, as differences."""
    return [
        Difference(one.kind, one.subject, one.change, one.expected, one.actual)
        for taken in samples
        for one in taken.findings
    ]


def _about(one):
    """One path is one, whatever kind of thing stood there."""
    return (one.kind in PATH_KINDS or one.kind, one.subject)


@given(instances, st.randoms())
def test_the_order_of_the_instances_does_not_matter(instances, chance):
    samples = samples_of(instances)
    order = list({taken.instance for taken in samples})
    chance.shuffle(order)
    shuffled = [taken for name in order for taken in samples if taken.instance == name]
    assert learnt(shuffled) == learnt(samples)


@given(instances)
def test_nothing_is_proposed_where_a_person_decides(instances):
    samples = samples_of(instances)
    rules = learnt(samples).rules
    for one in shown(samples):
        host_key = HOST_KEY.fullmatch(one.subject)
        if why_not(one) and any(rule.speaks_of(one) for rule in rules):
            assert host_key, one
            [rule] = [rule for rule in rules if rule.speaks_of(one)]
            assert rule.template == "ssh-private-key"


@given(instances)
def test_everything_seen_is_explained_by_the_rules_or_left_for_a_person(instances):
    samples = samples_of(instances)
    found = learnt(samples)
    left = {_about(one) for one in found.left}
    for taken in samples:
        judgement = judged(shown([taken]), found.rules)
        assert {_about(one) for one in judgement.findings} <= left
        assert all(one.severity is not Severity.INFO for one in judgement.findings)


@given(instances, differences)
def test_nothing_is_explained_that_no_sample_showed(instances, one):
    """But for the classes whose point that is: forms of values, and what is written anew where nothing is obeyed."""
    samples = samples_of(instances)
    found = learnt(samples)
    [judgement] = [judged([one], found.rules)]
    for explained in judgement.explained:
        rule = next(rule for rule in found.rules if rule.name == explained.rule)
        open_ended = {Expect.TEMPLATE, Expect.VARIABLE, Expect.GROWING, Expect.EPHEMERAL}
        general = any(not glob.plain for glob in rule.match.paths) or one.kind == "hostkey"
        assert general or rule.expect in open_ended or one in shown(samples), rule
        assert not why_not(one) or HOST_KEY.fullmatch(one.subject)


@given(instances)
def test_what_is_seen_twice_is_learnt_as_what_is_seen_once(instances):
    """A second look at the same moment adds nothing but to the evidence's moments."""
    samples = samples_of(instances)
    twice = [again for taken in samples for again in (taken, replace(taken))]
    assert [(rule.id, rule.match) for rule in learnt(twice).rules] == [
        (rule.id, rule.match) for rule in learnt(samples).rules
    ]


def test_a_policy_that_explains_all_leaves_nothing_to_learn():
    nothing = [sample("i-0", "boot", [])]
    assert learnt(nothing).rules == learnt(nothing).left == ()
    assert DEFAULT_RULE == "driftd:default"
