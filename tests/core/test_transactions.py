"""What the books claim, what a signed package proves, and what a policy may make of it."""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.core.asks import Answer, Ask
from driftd.core.classes import Expected
from driftd.core.difference import CLAIMED, VERIFIED, Change, Difference
from driftd.core.drift import fields_of
from driftd.core.expect import Expect
from driftd.core.facts import Unseen
from driftd.core.findings import Action, Verdict
from driftd.core.fingerprint import Fingerprint
from driftd.core.globs import path as path_glob
from driftd.core.globs import word
from driftd.core.manifest import Manifest
from driftd.core.policy import Policy, judge
from driftd.core.rules import Match, Rule
from driftd.core.showable import Show
from driftd.core.transacted import Transacted
from driftd.core.transactions import books, gather, history
from driftd.core.transactions.contents import Contents, Member
from driftd.core.transactions.origins import traced
from driftd.core.transactions.versions import later
from driftd.probe import wire
from driftd.probe.wire import Entry

NOW = datetime(2026, 1, 31, tzinfo=UTC)
ADDED, REMOVED, MODIFIED = Change.ADDED, Change.REMOVED, Change.MODIFIED


def sha(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def entry(path: str, text: str, mode: int = 0o644) -> Entry:
    return Entry(path.encode(), wire.FILE, mode, 0, 0, len(text), sha(text), b"", (0, 0), ())


LIST = "/var/lib/dpkg/info/nginx.list"
OLD = [entry("/usr/bin/nginx", "one", 0o755), entry("/usr/share/nginx/old", "x"), entry(LIST, "list1")]
NEW = [
    entry("/usr/bin/nginx", "two", 0o755),
    entry("/usr/share/nginx/new", "y"),
    entry(LIST, "list2"),
    entry("/etc/ld.so.cache", "cache"),
]
PACKAGE = Difference("package", b"nginx:amd64", MODIFIED, {"version": "1.24-1"}, {"version": "1.26-1"})
HISTORY = b"""
Start-Date: 2026-01-30  08:00:00
Commandline: /usr/bin/apt-get -o Acquire::http::Proxy=http://user:hunter2@proxy/ --yes install nginx
Upgrade: nginx:amd64 (1.24-1, 1.26-1), curl:amd64 (7, 8)
End-Date: 2026-01-30  08:00:09
"""


def differences(new=None):
    before, after = {one.path: one for one in OLD}, {one.path: one for one in new or NEW}
    found = [PACKAGE]
    for path in sorted(before.keys() | after.keys()):
        was, now = before.get(path), after.get(path)
        if was != now:
            change = ADDED if was is None else REMOVED if now is None else MODIFIED
            found.append(Difference("file", path, change, fields_of(was) if was else {}, fields_of(now) if now else {}))
    return found


def look(new=None, **answers: bytes) -> Fingerprint:
    told = {Ask(path.encode(), "show"): Answer(content=text) for path, text in answers.items()}
    entries = tuple(sorted(new or NEW, key=lambda one: one.path))
    return Fingerprint(entries, (), ("package",), (), coverage(), b"", answers=told)


def coverage():
    from driftd.core.facts import Coverage

    return Coverage()


BOOKS = {LIST: b"/.\n/usr\n/usr/bin/nginx\n/usr/share/nginx/new\n", "/var/log/apt/history.log": HISTORY}


def package(new, version, listed: str) -> Contents:
    members = {
        one.path: Member(one.kind, one.mode, one.uid, one.gid, one.sha256)
        for one in new
        if one.path.startswith(b"/usr")
    }
    return Contents(members, {b"list": sha(listed)}, frozenset(), f"Debian bookworm {version}")


class Source:
    """Signed packages by version."""

    def __init__(self, **packages: Contents) -> None:
        self.packages = {"1.24-1": package(OLD, "1.24-1", "list1"), "1.26-1": package(NEW, "1.26-1", "list2")}
        self.asked: list[frozenset[bytes]] = []

    def contents(self, name, version, architecture, keyrings):
        self.asked.append(keyrings)
        assert (name, architecture) == ("nginx", "amd64")
        return self.packages.get(version, Unseen(f"no signed index has {version}"))


def manifest(*entries: Entry) -> Manifest:
    from driftd.core.manifest import from_fingerprint

    return from_fingerprint(
        Fingerprint(tuple(sorted((*OLD, *entries), key=lambda one: one.path)), (), ("package",), (), coverage(), b""),
        "golden",
        provisional=False,
    )


def origins(found=None, fingerprint=None, source=None, baked=None):
    found = found or differences()
    fingerprint = fingerprint or look(**BOOKS)
    evidence = gather(baked or manifest(), fingerprint, found, source)
    return {one.subject.decode(): one.origin for one in traced(found, fingerprint, evidence)}


def levels(**given):
    return {path: origin.level if origin else None for path, origin in origins(**given).items()}


# --- claimed ---


def test_the_books_claim_what_their_lists_name_and_prove_nothing():
    assert levels() == {
        "nginx:amd64": CLAIMED,
        "/usr/bin/nginx": CLAIMED,
        "/usr/share/nginx/new": CLAIMED,
        "/usr/share/nginx/old": None,
        LIST: CLAIMED,
        "/etc/ld.so.cache": None,
    }
    origin = origins()["/usr/bin/nginx"]
    assert (origin.was, origin.version) == ("1.24-1", "1.26-1")
    assert origin.transaction == "apt-get --yes install nginx at 2026-01-30 08:00:00"


def test_only_what_a_pack_lists_as_showable_is_asked_for():
    assert books.asks(differences(), look(), ()) == []
    shows = [Show(path_glob("/var/lib/dpkg/info/*.list"))]
    assert [ask.path for ask in books.asks(differences(), look(), shows)] == [LIST.encode()]
    assert books.asks([one for one in differences() if one.kind == "file"], look(), shows) == []


def test_a_command_line_is_told_without_what_may_be_a_secret():
    [run] = history.read(HISTORY)
    assert run.command == "apt-get --yes install nginx"
    assert "hunter2" not in run.name
    assert run.packages == {"nginx:amd64": "1.26-1", "curl:amd64": "8"}


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff\xfe\0",
        b"Start-Date: now\nUpgrade: a:b (1, 2)\n",
        b"Start-Date: 2026-01-30  08:00:00\nUpgrade: ((((\n",
        b"Upgrade: a:amd64 (1, 2)\n",
    ],
)
def test_a_history_that_is_none_names_nothing(text):
    assert history.read(text) == ()


