"""Overlays: what was learnt reads back as it was written, for whatever names; a sealed one only as it was signed."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from calibrating import added, edited, everywhere, judged, learnt, link, made, showed
from hypothesis import given, settings
from hypothesis import strategies as st

from driftd.core.errors import Refused
from driftd.core.facts import Unseen
from driftd.core.globs import path as path_glob
from driftd.core.manifest import Manifest
from driftd.core.packs import Pack
from driftd.core.policy import Policy
from driftd.core.rules import Match, Rule
from driftd.core.seal import Seal
from driftd.edges.documents import OverlayDirectory, file_name, load_policy, render_overlay
from driftd.edges.documents.policies import load_pack

HEAD = ["first", "", "second"]
SIGNED_AT = datetime(2030, 1, 1, tzinfo=UTC)
SEEN = (
    added("/etc/.updated", "x"),
    edited("/etc/locale.conf", "y"),
    made("/var/lib/a b"),
    link("/var/lib/l", "/a/*"),
    showed("listener", "tcp [::]:22", program="/usr/sbin/sshd", user="root", baked="yes"),
    showed("sysctl", "fs.x", live="0"),
)


def manifest(seal: Seal | None = None) -> Manifest:
    made = Manifest("golden", (), (), (), b"\0" * 32)
    return replace(made, seal=seal)


def sealed(data: bytes) -> Manifest:
    subjects = {file_name("golden", ".overlay.yaml"): hashlib.sha256(data).hexdigest()}
    return manifest(Seal("k", 1, SIGNED_AT, subjects, hashlib.sha256(data).hexdigest()))


def written(home, data: bytes):
    file = home / "golden.overlay.yaml"
    file.write_bytes(data)
    return file


def test_a_document_says_what_was_learnt_and_is_a_policy_like_any_other(tmp_path):
    rules = learnt(everywhere(*SEEN)).rules
    assert len(rules) == len(SEEN)
    data = render_overlay(rules, HEAD, "Learnt")
    assert data.startswith(b"# first\n#\n# second\nschema: driftd.policy/1\nname: overlay\n")
    file = written(tmp_path, data)
    assert [(r.id, r.evidence) for r in load_pack(file).rules] == [(r.id, r.evidence) for r in rules]
    assert judged(SEEN, load_policy([str(file)]).rules).findings == ()


names = st.binary(min_size=1, max_size=20).map(lambda raw: raw.replace(b"/", b"_").replace(b"\0", b"_"))


@settings(max_examples=40)
@given(st.lists(names.filter(lambda raw: raw not in {b".", b".."}), min_size=1, max_size=5, unique=True))
def test_names_of_any_bytes_read_back_as_they_were_written(raw):
    seen = [added(b"/srv/" + name, "same") for name in raw]
    rules = learnt(everywhere(*seen)).rules
    again = load_text(render_overlay(rules, HEAD, "Learnt"))
    left = [one for one in seen if not any(rule.match.fits(one) for rule in again.rules)]
    assert len(left) == len(seen) - len(rules)  # what is named like code stays a person's
    assert judged([one for one in seen if one not in left], again.rules).findings == ()


def load_text(data: bytes) -> Pack:
    from driftd.edges.documents.policies import read_pack

    return read_pack(data.decode(), "overlay")


def test_more_than_a_document_holds_is_refused():
    many = [Rule("overlay", f"r{n}", Match(paths=(path_glob(f"/srv/{n}"),)), "x" * 500) for n in range(3000)]
    with pytest.raises(Refused, match="what was learnt of 3000 paths and facts is no document"):
        render_overlay([replace(rule, action="explain") for rule in many], HEAD, "Learnt")


def test_a_comment_cannot_end_early():
    data = render_overlay((), ["a\nrules: [evil]", "\x1b[2J"], "Learnt")
    assert data.decode().splitlines()[:2] == ["# a\\x0arules: [evil]", "# \\x1b[2J"]


# --- reading ---------------------------------------------------------------------------------------------------------


def test_there_need_be_none_and_one_is_read_once(tmp_path):
    overlays = OverlayDirectory(tmp_path)
    assert overlays.for_manifest(manifest()) is None
    written(tmp_path, render_overlay(learnt(everywhere(*SEEN)).rules, HEAD, "Learnt"))
    found = overlays.for_manifest(manifest())
    assert isinstance(found, Pack)
    assert overlays.for_manifest(manifest()) is found
    written(tmp_path, render_overlay((), HEAD, "Nothing was learnt"))
    assert overlays.for_manifest(manifest()).rules == ()


def test_a_sealed_manifest_takes_only_what_was_signed(tmp_path):
    overlays = OverlayDirectory(tmp_path)
    data = render_overlay(learnt(everywhere(*SEEN)).rules, HEAD, "Learnt")
    written(tmp_path, data)
    assert isinstance(overlays.for_manifest(sealed(data)), Pack)
    other = overlays.for_manifest(sealed(data + b"#"))
    assert isinstance(other, Unseen)
    assert other.reason.endswith("golden.overlay.yaml is refused: it is not what was signed")
    unknown = overlays.for_manifest(manifest(Seal("k", 1, SIGNED_AT, {}, "s2")))
    assert unknown.reason.endswith("is refused: it is not covered by the signature")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"\xff", "not UTF-8"),
        (b"- a", "a policy is a mapping"),
        (
            b"schema: driftd.policy/1\nname: o\nrules: [{id: a, match: {path: /etc/**}, action: explain, because: b}]",
            "/etc",
        ),
        (b"a: &x [1]\nb: *x", "anchors"),
        (b"#" * (1024 * 1024 + 10), "larger than a document may be"),
        (b"#" + "é".encode() * (1024 * 1024), "larger than a document may be"),
    ],
    ids=["bytes", "list", "broad", "anchors", "large", "large-in-bytes"],
)
def test_a_bad_one_is_one_sentence_and_never_no_overlay(tmp_path, data, says):
    written(tmp_path, data)
    found = OverlayDirectory(tmp_path).for_manifest(manifest())
    assert isinstance(found, Unseen)
    assert says in found.reason
    assert "\n" not in found.reason


def test_one_that_is_no_file_keeps_nobody_waiting(tmp_path):
    import os

    os.mkfifo(tmp_path / "golden.overlay.yaml")
    assert isinstance(OverlayDirectory(tmp_path).for_manifest(manifest()), Unseen)


def test_it_is_asked_after_the_groups_own_documents_and_before_the_packs(tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text(
        "schema: driftd.policy/1\nname: own\nrules:\n"
        "- {id: a, match: {path: /var/lib/a}, action: alert, because: Ours.}\n"
    )
    overlay = Pack("overlay", tuple(learnt(everywhere(added("/var/lib/a", 1), added("/var/log/b", 1))).rules))
    policy = load_policy(["debian", "sessions", str(own)]).with_overlay(overlay)
    assert [pack.name for pack in policy.packs] == [str(own), "overlay", "sessions", "debian"]
    judgement = judged([added("/var/lib/a", 1), added("/var/log/b", 1)], policy.rules)
    assert [one.rule for one in judgement.findings] == ["own:a"]
    assert [one.rule for one in judgement.explained] == ["overlay:var-log-b"]
    asked_last = load_policy([str(own), "debian"]).with_overlay(overlay)
    assert [pack.name for pack in asked_last.packs] == ["overlay", "debian", str(own)]
    assert Policy(rules=policy.rules[:1]).with_overlay(overlay).rules[-1] == policy.rules[0]
