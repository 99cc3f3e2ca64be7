"""Judging: the first rule that fits decides, acceptances hold for a time, and nothing turns drift into clean."""

from dataclasses import replace
from datetime import date, timedelta
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trees import NOW

from driftd.core import globs, severity
from driftd.core.difference import Change, Difference
from driftd.core.expect import Expect
from driftd.core.facts import FACT_KINDS
from driftd.core.findings import Action, Severity, Verdict, signature
from driftd.core.memory import Suppression
from driftd.core.policy import DEFAULT_RULE, Policy, judge
from driftd.core.rules import Match, Rule, Source, too_broad

FILE = {"kind": "file", "mode": "0644", "uid": "0", "gid": "0", "size": "3", "sha256": "ab" * 32}


def added(path: bytes, kind: str = "file", **fields) -> Difference:
    return Difference(kind, path, Change.ADDED, {}, {**FILE, "kind": kind, **fields})


def session(user: str = "eve", source: str = "10.1.2.3", **fields) -> Difference:
    actual = {"door": "ssh", "user": user, "source": source, **fields}
    return Difference("session", f"ssh:{user}@{source}".encode(), Change.ADDED, {}, actual)


def rule(ident: str = "r", *paths: str, **fields) -> Rule:
    match = fields.pop("match", Match(paths=tuple(globs.path(path) for path in paths)))
    return Rule("pack", ident, match, "it is so", **fields)


def verdict(differences, *rules: Rule, suppressions=(), **options):
    return judge(differences, Policy(rules), suppressions, NOW, **options)


LOG = added(b"/var/log/x")


def test_nothing_differs():
    found = verdict([], image="golden")
    assert (found.verdict, found.reason, found.action) == (
        Verdict.CLEAN,
        "nothing differs from golden",
        Action.IGNORE,
    )


def test_what_no_rule_speaks_of_is_a_finding_that_asks_for_replacement():
    found = verdict([LOG])
    assert (found.verdict, found.action) == (Verdict.DRIFTED, Action.REPLACE)
    assert found.findings[0].rule == DEFAULT_RULE
    assert found.findings[0].because == "the image does not explain it"
    assert found.reason == "1 finding: medium /var/log/x added"


def test_the_worst_comes_first():
    found = verdict([LOG, added(b"/usr/bin/x"), added(b"/etc/sudoers.d/x")])
    assert [one.severity for one in found.findings] == [Severity.CRITICAL, Severity.HIGH, Severity.MEDIUM]
    assert found.reason == "3 findings, worst: critical /usr/bin/x added"


def test_a_fact_is_named_with_its_kind():
    assert verdict([session()]).reason == "1 finding: high session ssh:eve@10.1.2.3 added"


def test_the_first_rule_that_fits_decides():
    first, second = rule("a", "/var/log/*", action=Action.ALERT), rule("b", "/var/log/x", action=Action.EXPLAIN)
    assert verdict([LOG], first, second).findings[0].rule == "pack:a"
    assert verdict([LOG], second, first).explained[0].rule == "pack:b"


def test_a_met_expectation_explains_and_an_unmet_one_says_why():
    expected = rule("log", "/var/log/**", expect=Expect.EPHEMERAL)
    met = verdict([LOG], expected)
    assert (met.verdict, met.reason) == (Verdict.EXPLAINED, "1 difference, explained")
    assert met.explained[0].because == "it is so"
    unmet = verdict([added(b"/var/log/x", mode="0755")], expected)
    assert unmet.verdict is Verdict.DRIFTED
    assert unmet.findings[0].because == "expected to be coming and going, but it is executable"
    assert unmet.findings[0].rule == "pack:log"


def test_ignored_is_counted_and_never_clean():
    found = verdict([LOG], rule("i", "/var/log/x", action=Action.IGNORE))
    assert (found.verdict, found.ignored, found.findings, found.explained) == (Verdict.EXPLAINED, 1, (), ())


