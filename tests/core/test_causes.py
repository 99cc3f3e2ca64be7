"""Causes: every finding is in one, the order does not matter, the same event has the same signature anywhere."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.core.causes import assign, gather, reason
from driftd.core.causes.board import Books
from driftd.core.difference import Change, Difference
from driftd.core.findings import Action, Finding, Severity, signature

ADDED, REMOVED, MODIFIED = Change.ADDED, Change.REMOVED, Change.MODIFIED


def finding(kind, subject, change=ADDED, was=None, now=None, severity=Severity.HIGH) -> Finding:
    was, now = was or {}, now or {}
    name = subject if isinstance(subject, bytes) else subject.encode()
    shape = signature(Difference(kind, name, change, was, now))
    return Finding(kind, name, change, severity, Action.REPLACE, shape, "test:rule", "because", was, now)


def file(path, change=ADDED, content="", **fields) -> Finding:
    given = {"sha256": content.ljust(64, "0")[:64], "size": str(len(content)), **fields}
    return finding("file", path, change, {} if change is ADDED else given, {} if change is REMOVED else given)


def directory(path, change=ADDED) -> Finding:
    return finding("directory", path, change, {} if change is ADDED else {"mode": "0755"}, {})


def tree(top, change=ADDED, names="abc", mark="") -> list[Finding]:
    deep = [file(f"{top}/deep/{name}", change, f"{mark}{top}{name}") for name in names]
    return [directory(top, change), directory(f"{top}/deep", change), *deep]


def causes(*findings, books=None):
    return gather(assign(findings, books) if books else assign(findings))


def only(*findings, books=None):
    [cause] = causes(*findings, books=books)
    assert sorted(m.signature for m in cause.members) == sorted(one.signature for one in findings)
    return cause


# --- what finds together ---


def test_a_deleted_tree_is_one():
    unit = finding("unit", "app.service", REMOVED, {"fragment": "/opt/app/deep/app.service", "state": "enabled"})
    cause = only(*tree("/opt/app", REMOVED), unit)
    assert (cause.kind, cause.subject) == ("tree-removed", b"/opt/app")
    assert cause.sentence == "/opt/app was deleted with 3 files and 1 unit"


def test_an_added_tree_is_one_and_as_bad_as_its_worst():
    worst = finding("file", "/opt/app/deep/su", ADDED, {}, {"mode": "4755"}, Severity.CRITICAL)
    cause = only(*tree("/opt/app"), worst)
    assert (cause.kind, cause.severity, cause.members[0]) == ("tree-added", Severity.CRITICAL, cause.members[0])
    assert cause.members[0].subject == worst.subject


def test_a_file_that_came_beside_a_deleted_tree_is_another_thing():
    assert len(causes(*tree("/opt/app", REMOVED), file("/opt/app2"), file("/opt/ap"))) == 3


def test_a_directory_alone_is_no_tree():
    assert causes(directory("/opt/app"))[0].kind == ""


def test_a_moved_tree_is_one_and_says_where_to():
    went = [directory("/opt/old", REMOVED), file("/opt/old/a", REMOVED, "aaa"), file("/opt/old/b", REMOVED, "bbb")]
    came = [directory("/srv/new"), file("/srv/new/a", ADDED, "aaa"), file("/srv/new/b", ADDED, "bbb")]
    cause = only(*went, *came)
    assert (cause.kind, cause.sentence) == ("tree-moved", "/opt/old was moved to /srv/new with 2 files")


def test_a_tree_with_another_content_was_not_moved():
    went = [directory("/opt/old", REMOVED), file("/opt/old/a", REMOVED, "aaa")]
    came = [directory("/srv/new"), file("/srv/new/a", ADDED, "other")]
    assert [one.kind for one in causes(*went, *came)] == ["tree-added", "tree-removed"]


def test_a_renamed_file_is_one():
    cause = only(file("/etc/a.conf", REMOVED, "text"), file("/etc/a.conf.bak", ADDED, "text"))
    assert cause.sentence == "/etc/a.conf was moved to /etc/a.conf.bak"


@pytest.mark.parametrize("content", ["", "text"])
def test_nobody_guesses_which_of_several_files_was_renamed(content):
    found = [file("/a", REMOVED, content), file("/b", ADDED, content), file("/c", ADDED, content)]
    assert [one.kind for one in causes(*found)] == ["", "", ""]


NGINX = finding("package", "nginx:amd64", MODIFIED, {"version": "1.24-1"}, {"version": "1.26-1"})
LISTS = Books({"nginx:amd64": frozenset({b"/bin/nginx", b"/lib/systemd/system/nginx.service", b"/usr/share/x.py"})})


def test_an_upgraded_package_is_one_with_all_that_came_of_it():
    found = [
        NGINX,
        file("/usr/bin/nginx", MODIFIED, "n"),
        file("/usr/share/__pycache__/x.cpython-311.pyc", ADDED, "p"),
        file("/var/lib/dpkg/info/nginx.md5sums", MODIFIED, "m"),
        file("/usr/share/doc/nginx/changelog.gz", MODIFIED, "c"),
        finding("link", "/etc/alternatives/httpd", ADDED, {}, {"target": "/usr/bin/nginx"}),
        finding("unit", "nginx.service", MODIFIED, {"state": "disabled"}, {"state": "enabled"}),
        finding("process", "/usr/bin/nginx", ADDED, {}, {"state": "deleted"}),
        finding("listener", "tcp 0.0.0.0:80", ADDED, {}, {"program": "/usr/bin/nginx"}),
        file("/etc/ld.so.cache", MODIFIED, "l"),
        file("/var/lib/dpkg/status", MODIFIED, "s"),
    ]
    cause = only(*found, books=LISTS)
    assert cause.kind == "package"
    assert cause.sentence.startswith("package nginx:amd64 was changed from 1.24-1 to 1.26-1 with 6 files")


def test_without_its_list_a_package_has_what_is_named_after_it():
    cause, other = causes(NGINX, file("/var/lib/dpkg/info/nginx.list", MODIFIED, "m"), file("/usr/bin/nginx"))
    assert cause.count == 2
    assert other.kind == ""


def test_the_packages_of_one_transaction_are_one():
    curl = finding("package", "curl:amd64", ADDED, {}, {"version": "8"})
    books = Books({}, {"nginx:amd64": "t1", "curl:amd64": "t1"})
    cause = only(NGINX, curl, books=books)
    assert cause.sentence == "2 packages changed in one transaction (curl:amd64 and nginx:amd64)"
    assert len(causes(NGINX, curl)) == 2


def test_an_added_account_is_one_with_its_group_home_and_key():
    found = [
        finding("account", "bob", ADDED, {}, {"home": "/home/bob", "uid": "1001"}, Severity.CRITICAL),
        finding("group", "bob", ADDED, {}, {"gid": "1001"}),
        finding("key", "bob SHA256:abc", ADDED, {}, {"file": "/home/bob/.ssh/authorized_keys"}),
        directory("/home/bob"),
        directory("/home/bob/.ssh"),
        file("/home/bob/.ssh/authorized_keys", ADDED, "k"),
        file("/etc/passwd", MODIFIED, "p"),
        file("/etc/shadow-", MODIFIED, "p"),
        file("/var/mail/bob", ADDED),
    ]
    assert only(*found).sentence == "account bob was added with 4 files, 1 group and 1 key"


def test_a_home_that_others_share_does_not_belong_to_who_came():
    found = causes(finding("account", "web", ADDED, {}, {"home": "/var"}), *tree("/var/www"))
    assert sorted(one.kind for one in found) == ["account", "tree-added"]


def test_a_unit_is_one_with_its_file_links_drop_ins_and_program():
    found = [
        finding("unit", "evil.service", ADDED, {}, {"fragment": "/etc/systemd/system/evil.service"}),
        file("/etc/systemd/system/evil.service"),
        finding("link", "/etc/systemd/system/multi-user.target.wants/evil.service", ADDED, {}, {"target": "../x"}),
        file("/etc/systemd/system/evil.service.d/x.conf"),
        file("/usr/local/bin/evil", ADDED, "e"),
        finding("process", "/usr/local/bin/evil"),
        finding("listener", "tcp 0.0.0.0:6", ADDED, {}, {"program": "/usr/local/bin/evil"}),
    ]
    sentence = only(*found).sentence
    assert sentence == "unit evil.service was added with 3 files, 1 link, 1 listener and 1 more"


def test_a_file_is_one_with_the_facts_that_are_read_from_it():
    found = [
        file("/etc/sudoers.d/x", ADDED, "s"),
        finding("sudo", "bob ALL=ALL", ADDED, {}, {"file": "/etc/sudoers.d/x"}),
    ]
    assert only(*found).sentence == "/etc/sudoers.d/x was added with 1 sudo"


def test_a_change_of_owner_of_a_whole_tree_is_one():
    was, now = {"uid": "0"}, {"uid": "1000"}
    found = [
        finding("directory", "/srv/www", MODIFIED, was, now),
        finding("directory", "/srv/www/a", MODIFIED, was, now),
        finding("file", "/srv/www/a/b", MODIFIED, was, now),
    ]
    cause = only(*found)
    assert cause.sentence == "owner of /srv/www and all that differs below it changed, 3 paths"
    assert len(causes(*found, finding("file", "/srv/www/a/c", MODIFIED, was, {"uid": "7"}))) == 2


def test_what_lies_under_a_new_mount_is_one():
    mount = finding("mount", "/usr/local", ADDED, {}, {"live": "ext4 /dev/sdb1 rw"})
    found = [mount, *tree("/usr/local/bin", REMOVED), file("/usr/local/new")]
    assert only(*found).kind == "mount"


def test_who_was_there_is_never_a_by_product():
    session = finding("session", "ssh:root@::1", ADDED, {}, {"file": "/opt/app/deep/a", "user": "bob"})
    assert len(causes(session, *tree("/opt/app"), finding("account", "bob"))) == 3


def test_a_reason_names_the_worst_cause():
    found = assign([*tree("/opt/app", REMOVED), file("/x"), file("/y")])
    assert reason(found) == "high: /opt/app was deleted with 3 files; and 2 more causes"
    assert reason(assign([file("/x"), file("/y")])) == "2 findings, worst: high /x added"


# --- what always holds ---

_NAMES = st.sampled_from([b"a", b"b", b"\xff", b"etc", b"systemd", b"x.service", b"x.service.d", b"bin", b"passwd"])
_PATHS = st.lists(_NAMES, min_size=1, max_size=4).map(lambda parts: b"/" + b"/".join(parts))
_VALUES = st.sampled_from(["", "0", "aa" * 32, "bb" * 32, "/a/b", "/etc/passwd", "bob", "ext4 /dev/sda rw"])
_FIELDS = st.dictionaries(
    st.sampled_from(["sha256", "size", "uid", "mode", "file", "home", "target", "program", "fragment", "user"]),
    _VALUES,
    max_size=4,
)
_KINDS = ["file", "directory", "link", "device", "package", "account", "group", "unit", "mount", "process", "key"]


@st.composite
def a_finding(draw):
    kind = draw(st.sampled_from([*_KINDS, "session", "sudo", "listener", "of a newer probe"]))
    subject = draw(_PATHS) if kind in _KINDS[:4] or draw(st.booleans()) else draw(_NAMES)
    change, level = draw(st.sampled_from(list(Change))), draw(st.sampled_from(list(Severity)))
    was = {} if change is ADDED else draw(_FIELDS)
    return finding(kind, subject, change, was, {} if change is REMOVED else draw(_FIELDS), level)


LOOKS = st.lists(a_finding(), max_size=14, unique_by=lambda one: one.signature)
BOOKS = st.builds(
    Books,
    st.dictionaries(st.sampled_from(["a", "b", "bin"]), st.frozensets(_PATHS, max_size=4)),
    st.dictionaries(st.sampled_from(["a", "b", "bin"]), st.sampled_from(["t", "u"])),
)


@given(LOOKS, BOOKS)
def test_every_finding_is_in_exactly_one_cause_and_nothing_else_of_it_changes(found, books):
    assigned = assign(found, books)
    assert [one.signature for one in assigned] == [one.signature for one in found]
    members = [member for cause in gather(assigned) for member in cause.members]
    assert sorted(one.signature for one in members) == sorted(one.signature for one in found)
    assert all(
        cause.sentence and cause.severity.rank == max(m.severity.rank for m in cause.members)
        for cause in gather(assigned)
    )


@given(LOOKS, BOOKS, st.randoms())
def test_the_order_does_not_matter(found, books, chance: random.Random):
    mixed = list(found)
    chance.shuffle(mixed)
    assert gather(assign(found, books)) == gather(assign(mixed, books))


EVENTS = [
    lambda n: tree(f"/opt/app{n}", REMOVED, mark=str(n)),
    lambda n: tree(f"/srv/new{n}", ADDED, mark=str(n)),
    lambda n: [file(f"/etc/conf{n}", MODIFIED, f"c{n}")],
    lambda n: [
        finding("account", f"u{n}", ADDED, {}, {"home": f"/home/u{n}"}),
        *tree(f"/home/u{n}", mark=str(n)),
        finding("key", f"u{n} SHA256:k"),
    ],
    lambda n: [
        finding("unit", f"s{n}.service", ADDED, {}, {"fragment": f"/etc/systemd/system/s{n}.service"}),
        file(f"/etc/systemd/system/s{n}.service", ADDED, f"s{n}"),
    ],
    lambda n: [
        finding("package", f"p{n}:amd64", MODIFIED, {"version": "1"}, {"version": "2"}),
        file(f"/var/lib/dpkg/info/p{n}.list", MODIFIED, f"p{n}"),
    ],
    lambda n: [
        finding(kind, f"/d{n}{end}", MODIFIED, {"uid": "0"}, {"uid": "1"})
        for kind, end in (("directory", ""), ("file", "/f"))
    ],
    lambda n: [finding("mount", f"/m{n}", ADDED, {}, {"live": "x"}), file(f"/m{n}/f", ADDED, f"m{n}")],
    lambda n: [file(f"/mv{n}", REMOVED, f"mv{n}"), file(f"/mv{n}.bak", ADDED, f"mv{n}")],
]  # fmt: skip
# What any package or account changes, with another content on every host.
BY_THE_WAY = [["/etc/passwd", "/etc/shadow"], ["/var/lib/dpkg/status", "/etc/ld.so.cache"]]
DRIFT = st.lists(st.tuples(st.integers(0, len(EVENTS) - 1), st.integers(0, 3)), max_size=6, unique=True)


@given(DRIFT, DRIFT, st.booleans())
def test_the_same_drift_has_the_same_signature_whatever_else_there_is(mine, others, packages):
    def on(host, events):
        found = [one for kind, number in sorted(events) for one in EVENTS[kind](number)]
        for path in BY_THE_WAY[packages]:
            if any(kind == (5 if packages else 3) for kind, _ in events):
                found.append(file(path, MODIFIED, f"{host} {sorted(events)}"))
        return {cause.signature for cause in gather(assign(found))}

    both = {*mine, *others}
    assert on("one", mine) <= on("other", both)
    assert len(on("other", both)) == len(both)


@given(LOOKS)
def test_a_cause_is_alike_wherever_its_kind_subject_and_lead_are(found):
    for cause in gather(assign(found)):
        again = gather(cause.members)
        assert [(one.signature, one.likeness) for one in again] == [(cause.signature, cause.likeness)]


def test_forty_thousand_findings_find_together_in_no_time():
    found = [one for n in range(100) for one in tree(f"/srv/{n}", names=[f"f{i}" for i in range(400)], mark=str(n))]
    assert len(causes(*found)) == 100
