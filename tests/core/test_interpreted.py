"""Config or state: what something later obeys takes a rule that names it, wherever it lies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trees import NOW

from driftd.core import globs, interpreted
from driftd.core.difference import Change, Difference
from driftd.core.expect import Expect
from driftd.core.findings import Action, Verdict
from driftd.core.policy import Policy, judge
from driftd.core.rules import Match, Rule, too_broad

CONFIG = [
    b"/etc/x",
    b"/efi/loader/entries/x.conf",
    b"/run/systemd/system/x.service",
    b"/run/systemd/system/ssh.service.d/x.conf",
    b"/run/systemd/transient/x.service",
    b"/run/systemd/generator/x.mount",
    b"/run/systemd/network/x.network",
    b"/run/systemd/journald.conf.d/x.conf",
    b"/run/user/1000/systemd/transient/x.service",
    b"/run/udev/rules.d/99-x.rules",
    b"/run/sysctl.d/x.conf",
    b"/run/tmpfiles.d/x.conf",
    b"/run/modprobe.d/x.conf",
    b"/run/polkit-1/rules.d/x.rules",
    b"/run/extensions/x.raw",
    b"/var/lib/extensions/x.raw",
    b"/var/lib/portables/x.raw",
    b"/var/lib/machines/x/etc/passwd",
    b"/var/lib/systemd/linger/eve",
    b"/var/lib/polkit-1/localauthority/50-local.d/x.pkla",
    b"/var/lib/cloud/scripts/per-boot/x",
    b"/var/lib/cloud/seed/nocloud/user-data",
    b"/var/lib/cloud/handlers/x.py",
    b"/var/lib/dpkg/info/x.postinst",
    b"/var/lib/dpkg/triggers/File",
    b"/var/lib/rpm/rpmdb.sqlite",
    b"/var/lib/selinux/targeted/active/modules/400/x/cil",
    b"/var/lib/NetworkManager/NetworkManager-intern.conf",
    b"/var/spool/cron/crontabs/root",
    b"/var/spool/at/a0000101bb5b90",
    b"/home/eve/.bashrc",
    b"/var/lib/postgresql/.profile",
    b"/srv/app/.zshenv",
    b"/home/eve/.config/systemd/user/x.service",
    b"/home/eve/.config/autostart/x.desktop",
    b"/var/lib/git/.ssh/authorized_keys",
    b"/var/lib/x/.ssh",
    b"/srv/keys/authorized_keys",
    b"/srv/app/lib/python3.11/site-packages/x.py",
    b"/home/eve/.local/lib/python3.11/site-packages/x.pth",
    b"/data/x.pth",
    b"/srv/x/sitecustomize.py",
    b"/opt/x",
    b"/data/chroot/sudoers",
    b"/srv/www/.htaccess",
    b"/var/lib/pgsql/data/pg_hba.conf",
    b"/var/lib/postgresql/15/main/postgresql.auto.conf",
]
STATE = [
    b"/run/systemd/sessions/1",
    b"/run/systemd/netif/state",
    b"/run/udev/data/b8:0",
    b"/run/sshd.pid",
    b"/var/lib/systemd/timers/stamp-x.timer",
    b"/var/lib/cloud/data/status.json",
    b"/var/lib/cloud/instances/i-1/obj.pkl",
    b"/var/lib/NetworkManager/timestamps",
    b"/var/spool/anacron/cron.daily",
    b"/var/spool/mail/root",
    b"/var/lib/postgresql/15/main/base/1/2",
    b"/srv/uploads/x.jpg",
    b"/home/eve/notes",
    b"/home/eve/.cache/x",
    b"/tmp/x",
    b"/",
]


@pytest.mark.parametrize("path", CONFIG)
def test_config_wherever_it_lies_is_not_loosened_by_a_glob_that_merely_covers_it(path):
    assert interpreted.config(path)
    covering = rule("everything", "/run/**", "/var/**", "/srv/**", "/home/*/**", "/data/**")
    found = judged(path, covering)
    assert found.verdict is Verdict.DRIFTED
    if covering.match.fits(added(path)):
        assert "pack:everything lies over it, and what is obeyed later takes a rule" in found.findings[0].because


@pytest.mark.parametrize("path", STATE)
def test_state_is_loosened_by_a_rule_that_covers_it(path):
    assert not interpreted.config(path)
    covering = rule("everything", "/run/**", "/var/**", "/srv/**", "/home/*/**", "/tmp/**", "/")
    assert judged(path, covering).verdict is Verdict.EXPLAINED


@pytest.mark.parametrize(
    ("glob", "path"),
    [
        ("/run/systemd/system/x.service", b"/run/systemd/system/x.service"),
        ("/run/systemd/system/netplan-*.service", b"/run/systemd/system/netplan-ovs.service"),
        ("/var/spool/cron/crontabs/root", b"/var/spool/cron/crontabs/root"),
        ("/srv/app/.zshenv", b"/srv/app/.zshenv"),
    ],
)
def test_a_rule_that_names_config_loosens_it(glob, path):
    assert judged(path, rule("named", glob)).verdict is Verdict.EXPLAINED


@pytest.mark.parametrize(
    "glob",
    ["/run/systemd/system/*", "/run/systemd/system/x*.service", "/run/*/system/xyz.service", "/run/systemd/**"],
)
def test_a_wildcard_too_early_names_nothing(glob):
    assert judged(b"/run/systemd/system/xyz.service", rule("covers", glob)).verdict is Verdict.DRIFTED


def test_a_later_rule_that_names_it_is_asked_where_an_earlier_one_merely_covers():
    path = b"/run/systemd/system/x.service"
    found = judged(path, rule("a", "/run/**"), rule("b", path.decode()))
    assert [one.rule for one in found.explained] == ["pack:b"]


def test_a_rule_that_only_lowers_the_severity_may_speak_of_anything():
    low = rule("low", "/run/**", expect=None, action=Action.ALERT)
    assert judged(b"/run/systemd/system/x.service", low).findings[0].rule == "pack:low"


@pytest.mark.parametrize("text", ["/var/lib/**", "/run/**", "/var/**", "/srv/**", "/home/**"])
def test_broad_rules_over_state_are_taken(text):
    assert too_broad(rule("broad", text)) == ""


@pytest.mark.parametrize("text", ["/**", "**/x", "/etc/**", "/usr/**", "/efi/**", "/*/**"])
def test_broad_rules_into_what_only_images_change_are_refused(text):
    assert "what is obeyed at the next start, login or boot lies" in too_broad(rule("broad", text))


@pytest.mark.parametrize(
    "text",
    [
        "/home/*/.ssh/authorized_keys",
        "/home/admin/.ssh/*",
        "/run/systemd/system/**",
        "/var/lib/dpkg/info/*",
        "/var/spool/cron/**",
        "/var/lib/*/.ssh/**",
    ],
)
def test_a_rule_that_could_loosen_nothing_is_refused(text):
    assert "speaks of nothing but what is obeyed" in too_broad(rule("broad", text))


def test_what_a_glob_merely_covers_is_told():
    told = [place.text for place in interpreted.covered(globs.path("/var/spool/**"))]
    assert sorted(told) == [f"/var/spool/{name}{rest}" for name in ("at", "atjobs", "cron") for rest in ("", "/**")]
    assert interpreted.covered(globs.path("/var/spool/at")) == ()
    assert interpreted.covered(globs.path("/srv/**")) == ()


NAMES = [b"run", b"systemd", b"system", b".ssh", b"x", b"var", b"lib", b"pam", b".config", b"git", b"a.pth", b"cron.d"]


@given(st.lists(st.sampled_from(NAMES), min_size=1, max_size=6))
def test_what_is_looked_up_is_what_the_globs_say(names):
    path = b"/" + b"/".join(names)
    listed = any(glob.matches(path) for glob in (*interpreted.PLACES, *interpreted.NAMES))
    assert interpreted.config(path) == (listed or globs.protected(path))


def added(path):
    fields = {"kind": "file", "mode": "0644", "uid": "0", "gid": "0", "size": "3", "sha256": "ab" * 32}
    return Difference("file", path, Change.ADDED, {}, fields)


def rule(ident, *paths, **fields):
    fields = {"action": Action.EXPLAIN, **fields}
    return Rule("pack", ident, Match(paths=tuple(map(globs.path, paths))), "it is so", **fields)


def judged(path, *rules):
    return judge([added(path)], Policy(rules), (), NOW)


def test_an_expectation_is_no_way_around_it():
    found = judged(b"/var/lib/systemd/linger/eve", rule("all", "/var/lib/**", expect=Expect.EPHEMERAL, action=None))
    assert found.verdict is Verdict.DRIFTED