def test_a_rule_may_lower_the_action_and_set_the_severity():
    found = verdict([LOG], rule("a", "/var/log/x", action=Action.ALERT, severity=Severity.LOW))
    assert (found.verdict, found.action) == (Verdict.DRIFTED, Action.ALERT)
    assert found.findings[0].severity is Severity.LOW


def test_the_highest_action_counts():
    assert verdict([LOG, added(b"/srv/x")], rule("a", "/var/log/x", action=Action.ALERT)).action is Action.REPLACE


def test_a_rule_lasts_until_the_end_of_its_day():
    today = rule("t", "/var/log/x", action=Action.EXPLAIN, expires=NOW.date())
    yesterday = replace(today, expires=NOW.date() - timedelta(days=1))
    assert verdict([LOG], today).verdict is Verdict.EXPLAINED
    assert verdict([LOG], yesterday).verdict is Verdict.DRIFTED


def test_strict_switches_off_all_that_lets_pass_and_keeps_the_rest():
    passing = rule("p", "/var/log/x", expect=Expect.EPHEMERAL)
    judging = rule("j", "/var/log/x", severity=Severity.LOW)
    found = verdict([LOG], passing, judging, suppressions=[accepted()], strict=True)
    assert [one.rule for one in found.findings] == ["pack:j"]
    assert found.verdict is Verdict.DRIFTED


# --- acceptances -----------------------------------------------------------------------------------------------------


def accepted(shape: str = "", **fields) -> Suppression:
    values = {"group": "web", "owner": "ann", "reason": "that was me", "expires_at": NOW + timedelta(days=1), **fields}
    return Suppression(id=1, signature=shape or signature(LOG), created_at=NOW, **values)


def test_an_accepted_finding_is_kept_and_raises_nothing():
    found = verdict([LOG], suppressions=[accepted()], group="web")
    assert (found.verdict, found.action, found.reason) == (
        Verdict.EXPLAINED,
        Action.IGNORE,
        "1 finding, accepted by ann until 2026-01-03 03:04 UTC: that was me",
    )
    assert found.findings[0].suppressed_by == "accepted by ann until 2026-01-03 03:04 UTC: that was me"


@pytest.mark.parametrize(
    "other",
    [accepted(group="db"), accepted(expires_at=NOW), accepted("0" * 16)],
    ids=["of-another-group", "over", "of-something-else"],
)
def test_an_acceptance_holds_for_its_group_time_and_signature(other):
    assert verdict([LOG], suppressions=[other], group="web").verdict is Verdict.DRIFTED


def test_an_acceptance_for_everywhere():
    assert verdict([LOG], suppressions=[accepted(group="")], group="db").verdict is Verdict.EXPLAINED


def test_accepting_one_leaves_the_other():
    found = verdict([LOG, added(b"/srv/x")], suppressions=[accepted(group="")])
    assert found.reason == "1 finding: medium /srv/x added"
    assert [bool(one.suppressed_by) for one in found.findings] == [False, True]


# --- matching --------------------------------------------------------------------------------------------------------

