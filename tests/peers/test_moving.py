"""Trees that change while they are looked at: nothing is made up, what stands still is seen, and then all is seen."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from agreeing import Peers
from planting import clear, paths, plant, write
from seeing import recorded, seen

from driftd.core import drift
from driftd.core.facts import Instance, Reach
from driftd.core.fingerprint import Fingerprint
from driftd.core.manifest import Manifest
from driftd.edges.local import LocalLooker

FILES = 200
DEEP = 90  # more than the walk holds open


@pytest.fixture
def root(tmp_path: Path) -> Iterator[bytes]:
    """The planted tree, a directory that nobody touches and one that is never at rest."""
    made = os.fsencode(tmp_path) + b"/tree"
    try:
        plant(made)
        for place in (b"/still", b"/wild"):
            os.mkdir(made + place)
            for number in range(FILES):
                write(made + place + b"/%03d" % number, b"%d" % number * 3000)
        at = made + b"/wild/deep"
        for level in range(DEEP):
            os.mkdir(at)
            write(at + b"/file", b"%d" % level)
            at += b"/d"
        yield made
    finally:
        clear(made)


def restless(wild: bytes, chance: random.Random) -> None:
    """One thing that happens there: files grow, shrink, vanish, come back, trade places; directories move."""
    path = wild + b"/%03d" % chance.randrange(FILES)
    with contextlib.suppress(OSError):
        match chance.randrange(9):
            case 0:
                with open(path, "ab") as stream:
                    stream.write(b"more" * chance.randrange(100_000))
            case 1:
                os.truncate(path, chance.randrange(9000))
            case 2:
                os.unlink(path)
            case 3:
                write(path, b"again" * 1000)
            case 4:
                os.rename(path, wild + b"/%03d" % chance.randrange(FILES))
            case 5:
                os.unlink(path)
                os.symlink(b"../still", path)
            case 6:
                os.unlink(path)
                os.mkdir(path)
            case 7:
                os.rmdir(path)
            case 8:
                down = wild + b"/deep" + b"/d" * chance.randrange(DEEP)
                os.rename(down, wild + b"/away")
                os.rename(wild + b"/away", down)


@contextlib.contextmanager
def moving(act: Callable[[], None], least: int = 20) -> Iterator[None]:
    """``act`` again and again, from now until the end of the block."""
    over, times = threading.Event(), [0]

    def run() -> None:
        while not over.is_set():
            act()
            times[0] += 1

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(20)
    assert times[0] >= least, "it hardly moved"


def looked(root: bytes) -> Fingerprint:
    """By the probe in a process of its own, so that it and what moves run at the same time."""
    found = LocalLooker().look(Instance("i", "g", "m", reach=Reach(root=os.fsdecode(root))), deadline_s=60)
    assert isinstance(found, Fingerprint), found
    return found


def elsewhere(baked: Manifest, found: Fingerprint) -> list[drift.Difference]:
    return [
        one for one in drift.compare(baked, found) if not one.subject.startswith(b"/wild") and one.kind != "package"
    ]


@pytest.mark.parametrize("seed", range(2))
def test_what_stands_still_is_seen_while_all_else_moves(root: bytes, seed: int) -> None:
    chance = random.Random(seed)
    baked = recorded(root)
    victim = root + b"/still/%03d" % chance.randrange(FILES)
    times = os.lstat(victim)
    with open(victim, "r+b") as stream:
        stream.write(b"x")
    os.utime(victim, ns=(times.st_atime_ns, times.st_mtime_ns))
    with moving(lambda: restless(root + b"/wild", chance)):
        for _ in range(3):
            found = looked(root)
            assert [one.subject for one in elsewhere(baked, found)] == [victim[len(root) :]]
            # Nothing comes from a place that the walk was led to.
            assert not [path for path in found.unreadable if not path.startswith(b"/wild")]


def test_once_it_is_still_everybody_agrees(root: bytes, tmp_path: Path) -> None:
    chance = random.Random(7)
    peers = Peers(tmp_path)
    assert peers.root == root
    peers.record()
    with moving(lambda: restless(root + b"/wild", chance)):
        looked(root)
    assert len(peers.agree()) > 20
    assert looked(root).root == seen(root).root


def test_a_file_that_only_grows_keeps_its_entry_and_is_told_unread(root: bytes) -> None:
    path = root + b"/etc/passwd"
    write(path, b"x" * 3_000_000)
    baked = recorded(root)

    def grow() -> None:
        if os.path.getsize(path) > 60_000_000:
            os.truncate(path, 3_000_000)
        with open(path, "ab") as stream:
            stream.write(b"y" * 1000)

    with moving(grow):
        found = looked(root)
    entry = next(one for one in found.entries if one.path == b"/etc/passwd")
    assert (b"/etc/passwd" in found.unreadable) == (entry.sha256 == b"")
    assert [one.subject for one in elsewhere(baked, found)] == [b"/etc/passwd"]


def test_a_directory_that_is_a_link_now_and_then_leads_nowhere(root: bytes, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("not in the tree")
    (outside / "file").write_text("nor this")
    target, here = os.fsencode(outside), root + b"/wild/deep"

    def swap() -> None:
        os.rename(here, root + b"/wild/.aside")
        os.symlink(target, here)
        os.unlink(here)
        os.rename(root + b"/wild/.aside", here)

    with moving(swap):
        for _ in range(3):
            found = looked(root)
            assert not [entry for entry in found.entries if entry.path.endswith(b"/secret")]
    assert seen(root).entries == looked(root).entries


def test_a_tree_that_is_gone_meanwhile_is_no_crash(root: bytes) -> None:
    copy = root + b"-copy"

    def vanish() -> None:
        shutil.copytree(root + b"/still", copy, dirs_exist_ok=True)
        shutil.rmtree(copy)

    with moving(vanish, 2):
        for _ in range(3):
            found = LocalLooker().look(
                Instance("i", "g", "m", reach=Reach(root=os.fsdecode(os.path.dirname(root)))), deadline_s=60
            )
            assert isinstance(found, Fingerprint)
            assert not elsewhere_missing(found, paths(root))
    shutil.rmtree(copy, ignore_errors=True)


def elsewhere_missing(found: Fingerprint, wanted: set[bytes]) -> set[bytes]:
    there = {entry.path for entry in found.entries}
    return {b"/tree" + path.rstrip(b"/") for path in wanted} - there
