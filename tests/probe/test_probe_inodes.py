"""Flags and hard links: what an inode has besides its content."""

from __future__ import annotations

import os
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from asking import Look
from hypothesis import given
from hypothesis import strategies as st

from driftd.probe import attributes, links, wire
from driftd.probe.tally import Tally
from driftd.probe.walk import Walker, open_quietly


def chattr(flags: str, *paths: Path) -> None:
    subprocess.run(["chattr", flags, "--", *map(str, paths)], check=True)


@pytest.fixture
def flagged(tree: Path) -> Iterator[Path]:
    """A tree with an immutable file, an append-only one, a directory with both, and other flags elsewhere."""
    for name in ("fixed", "growing", "plain", "nodump"):
        (tree / name).write_text(name)
    (tree / "closed").mkdir()
    (tree / "closed/inside").write_text("x")
    flags = {"+i": "fixed", "+a": "growing", "+ia": "closed", "+dA": "nodump"}
    for flag, name in flags.items():
        chattr(flag, tree / name)
    yield tree
    for flag, name in flags.items():
        chattr(flag.replace("+", "-"), tree / name)


@pytest.mark.machine
def test_flags_are_those_that_another_program_lists(flagged: Path, look_at: Look, look_streamed: Look) -> None:
    said = subprocess.run(["lsattr", "-Ra", str(flagged)], capture_output=True, text=True, check=True).stdout
    expected = {}
    for line in said.splitlines():
        word, _, path = line.partition(" ")
        if path.startswith(str(flagged)) and not path.endswith("/.."):
            name = path.removeprefix(str(flagged)).removesuffix("/.").encode() or b"/"
            expected[name] = ("i" in word) * wire.IMMUTABLE | ("a" in word) * wire.APPEND_ONLY
    found = look_at(flagged)
    assert {entry.path: entry.flags for entry in found.entries} == expected
    assert {flag for flag in expected.values() if flag} == {1, 2, 3}
    assert look_streamed(flagged).entries == found.entries


def test_the_question_for_flags_fits_the_width_of_a_long() -> None:
    """linux/fs.h: 0x80086601, and 0x80046601 for programs whose long has 32 bits (x86, ARM, RISC-V, s390)."""
    expected = {8: 0x80086601, 4: 0x80046601}[struct.calcsize("l")]
    assert expected == attributes.GETFLAGS


@pytest.mark.parametrize(
    ("error", "counted", "unreadable"),
    [
        (25, {}, set()),  # ENOTTY
        (95, {}, set()),  # EOPNOTSUPP
        (1, {"not permitted: the flags of files and directories": 1}, set()),
        (5, {"unreadable: Input/output error": 1}, {b"/x"}),
    ],
)
def test_no_flags_and_no_right_to_see_them_are_told_apart(
    monkeypatch: pytest.MonkeyPatch, error: int, counted: dict[str, int], unreadable: set[bytes]
) -> None:
    def refuses(*_: object) -> bytes:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(attributes.fcntl, "ioctl", refuses)
    tally = Tally()
    assert attributes.flags(0, b"/x", tally) == 0
    assert (tally.reasons, tally.unreadable) == (counted, unreadable)


def test_hard_links_of_every_kind_are_groups_and_links_outside_are_none(tree: Path, look_at: Look) -> None:
    (tree / "a").mkdir()
    (tree / "a/file").write_text("x")
    os.link(tree / "a/file", tree / "second")
    os.link(tree / "a/file", tree / "B")
    (tree / "sym").symlink_to("nowhere")
    os.link(tree / "sym", tree / "sym2", follow_symlinks=False)
    os.mkfifo(tree / "fifo")
    os.link(tree / "fifo", tree / "a/fifo")
    (tree / "alone").write_text("x")
    os.link(tree / "alone", tree.parent / "outside")
    found = {entry.path: entry.same for entry in look_at(tree).entries if entry.same}
    assert found == {
        b"/a/file": b"/B", b"/second": b"/B", b"/B": b"/B",
        b"/sym": b"/sym", b"/sym2": b"/sym",
        b"/fifo": b"/a/fifo", b"/a/fifo": b"/a/fifo",
    }  # fmt: skip


def test_a_file_with_many_links_is_read_once_and_again_when_it_changed(tree: Path) -> None:
    names = [tree / f"{number}" for number in range(5)]
    names[0].write_bytes(b"x" * 1000)
    os.utime(names[0])
    for name in names[1:]:
        os.link(names[0], name)

    def hashed(change: int | None = None) -> tuple[int, set[bytes]]:
        tally = Tally()
        walker = Walker(tally)
        read, reads = walker._hasher._digest, []
        walker._hasher._digest = lambda *given: reads.append(1) or read(*given)  # type: ignore[method-assign]  # counts the reads
        real, seen = walker.entry, 0

        def entry(dir_fd: int, name: bytes, path: bytes) -> wire.Entry | None:
            nonlocal seen
            seen += 1
            if seen == change:
                names[0].write_bytes(b"y" * 1000)
            return real(dir_fd, name, path)

        walker.entry = entry  # type: ignore[method-assign]  # something happens in between
        found = [
            e for _, rows in walker.walk(open_quietly(os.fsencode(tree), os.O_DIRECTORY), b"/", stop=True) for e in rows
        ]
        assert tally.bytes_hashed == 5000, "counted for each name, however it was read"
        return len(reads), {e.sha256 for e in found if e.kind == wire.FILE}

    assert hashed()[0] == 5, "what was changed a moment ago may change again without its ctime moving"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("driftd.probe.hashing.SETTLED", -1)
        assert hashed()[0] == 1
        times, digests = hashed(change=3)
    assert (times > 1, len(digests)) == (True, 2)


def members(pieces: list[list[list[bytes]]]) -> list[list[bytes]]:
    joined: dict[bytes, list[bytes]] = {}
    for piece in pieces:
        for first, *others in piece:
            assert others
            joined.setdefault(first, [first]).extend(others)
    return sorted(joined.values())


@given(st.sets(st.binary(min_size=1, max_size=9), min_size=2, max_size=60), st.integers(1, 9), st.integers(1, 300))
def test_groups_in_pieces_are_the_same_groups(names: set[bytes], size: int, chunk: int) -> None:
    rising = sorted(names)
    groups = [group for at in range(0, len(rising), size) if len(group := rising[at : at + size]) > 1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(links, "CHUNK", chunk)
        pieces = list(links.pieces(groups))
    assert members(pieces) == groups
    assert all(sum(len(path) for group in piece for path in group) <= chunk + 40 for piece in pieces)


def test_a_group_too_long_for_a_frame_arrives_whole(tree: Path, look_at: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "CHUNK", 100)
    (tree / "0").write_text("x")
    for number in range(1, 50):
        os.link(tree / "0", tree / str(number))
    found = look_at(tree)
    assert {entry.same for entry in found.entries if entry.kind == wire.FILE} == {b"/0"}