ALL = {
    "file": added(b"/srv/a"),
    "directory": added(b"/srv/d", "directory"),
    "package": Difference("package", b"nc:amd64", Change.ADDED, {}, {"version": "1"}),
    "account": Difference("account", b"eve", Change.ADDED, {}, {"uid": "0"}),
    "group": Difference("group", b"sudo", Change.MODIFIED, {}, {"members": "eve"}),
    "session": session(key="SHA256:k"),
    "gone": Difference("file", b"/srv/a", Change.REMOVED, FILE, {}),
    "listener": Difference(
        "listener", b"tcp 0.0.0.0:22", Change.ADDED, {}, {"program": "/usr/sbin/sshd", "user": "root"}
    ),
    "closed": Difference("listener", b"tcp [::]:22", Change.REMOVED, {"program": "/usr/sbin/sshd"}, {}),
    "setting": Difference("sysctl", b"net.x", Change.MODIFIED, {"configured": "0"}, {"configured": "0", "live": "1"}),
}
W = globs.word
NETWORK = Source(ip_network("10.1.0.0/16"), W("10.1.0.0/16"))
MATCHES = {
    "path": (Match(paths=(globs.path("/srv/*"),)), {"file", "directory", "gone"}),
    "path-and-kind": (Match(paths=(globs.path("/srv/*"),), kinds=frozenset({"directory"})), {"directory"}),
    "change": (Match(paths=(globs.path("/srv/*"),), changes=frozenset({Change.REMOVED})), {"gone"}),
    "kind": (Match(kinds=frozenset({"account", "group"})), {"account", "group"}),
    "package": (Match(facts={"package": (W("n*"),)}), {"package"}),
    "package-by-another-name": (Match(facts={"package": (W("nc:amd64"),)}), set()),
    "account": (Match(facts={"account": (W("eve"), W("bob"))}), {"account"}),
    "group": (Match(facts={"group": (W("sudo"),)}), {"group"}),
    "listener": (Match(facts={"listener": (W("tcp *:22"),)}), {"listener", "closed"}),
    "listener-of-a-program": (
        Match(facts={"listener": (W("tcp *"),)}, fields={"program": (W("*/sshd"),), "user": (W("root"),)}),
        {"listener"},
    ),
    "a-field-that-is-not-there": (Match(kinds=frozenset({"listener"}), fields={"namespace": (W("?*"),)}), set()),
    "that-a-field-is-not-there": (
        Match(kinds=frozenset({"listener"}), fields={"program": (W("*/sshd"),), "namespace": (W(""),)}),
        {"listener", "closed"},
    ),
    "that-a-field-is-not-there-and-is": (Match(kinds=frozenset({"listener"}), fields={"program": (W(""),)}), set()),
    "any-fact-with-such-a-field": (Match(fields={"program": (W("/usr/sbin/*"),)}), {"listener", "closed"}),
    "live-setting": (Match(facts={"sysctl": (W("net.*"),)}, fields={"live": (W("1"),)}), {"setting"}),
    "several-kinds": (Match(facts={"sysctl": (W("*"),), "package": (W("nc"),)}), {"setting", "package"}),
    "user": (Match(session={"user": (W("e*"),)}), {"session"}),
    "network": (Match(session={"source": (NETWORK,)}), {"session"}),
    "user-and-door": (Match(session={"user": (W("eve"),), "door": (W("console"),)}), set()),
}


@pytest.mark.parametrize("case", MATCHES)
def test_match(case):
    match, wanted = MATCHES[case]
    assert {name for name, one in ALL.items() if match.fits(one)} == wanted


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("10.1.255.1", True),
        ("10.2.0.1", False),
        ("::ffff:10.1.0.9", True),
        ("fe80::1", False),
        ("host", False),
        ("", False),
    ],
)
def test_a_network_holds_addresses(address, inside):
    assert NETWORK.matches(address.encode()) is inside


TOO_BROAD = {
    "everything-of-a-kind": Match(kinds=frozenset({"file"})),
    "subtree": Match(paths=(globs.path("/etc/**"),)),
    "every-package": Match(facts={"package": (W("*"),)}),
    "every-account": Match(kinds=frozenset({"account"})),
    "every-group": Match(facts={"group": (W("?*"),)}),
    "every-session": Match(kinds=frozenset({"session"})),
    "every-listener": Match(facts={"listener": (W("*"),)}, fields={"user": (W("root"),)}),
    "every-unit": Match(facts={"unit": (W("ssh.service"), W("*"))}),
    "every-fact-with-a-field": Match(fields={"file": (W("/etc/x"),)}),
    "every-key-of-somebody": Match(facts={"key": (W("root SHA256:*"),)}),
    "keys-by-their-beginning": Match(facts={"key": (W("root SHA256:ab?d"),)}),
    "every-program": Match(facts={"process": (W("/*"),)}),
    "every-preload": Match(facts={"preload": (W("/us*"),)}),
    "every-module": Match(facts={"module": (W("*"),)}, fields={"live": (W("loaded"),)}),
    "every-module-of-some-kernel": Match(facts={"module": (W("*"),)}, fields={"image_kernel": (W("*"),)}),
}
NARROW = {
    "listener": Match(facts={"listener": (W("tcp *:22"),)}),
    "key": Match(facts={"key": (W("root SHA256:abc"),)}),
    "program": Match(facts={"process": (W("/opt/agent/*"),)}),
    "host-keys": Match(facts={"hostkey": (W("SHA256:*"),)}),
    "settings": Match(facts={"sysctl": (W("*"),)}),
    "module": Match(facts={"module": (W("nf_*"),)}),
    "modules-of-another-kernel": Match(facts={"module": (W("*"),)}, fields={"image_kernel": (W("none"),)}),
}


