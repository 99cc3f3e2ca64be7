"""What is learnt of pristine instances: the narrowest class that explains what was seen, or a person decides."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from calibrating import added, digest, edited, everywhere, gone, judged, learnt, link, made, sample, series, showed

from driftd.core import globs
from driftd.core.calibration import marks, never
from driftd.core.calibration.naming import general, plain
from driftd.core.difference import Change, Difference
from driftd.core.expect import Expect
from driftd.core.facts import Instance
from driftd.core.findings import Action
from driftd.core.rules import Match, Rule


def only(samples):
    """The one rule that was learnt."""
    found = learnt(samples)
    assert found.left == (), found.left
    [rule] = found.rules
    return rule


def why(samples) -> str:
    """Why the one thing that differs was left for a person."""
    found = learnt(samples)
    assert found.rules == (), found.rules
    assert len({one.why for one in found.left}) == 1, found.left
    return found.left[0].why


# --- one content -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("one", [added("/etc/.updated", "x"), edited("/etc/locale.conf", "x")])
def test_the_same_bytes_everywhere_are_first_boot_and_no_other_bytes_are(one):
    rule = only(everywhere(one))
    assert (rule.expect, rule.match.changes) == (Expect.FIRSTBOOT, {one.change})
    assert judged([one], [rule]).findings == ()
    other = Difference(one.kind, one.subject, one.change, one.expected, {**one.actual, "sha256": digest("other")})
    assert judged([other], [rule]).findings != ()


def test_evidence_names_instances_moments_digest_and_size_and_nothing_of_the_content():
    rule = only(everywhere(added("/var/lib/x", "content", 7)))
    assert rule.evidence == (
        "seen on 3 of 3 instances, boot, later, restart",
        f"1 content: sha256 {digest('content')[:12]} (7 bytes)",
    )
    assert rule.because == "All 3 pristine instances set it to these bytes."


def test_what_comes_later_or_only_on_some_is_pinned_all_the_same():
    one = added("/var/lib/x", "x")
    rule = only(series([[], [one], [one]], [[], [], [one]], [[], [], []]))
    assert rule.expect is Expect.FIRSTBOOT
    assert "2 of 3" in rule.because


def test_a_pinned_file_that_becomes_a_hard_link_of_another_is_not_it_any_more():
    one = added("/var/lib/x", "x")
    rule = only(everywhere(one))
    linked = Difference(one.kind, one.subject, one.change, {}, {**one.actual, "same": "/var/lib/y"})
    assert judged([linked], [rule]).findings


def test_a_directory_and_a_link_are_expected_as_they_were_seen():
    rules = learnt(everywhere(made("/var/lib/x"), link("/var/lib/x/l", "/a/b"))).rules
    assert [(rule.expect, rule.action) for rule in rules] == [(Expect.FIRSTBOOT, None), (None, Action.EXPLAIN)]
    assert len(judged([made("/var/lib/x", "0700"), link("/var/lib/x/l", "/tmp/evil")], rules).findings) == 2


def test_a_link_whose_target_differs_is_no_ones_to_learn():
    assert "not one that a rule could be held to" in why(series([[link("/var/l", "/a")]], [[link("/var/l", "/b")]]))


# --- contents that differ --------------------------------------------------------------------------------------------


def values(path: str, form: str, size: int = 33, mode: str = "0644", instances: int = 3):
    return [
        sample(f"i-{number}", moment, [added(path, number, size, mode)], forms={path: [form] if form else []})
        for number in range(instances)
        for moment in ("boot", "later")
    ]


def test_values_of_one_form_are_a_template():
    rule = only(values("/etc/machine-id", "hex32"))
    assert (rule.expect, rule.template) == (Expect.TEMPLATE, "hex32")


def test_the_narrowest_form_that_all_have_is_taken():
    forms = [["hex32", "hostname"], ["hostname"], ["hex32", "hostname"]]
    samples = [
        sample(f"i-{n}", "boot", [added("/etc/name", n, 32)], forms={"/etc/name": found})
        for n, found in enumerate(forms)
    ]
    assert only(samples).template == "hostname"


def test_a_form_whose_mode_is_wrong_is_not_taken():
    assert "no known form" in why(values("/etc/key", "ssh-private-key", 400, "0644"))


def test_no_form_where_something_is_obeyed_is_left_and_elsewhere_its_content_may_be_any():
    assert "no known form" in why(values("/etc/some.conf", ""))
    assert only(values("/var/lib/systemd/random-seed", "")).expect is Expect.VARIABLE


def test_host_keys_are_learnt_as_keys_and_their_fingerprints_as_made_by_each():
    path = "/etc/ssh/ssh_host_ed25519_key"
    assert only(values(path, "ssh-private-key", 411, "0600")).template == "ssh-private-key"
    keys = [
        sample(f"i-{n}", "boot", [showed("hostkey", f"SHA256:{n}", file=f"{path}.pub", type="ssh-ed25519")])
        for n in range(3)
    ]
    rule = only(keys)
    assert judged([showed("hostkey", "SHA256:new", file=f"{path}.pub", type="ssh-ed25519")], [rule]).findings == ()
    assert judged([showed("hostkey", "SHA256:new", file="/etc/ssh/evil.pub", type="ssh-ed25519")], [rule]).findings


@pytest.mark.parametrize("shared", [(0, 0, 0), (0, 0, 1)])
def test_an_identity_that_several_have_is_never_learnt(shared):
    path = "/etc/machine-id"
    samples = [
        sample(f"i-{n}", "boot", [added(path, value, 33)], forms={path: ["hex32"]}) for n, value in enumerate(shared)
    ]
    assert "more than one has the same" in why(samples)
    keys = [
        sample(f"i-{n}", "boot", [showed("hostkey", f"SHA256:{value}", file="/etc/ssh/x.pub", type="t")])
        for n, value in enumerate(shared)
    ]
    assert "more than one has the same" in why(keys)


# --- over time -------------------------------------------------------------------------------------------------------

LOG = "/var/log/app.log"


def grown(*sizes, path=LOG, kept=True, instances=2):
    return [
        sample(f"i-{n}", moment, [added(path, (n, size), size)], kept={path: kept})
        for n in range(instances)
        for moment, size in zip(("boot", "later", "restart"), sizes, strict=True)
    ]


def test_what_is_only_added_to_is_growing():
    assert only(grown(10, 20, 20)).expect is Expect.GROWING


def test_what_shrinks_or_does_not_keep_its_beginning_is_not_growing():
    assert only(grown(20, 10, 30)).expect is Expect.VARIABLE
    assert only(grown(10, 20, 30, kept=False)).expect is Expect.VARIABLE


def test_config_that_is_written_again_and_again_is_left():
    assert "lies where something is obeyed" in why(grown(10, 20, 30, path="/etc/app.conf"))


def test_what_comes_and_goes_is_ephemeral():
    samples = series(*[[[added("/var/lib/lock", n)], [], [added("/var/lib/lock", n + 9)]] for n in range(3)])
    assert only(samples).expect is Expect.EPHEMERAL


def test_what_every_instance_takes_away_may_be_away_and_not_changed():
    rule = only(everywhere(gone("/var/lib/first-boot")))
    assert judged([gone("/var/lib/first-boot")], [rule]).findings == ()
    assert judged([edited("/var/lib/first-boot", "x")], [rule]).findings


# --- names -----------------------------------------------------------------------------------------------------------


def test_a_value_in_the_name_is_a_glob_outside_of_where_something_is_obeyed():
    journal = [f"/var/log/journal/{digest(n)[:32]}" for n in range(3)]
    samples = [
        sample(f"i-{n}", "boot", [made(path), added(f"{path}/system.journal", n)]) for n, path in enumerate(journal)
    ]
    found = learnt(samples)
    assert found.left == ()
    hex32 = "?" * 32
    assert [rule.match.paths[0].text for rule in found.rules] == [
        f"/var/log/journal/{hex32}",
        f"/var/log/journal/{hex32}/system.journal",
    ]


def test_a_name_that_only_one_instance_has_makes_no_rule_that_would_never_be_asked_again():
    samples = [sample(f"i-{n}", "boot", [made(f"/tmp/x-{digest(n)[:32]}")] if n else []) for n in range(3)]
    assert "not every instance has its like" in why(samples)


def test_temporary_names_of_every_boot_are_one_rule():
    samples = [
        sample(f"i-{n}", moment, [made(f"/tmp/x-{digest((n, moment))[:32]}-Ab{n}{at}cd", "0700")])
        for n in range(2)
        for at, moment in enumerate(("boot", "restart"))
    ]
    assert only(samples).match.paths[0].text == f"/tmp/x-{'?' * 32}-??????"


def test_what_has_an_access_list_is_let_come_and_go_where_nothing_is_obeyed():
    acl = {"xattr system.posix_acl_access": "x"}
    listed = Difference(
        "directory", b"/var/log/journal", Change.ADDED, {}, {"kind": "directory", "mode": "2755", **acl}
    )
    assert only(everywhere(listed)).expect is Expect.EPHEMERAL
    assert "not one that a rule could be held to" in why(everywhere(added("/etc/x", "x", **acl)))
    modes = series(*[[[added("/var/log/j", n, mode="0640")], [added("/var/log/j", n, mode="0600")]] for n in range(2)])
    assert only(modes).expect is Expect.EPHEMERAL


def test_a_value_in_a_protected_name_is_not_generalised():
    samples = [sample(f"i-{n}", "boot", [added(f"/etc/app-{digest(n)[:32]}.conf", "same")]) for n in range(3)]
    found = learnt(samples)
    assert all("*" not in rule.match.paths[0].text and "?" not in rule.match.paths[0].text for rule in found.rules)


@pytest.mark.parametrize(
    ("path", "glob"),
    [
        (b"/var/lib/app/i-0abc/state", "/var/lib/app/*/state"),
        (b"/var/lib/app/10.1.2.3", "/var/lib/app/[0-9]*"),
        (b"/var/lib/app/session-3.x", "/var/lib/app/session-[0-9]*.x"),
        (b"/var/lib/app/a[1]*", r"/var/lib/app/a\[[0-9]*\]\*"),
        (b"/tmp/private-" + b"0a" * 16 + b"-x.service-pwEIYL", f"/tmp/private-{'?' * 32}-x.service-??????"),
        (b"/tmp/tmp.a1b2c3/x", "/tmp/tmp.??????/x"),
        (b"/var/lib/app-backup", ""),
        (b"/var/lib/app/plain", ""),
        (b"/etc/app/i-0abc", ""),
    ],
)
def test_names_are_generalised_by_what_an_instance_goes_by(path, glob):
    assert general(path, [b"i-0abc"]) == glob
    if glob:
        assert globs.path(glob).matches(path)


# --- facts -----------------------------------------------------------------------------------------------------------

LISTENER = showed("listener", "tcp 0.0.0.0:22", program="/usr/sbin/sshd", user="root", baked="yes")


def test_a_fact_that_all_show_is_explained_by_its_name_and_every_field():
    rule = only(everywhere(LISTENER))
    assert judged([LISTENER], [rule]).findings == ()
    for other in (
        showed("listener", "tcp 0.0.0.0:23", program="/usr/sbin/sshd", user="root", baked="yes"),
        showed("listener", "tcp 0.0.0.0:22", program="/usr/bin/nc", user="root", baked="yes"),
        showed("listener", "tcp 0.0.0.0:22", program="/usr/sbin/sshd", user="root", baked="yes", namespace="other"),
    ):
        assert judged([other], [rule]).findings, other


def test_a_fact_that_not_all_show_or_not_alike_is_left():
    assert "1 of 3 instances never" in why(series([[LISTENER]], [[LISTENER]], [[]]))
    other = showed("listener", "tcp 0.0.0.0:22", program="/usr/sbin/sshd", user="nobody", baked="yes")
    assert "its user is not the same" in why(series([[LISTENER]], [[other]]))


def test_two_facts_of_one_name_that_all_show_are_two_rules():
    other = showed("listener", "tcp 0.0.0.0:22", program="/usr/bin/x", user="www", baked="yes")
    assert len(learnt(everywhere(LISTENER, other)).rules) == 2


def test_a_crowd_is_one_line_for_a_person_and_no_thousand_rules():
    many = [added(f"/var/cache/man/{n % 7}/{n}", "x") for n in range(400)]
    found = learnt(everywhere(*many, added("/var/cache/one", "x")))
    assert [rule.id for rule in found.rules] == ["var-cache-one"]
    [left] = found.left
    assert (left.subject, "400 paths below it differ" in left.why) == (b"/var/cache/man", True)


def test_what_no_document_holds_is_left():
    assert "longer than a rule may be" in why(everywhere(showed("sysctl", "a", live="x" * 5000)))
    assert "longer than a rule may be" in why(everywhere(added("/var/lib/" + "*" * 2100, "x")))


# --- never -----------------------------------------------------------------------------------------------------------

NEVER = [
    added("/usr/local/bin/tool", "x"),
    added("/var/lib/app/run", "x", mode="0755"),
    added("/var/lib/app/suid", "x", mode="4644"),
    added("/var/lib/app/x.so", "x"),
    added("/var/lib/app/x.service", "x"),
    added("/var/lib/app/open", "x", mode="0666"),
    added("/var/lib/cloud/scripts/per-boot/x", "x"),
    added("/root/.ssh/authorized_keys", "x"),
    added("/home/bob/.ssh/authorized_keys", "x"),
    edited("/etc/passwd", "x"),
    added("/etc/sudoers.d/x", "x"),
    added("/etc/ssh/sshd_config.d/x.conf", "x"),
    added("/etc/systemd/system/x.service", "x"),
    added("/etc/cron.d/x", "x"),
    added("/boot/grub/x", "x"),
    edited("/etc/ld.so.cache", "x"),
    Difference("device", b"/var/lib/null", Change.ADDED, {}, {"kind": "char", "mode": "0666", "rdev": "1,3"}),
    showed("account", "bob", uid="1"),
    showed("key", "root SHA256:x", type="ssh-ed25519"),
    showed("sudo", "bob ALL=(ALL) ALL", file="/etc/sudoers.d/x"),
    showed("cron", "* * * * * root x", file="/etc/cron.d/x"),
    showed("unit", "x.service", fragment="/etc/systemd/system/x.service"),
    showed("process", "/usr/local/bin/x", user="root"),
    showed("listener", "tcp 0.0.0.0:1", program="/tmp/x", baked="no"),
    showed("module", "evil", live="loaded"),
    showed("kernel", "cmdline", live="init=/bin/sh"),
    showed("sysctl", "kernel.core_pattern", live="|/tmp/x"),
    showed("mount", "/usr", live="tmpfs tmpfs rw"),
    showed("package", "nc:amd64", version="1"),
    showed("of-a-newer-probe", "x", y="z"),
]


@pytest.mark.parametrize("one", NEVER, ids=lambda one: f"{one.kind}-{one.subject.decode()}")
def test_code_auth_units_schedules_and_boot_are_never_learnt(one):
    assert never.why_not(one)
    assert why(everywhere(one)) == never.why_not(one)


@pytest.mark.parametrize(
    "one",
    [
        Difference("unit", b"a.mount", Change.MODIFIED, {}, {"live_state": "enabled-runtime"}),
        showed("module", "loop", live="loaded", image_kernel="none"),
        showed("mount", "/tmp", live="tmpfs tmpfs rw,nosuid"),
        showed("sysctl", "fs.protected_fifos", live="0"),
    ],
)
def test_what_is_live_beside_what_was_baked_is_learnt(one):
    assert only(everywhere(one)).action is Action.EXPLAIN


def test_what_a_rule_has_spoken_of_is_settled_by_a_person_and_what_it_explains_is_counted():
    rule = Rule("pack", "log", Match(paths=(globs.path("/var/log/**"),)), "Logs.", expect=Expect.GROWING)
    executable = added("/var/log/x", "x", mode="0755")
    found = learnt(everywhere(executable, added("/var/log/y", "y"), rules=[rule]))
    assert found.rules == ()
    assert found.explained == {"pack:log": 1}
    assert "pack:log speaks of it" in found.left[0].why


@pytest.mark.parametrize(
    ("one", "is_spoiled"),
    [
        (gone("/usr/bin/x", "0755"), True),
        (Difference("file", b"/opt/x", Change.MODIFIED, {"mode": "0755", "sha256": "a"}, {"mode": "0755"}), True),
        (edited("/usr/lib/x.so.1", "x"), True),
        (edited("/etc/hosts", "x"), False),
        (added("/usr/bin/x", "x", mode="0755"), False),
        (gone("/var/lib/x"), False),
    ],
)
def test_an_instance_whose_baked_code_changed_is_not_pristine(one, is_spoiled):
    assert bool(never.spoiled(one)) == is_spoiled


# --- marks -----------------------------------------------------------------------------------------------------------

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def test_marks_are_known_again_and_an_expiry_that_nobody_can_read_is_two_days():
    made = Instance("i", "web", "golden", launched_at=NOW, tags=marks.marks("run", NOW + timedelta(hours=1)))
    assert marks.marked(made)
    assert marks.expires(made) == NOW + timedelta(hours=1)
    for said in ("", "soon", "2030-01-01T00:00:00", "2999-01-01T00:00:00+00:00"):
        other = Instance(
            "i", "web", "golden", launched_at=NOW, tags={marks.TAG_CALIBRATION: "r", marks.TAG_EXPIRES: said}
        )
        assert marks.marked(other)
        assert marks.expires(other) == NOW + timedelta(days=2)
    assert marks.expires(Instance("i", "web", "golden", tags={marks.TAG_CALIBRATION: "r"})) is None
    assert not marks.marked(Instance("i", "web", "golden", tags={"driftd:role": "replacement"}))


def test_a_name_of_any_bytes_is_one_glob():
    for path in (b"/a/\xff\x00\n*?[]\\", b"/\xc3\xa9 \xe2\x80\xae"):
        glob = globs.path(plain(path)) if b"\0" not in path else None
        assert glob is None or (glob.plain and glob.matches(path))
        assert plain(path).isprintable()