def test_a_control_character_in_a_command_is_not_obeyed():
    text = HISTORY.replace(b"install nginx", b"install nginx\x1b[31m evil")
    assert "\x1b" not in history.read(text)[0].name


# --- verified ---


def test_what_is_exactly_what_the_signed_package_has_is_verified():
    found = levels(source=Source())
    assert found == {
        "nginx:amd64": VERIFIED,
        "/usr/bin/nginx": VERIFIED,
        "/usr/share/nginx/new": VERIFIED,
        "/usr/share/nginx/old": VERIFIED,
        LIST: VERIFIED,
        "/etc/ld.so.cache": None,
    }
    assert origins(source=Source())["/usr/bin/nginx"].release == "Debian bookworm 1.26-1"


WRONG = {
    "content": {"sha256": sha("evil")},
    "mode": {"mode": 0o4755},
    "owner": {"uid": 1000},
    "group": {"gid": 1000},
    "capability": {"xattrs": ((b"security.capability", b"x"),)},
    "flags": {"flags": wire.IMMUTABLE},
    "kind": {"kind": wire.LINK, "target": b"/tmp/x", "sha256": b""},
    "unread": {"sha256": b""},
}


@pytest.mark.parametrize("name", WRONG)
def test_whatever_else_differs_is_not_and_neither_is_the_package(name):
    other = [one._replace(**WRONG[name]) if one.path == b"/usr/bin/nginx" else one for one in NEW]
    found = levels(found=differences(other), fingerprint=look(other, **BOOKS), source=Source())
    assert found["/usr/bin/nginx"] == CLAIMED
    assert found["nginx:amd64"] == CLAIMED
    assert found["/usr/share/nginx/new"] == VERIFIED


def test_a_program_of_it_that_is_missing_leaves_the_package_claimed():
    other = [one for one in NEW if one.path != b"/usr/bin/nginx"]
    assert levels(found=differences(other), fingerprint=look(other, **BOOKS), source=Source())["nginx:amd64"] == CLAIMED


def test_a_document_that_was_left_out_does_not():
    other = [one for one in NEW if one.path != b"/usr/share/nginx/new"]
    assert (
        levels(found=differences(other), fingerprint=look(other, **BOOKS), source=Source())["nginx:amd64"] == VERIFIED
    )


def test_an_older_version_is_never_verified_whoever_signed_it():
    source = Source()
    older = Difference("package", b"nginx:amd64", MODIFIED, {"version": "1:1.0"}, {"version": "1.26-1"})
    found = origins(found=[older, *differences()[1:]], source=source)
    assert {one.level for one in found.values() if one} == {CLAIMED}
    assert "older than 1:1.0" in found["/usr/bin/nginx"].doubt
    assert not source.asked


def test_a_package_that_was_removed_is_only_claimed():
    gone = Difference("package", b"nginx:amd64", REMOVED, {"version": "1.26-1"}, {})
    assert levels(found=[gone, *differences()[1:]], source=Source())["nginx:amd64"] == CLAIMED


def test_what_cannot_be_verified_says_why():
    source = Source()
    del source.packages["1.26-1"]
    assert origins(source=source)["nginx:amd64"].doubt == "no signed index has 1.26-1"


def test_only_keyrings_that_were_baked_and_are_exact_count():
    ring = entry("/usr/share/keyrings/debian.gpg", "ring")
    other = entry("/srv/keyring.gpg", "other")
    source = Source()
    origins(source=source, baked=manifest(ring, other))
    assert set(source.asked) == {frozenset({ring.sha256})}