@pytest.mark.parametrize("case", NARROW)
def test_narrow_enough_to_pass(case):
    assert not too_broad(rule(match=NARROW[case], action=Action.EXPLAIN))


@pytest.mark.parametrize("action", [Action.IGNORE, Action.EXPLAIN])
def test_no_rule_explains_a_listener_whose_program_was_not_baked(action):
    said = rule(match=Match(facts={"listener": (W("tcp *:22"),)}), action=action)
    sshd = ALL["listener"]
    assert verdict([replace(sshd, actual={**sshd.actual, "baked": "yes"})], said).verdict is Verdict.EXPLAINED
    found = verdict([replace(sshd, actual={**sshd.actual, "baked": "no"})], said)
    assert found.verdict is Verdict.DRIFTED
    assert found.findings[0].because == "expected (it is so), but its program is not the image's, or hidden"
    assert (found.findings[0].severity, found.findings[0].action) == (Severity.HIGH, Action.REPLACE)
    assert verdict([ALL["closed"]], said).verdict is Verdict.EXPLAINED


@pytest.mark.parametrize("case", TOO_BROAD)
@pytest.mark.parametrize(
    "outcome", [{"expect": Expect.EPHEMERAL}, {"action": Action.IGNORE}, {"action": Action.EXPLAIN}]
)
def test_too_broad_to_pass(case, outcome):
    assert too_broad(rule(match=TOO_BROAD[case], **outcome))
    assert not too_broad(rule(match=TOO_BROAD[case], action=Action.ALERT)), "what is still said may be said of all"


# --- severity --------------------------------------------------------------------------------------------------------

SEVERITIES = {
    b"/boot/vmlinuz": Severity.CRITICAL,
    b"/etc/passwd": Severity.CRITICAL,
    b"/etc/pam.d/sshd": Severity.CRITICAL,
    b"/etc/ld.so.preload": Severity.CRITICAL,
    b"/usr/lib/x.so": Severity.CRITICAL,
    b"/usr/local/bin/x": Severity.CRITICAL,
    b"/usr/lib/systemd/system/x.service": Severity.HIGH,
    b"/etc/systemd/system/x.service": Severity.HIGH,
    b"/etc/cron.d/x": Severity.HIGH,
    b"/etc/crontab": Severity.HIGH,
    b"/etc/sudoers": Severity.HIGH,
    b"/etc/ssh/sshd_config": Severity.HIGH,
    b"/home/a/.ssh/authorized_keys": Severity.HIGH,
    b"/root/.bash_history": Severity.HIGH,
    b"/etc/nginx.conf": Severity.MEDIUM,
    b"/etc/nginx/nginx.conf": Severity.HIGH,
    b"/etc/sudo.conf": Severity.HIGH,
    b"/etc/gss/mech.d/x.conf": Severity.HIGH,
    b"/etc/crypttab": Severity.HIGH,
    b"/etc/hosts.equiv": Severity.HIGH,
    b"/usr/share/keyrings/x.gpg": Severity.HIGH,
    b"/usr/share/vim/vim90/plugin/x.vim": Severity.HIGH,
    b"/home/a/.vim/plugin/x.vim": Severity.HIGH,
    b"/var/cache/x/.vim/plugin/x.vim": Severity.HIGH,
    b"/run/userdb/x.user": Severity.HIGH,
    b"/srv/x": Severity.MEDIUM,
}


