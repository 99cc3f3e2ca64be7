"""Mounts whose server never answers: the look goes around them, or ends at its deadline; it never hangs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from asking import NONCE, read, request

from driftd.core.facts import Unseen
from driftd.core.fingerprint import Fingerprint, Reader
from driftd.probe import deadline, mounts

HUNG = Path(__file__).with_name("hung.py")


def looked(tmp_path: Path, dead: Path, question: bytes, *words: str) -> tuple[bytes, float, int]:
    """What the probe said, after how many seconds it ended, and with what status."""
    files = tmp_path / "question", tmp_path / "answer"
    files[0].write_bytes(question)
    command = ["unshare", "--mount", "--propagation", "private", sys.executable, str(HUNG), str(dead)]
    run = subprocess.run([*command, *map(str, files), *words], stdout=subprocess.PIPE, check=True, timeout=120)
    seconds, status = run.stdout.split()
    return files[1].read_bytes(), float(seconds), int(status)


@pytest.fixture
def tree_with_dead(tree: Path) -> Path:
    (tree / "dead").mkdir()
    (tree / "dead/beneath").write_text("x")
    (tree / "alive").write_text("x")
    return tree


def paths(found: Fingerprint) -> set[bytes]:
    return {entry.path for entry in found.entries}


@pytest.mark.machine  # /dev/fuse is root's own in places
def test_a_dead_mount_in_a_directory_elsewhere_is_not_touched(tmp_path: Path, tree_with_dead: Path) -> None:
    data, _, status = looked(tmp_path, tree_with_dead / "dead", request(tree_with_dead, sections=()))
    found = read(data, ())
    assert status == 0
    assert paths(found) == {b"/", b"/alive"}
    assert found.covered == (b"/dead",)
    assert found.coverage.reasons["covered: by a mount whose server may not answer"] == 1


def beside(path: Path) -> list[bytes]:
    """Everything on the machine that does not lie on the way to ``path``."""
    left = []
    for at in [path, *path.parents[:-1]]:
        left += [os.fsencode(other) for other in at.parent.iterdir() if other != at]
    return left


def at(place: Path) -> bytes:
    return os.fsencode(place)


@pytest.mark.machine  # /dev/fuse is root's own in places
def test_a_dead_mount_on_the_machine_itself_is_looked_beneath(tmp_path: Path, tree_with_dead: Path) -> None:
    question = request("/", sections=(), skip=beside(tree_with_dead))
    data, _, status = looked(tmp_path, tree_with_dead / "dead", question)
    found = read(data, ())
    assert status == 0
    assert {at(tree_with_dead / "dead"), at(tree_with_dead / "dead/beneath")} <= paths(found)
    assert at(tree_with_dead / "dead") in found.mounted
    assert found.coverage.reasons["skipped: fuse file system"] == 1


@pytest.mark.machine  # /dev/fuse is root's own in places
def test_without_the_right_to_mount_a_dead_mount_is_covered(tmp_path: Path, tree_with_dead: Path) -> None:
    question = request("/", sections=(), skip=beside(tree_with_dead))
    data, _, status = looked(tmp_path, tree_with_dead / "dead", question, "without")
    found = read(data, ())
    assert status == 0
    assert at(tree_with_dead / "alive") in paths(found)
    assert at(tree_with_dead / "dead") not in paths(found)
    assert at(tree_with_dead / "dead") in found.covered


@pytest.mark.machine  # /dev/fuse is root's own in places
def test_a_look_that_hangs_in_the_kernel_ends_at_its_deadline(tmp_path: Path, tree_with_dead: Path) -> None:
    question = request(tree_with_dead / "dead", sections=(), limits={b"seconds": 1})
    data, seconds, status = looked(tmp_path, tree_with_dead / "dead", question)
    assert status == 1
    assert 1 <= seconds < 1 + deadline.LATE + 10
    reader = Reader(NONCE, ())
    reader.feed(data)
    found = reader.finish()
    assert isinstance(found, Unseen)
    assert "cut off after 0 entries" in found.reason


@pytest.mark.parametrize("kind", [b"nfs", b"nfs4", b"cifs", b"fuse", b"fuse.sshfs", b"9p", b"ceph", b"autofs", b"new"])
def test_what_may_have_a_server_may_hang(kind: bytes) -> None:
    assert mounts.may_hang(kind)


@pytest.mark.parametrize("kind", [b"ext4", b"overlay", b"proc", b"tmpfs", b"sysfs"])
def test_what_lives_in_the_kernel_or_on_a_disk_does_not(kind: bytes) -> None:
    assert not mounts.may_hang(kind)
