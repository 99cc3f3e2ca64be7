"""``driftd manifest`` from outside: what is printed, the exit statuses, and that no name can be taken for markup."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

NASTY = "odd [red]name\n\x1b[2J\u202e"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    for folder in ("etc", "usr/bin", "var/log"):
        (root / folder).mkdir(parents=True)
    (root / "etc/motd").write_text("hello\n")
    (root / "etc" / NASTY).write_text("x")
    (root / "etc/link").symlink_to("motd")
    (root / "usr/bin/tool").write_text("#!/bin/sh\n")
    (root / "usr/bin/tool").chmod(0o755)
    return root


@pytest.fixture
def bake(driftd, tree: Path, tmp_path: Path):
    """Bake the tree as it is now, to a file of that name."""

    def make(name: str, *words: object) -> Path:
        file = tmp_path / f"{name}.manifest"
        said = driftd("bake", "--root", tree, "--image", name, "-o", file, *words)
        assert said.status == 0, said.err
        return file

    return make


@pytest.fixture
def key(driftd, tmp_path: Path) -> Path:
    said = driftd("manifest", "keygen", "release")
    assert said.status == 0
    assert "trust: {manifest_keys: [release.pub]}" in said.out
    assert "PRIVATE" not in said.out + said.err
    return tmp_path / "release"


def test_made_signed_and_verified(driftd, bake, key):
    file = bake("img")
    assert driftd("manifest", "verify", file).status == 1
    said = driftd("manifest", "sign", file, "--key", key)
    assert said.status == 0, said.err
    assert "sequence 1" in said.out
    assert "img.manifest" in said.out
    good = driftd("manifest", "verify", file, "--key", f"{key}.pub")
    assert (good.status, "verified img" in good.out, "sequence 1" in good.out) == (0, True, True)
    unknown = driftd("manifest", "verify", file)
    assert unknown.status == 1
    assert "no key is trusted here" in unknown.err
    assert "trust: manifest_keys" in unknown.err


def test_a_bake_is_signed_where_there_is_a_key(driftd, bake, key, tmp_path):
    file = bake("img", "--sign-with", key)
    assert driftd("manifest", "verify", file, "--key", f"{key}.pub").status == 0
    (tmp_path / "driftd.yaml").write_text("trust: {signing_key: release, manifest_keys: [release.pub]}\n")
    other = bake("other")
    assert driftd("manifest", "verify", other).status == 0
    again = driftd("manifest", "sign", other)
    assert "sequence 2" in again.out


@pytest.mark.parametrize("damaged", ["img.manifest", "img.manifest.dsse.json"])
def test_what_was_edited_does_not_verify(driftd, bake, key, tmp_path, damaged):
    bake("img", "--sign-with", key)
    file = tmp_path / damaged
    written = file.read_bytes()
    file.write_bytes(written[:-2] + (b"1\n" if written.endswith(b"0\n") else b"0\n"))
    said = driftd("manifest", "verify", "img.manifest", "--key", f"{key}.pub")
    assert said.status in (1, 2)
    assert "driftd: " in said.err
    assert len(said.err.splitlines()) <= 2


def test_an_audit_by_hand_needs_a_signature_only_where_there_is_a_key(driftd, bake, key, tree, tmp_path):
    file = bake("img")
    looked = driftd("audit", "--root", tree, "--manifest", file)
    assert looked.status == 0
    assert "nobody vouches for the manifest (it is not signed)" in " ".join(looked.out.split())
    refused = driftd("audit", "--root", tree, "--manifest", file, "--key", f"{key}.pub")
    assert (refused.status, "is not signed" in refused.err) == (2, True)
    assert driftd("manifest", "sign", file, "--key", key).status == 0
    trusted = driftd("audit", "--root", tree, "--manifest", file, "--key", f"{key}.pub")
    assert (trusted.status, "nobody vouches" in trusted.out) == (0, False)
    (tmp_path / "driftd.yaml").write_text("trust: {manifest_keys: [other.pub]}\n")
    driftd("manifest", "keygen", "other")
    configured = driftd("audit", "--root", tree, "--manifest", file)
    assert (configured.status, "not trusted here" in configured.err) == (2, True)
    assert driftd("audit", "--key", "other.pub").status == 2


def test_a_rotation(driftd, bake, key, tmp_path):
    file = bake("img", "--sign-with", key)
    driftd("manifest", "keygen", "next")
    added = driftd("manifest", "sign", file, "--add", "--key", "next")
    assert added.status == 0
    assert "sequence 1" in added.out
    for name in ("release.pub", "next.pub"):
        assert driftd("manifest", "verify", file, "--key", name).status == 0
    assert driftd("manifest", "sign", file, "--key", "next").status == 0
    assert driftd("manifest", "verify", file, "--key", "release.pub").status == 1
    assert driftd("manifest", "verify", file, "--key", "next.pub").status == 0


WRONG = {
    "no-key": (["sign", "img.manifest"], "there is no key to sign with"),
    "public-key": (["sign", "img.manifest", "--key", "release.pub"], "is a public key"),
    "no-such-key": (["sign", "img.manifest", "--key", "gone"], "the key cannot be read"),
    "no-such-file": (["sign", "gone", "--key", "release"], "gone is no file, and no image of that name has a manifest"),
    "old-sequence": (["sign", "img.manifest", "--key", "release", "--sequence", "1"], "has the sequence 1 already"),
    "add-and-sequence": (
        ["sign", "img.manifest", "--add", "--key", "release", "--sequence", "9"],
        "--add signs what was signed before",
    ),
    "key-over-key": (["keygen", "release"], "is there already"),
    "not-a-manifest": (["show", "release.pub"], "is not a manifest that can be trusted"),
    "private-as-public": (["verify", "img.manifest", "--key", "release"], "holds a private key"),
    "no-such-class": (["show", "img.manifest", "--class", "growing"], "no entry of the manifest is that"),
    "no-such-path": (["show", "img.manifest", "/gone"], "no entry of the manifest is that"),
}


@pytest.mark.parametrize("case", WRONG)
def test_each_mistake_is_one_sentence_and_exit_status_2(driftd, bake, key, case):
    bake("img", "--sign-with", key)
    words, expected = WRONG[case]
    said = driftd("manifest", *words)
    assert said.status == 2
    assert expected in said.err
    assert "Traceback" not in said.err


def test_a_summary(driftd, bake, key):
    file = bake("img", "--sign-with", key)
    said = driftd("manifest", "show", file, "--key", f"{key}.pub")
    assert said.status == 0
    assert "img" in said.out
    assert "10 (6 directory, 3 file, 1 link)" in said.out
    assert "yes, by " in said.out
    assert "exact" in said.out
    unsigned = driftd("manifest", "show", bake("other"))
    assert unsigned.status == 0
    assert "is not signed" in unsigned.out
    assert "driftd manifest sign" in unsigned.err


def test_a_summary_for_programs(driftd, bake, key):
    file = bake("img", "--sign-with", key)
    found = json.loads(driftd("manifest", "show", file, "--key", f"{key}.pub", "--format", "json").out)
    assert (found["image"], found["entries"], found["signed"]["sequence"]) == ("img", 10, 1)
    assert found["classes"] == {"exact": 10}
    assert (found["enforceable"], found["why_not"]) == (True, "")
    without = json.loads(driftd("manifest", "show", file, "--format", "json").out)
    assert (without["signed"], without["enforceable"]) == (None, False)
    assert "no key is trusted" in without["why_not"]


def test_names_are_escaped_and_never_obeyed(driftd, bake, tree, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    before, _ = bake("one"), (tree / "etc" / NASTY).write_text("other")
    for words in (["show", before, "/etc"], ["diff", before, bake("two")]):
        said = driftd("manifest", *words)
        assert "odd [red]name\\x0a\\x1b[2J\\xe2\\x80\\xae" in said.out
        assert "\x1b[2J" not in said.out
        assert "\u202e" not in said.out


def test_a_difference(driftd, bake, tree):
    before = bake("one")
    (tree / "etc/motd").write_text("hello again\n")
    (tree / "usr/bin/tool").chmod(0o4755)
    (tree / "etc/link").unlink()
    (tree / "opt").mkdir()
    os.utime(tree / "etc/motd", (1, 1))
    after = bake("two")
    said = driftd("manifest", "diff", before, after)
    assert said.status == 1
    lines = {line.split()[2]: line for line in said.out.splitlines()}
    assert lines.keys() == {"/etc/link", "/etc/motd", "/opt", "/usr/bin/tool"}
    assert lines["/etc/link"].startswith("-")
    assert lines["/opt"].startswith("+")
    assert "size 6 → 12" in lines["/etc/motd"]
    assert "mode 0755 → 4755" in lines["/usr/bin/tool"]
    assert "1 added, 1 removed, 2 modified" in said.err
    found = json.loads(driftd("manifest", "diff", before, after, "--format", "json").out)
    assert [(one["subject"], one["change"]) for one in found if one["change"] != "modified"] == [
        ("/etc/link", "removed"),
        ("/opt", "added"),
    ]
    same = driftd("manifest", "diff", after, after)
    assert (same.status, "nothing differs" in same.err) == (0, True)


def test_classes_and_facts_differ_too(driftd, bake, tree, tmp_path):
    before = bake("one")
    (tmp_path / "own.yaml").write_text(
        "schema: driftd.policy/1\nname: own\nrules:\n"
        "  - {id: motd, match: {path: /etc/motd}, expect: firstboot, because: It is.}\n"
    )
    (tree / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    after = bake("two", "--policy", "own.yaml")
    said = driftd("manifest", "diff", before, after)
    assert "class exact → firstboot" in said.out
    assert "account" in said.out
    listed = driftd("manifest", "show", after, "--class", "firstboot")
    assert listed.out.split()[-1] == "/etc/motd"


def test_an_image_is_found_by_its_name(driftd, bake, key, tmp_path):
    (tmp_path / "manifests").mkdir()
    (tmp_path / "driftd.yaml").write_text("trust: {manifest_keys: [release.pub]}\n")
    bake("img", "--sign-with", key)
    for name in ("img.manifest", "img.manifest.dsse.json"):
        (tmp_path / name).rename(tmp_path / "manifests" / name)
    assert driftd("manifest", "verify", "img").status == 0