def test_a_keyring_that_may_differ_does_not_count():
    ring = entry("/usr/share/keyrings/debian.gpg", "ring")
    source = Source()
    loose = replace(manifest(ring), classes={ring.path: Expected(Expect.PRESENCE)})
    origins(source=source, baked=loose)
    assert set(source.asked) == {frozenset()}


def test_what_the_verified_version_before_did_not_have_did_not_go_with_it():
    """The instance's list, or the baked one, may say so; the signed package does not."""
    other = entry("/usr/bin/other", "o", 0o755)
    found = [*differences(), Difference("file", other.path, REMOVED, fields_of(other), {})]
    evidence = gather(manifest(other), look(**BOOKS), found, Source(), lambda: {LIST.encode(): b"/usr/bin/other\n"})
    levels = {one.subject: one.origin.level for one in traced(found, look(**BOOKS), evidence) if one.origin}
    assert levels[b"/usr/bin/other"] == CLAIMED
    assert levels[b"/usr/share/nginx/old"] == VERIFIED


# --- what a policy makes of it ---


def rule(level=VERIFIED, *packages: str, action=Action.EXPLAIN) -> Rule:
    match = Match(transaction=Transacted(tuple(word(one) for one in packages), level))
    return Rule("site", "updates", match, "security updates are let in", action=action)


def judged(*rules: Rule, source=None, strict=False):
    found, fingerprint = differences(), look(**BOOKS)
    evidence = gather(manifest(), fingerprint, found, source)
    return judge(traced(found, fingerprint, evidence), Policy(rules), (), NOW, books=evidence.books, strict=strict)


def test_without_a_rule_it_is_a_finding_that_names_the_transaction_and_one_cause():
    judgement = judged(source=Source())
    assert judgement.verdict is Verdict.DRIFTED
    assert judgement.reason == "critical: package nginx:amd64 was changed from 1.24-1 to 1.26-1 with 5 files"
    because = next(one.because for one in judgement.findings if one.subject == b"/usr/bin/nginx")
    assert (
        "it is explained by the package transaction nginx:amd64 1.24-1 to 1.26-1 (apt-get --yes install nginx at "
        "2026-01-30 08:00:00), verified, signed by Debian bookworm 1.26-1, but policy does not allow it"
    ) in because


def test_a_rule_lets_pass_what_is_verified_and_names_it():
    judgement = judged(rule(), source=Source())
    assert [one.subject for one in judgement.findings] == [b"/etc/ld.so.cache"]
    said = {one.because for one in judgement.explained}
    what = "nginx:amd64 1.24-1 to 1.26-1 (apt-get --yes install nginx at 2026-01-30 08:00:00)"
    assert said == {f"security updates are let in: {what}, signed by Debian bookworm 1.26-1"}


def test_what_is_only_claimed_is_let_pass_by_none():
    assert judged(rule()).explained == ()
    assert judged(rule(VERIFIED, "curl"), source=Source()).explained == ()
    assert len(judged(rule(VERIFIED, "ng*"), source=Source()).explained) == 5


def test_strict_lets_nothing_pass():
    assert judged(rule(), source=Source(), strict=True).explained == ()


def test_a_rule_may_speak_of_what_is_claimed_without_letting_it_pass():
    judgement = judged(rule(CLAIMED, action=Action.ALERT))
    assert {one.action for one in judgement.findings if one.rule == "site:updates"} == {Action.ALERT}


# --- versions ---

_VERSIONS = ["1", "1.0", "1.0-1", "1.0-2", "1:0", "1.0~rc1", "1.0~~", "1.0+b1", "1.0a", "1.10", "1.9", "0", "", "1.0-0",
             "2.36-9+deb12u10", "2.36-9+deb12u9", "1.0.0", "1.a", "1.-", "9:1-1-1"]  # fmt: skip


@given(st.sampled_from(_VERSIONS), st.sampled_from(_VERSIONS))
def test_versions_are_ordered_as_dpkg_orders_them(one, than):
    if not one or not than or "1.-" in (one, than):
        return
    done = subprocess.run(["dpkg", "--compare-versions", one, "gt", than], check=False)
    assert later(one, than) == (done.returncode == 0)


def test_what_the_baked_list_had_belongs_to_the_package_too():
    baked = {LIST.encode(): b"/usr/bin/nginx\n/usr/share/nginx/old\n"}
    evidence = gather(manifest(), look(**BOOKS), differences(), baked=lambda: baked)
    found = {one.subject: one.origin for one in traced(differences(), look(**BOOKS), evidence)}
    assert found[b"/usr/share/nginx/old"].level == CLAIMED


@pytest.mark.parametrize("evil", [b"a" * 65000, b"a:b (" * 13000, b"a" * 30000 + b":" + b"b" * 30000, b"(" * 65000])
def test_a_history_made_to_be_slow_is_not(evil):
    """A pattern that tries again from every letter would take minutes of these."""
    text = b"Start-Date: 2026-01-30  08:00:00\nCommandline: " + evil + b"\nUpgrade: " + evil
    started = process_time()
    history.read(text)
    assert process_time() - started < 5
