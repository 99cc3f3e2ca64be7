"""Comparing facts: a look differs from its own manifest in nothing, and from any other in exactly what is another."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trees import account, baked, facts, file, fingerprint, group, package, words

from driftd.core import factual, manifest
from driftd.core.difference import Change, Difference
from driftd.core.facts import FACT_KINDS, Fact, Kept, fact

PLAIN = sorted({*FACT_KINDS, "nova"} - {"kernel", "module", "mount", "process", "sysctl", "unit"})
KEY = "0123456789abcdef"


def compared(was, now, **options) -> list[Difference]:
    return list(factual.compare(was, now, **options))


def subjects(was, now) -> list[tuple[str, str, str]]:
    return [(one.kind, one.subject.decode(), str(one.change)) for one in compared(was, now)]


@given(st.lists(facts(), max_size=8), st.booleans(), st.lists(facts(), max_size=2))
def test_no_look_differs_from_its_own_manifest(some, live, kept):
    seen = fingerprint(facts=some, live=live, kept=tuple({Kept(one.kind, "not available", "so") for one in kept}))
    assert compared(manifest.from_fingerprint(seen, "x", provisional=False), seen) == []


@st.composite
def several(draw) -> list[Fact]:
    kinds, names = st.sampled_from(PLAIN), st.text("abc", min_size=1, max_size=2)
    fields = st.dictionaries(words, st.text("xyz", min_size=1, max_size=2), max_size=3)
    keys = draw(st.lists(st.tuples(kinds, names), min_size=1, max_size=6, unique=True))
    return [fact(kind, name, **draw(fields)) for kind, name in keys]


@given(several(), st.data())
def test_each_change_of_a_fact_is_one_difference(some, data):
    looked = tuple(PLAIN)
    was = manifest.from_fingerprint(fingerprint(facts=some, looked=looked, live=True), "x", provisional=False)
    at = data.draw(st.integers(0, len(some) - 1))
    victim, rest = some[at], [*some[:at], *some[at + 1 :]]
    change = data.draw(st.sampled_from(Change))
    if change is Change.REMOVED:
        after = rest
    elif change is Change.ADDED:
        victim = fact(data.draw(st.sampled_from(PLAIN)), "new", size="1")
        after = [*some, victim]
    else:
        fields = dict(victim.fields)
        fields["changed"] = fields.get("changed", "") + "q"
        after = [*rest, fact(victim.kind, victim.name, **fields)]
    (found,) = compared(was, fingerprint(facts=after, looked=looked, live=True))
    assert (found.kind, found.subject.decode(), found.change) == (victim.kind, victim.name, change)


def test_only_the_fields_that_differ_are_told():
    was = baked(facts=[account("eve", 7, home="/home/eve")])
    (found,) = compared(was, fingerprint(facts=[account("eve", 7, home="/root", gecos="Eve")]))
    assert found == Difference(
        "account", b"eve", Change.MODIFIED, {"home": "/home/eve"}, {"home": "/root", "gecos": "Eve"}
    )


def test_two_versions_of_a_package_are_two_facts():
    was = baked(facts=[package("linux", "1"), package("linux", "2")])
    now = fingerprint(facts=[package("linux", "2"), package("linux", "3")])
    (found,) = compared(was, now)
    assert (found.expected, found.actual) == ({"version": "1"}, {"version": "3"})
    assert subjects(was, fingerprint(facts=[package("linux", "2")])) == [("package", "linux:all", "removed")]


# --- kinds that one side did not look for ----------------------------------------------------------------------------


def test_a_kind_read_from_files_that_the_manifest_did_not_look_for_is_silent_and_counted():
    was = baked(looked=("account",))
    now = fingerprint(
        facts=[fact("sshd", "permitrootlogin", value="yes"), fact("listener", "tcp 0.0.0.0:1")], live=True
    )
    assert subjects(was, now) == [("listener", "tcp 0.0.0.0:1", "added")]
    assert factual.unbaked(was, now) == ("group", "package", "sshd")


@pytest.mark.parametrize("kind", ["account", "listener", "mount", "nova"])
def test_what_was_kept_from_the_look_wholly_is_not_gone(kind):
    was = baked(facts=[fact(kind, "x", live="1")], live=True)
    assert subjects(was, fingerprint(looked=(kind,), live=True)) == [(kind, "x", "removed")]
    for looked in ((), (kind,)):
        kept = (Kept(kind, "not permitted", "hidden"),)
        assert compared(was, fingerprint(looked=looked, kept=kept, live=True)) == []


def test_what_was_kept_in_part_is_not_gone_and_what_came_is_compared():
    was = baked(facts=[fact("key", "root SHA256:a", file="/a"), fact("key", "root SHA256:b", file="/b", type="rsa")])
    now = fingerprint(
        facts=[fact("key", "root SHA256:b", file="/c"), fact("key", "eve SHA256:e")],
        kept=(Kept("key", "not permitted", "/home/x cannot be read"),),
    )
    found = compared(was, now)
    assert [(one.subject, one.change) for one in found] == [
        (b"eve SHA256:e", Change.ADDED),
        (b"root SHA256:b", Change.MODIFIED),
    ]
    assert found[1].actual == {"file": "/c"}
    assert found[1].expected == {"file": "/b"}, "the type may have been kept from us"


def test_a_kind_of_which_nothing_at_all_was_said():
    was = baked(facts=[fact("sudo", "ALL"), fact("listener", "tcp 0.0.0.0:1")], live=True)
    now = fingerprint(kept=(Kept("group", "not available", "damaged"),))
    assert factual.unasked(was, now) == ("sudo",), "a directory has no listeners"
    assert factual.unasked(was, replace(now, live=True)) == ("listener", "sudo")
    assert compared(was, now) == []


# --- secrets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("was", "now", "told"),
    [
        ({"digest": "a" * 32}, {"digest": "b" * 32}, {"digest"}),
        ({"digest": "a" * 32}, {}, set()),
        ({}, {"digest": "b" * 32}, set()),
        ({"password": "locked"}, {"password": "set", "digest": "b" * 32}, {"password"}),
        ({"password": "set", "digest": "a" * 32, "expires": "9"}, {"password": "unreadable"}, set()),
        ({"password": "unreadable"}, {"password": "set", "digest": "a" * 32, "aging": "x"}, set()),
        ({"password": "set", "shell": "/bin/sh"}, {"password": "unreadable", "shell": "/bin/zsh"}, {"shell"}),
    ],
)
def test_a_secret_differs_only_where_it_can_be_told(was, now, told):
    before, after = fact("account", "eve", uid=7, **was), fact("account", "eve", uid=7, **now)
    found = compared(baked(facts=[before]), fingerprint(facts=[after]))
    assert {name for one in found for name in {*one.expected, *one.actual}} == told


def test_a_group_whose_secrets_could_not_be_read():
    was = baked(facts=[fact("group", "adm", gid=4, admins="eve", digest="a" * 32)])
    assert compared(was, fingerprint(facts=[fact("group", "adm", gid=4, password="unreadable")])) == []


@pytest.mark.parametrize(
    ("was", "now", "same"),
    [
        (f"quiet key=(hidden {'a' * 32})", "quiet key=(hidden )", True),
        (f"quiet key=(hidden {'a' * 32})", f"quiet key=(hidden {'b' * 32})", False),
        (f"quiet key=(hidden {'a' * 32})", "loud key=(hidden )", False),
        ("key=(hidden )", "key=(hidden )", True),
        ("hidden ", f"hidden {'a' * 32}", True),
    ],
)
def test_a_secret_inside_a_value(was, now, same):
    before = baked(facts=[fact("kernel", "cmdline", configured=was)])
    assert (compared(before, fingerprint(facts=[fact("kernel", "cmdline", configured=now)])) == []) is same


def test_digests_of_what_is_no_secret_always_count():
    was, now = (fact("firewall", "nft table inet filter", digest=digest) for digest in ("a", "b"))
    assert len(compared(baked(facts=[was], live=True), fingerprint(facts=[now], live=True))) == 1


def test_a_manifest_knows_whether_it_has_secrets():
    assert factual.secrets(baked(facts=[account("eve", digest="a" * 32)]))
    assert not factual.secrets(baked(facts=[account("eve"), group("adm", 4), fact("at", "a1", digest="x")]))


# --- two sides -------------------------------------------------------------------------------------------------------

FORWARD = "net.ipv4.ip_forward"


def test_live_configured_and_baked_are_told_three_ways():
    was = baked(facts=[fact("sysctl", FORWARD, configured="0")])
    (found,) = compared(was, fingerprint(facts=[fact("sysctl", FORWARD, configured="0", live="1")], live=True))
    assert found.change is Change.MODIFIED
    assert found.expected == {"configured": "0"}
    assert found.actual == {"configured": "0", "live": "1", "image_kernel": "none"}
    (found,) = compared(was, fingerprint(facts=[fact("sysctl", FORWARD, configured="1", live="1")], live=True))
    assert (found.expected["configured"], found.actual["configured"], found.actual["live"]) == ("0", "1", "1")


def test_a_live_manifest_states_the_live_side():
    was = baked(facts=[fact("sysctl", FORWARD, live="0")], live=True)
    (found,) = compared(was, fingerprint(facts=[fact("sysctl", FORWARD, live="1", configured="2")], live=True))
    assert found.expected == {"live": "0"}
    assert compared(was, fingerprint(facts=[], looked=("sysctl",))) == [], "a directory has no live side"
    assert subjects(was, fingerprint(looked=("sysctl",), live=True)) == [("sysctl", FORWARD, "removed")]


@pytest.mark.parametrize(
    ("kind", "name", "configured", "live"),
    [
        ("module", "br_netfilter", "/etc/modules", "loaded"),
        ("mount", "/data", "ext4 /dev/vdb defaults", "ext4 /dev/vdb rw"),
        ("sysctl", "net.x", "1", "1"),
    ],
)
def test_what_was_baked_live_and_is_only_configured_now_is_a_difference(kind, name, configured, live):
    was = baked(facts=[fact(kind, name, configured=configured, live=live)], live=True)
    (found,) = compared(was, fingerprint(facts=[fact(kind, name, configured=configured)], live=True))
    assert (found.change, found.expected["live"]) == (Change.MODIFIED, live)
    assert "live" not in found.actual


def test_the_kernel_is_the_images_where_that_brought_one():
    for path, brought in (
        (b"/usr/lib/modules/6.1/kernel/a.ko", True),
        (b"/boot/vmlinuz-6.1", True),
        (b"/etc/x", False),
    ):
        now = fingerprint([file(path)], facts=[fact("module", "evil", live="loaded")], live=True)
        (found,) = compared(baked([file(path)]), now)
        assert ("image_kernel" in found.actual) is not brought


def test_two_mounts_at_one_point_are_two_facts():
    one, two = (fact("mount", "/mnt", configured=f"ext4 /dev/{disk} defaults") for disk in ("a", "b"))
    was = baked(facts=[one, two])
    assert subjects(was, fingerprint(facts=[one])) == [("mount", "/mnt", "removed")]
    new = fact("mount", "/mnt", live="tmpfs tmpfs rw")
    assert subjects(was, fingerprint(facts=[one, two, new], live=True)) == [("mount", "/mnt", "added")]


# --- what is driftd's own --------------------------------------------------------------------------------------------


def test_the_key_that_driftd_comes_with_is_no_difference_and_no_other_is():
    own, other = fact("key", "root SHA256:own", type="ssh-ed25519"), fact("key", "root SHA256:eve", type="ssh-ed25519")
    now = fingerprint(facts=[own, other, fact("key", "eve SHA256:own")], looked=("key",))
    was = baked(looked=("key",))
    found = compared(was, now, own_key="root SHA256:own")
    assert [one.subject for one in found] == [b"eve SHA256:own", b"root SHA256:eve"]
    assert compared(baked(facts=[own]), fingerprint(facts=[own]), own_key="root SHA256:own") == []


@pytest.mark.parametrize(
    ("options", "own"),
    [
        ("restrict", True),
        ('restrict,from="192.0.2.10"', True),
        ('no-pty,no-x11-forwarding,from="192.0.2.10,192.0.2.11"', True),
        ("restrict,command=\"/usr/bin/python3 -I -S -B -c 'import sys'\"", True),
        ('restrict,command="sudo -n /usr/libexec/platform-python -I -S -B -c x"', True),
        ('environment="LD_PRELOAD=/tmp/x"', False),
        ('command="/tmp/x"', False),
        ('restrict,command="/tmp/python3 -I -S -B -c x"', False),
        ('restrict,environment="A=b",command="/usr/bin/python3 -I -S -B -c x"', False),
        ("cert-authority", False),
        ('restrict,tunnel="0"', False),
    ],
)
def test_driftds_own_key_gives_nobody_more_than_driftd_needs(options, own):
    there = fingerprint(facts=[fact("key", "root SHA256:own", options=options)], looked=("key",))
    assert (compared(baked(looked=("key",)), there, own_key="root SHA256:own") == []) is own


@pytest.mark.parametrize(("program", "baked_it"), [("/usr/sbin/sshd", "yes"), ("/usr/bin/nc", "no"), ("", "no")])
def test_a_listener_says_whether_its_program_was_baked(program, baked_it):
    tree = [file(b"/usr/sbin/sshd", b"elf", 0o755)]
    now = fingerprint(
        [*tree, file(b"/usr/bin/nc")], facts=[fact("listener", "tcp 0.0.0.0:1", program=program)], live=True
    )
    (found,) = compared(baked(tree), now)
    assert found.actual["baked"] == baked_it


SHADOW = Difference("file", b"/etc/shadow", Change.MODIFIED, {"sha256": "00"}, {"sha256": "ab"})
KEYED = account("root", digest="0123")
UNKEYED = account("root")
LOCKED = account("root", password="locked")


@pytest.mark.parametrize(
    ("facts", "looked", "keyless", "compared"),
    [
        ([KEYED], ("account", "group"), "", True),
        ([LOCKED], ("account", "group"), "", True),
        ([], ("account", "group"), "", True),
        ([KEYED], ("account", "group"), "the key is not here", False),
        ([UNKEYED], ("account", "group"), "", False),
        ([KEYED], ("account",), "", False),
        ([], (), "", False),
    ],
)
def test_a_file_of_passwords_says_when_none_could_be_compared(facts, looked, keyless, compared):
    given = {"facts": facts, "looked": looked}
    other = Difference("file", b"/etc/passwd", Change.MODIFIED, {"sha256": "00"}, {"sha256": "ab"})
    found = [*factual.of_passwords([SHADOW, other], baked((), **given), fingerprint((), **given), keyless)]
    assert found[0].actual.get("passwords", "") == ("" if compared else "not compared")
    assert found[1] == other


def test_accounts_that_were_kept_from_the_look_were_not_compared():
    given = {"facts": [KEYED], "looked": ("account", "group")}
    seen = fingerprint((), kept=(Kept("account", "not permitted", "shadow is closed"),), **given)
    (found,) = factual.of_passwords([SHADOW], baked((), **given), seen, "")
    assert found.actual["passwords"] == "not compared"