def test_every_kind_of_fact_has_a_severity_and_a_reason_of_its_own():
    reasons = set()
    for kind in FACT_KINDS:
        level, because = severity.base(Difference(kind, b"x", Change.ADDED))
        assert level in (Severity.HIGH, Severity.CRITICAL)
        reasons.add(because)
    assert len(reasons) == len(FACT_KINDS)
    assert severity.base(Difference("nova", b"x", Change.ADDED))[0] is Severity.MEDIUM


@pytest.mark.parametrize("path", SEVERITIES, ids=lambda path: path.decode())
def test_severity_by_place(path):
    assert severity.base(added(path))[0] is SEVERITIES[path]


def changed(was, now):
    return Difference("file", b"/etc/x", Change.MODIFIED, was, now)


DANGERS = {
    "setuid": (added(b"/srv/x", mode="4755"), Severity.CRITICAL),
    "capable": (added(b"/srv/x", **{"xattr security.capability": "x"}), Severity.CRITICAL),
    "device": (added(b"/srv/x", "device"), Severity.CRITICAL),
    "executable": (added(b"/srv/x", mode="0755"), Severity.HIGH),
    "open": (added(b"/srv/x", "directory", mode="0777"), Severity.HIGH),
    "sticky": (added(b"/srv/x", "directory", mode="1777"), Severity.MEDIUM),
    # What is dangerous by itself is so where less is the rule.
    "executable-in-etc": (added(b"/etc/x", mode="0755"), Severity.HIGH),
    "script-in-etc": (added(b"/etc/x.sh"), Severity.HIGH),
    "open-in-etc": (changed({"mode": "0644"}, {"mode": "0666"}), Severity.HIGH),
    "not-root's": (changed({"uid": "0"}, {"uid": "33"}), Severity.HIGH),
    "root's-again": (changed({"uid": "33"}, {"uid": "0"}), Severity.MEDIUM),
    "its-group's": (changed({"mode": "0644"}, {"mode": "0664"}), Severity.HIGH),
    "shut-no-more": (changed({"mode": "0600"}, {"mode": "0644"}), Severity.HIGH),
    "shut": (changed({"mode": "0644"}, {"mode": "0600"}), Severity.MEDIUM),
    "access-list": (changed({}, {"xattr system.posix_acl_access": "x"}), Severity.HIGH),
    "setuid-in-etc": (added(b"/etc/x", mode="4755"), Severity.CRITICAL),
    "package": (ALL["package"], Severity.HIGH),
    "account": (ALL["account"], Severity.CRITICAL),
}


@pytest.mark.parametrize("case", DANGERS)
def test_severity_by_danger(case):
    difference, wanted = DANGERS[case]
    assert severity.base(difference)[0] is wanted


# --- whatever it is --------------------------------------------------------------------------------------------------

differences = st.builds(
    Difference,
    st.sampled_from(["file", "directory", "link", "package", "account", "session"]),
    st.binary(min_size=1, max_size=12).map(lambda name: b"/" + name),
    st.sampled_from(Change),
    st.just({"mode": "0644"}),
    st.dictionaries(st.sampled_from(["mode"]), st.sampled_from(["0644", "4755", "0777"])),
)
rules = st.builds(
    lambda path, outcome: rule("g", path, **outcome),
    st.sampled_from(["/**", "/a*", "/*"]),
    st.sampled_from(
        [{"expect": Expect.EPHEMERAL}, {"action": Action.IGNORE}, {"action": Action.ALERT}, {"severity": Severity.LOW}]
    ),
)


@given(st.lists(differences, max_size=6), st.lists(rules, max_size=3))
def test_nothing_is_lost_and_only_nothing_is_clean(found, asked):
    judged = verdict(found, *asked)
    assert len(judged.findings) + len(judged.explained) + judged.ignored == len(found)
    assert (judged.verdict is Verdict.CLEAN) == (not found)
    assert (judged.verdict is Verdict.DRIFTED) == bool(judged.findings)
    assert all(one.because for one in (*judged.findings, *judged.explained))
    assert judged.reason.isprintable()


def test_a_day_is_not_a_moment():
    assert not rule("d", "/x", action=Action.EXPLAIN, expires=date(2026, 1, 2)).expired(NOW)
