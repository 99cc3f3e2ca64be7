"""Policies and manifests on disk: each mistake is one sentence with file, line and remedy; each file is read once."""

import json
import re
from pathlib import Path

import pytest
from trees import NOW, baked, directory, file, fingerprint

from driftd.core import drift
from driftd.core.difference import Change, Difference
from driftd.core.errors import BadInput
from driftd.core.expect import Expect
from driftd.core.facts import fact
from driftd.core.findings import Action, Severity, Verdict
from driftd.core.policy import judge
from driftd.core.rules import too_broad
from driftd.edges.documents import load_policy, packs, policy_schema

DOCS = Path(__file__).resolve().parents[2] / "docs"
HEAD = "schema: driftd.policy/1\nname: mine\nrules:\n"
RULE = "  - id: a\n    match: {path: /srv/x}\n    action: explain\n    because: it is so\n"


def examples(document: str, language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```$", (DOCS / document).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )


@pytest.fixture
def policy(tmp_path):
    def write(text: str, name: str = "mine.yaml"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return load_policy([name], tmp_path)

    return write


# --- policies that are right -----------------------------------------------------------------------------------------


def test_a_rule_says_where_it_stands(policy, tmp_path):
    (rule,) = policy(HEAD + RULE).rules
    assert rule.where == f"{tmp_path}/mine.yaml:4"
    assert (rule.name, rule.action, rule.because) == ("mine:a", Action.EXPLAIN, "it is so")


def test_the_example_in_the_documentation(policy):
    (text,) = (one for one in examples("policy.md", "yaml") if "schema: driftd.policy/1" in one)
    rules = policy(text).rules
    assert [rule.id for rule in rules] == [
        "uploads",
        "rendered-settings",
        "metrics-agent",
        "application",
        "backup-host",
    ]
    assert rules[0].expect is Expect.EPHEMERAL
    assert rules[2].expires.isoformat() == "2027-01-31"
    assert rules[4].severity is Severity.LOW


def test_what_is_named_later_is_asked_first(tmp_path):
    for name in ("one", "two"):
        second = RULE.replace("id: a", "id: b")
        (tmp_path / f"{name}.yaml").write_text(HEAD.replace("mine", name) + RULE + second, encoding="utf-8")
    found = load_policy(["one.yaml", "two.yaml"], tmp_path)
    assert [rule.name for rule in found.rules] == ["two:a", "two:b", "one:a", "one:b"]
    assert found.names == ("one.yaml", "two.yaml")


def test_an_absolute_path_and_a_pack(tmp_path):
    (tmp_path / "x.yml").write_text(HEAD + RULE, encoding="utf-8")
    assert load_policy(["sessions", str(tmp_path / "x.yml")]).rules[0].name == "mine:a"


@pytest.mark.parametrize("name", ["debian", "systemd", "shared-kernel", "sessions", "data-volume"])
def test_every_shipped_pack_is_right_and_gives_its_reasons(name):
    assert name in packs()
    rules = load_policy([name]).rules
    assert rules
    for rule in rules:
        assert rule.pack == name
        assert len(rule.because) > 20
        assert too_broad(rule) == ""


def test_no_rule_in_a_pack_is_shadowed_by_one_above_it():
    """Each path that a rule names literally is decided by that rule."""
    for name in packs():
        rules = load_policy([name]).rules
        for rule in rules:
            for glob in rule.match.paths:
                sample = glob.text.replace("**", "sample").replace("*", "sample").encode()
                kind = min(rule.match.kinds, default="file")
                change = min(rule.match.changes, default=Change.ADDED)
                fields = {name: values[0].text for name, values in rule.match.fields.items()}
                first = next(one for one in rules if one.match.fits(Difference(kind, sample, change, {}, fields)))
                assert first is rule, f"{first.name} shadows {rule.name} at {glob.text}"


def test_the_schema_for_editors_is_what_is_read():
    assert json.loads((DOCS / "policy.schema.json").read_text(encoding="utf-8")) == policy_schema()


# --- a pristine server, and one that is not --------------------------------------------------------------------------

IMAGE_TREE = [
    file(b"/etc/hosts", b"127.0.0.1 localhost\n"),
    file(b"/etc/hostname", b"localhost\n"),
    file(b"/etc/resolv.conf"),
    file(b"/etc/machine-id", b"", 0o444),
    directory(b"/etc/ssh"),
    directory(b"/root", 0o700),
    file(b"/var/log/wtmp", b"", 0o664),
    file(b"/var/log/lastlog", b"", 0o664),
    directory(b"/tmp", 0o1777),
]
FIRST_BOOT = {
    entry.path: entry
    for entry in [
        file(b"/etc/hosts", b"127.0.0.1 localhost\n10.0.0.3 web-1\n"),
        file(b"/etc/hostname", b"web-1\n"),
        file(b"/etc/resolv.conf", b"nameserver 10.0.0.1\n"),
        file(b"/etc/machine-id", b"0" * 33, 0o444),
        file(b"/etc/ssh/ssh_host_ed25519_key", b"k" * 399, 0o600),
        file(b"/etc/ssh/ssh_host_ed25519_key.pub", b"p" * 93),
        directory(b"/root/.ssh", 0o700),
        file(b"/root/.ssh/authorized_keys", b"ssh-ed25519 AAAA\n", 0o600),
        file(b"/var/log/wtmp", b"w" * 384, 0o664),
        file(b"/var/log/lastlog", b"l" * 292, 0o664),
        file(b"/var/log/auth.log", b"sshd\n", 0o640),
        file(b"/var/log/syslog.1", b"old\n", 0o640),
        file(b"/tmp/scratch", b"x", 0o600),
        file(b"/var/cache/ldconfig/aux-cache", b"x", 0o600),
        file(b"/var/lib/systemd/timers/stamp-apt-daily.timer"),
    ]
}
BAD = {
    "key-for-everybody": file(b"/etc/ssh/ssh_host_ed25519_key", b"k" * 399, 0o644),
    "program-in-tmp": file(b"/tmp/miner", b"elf", 0o755),
    "program-among-logs": file(b"/var/log/miner", b"elf", 0o755),
    "unit-among-logs": file(b"/var/log/x.service"),
    "keys-that-others-write": file(b"/root/.ssh/authorized_keys", b"ssh-ed25519 AAAA\n", 0o666),
    "another-key-file": file(b"/root/.ssh/authorized_keys2", b"ssh-ed25519 AAAA\n", 0o600),
    "sshd-settings": file(b"/etc/ssh/sshd_config.d/x.conf", b"PermitRootLogin yes\n"),
    "hosts-of-a-stranger": file(b"/etc/hosts", b"x" * 40, uid=1000),
    "job": file(b"/etc/cron.d/x", b"* * * * * root x\n"),
    "history": file(b"/root/.bash_history", b"vi\n", 0o600),
}


def judged(*more):
    now = {**{entry.path: entry for entry in IMAGE_TREE}, **FIRST_BOOT, **{entry.path: entry for entry in more}}
    found = drift.compare(baked(IMAGE_TREE), fingerprint(now.values()))
    return judge(found, load_policy(["debian", "systemd", "sessions"]), (), NOW)


def test_a_pristine_server_is_explained():
    now = fingerprint({**{entry.path: entry for entry in IMAGE_TREE}, **FIRST_BOOT}.values())
    was = baked([*IMAGE_TREE, directory(b"/var/cache/ldconfig"), directory(b"/var/lib/systemd/timers")])
    found = judge(drift.compare(was, now), load_policy(["debian", "systemd", "sessions"]), (), NOW)
    assert found.findings == ()
    assert found.verdict is Verdict.EXPLAINED
    assert len(found.explained) == len(FIRST_BOOT)


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_first_boot_is_a_finding(case):
    assert BAD[case].path in [one.subject for one in judged(BAD[case]).findings]


SSHD, SYSTEMD = "/usr/sbin/sshd", "/usr/lib/systemd/systemd"
GENERATED = "/run/systemd/generator/boot.mount"
PRISTINE = {
    "sshd": fact("listener", "tcp 0.0.0.0:22", program=SSHD, user="root"),
    "sshd-6": fact("listener", "tcp [::]:22", program=SSHD, user="root"),
    "host-key": fact("hostkey", "SHA256:abc", type="ssh-ed25519", file="/etc/ssh/ssh_host_ed25519_key.pub"),
    "resolved": fact("listener", "udp 127.0.0.53:53", program="/usr/lib/systemd/systemd-resolved", user="_resolve"),
    "ssh-socket": fact("listener", "tcp [::]:22", program=SYSTEMD, user="root"),
    "guard": fact("bpf", "cgroup_device 0a1b", program=SYSTEMD),
    "session": fact("unit", "session-1.scope", state="transient", fragment="/run/systemd/transient/session-1.scope"),
    "from-fstab": fact("unit", "boot.mount", state="generated", fragment=GENERATED),
    "run-of-a-user": fact("mount", "/run/user/0", live="tmpfs tmpfs rw,nosuid,nodev"),
    "tmp": fact("mount", "/tmp", live="tmpfs tmpfs rw,nosuid,nodev,relatime"),
}
STRANGE = {
    "other-port": fact("listener", "tcp 0.0.0.0:2222", program=SSHD, user="root"),
    "other-program": fact("listener", "tcp 0.0.0.0:22", program="/tmp/sshd", user="root"),
    "program-not-baked": fact("listener", "tcp 127.0.0.1:323", program="/usr/sbin/chronyd"),
    "key": fact("key", "root SHA256:eve", file="/root/.ssh/authorized_keys"),
    "host-key-elsewhere": fact("hostkey", "SHA256:abc", file="/tmp/x.pub"),
    "by-systemd-run": fact("unit", "run-u7.service", state="transient"),
    "as-if-generated": fact("unit", "evil.service", state="generated", fragment="/run/systemd/generator/evil.service"),
    "guard-of-a-stranger": fact("bpf", "cgroup_skb 0a1b", program="/usr/bin/python3"),
    "tmp-that-gives-rights": fact("mount", "/tmp", live="tmpfs tmpfs rw"),
    "kernel": fact("kernel", "taint", live="OE"),
    "module": fact("module", "evil", live="loaded"),
}


def judged_facts(*found, names=("debian", "systemd", "sessions")):
    programs = [file(path.encode(), b"elf", 0o755) for path in (SSHD, SYSTEMD, "/usr/lib/systemd/systemd-resolved")]
    tree = [*programs, file(b"/usr/lib/modules/6.1/kernel/x.ko")]
    was = baked(tree, looked=("hostkey", "key", "unit"))
    now = fingerprint(
        tree, facts=found, looked=tuple(sorted({"hostkey", "key", *(one.kind for one in found)})), live=True
    )
    return judge(drift.compare(was, now), load_policy(names), (), NOW)


def test_the_facts_of_a_pristine_server_are_explained():
    found = judged_facts(*PRISTINE.values())
    assert [(one.kind, one.subject) for one in found.findings] == []
    assert len(found.explained) == len(PRISTINE)


@pytest.mark.parametrize("case", STRANGE)
def test_a_strange_fact_is_a_finding_under_every_pack(case):
    found = judged_facts(STRANGE[case], names=[*packs()])
    assert [(one.kind, one.subject.decode()) for one in found.findings] == [(STRANGE[case].kind, STRANGE[case].name)]


# --- policies that are wrong -----------------------------------------------------------------------------------------

WRONG = {
    "empty": ("", ":1: a policy is a mapping", "begin with"),
    "a-list": ("- a\n", ":1: a policy is a mapping", "begin with"),
    "not-yaml": (HEAD + "  - id: [\n", "not YAML", ""),
    "no-schema": ("name: a\nrules: []\n", ":1: schema: is required", ""),
    "other-schema": (HEAD.replace("/1", "/2") + RULE, ":1: schema: ", "driftd.policy/1"),
    "unknown-key": (HEAD + RULE + "    becuase: x\n", ":8: unknown key 'rules[0].becuase'", "did you mean 'because'?"),
    "unknown-key-in-match": (
        HEAD + RULE.replace("path:", "paths:"),
        ":5: unknown key 'rules[0].match.paths'",
        "did you mean 'path'?",
    ),
    "duplicate-key": (HEAD + RULE + "    action: alert\n", "found duplicate key", "keep one"),
    "no-because": (HEAD + RULE.replace("    because: it is so\n", ""), "because: is required", ""),
    "empty-because": (HEAD + RULE.replace("it is so", '" "'), ":7: rule 'a': it gives no reason", "say why"),
    "no-id": (HEAD + RULE.replace("id: a\n    match", "match"), "id: is required", ""),
    "id-twice": (HEAD + RULE + RULE, ":8: rule 'a': another rule above", "a name of its own"),
    "matches-everything": (HEAD + RULE.replace("{path: /srv/x}", "{}"), ":5: rule 'a': it matches everything", "say"),
    "no-outcome": (HEAD + RULE.replace("    action: explain\n", ""), ":4: rule 'a': it says what it matches", "add"),
    "two-outcomes": (HEAD + RULE + "    expect: growing\n", ":8: rule 'a': it has both", "keep one"),
    "wrong-type": (HEAD + RULE.replace("/srv/x", "[1]"), "rules[0].match.path[0]: ", ""),
    "wrong-word": (HEAD + RULE.replace("explain", "replce"), ":6: rules[0].action: ", "'ignore', 'explain'"),
    "bad-glob": (HEAD + RULE.replace("/srv/x", '"/srv/**x"'), ":5: rule 'a': '/srv/**x': ** stands alone", "docs/"),
    "relative": (HEAD + RULE.replace("/srv/x", "srv/x"), "a path's glob begins with /", "docs/"),
    "subtree": (
        HEAD + RULE.replace("/srv/x", "/etc/**"),
        ":5: rule 'a': /etc/** passes over a subtree of /etc",
        "name",
    ),
    "suffix": (
        HEAD + RULE.replace("/srv/x", '"**/*.log"'),
        ":5: rule 'a': **/*.log reaches into /etc",
        "name the files",
    ),
    "no-path": (HEAD + RULE.replace("path: /srv/x", "kind: file"), "without a path it would let pass", "by name"),
    "every-session": (HEAD + RULE.replace("path: /srv/x", "kind: session"), "every session pass", "by name"),
    "two-subjects": (HEAD + RULE.replace("/srv/x", "/srv/x, package: nc"), "nothing is path and package", "a rule for"),
    "fact-of-no-kind": (
        HEAD + RULE.replace("path: /srv/x", "kind: listner"),
        ":5: rules[0].match.kind: 'listner' is no kind; write one of: ",
        "",
    ),
    "misspelt-fact": (HEAD + RULE.replace("path:", "listner:"), ":5: unknown key", "did you mean 'listener'?"),
    "every-listener": (HEAD + RULE.replace("path: /srv/x", 'listener: "*"'), "every listener pass", "by name"),
    "key-with-a-star": (HEAD + RULE.replace("path: /srv/x", 'key: "root *"'), "every key pass", "by name"),
    "fields-of-a-session": (
        HEAD + RULE.replace("path: /srv/x", "session: {user: a}, fields: {user: a}"),
        "a session has no fields besides its own",
        "remove",
    ),
    "bad-glob-in-a-field": (
        HEAD + RULE.replace("path: /srv/x", "listener: x, fields: {user: '['}"),
        "'[' at its byte 1 has no meaning",
        "docs/",
    ),
    "expected-listener": (
        HEAD + RULE.replace("path: /srv/x", "listener: x").replace("action: explain", "expect: growing"),
        "expectations are about paths",
        "action: explain",
    ),
    "empty-session": (HEAD + RULE.replace("path: /srv/x", "session: {}"), "session names no field", "add door"),
    "no-such-combination": (HEAD + RULE.replace("/srv/x", "/srv/x, kind: package"), "no difference is of", "remove"),
    "expected-package": (
        HEAD + RULE.replace("path: /srv/x", "package: nc").replace("action: explain", "expect: growing"),
        ":6: rule 'a': expectations are about paths",
        "action: explain",
    ),
    "no-template": (HEAD + RULE.replace("action: explain", "expect: template"), "does not say which template", "hex32"),
    "wrong-template": (
        HEAD + RULE.replace("action: explain", "expect: template\n    template: octets"),
        ":7: rule 'a': there is no template 'octets'",
        "hex32",
    ),
    "wrong-pattern": (
        HEAD + RULE.replace("action: explain", "expect: template\n    pattern: '(['"),
        ":7: rule 'a': it is no regular expression",
        "Python's",
    ),
    "template-and-pattern": (
        HEAD + RULE.replace("action: explain", "expect: template\n    template: hex32\n    pattern: x"),
        ":8: rule 'a': pattern goes with expect: template, in place of a template",
        "remove one",
    ),
    "stray-pattern": (HEAD + RULE + "    pattern: x\n", ":8: rule 'a': pattern goes with", "remove one"),
    "expected-identity": (
        HEAD
        + RULE.replace("action: explain", "expect: firstboot").replace("path: /srv/x", "path: /srv/x, kind: identity"),
        "expectations are about paths",
        "action: explain",
    ),
    "stray-template": (HEAD + RULE + "    template: hex32\n", ":8: rule 'a': template goes with", "say expect"),
    "bad-day": (HEAD + RULE + "    expires: soon\n", ":8: rules[0].expires: 'soon' is not a day", ""),
    "tag": (HEAD + RULE.replace("it is so", "!!python/name:os.system x"), "tag", "plain value"),
    "anchor": (HEAD + RULE.replace("it is so", "&a it is so"), "anchors and aliases", "write the value out"),
    "bomb": ("a: &a [x]\nb: &b [*a, *a]\n", "anchors and aliases", ""),
    "huge": (HEAD + "#" * 1024 * 1024 * 2, "more than a document may have", ""),
    "one-line-of-secrets": ("\x00", "not YAML", ""),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong(case, policy, tmp_path):
    text, said, hint = WRONG[case]
    with pytest.raises(BadInput) as caught:
        policy(text)
    assert str(caught.value).startswith(f"{tmp_path}/mine.yaml")
    assert said in str(caught.value)
    assert hint in caught.value.hint
    assert "\n" not in str(caught.value)


def test_no_such_pack():
    with pytest.raises(BadInput, match="there is no policy pack 'debain'") as caught:
        load_policy(["debain"])
    assert caught.value.hint == "did you mean 'debian'?"


def test_no_such_file(tmp_path):
    with pytest.raises(BadInput, match=r"x\.yaml: cannot be read: No such file"):
        load_policy(["x.yaml"], tmp_path)


def test_not_text(tmp_path):
    (tmp_path / "x.yaml").write_bytes(b"a\xff")
    with pytest.raises(BadInput, match=r"x\.yaml: not UTF-8"):
        load_policy(["x.yaml"], tmp_path)


def test_named_twice():
    with pytest.raises(BadInput, match="'debian' is named twice"):
        load_policy(["debian", "debian"])
