"""The stat tree of a real directory, and what a reader believes of one."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from asking import NONCE, Look

from driftd.core.facts import Unseen
from driftd.core.fingerprint import Fingerprint, Reader
from driftd.probe import stats, statwalk, walk, wire
from driftd.probe.tally import Tally

ASKED = (b"stats",)
LETTERS = {
    stat.S_IFREG: b"f", stat.S_IFDIR: b"d", stat.S_IFLNK: b"l", stat.S_IFIFO: b"p", stat.S_IFSOCK: b"s",
    stat.S_IFCHR: b"c", stat.S_IFBLK: b"b",
}  # fmt: skip


def fill(tree: Path) -> None:
    (tree / "etc/sub").mkdir(parents=True)
    (tree / "empty").mkdir()
    (tree / "etc/hosts").write_text("127.0.0.1")
    (tree / "etc/link").symlink_to("hosts")
    os.link(tree / "etc/hosts", tree / "etc/sub/same")
    os.mkfifo(tree / "fifo")
    (tree / "odd\udcff\n").write_text("x")


def row(path: bytes, name: bytes) -> bytes:
    found = os.lstat(path)
    kind, rdev = LETTERS[stat.S_IFMT(found.st_mode)], (os.major(found.st_rdev), os.minor(found.st_rdev))
    numbers = found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_nlink
    mode = stat.S_IMODE(found.st_mode)
    return stats.row(name, stats.Inode(kind, mode, found.st_uid, found.st_gid, found.st_size, *rdev, *numbers))


def told_otherwise(root: bytes) -> bytes:
    """The vector as another program would find it: by whole paths."""
    found = [stats.directory(b"", [row(root, b"/")])]
    for directory, below, files in os.walk(root):
        rows = [row(os.path.join(directory, name), name) for name in sorted(below + files)]
        if rows:
            found.append(stats.directory(directory[len(root) :] or b"/", rows))
    return b"".join(sorted(found))


def vector(tree: Path) -> bytes:
    return b"".join(sorted(digest for digest, _ in statwalk.directories(os.fsencode(tree), Tally())))


def test_it_is_what_another_program_finds(tree: Path, look_at: Look, look_streamed: Look) -> None:
    fill(tree)
    expected = told_otherwise(os.fsencode(tree))
    assert vector(tree) == expected
    assert look_at(tree, sections=ASKED).stats == expected
    assert look_streamed(tree, sections=ASKED).stats == expected
    assert look_at(tree).stats == b""


def test_a_look_moves_nothing_in_it(tree: Path, look_at: Look) -> None:
    fill(tree)
    before = vector(tree)
    look_at(tree)
    assert vector(tree) == before


def restore(path: Path) -> None:
    """Other content, and a time as if nothing had been written."""
    found = path.stat()
    path.write_text("127.0.0.2")
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


CHANGES: dict[str, tuple[Callable[[Path], object], set[bytes]]] = {
    "content": (lambda t: restore(t / "etc/hosts"), {b"/etc", b"/etc/sub"}),
    "mode": (lambda t: (t / "fifo").chmod(0o600), {b"/"}),
    "attribute": (lambda t: os.setxattr(t / "empty", "user.x", b"1"), {b"/"}),
    "time": (lambda t: os.utime(t / "etc/link", ns=(1, 1), follow_symlinks=False), {b"/etc"}),
    "new": (lambda t: (t / "empty/new").write_text("x"), {b"/", b"/empty"}),
    "gone": (lambda t: (t / "etc/sub/same").unlink(), {b"/etc", b"/etc/sub"}),
    "renamed": (lambda t: (t / "etc/link").rename(t / "etc/kink"), {b"/", b"/etc"}),
    "linked": (lambda t: os.link(t / "etc/hosts", t / "empty/more"), {b"/", b"/etc", b"/etc/sub", b"/empty"}),
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_change_moves_the_directories_that_it_touched(tree: Path, case: str) -> None:
    fill(tree)
    root = os.fsencode(tree)
    before = set(statwalk.directories(root, Tally()))
    change, touched = CHANGES[case]
    change(tree)
    moved = {path for _, path in before ^ set(statwalk.directories(root, Tally()))}
    assert moved - {b""} == touched


def test_nothing_but_directories_is_opened(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tree)
    opened = []
    real = walk.open_quietly

    def noting(name: bytes, flags: int = 0, dir_fd: int | None = None) -> int:
        opened.append((name, flags))
        return real(name, flags, dir_fd)

    monkeypatch.setattr(walk, "open_quietly", noting)
    vector(tree)
    assert {flags for _, flags in opened} == {os.O_DIRECTORY}


def answer(*messages: dict[bytes, object], sections: tuple[bytes, ...] = ASKED) -> Fingerprint | Unseen:
    encoder = wire.Encoder()
    data = encoder.start() + encoder.message(wire.HELLO, {b"nonce": NONCE, b"schema": wire.SCHEMA})
    data += b"".join(encoder.message(wire.STATS, message) for message in messages)
    root = wire.Entry(b"/", b"d", 0o755, 0, 0, 0, b"", b"", (0, 0), ())
    data += encoder.block(wire.encode_block(b"", [root])) + encoder.flush()
    counts = {b"entries": 1, b"links": 0, b"bytes_hashed": 0, b"unreadable": 0, b"covered": 0, b"mounted": 0}
    reader = Reader(NONCE, sections)
    reader.feed(data + encoder.finish(counts))
    return reader.finish()


GOOD = b"".join(bytes([number]) * stats.SIZE for number in (1, 2, 9))


def test_a_vector_in_pieces_is_one() -> None:
    found = answer({b"vector": GOOD[:20]}, {b"vector": GOOD[20:]}, {b"root": stats.root(GOOD)})
    assert isinstance(found, Fingerprint)
    assert found.stats == GOOD


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([], "does not have the root"),
        ([{b"vector": GOOD}], "does not have the root"),
        ([{b"vector": GOOD}, {b"root": bytes(32)}], "does not have the root"),
        ([{b"vector": GOOD[:-1]}, {b"root": stats.root(GOOD[:-1])}], "not in their order"),
        ([{b"vector": GOOD[16:] + GOOD[:16]}, {b"root": stats.root(GOOD[16:] + GOOD[:16])}], "not in their order"),
        ([{b"vector": GOOD[:16] * 2}, {b"root": stats.root(GOOD[:16] * 2)}], "not in their order"),
        ([{b"vector": 5}], "is none"),
        ([{b"victor": GOOD}], "is none"),
    ],
)
def test_a_vector_that_is_none_is_unseen(messages: list[dict[bytes, object]], said: str) -> None:
    found = answer(*messages)
    assert isinstance(found, Unseen)
    assert re.search(said, found.reason)


def test_a_vector_that_was_not_asked_for_is_unseen() -> None:
    found = answer({b"vector": GOOD}, {b"root": stats.root(GOOD)}, sections=())
    assert isinstance(found, Unseen)
    assert "no known kind" in found.reason
