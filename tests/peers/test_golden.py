"""The demo's image: a new file in every one of its directories is found, and a changed byte whatever its time says."""

from __future__ import annotations

import os
import random
import stat
import subprocess
from collections.abc import Iterator

import pytest
from planting import below
from seeing import seen

from driftd.core import drift, manifest
from driftd.core.difference import Change
from driftd.core.manifest import Manifest

pytestmark = pytest.mark.servers  # it takes the image that they run

SAMPLE = 300


@pytest.fixture(scope="module")
def golden(golden_image, tmp_path_factory) -> Iterator[tuple[bytes, Manifest]]:
    """A copy of the image, and the image's own manifest."""
    copy = tmp_path_factory.mktemp("golden") / "rootfs"
    subprocess.run(["cp", "-a", "--reflink=auto", golden_image.rootfs, copy], check=True)
    baked = manifest.from_fingerprint(seen(os.fsencode(golden_image.rootfs)), golden_image.id, provisional=False)
    yield os.fsencode(copy), baked
    subprocess.run(["rm", "-rf", "--", copy], check=True)


def changes(baked: Manifest, root: bytes) -> set[tuple[bytes, Change, frozenset[str]]]:
    return {(one.subject, one.change, frozenset(one.actual)) for one in drift.compare(baked, seen(root))}


def name(chance: random.Random) -> bytes:
    """Any: of one byte or of the most that a file system takes, text or not."""
    length = chance.choice([1, 3, 8, 40, 255])
    return b"~" * (length < 3) + bytes(chance.choice([*range(1, 47), *range(48, 256)]) for _ in range(length))[:255]


def test_a_copy_is_the_image(golden: tuple[bytes, Manifest]) -> None:
    root, baked = golden
    assert changes(baked, root) == set()
    assert seen(root).root == baked.root


@pytest.mark.parametrize("seed", [1, 2])
def test_a_new_file_in_every_directory_is_found(golden: tuple[bytes, Manifest], seed: int) -> None:
    root, baked = golden
    chance = random.Random(seed)
    made = set()
    for path, found in list(below(root)):
        if stat.S_ISDIR(found.st_mode):
            new = os.path.join(path, name(chance))
            assert not os.path.lexists(new)
            os.close(os.open(new, os.O_CREAT | os.O_EXCL, 0o600))
            os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
            made.add(new)
    try:
        found_now = changes(baked, root)
    finally:
        for new in made:
            os.unlink(new)
    assert len(made) > 500
    assert {subject for subject, _, _ in found_now} == {new[len(root) :] for new in made}
    assert {change for _, change, _ in found_now} == {Change.ADDED}
    assert changes(baked, root) == set()


def test_one_byte_is_found_wherever_it_is_and_whatever_the_time_says(golden: tuple[bytes, Manifest]) -> None:
    root, baked = golden
    chance = random.Random(3)
    regular = [(path, found) for path, found in below(root) if stat.S_ISREG(found.st_mode) and found.st_size]
    largest = sorted(regular, key=lambda one: one[1].st_size)[-5:]
    flipped = dict([*chance.sample(regular, SAMPLE), *largest])
    there: dict[bytes, int] = {}
    for path, found in flipped.items():
        at = there[path] = chance.choice([0, found.st_size - 1, chance.randrange(found.st_size)])
        flip(path, at, found)
    try:
        found_now = changes(baked, root)
    finally:
        for path, at in there.items():
            flip(path, at, flipped[path])
    links = {entry.path: entry.same for entry in baked.entries if entry.same}
    group = {links.get(path[len(root) :], path[len(root) :]) for path in flipped}
    assert {links.get(subject, subject) for subject, _, _ in found_now} == group
    assert {change for _, change, _ in found_now} == {Change.MODIFIED}
    assert all(fields - {"mode"} == {"sha256"} for _, _, fields in found_now)
    assert changes(baked, root) == set()


def flip(path: bytes, at: int, found: os.stat_result) -> None:
    fd = os.open(path, os.O_RDWR)
    try:
        os.pwrite(fd, bytes([os.pread(fd, 1, at)[0] ^ 1]), at)
        os.utime(fd, ns=(found.st_atime_ns, found.st_mtime_ns))
    finally:
        os.close(fd)
