"""Manifests on disk: each mistake is one sentence with file and remedy; each file is read once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from trees import IMAGE, baked, file

from driftd.core import manifesttext
from driftd.core.errors import BadInput
from driftd.core.facts import Unseen
from driftd.core.manifest import Manifest
from driftd.edges.documents import ManifestDirectory, load_manifest
from driftd.edges.documents import files as document_files

MADE = baked([file(b"/etc/hosts", b"a")])


def test_found_by_the_images_id_and_read_once(tmp_path):
    directory = ManifestDirectory(tmp_path / "new")
    path = directory.put(MADE)
    first = directory.for_image(IMAGE)
    assert first == MADE
    assert directory.for_image(IMAGE) is first
    assert load_manifest(path) == MADE
    assert [one.name for one in path.parent.iterdir()] == [f"{IMAGE}.manifest"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_read_again_when_it_was_replaced(tmp_path):
    directory = ManifestDirectory(tmp_path)
    directory.put(MADE)
    directory.for_image(IMAGE)
    other = baked([file(b"/etc/hosts", b"b")])
    directory.put(other)
    assert directory.for_image(IMAGE) == other
    directory.path_for(IMAGE).unlink()
    assert isinstance(directory.for_image(IMAGE), Unseen)


@pytest.mark.parametrize("image", ["../../etc/passwd", "a/b", ".", "..", "sha256:ab", "ü" * 300, "a b", "x" * 256])
def test_no_image_leads_out_of_the_directory(tmp_path, image):
    path = ManifestDirectory(tmp_path).path_for(image)
    assert path.parent == tmp_path
    assert len(os.fsencode(path.name)) <= 255
    assert path != ManifestDirectory(tmp_path).path_for(image + "x")


def unseen(found: Manifest | Unseen) -> Unseen:
    assert isinstance(found, Unseen)
    return found


def test_no_manifest_says_how_to_make_one(tmp_path):
    found = unseen(ManifestDirectory(tmp_path).for_image("golden 2"))
    assert found.reason == "no manifest for golden 2"
    assert found.hint == (f"make one with: driftd bake --root DIR --image 'golden 2' -o {tmp_path}/golden%202.manifest")


def test_of_another_image(tmp_path):
    directory = ManifestDirectory(tmp_path)
    directory.put(MADE).rename(directory.path_for("golden-2"))
    assert "is the manifest of golden-1, not of golden-2" in unseen(directory.for_image("golden-2")).reason


DAMAGED = {
    "truncated": manifesttext.encode(MADE)[:-200],
    "empty": b"",
    "edited": manifesttext.encode(MADE).replace(b"0644", b"0666"),
    "garbage": b"\x00\xff" * 100,
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged(tmp_path, case):
    directory = ManifestDirectory(tmp_path)
    file = directory.path_for(IMAGE)
    file.write_bytes(DAMAGED[case])
    found = unseen(directory.for_image(IMAGE))
    assert found.reason.startswith(f"{file} is not a manifest that can be trusted: ")
    assert found.hint
    with pytest.raises(BadInput, match="is not a manifest that can be trusted"):
        load_manifest(file)


def test_a_directory_in_its_place(tmp_path):
    ManifestDirectory(tmp_path).path_for(IMAGE).mkdir()
    assert "cannot be read" in unseen(ManifestDirectory(tmp_path).for_image(IMAGE)).reason


def test_no_such_manifest_file(tmp_path):
    with pytest.raises(BadInput, match=r"x\.manifest: cannot be read: No such file"):
        load_manifest(tmp_path / "x.manifest")


def test_what_cannot_be_written_is_said_and_leaves_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="cannot be written"):
        ManifestDirectory(tmp_path / "file" / "below").put(MADE)


def test_nothing_but_a_file_is_replaced(tmp_path: Path):
    there = tmp_path / "there"
    os.mkfifo(there)
    with pytest.raises(OSError, match="no regular file"):
        document_files.write(there, b"x")
    assert there.is_fifo()
    assert list(tmp_path.iterdir()) == [there]


def test_a_small_document_needs_little_memory_however_large_one_may_be(tmp_path):
    (tmp_path / "small.manifest").write_text("no manifest\n")
    script = (
        "import resource, sys; from pathlib import Path; from driftd.core.errors import BadInput; "
        "from driftd.edges import documents; resource.setrlimit(resource.RLIMIT_AS, (600 * 1024**2,) * 2)\n"
        "try: documents.read_manifest(Path(sys.argv[1]))\n"
        "except BadInput as error: print(error)"
    )
    words = [sys.executable, "-c", script, tmp_path / "small.manifest"]
    said = subprocess.run(words, capture_output=True, text=True, check=True)
    assert "small.manifest" in said.stdout
