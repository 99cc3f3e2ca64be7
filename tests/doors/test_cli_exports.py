"""``driftd manifest export`` and ``import`` as a person meets them."""

import json
import os

import pytest


@pytest.fixture
def baked(driftd, tmp_path):
    """A small tree with an attribute, and its manifest."""
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc/motd").write_text("hello\n")
    (root / "etc/odd\n\x1b[31m").write_text("")
    os.setxattr(root / "etc/motd", "user.note", b"one")
    assert driftd("bake", "--root", root, "--image", "img", "--policy", "sessions", "-o", "img.manifest").status == 0
    return tmp_path / "img.manifest"


def test_losses_are_counted_on_standard_error(driftd, baked, tmp_path):
    said = driftd("manifest", "export", baked, "--format", "mtree")
    assert said.status == 0
    assert said.out.startswith("#mtree\n")
    assert "./etc/odd\\012\\033\\13331m type=file " in said.out
    assert said.err.splitlines()[0] == "mtree: 1 extended attribute is not in this format"
    again = driftd("manifest", "export", baked, "--format", "mtree", "-o", "img.mtree")
    assert (again.status, again.out, again.err) == (0, "", said.err)
    assert (tmp_path / "img.mtree").read_text() == said.out


@pytest.mark.parametrize(("form", "name"), [("spdx", "spdxVersion"), ("spdx3", "@graph"), ("cyclonedx", "bomFormat")])
def test_every_format_is_there(driftd, baked, form, name):
    said = driftd("manifest", "export", baked, "--format", form)
    assert said.status == 0, said.err
    assert name in json.loads(said.out)


def test_the_time_is_now_or_source_date_epoch_or_the_signatures(driftd, baked, monkeypatch):
    def created() -> str:
        said = driftd("manifest", "export", baked, "--format", "spdx", "--key", "key.pub")
        return json.loads(said.out)["creationInfo"]["created"]

    assert driftd("manifest", "keygen", "key").status == 0
    assert driftd("manifest", "sign", baked, "--key", "key").status == 0
    signed = driftd("manifest", "show", baked, "--key", "key.pub").out
    assert created()[:10] in signed
    assert created() == created()
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    assert created() == "1970-01-01T00:00:00Z"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    said = driftd("manifest", "export", baked, "--format", "spdx")
    assert said.status == 2
    assert "SOURCE_DATE_EPOCH=yesterday is no time" in said.err


def test_a_manifest_that_is_not_what_was_signed_is_not_exported(driftd, baked):
    assert driftd("manifest", "keygen", "key").status == 0
    assert driftd("manifest", "sign", baked, "--key", "key").status == 0
    assert driftd("manifest", "export", baked, "--format", "mtree", "--key", "key.pub").status == 0
    assert driftd("bake", "--root", "root/etc", "--image", "img", "-o", "other.manifest").status == 0
    baked.write_bytes((baked.parent / "other.manifest").read_bytes())
    said = driftd("manifest", "export", baked, "--format", "mtree", "--key", "key.pub", "-o", "img.mtree")
    assert said.status == 2
    assert "does not vouch for" in said.err
    assert not (baked.parent / "img.mtree").exists()


def test_there_and_back_is_the_same_tree_to_an_audit(driftd, baked, tmp_path):
    assert driftd("manifest", "export", baked, "--format", "mtree", "-o", "img.mtree").status == 0
    said = driftd("manifest", "import", "img.mtree", "--format", "mtree", "--image", "img", "-o", "back.manifest")
    assert said.status == 0
    made, silent = said.err.splitlines()
    assert made == "back.manifest: img, 4 entries, provisional: no driftd saw the tree"
    assert silent.startswith("mtree: it says nothing of flags, hard links, extended attributes, facts, so neither does")
    audit = ("audit", "--root", tmp_path / "root", "--manifest", "back.manifest", "--policy", "sessions")
    assert driftd(*audit).status == 0
    (tmp_path / "root/etc/motd").write_text("evil!\n")
    assert driftd(*audit).status == 1


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (". type=dir mode=0755 uid=0 gid=0\n./../x type=dir\n", "bad.mtree: line 2: the path ./../x is not plain"),
        (". type=dir\n", "bad.mtree: 1 entry lacks what a manifest must say, the first / (line 1): mode, uid, gid"),
        ("", "bad.mtree: it has no entries"),
    ],
)
def test_what_cannot_be_imported_is_one_sentence(driftd, tmp_path, text, why):
    (tmp_path / "bad.mtree").write_text(text)
    said = driftd("manifest", "import", "bad.mtree", "--image", "img", "-o", "out.manifest")
    assert said.status == 2
    assert why in said.err
    assert "Traceback" not in said.err
    assert not (tmp_path / "out.manifest").exists()


def test_what_is_no_file_keeps_nobody_waiting(driftd, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "nowhere", "."):
        said = driftd("manifest", "import", name, "--image", "img", "-o", "out.manifest")
        assert said.status == 2
        assert "cannot be read" in said.err
