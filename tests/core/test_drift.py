"""Comparing: every change gives exactly its difference, and what could not be read gives none."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trees import account, baked, device, directory, file, fingerprint, group, grown, link, manifests, package, trees

from driftd.core import drift, manifest
from driftd.core.difference import Change, Difference
from driftd.core.facts import Kept
from driftd.core.fingerprint import Fingerprint
from driftd.core.manifest import Manifest
from driftd.probe import wire


def seen_as(made: Manifest) -> Fingerprint:
    base = fingerprint()
    return replace(base, entries=made.entries, facts=made.facts, looked=made.looked, root=made.root, live=made.live)


@given(manifests())
def test_a_tree_does_not_differ_from_itself(made):
    assert drift.compare(made, seen_as(made)) == ()


@given(trees(), trees())
def test_two_trees_differ_exactly_where_their_entries_do(was, now):
    found = drift.compare(baked(was), replace(fingerprint(), entries=now))
    before, after = ({entry.path: entry for entry in tree} for tree in (was, now))
    wanted = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    assert [one.subject for one in found] == sorted(wanted)
    for one in found:
        changes = {(True, True): Change.MODIFIED, (True, False): Change.REMOVED, (False, True): Change.ADDED}
        assert one.change is changes[one.subject in before, one.subject in after]


@given(trees(), st.data())
def test_one_changed_field_is_one_difference_in_that_field(tree, data):
    at = data.draw(st.integers(0, len(tree) - 1))
    name, most = data.draw(st.sampled_from([("mode", 0o7777), ("uid", 2**32 - 1), ("gid", 2**32 - 1)]))
    value = (getattr(tree[at], name) + data.draw(st.integers(1, most))) % (most + 1)
    entries = (*tree[:at], tree[at]._replace(**{name: value}), *tree[at + 1 :])
    (found,) = drift.compare(baked(tree), replace(fingerprint(), entries=entries))
    assert found.subject == tree[at].path
    assert set(found.expected) == set(found.actual) == {name}


HOSTS = file(b"/etc/hosts", b"a")
CASES = {
    "content": (
        file(b"/etc/hosts", b"bc"),
        {"size": "1", "sha256": HOSTS.sha256.hex()},
        {"size": "2", "sha256": file(b"/", b"bc").sha256.hex()},
    ),
    "mode": (HOSTS._replace(mode=0o4755), {"mode": "0644"}, {"mode": "4755"}),
    "owner": (HOSTS._replace(uid=5, gid=6), {"uid": "0", "gid": "0"}, {"uid": "5", "gid": "6"}),
    "capability": (
        HOSTS._replace(xattrs=((b"security.capability", b"\x01\x00"),)),
        {},
        {"xattr security.capability": "\\x01\\x00"},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_only_what_differs_is_shown(case):
    now, expected, actual = CASES[case]
    assert drift.compare(baked([HOSTS]), fingerprint([now])) == (
        Difference("file", b"/etc/hosts", Change.MODIFIED, expected, actual),
    )


def test_a_long_attribute_is_shown_by_its_digest():
    (found,) = drift.compare(baked([HOSTS]), fingerprint([HOSTS._replace(xattrs=((b"user.x", b"y" * 97),))]))
    assert found.actual["xattr user.x"].startswith("97 bytes, sha256 ")
    (found,) = drift.compare(baked([HOSTS]), fingerprint([HOSTS._replace(xattrs=((b"user.x", b"password"),))]))
    assert found.actual["xattr user.x"].startswith("8 bytes, sha256 "), "it may be a secret"


def test_another_kind_in_its_place_shows_both_whole():
    (found,) = drift.compare(baked([HOSTS]), fingerprint([link(b"/etc/hosts", b"/tmp/\x1bevil")]))
    assert (found.kind, found.change) == ("link", Change.MODIFIED)
    assert found.expected == drift.fields_of(HOSTS)
    assert found.actual == {"kind": "link", "mode": "0777", "uid": "0", "gid": "0", "target": "/tmp/\\x1bevil"}


def test_kinds_have_the_words_of_the_report():
    new = [directory(b"/d"), file(b"/f"), link(b"/l", b"f"), device(b"/n")]
    new += [
        file(b"/p")._replace(kind=wire.FIFO, size=0, sha256=b""),
        file(b"/s")._replace(kind=wire.SOCKET, size=0, sha256=b""),
    ]
    found = drift.compare(baked(), fingerprint(new))
    assert [one.kind for one in found] == ["directory", "file", "link", "device", "fifo", "socket"]
    assert found[3].actual["rdev"] == "1,3"


# --- unknown is no difference ----------------------------------------------------------------------------------------


def test_content_that_could_not_be_read_is_unknown_and_its_mode_is_not():
    unread = HOSTS._replace(sha256=b"")
    assert drift.compare(baked([HOSTS]), fingerprint([unread], unreadable=(b"/etc/hosts",))) == ()
    (found,) = drift.compare(baked([HOSTS]), fingerprint([unread._replace(mode=0o600)], unreadable=(b"/etc/hosts",)))
    assert dict(found.actual) == {"mode": "0600"}


@pytest.mark.parametrize("field", ["unreadable", "covered"])
def test_below_what_could_not_be_listed_nothing_is_missing(field):
    was = baked([file(b"/etc/a/b/c"), file(b"/etc/ab")])
    now = fingerprint([directory(b"/etc/a")], **{field: (b"/etc/a",)})
    assert [one.subject for one in drift.compare(was, now)] == [b"/etc/ab"]


def test_a_mount_point_shows_what_is_mounted_and_not_what_was_baked():
    was, now = baked([file(b"/tmp/x")]), fingerprint([directory(b"/tmp", 0o1777)], covered=(b"/tmp",))
    assert drift.compare(was, now) == ()
    assert drift.hidden(was, now) == (b"/tmp/x",)


def test_what_is_mounted_over_baked_files_hides_them_and_what_is_new_in_it_is_seen():
    was = baked([file(b"/usr/bin/x")])
    now = fingerprint([file(b"/usr/bin/x"), directory(b"/usr/bin")], mounted=(b"/usr/bin",))
    assert drift.hidden(was, now) == (b"/usr/bin/x",)
    mounted = fingerprint([directory(b"/usr/bin"), file(b"/usr/bin/y")], covered=(b"/usr/bin",))
    assert [(one.subject, one.change) for one in drift.compare(was, mounted)] == [(b"/usr/bin/y", "added")]


def test_a_file_with_something_mounted_on_it_is_hidden_itself():
    was, now = baked([file(b"/usr/bin/x")]), fingerprint([file(b"/usr/bin/x")], mounted=(b"/usr/bin/x", b"/usr"))
    assert drift.hidden(was, now) == (b"/usr/bin", b"/usr/bin/x")
    assert drift.hidden(was, fingerprint([], mounted=(b"/usr/bin/x",))) == (b"/usr/bin/x",)


def test_what_the_manifest_does_not_know_is_no_addition():
    made = replace(baked([directory(b"/data")]), unknown=(b"/data",))
    assert drift.compare(made, fingerprint([file(b"/data/x", mode=0o777)])) == ()


@given(trees(), st.data())
def test_hidden_is_what_is_below_a_root_and_a_file_that_is_mounted_on(tree, data):
    made, places = baked(tree), [entry.path for entry in tree]
    roots = st.lists(st.sampled_from([*places, *(path + b"/" for path in places if path != b"/"), b"/", b"/nowhere"]))
    covered, mounted = data.draw(roots), data.draw(st.lists(st.sampled_from([*places, b"/nowhere"])))
    above = [root.rstrip(b"/") + b"/" for root in (*covered, *mounted)]
    wanted = tuple(
        entry.path
        for entry in made.entries
        if any(entry.path != b"/" and entry.path.startswith(root) for root in above)
        or (entry.path in mounted and entry.kind != wire.DIRECTORY)
    )
    assert drift.hidden(made, fingerprint([], covered=tuple(covered), mounted=tuple(mounted))) == wanted


def test_nothing_is_hidden_where_nothing_is_covered():
    assert drift.hidden(baked([HOSTS]), fingerprint([HOSTS])) == ()


# --- facts -----------------------------------------------------------------------------------------------------------

ROOT = account("root", password="locked")
NC = package("nc")
FACTS = {
    "package-added": ((), (NC,), "package", b"nc:all", Change.ADDED),
    "package-gone": ((NC,), (), "package", b"nc:all", Change.REMOVED),
    "package-upgraded": ((NC,), (package("nc", "2"),), "package", b"nc:all", Change.MODIFIED),
    "account-added": ((), (ROOT,), "account", b"root", Change.ADDED),
    "second-root": (
        (ROOT,),
        (ROOT, account("root", password="locked", shell="/bin/evil")),
        "account",
        b"root",
        Change.ADDED,
    ),
    "password-set": ((ROOT,), (account("root"),), "account", b"root", Change.MODIFIED),
    "member": ((group("sudo", 27),), (group("sudo", 27, "eve"),), "group", b"sudo", Change.MODIFIED),
}


@pytest.mark.parametrize("case", FACTS)
def test_facts(case):
    was, now, kind, subject, change = FACTS[case]
    (found,) = drift.compare(baked(facts=was), fingerprint(facts=now))
    assert (found.kind, found.subject, found.change) == (kind, subject, change)


def test_a_table_that_could_not_be_read_is_not_an_empty_one():
    was = baked(facts=(NC, ROOT, group("adm", 4)))
    blind = tuple(Kept(kind, "not available", "damaged") for kind in ("account", "group", "package"))
    assert drift.compare(was, fingerprint(kept=blind)) == ()
    assert len(drift.compare(was, fingerprint())) == 3


def test_a_password_that_could_not_be_read_has_not_changed():
    kept = (Kept("account", "not permitted", "no"),)
    now = fingerprint(facts=(account("root", password="unreadable"),), kept=kept)
    assert drift.compare(baked(facts=(ROOT,)), now) == ()


def test_the_tree_of_a_test_has_its_directories():
    assert [entry.path for entry in grown(file(b"/a/b"))] == [b"/", b"/a", b"/a/b"]


def test_what_a_host_without_the_tools_cannot_show_is_not_gone():
    capable = file(b"/usr/bin/ping", xattrs=[(b"security.capability", b"\x01")])._replace(flags=1)
    bare = capable._replace(xattrs=(), flags=0)
    gone = drift.compare(baked([capable]), fingerprint([bare]))
    assert [set(one.expected) for one in gone] == [{"flags", "xattr security.capability"}]
    kept = (Kept("flags", "not available", "no lsattr"), Kept("xattr", "not available", "no getfattr"))
    assert drift.compare(baked([capable]), fingerprint([bare], kept=kept)) == ()
    (changed,) = drift.compare(baked([capable]), fingerprint([bare._replace(mode=0o4755)], kept=kept))
    assert changed.expected == {"mode": "0644"}
    assert changed.actual == {"mode": "4755"}


def test_what_the_bake_could_not_see_of_entries_is_never_compared():
    capable = file(b"/ping", b"elf", 0o755, xattrs=[(b"security.capability", b"\1")])._replace(flags=wire.IMMUTABLE)
    twice = [capable._replace(same=b"/ping"), capable._replace(path=b"/pong", same=b"/ping")]
    blind = replace(baked([file(b"/ping", b"elf", 0o755), file(b"/pong", b"elf", 0o755)]), unshown=manifest.ASPECTS)
    assert drift.compare(blind, fingerprint(twice)) == ()
    for aspect, field in (("flags", "flags"), ("same", "same"), ("xattr", "xattr security.capability")):
        sighted = replace(blind, unshown=tuple(one for one in manifest.ASPECTS if one != aspect))
        assert [set(one.actual) for one in drift.compare(sighted, fingerprint(twice))] == [{field}, {field}]
