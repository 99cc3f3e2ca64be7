"""Trees that do their worst: names without end, sizes that lie, files and directories that change under the walk."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from asking import Look, read, request

from driftd.core.fingerprint import Fingerprint
from driftd.probe import bundle, hashing, opening, walk


def looked_from_outside(tree: Path) -> tuple[Fingerprint, int]:
    """What a streamed probe says, and how many bytes of memory it took at most."""
    # Through a small process, since a child begins with its parent's peak.
    measuring = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True);"
        "sys.stderr.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))"
    )
    run = subprocess.run(
        [sys.executable, "-c", measuring, sys.executable, *bundle.ARGUMENTS],
        input=bundle.program() + request(tree, sections=()),
        capture_output=True,
        check=True,
    )
    return read(run.stdout, ()), int(run.stderr) * 1024


@pytest.mark.parametrize(
    ("count", "memory"),
    [
        (60_000, 48 * 1024**2),
        pytest.param(1_000_000, 128 * 1024**2, marks=[pytest.mark.soak, pytest.mark.timeout(1800)]),
    ],
)
def test_a_directory_of_very_many_names_is_sent_in_pieces(tree: Path, count: int, memory: int) -> None:
    fd = os.open(tree, os.O_RDONLY)
    for number in range(count):
        os.mknod(f"{number}", dir_fd=fd)
    os.close(fd)
    found, most = looked_from_outside(tree)
    assert (found.coverage.entries, found.unreadable) == (count + 1, ())
    assert most < memory


ODD = [bytes([byte]) * 255 for byte in (1, 10, 27, 32, 34, 92, 127, 128, 255)] + [
    b"-" * 255, b"." * 255, b"\xed\xa0\x80" * 85, b"\xf0\x9f\x98\x80" * 63 + b"\xff\xfe\xfd", bytes(range(1, 47)) * 5,
    bytes(range(128, 256)) + bytes(range(255, 128, -1)),
]  # fmt: skip


def test_names_of_255_odd_bytes_are_kept_byte_by_byte(tree: Path, look_at: Look, look_streamed: Look) -> None:
    root = os.fsencode(tree)
    for number, name in enumerate(ODD):
        os.symlink(name, os.path.join(root, name)) if number % 2 else os.mkdir(os.path.join(root, name))
    found = look_streamed(tree)
    assert {entry.path for entry in found.entries} == {b"/"} | {b"/" + name for name in ODD}
    assert {entry.target for entry in found.entries if entry.kind == b"l"} == set(ODD[1::2])
    assert found.entries == look_at(tree).entries


def test_what_waits_or_acts_when_opened_is_never_opened(
    tree: Path, look_at: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tree / "fifo")
    (tree / "file").write_text("x")
    (tree / "dir").mkdir()
    (tree / "link").symlink_to("fifo")
    (tree / "hard").hardlink_to(tree / "fifo")
    opened: list[object] = []
    real = os.open

    def noting(path: object, *words: int, **more: int) -> int:
        opened.append(path)
        return real(path, *words, **more)  # type: ignore[arg-type]  # passed on

    with socket.socket(socket.AF_UNIX) as server:
        here = os.open(tree, os.O_RDONLY)
        server.bind(f"/proc/self/fd/{here}/socket")
        os.close(here)
        monkeypatch.setattr(os, "open", noting)
        found = look_at(tree, sections=())
    assert {entry.kind for entry in found.entries} == {b"d", b"f", b"l", b"p", b"s"}
    names = {path for path in opened if isinstance(path, bytes)}
    assert {b"file", b"dir"} <= names
    assert not names & {b"fifo", b"link", b"hard", b"socket"}


# --- sizes that lie --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["/proc/sys/kernel/random", "/proc/self/net", "/sys/kernel/mm"])
def test_what_can_be_read_is_not_what_the_size_says(look_at: Look, place: str) -> None:
    """Files of proc say 0 and hold more, files of sysfs say 4096 and hold less; nobody is led to believe a digest."""
    if not Path(place).is_dir():
        place = "/sys/kernel"
    started = time.monotonic()
    found = look_at(Path(os.path.realpath(place)), sections=())
    assert time.monotonic() - started < 30
    files = [entry for entry in found.entries if entry.kind == b"f"]
    unread = [entry for entry in files if not entry.sha256]
    assert unread
    assert {entry.path for entry in unread} <= set(found.unreadable)
    assert all(entry.size == 0 or len(entry.sha256) == 0 or entry.size == 4096 for entry in files)


def test_sparse_files_are_what_they_seem_and_huge_ones_are_not_read(tree: Path, look_at: Look) -> None:
    for name, size in [("some", 40 * 1024**2), ("limit", 50 * 1024**2), ("huge", walk.FILE_LIMIT + 1)]:
        with (tree / name).open("wb") as stream:
            stream.truncate(size)
    started = time.monotonic()
    found = look_at(tree, limits={b"file_bytes": 50 * 1024**2 - 1})
    plain = look_at(tree, limits={b"file_bytes": walk.FILE_LIMIT}, skip=(b"/limit",))
    assert time.monotonic() - started < 20
    entries = {entry.path: entry for entry in found.entries}
    assert entries[b"/some"].sha256 == hashlib.sha256(bytes(40 * 1024**2)).digest()
    assert (found.unreadable, plain.unreadable) == ((b"/huge", b"/limit"), (b"/huge",))
    assert found.coverage.reasons["unreadable: larger than the limit"] == 2
    assert entries[b"/huge"].size == walk.FILE_LIMIT + 1


# --- what changes meanwhile ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [10, hashing.SMALL + 10])
@pytest.mark.parametrize("times", [1, 100])
def test_a_file_that_changes_while_it_is_read(
    tree: Path, look_at: Look, monkeypatch: pytest.MonkeyPatch, size: int, times: int
) -> None:
    path = tree / "log"
    path.write_bytes(b"x" * size)
    left = times
    real = {"read": os.read, "readv": os.readv}

    def growing(name: str) -> Callable[..., object]:
        def call(fd: int, what: object) -> object:
            nonlocal left
            if left and os.fstat(fd).st_ino == path.stat().st_ino:
                left -= 1
                with path.open("ab") as stream:
                    stream.write(b"more")
            return real[name](fd, what)

        return call

    for name in real:
        monkeypatch.setattr(os, name, growing(name))
    found = look_at(tree)
    monkeypatch.undo()
    entry = found.entries[1]
    if times == 1:
        assert entry.sha256 == hashlib.sha256(path.read_bytes()).digest()
        assert found.unreadable == ()
    else:
        assert (entry.sha256, found.unreadable) == (b"", (b"/log",))
        assert found.coverage.reasons["unreadable: changed while read"] == 1


def test_a_file_over_the_limit_is_reported(tree: Path, look_at: Look) -> None:
    (tree / "big").write_bytes(b"x" * 100)
    found = look_at(tree, limits={b"file_bytes": 99})
    assert (found.entries[1].sha256, found.unreadable) == (b"", (b"/big",))


def at_first_read(monkeypatch: pytest.MonkeyPatch, path: Path, act: Callable[[], object]) -> None:
    """``act`` once, when the walk is about to read what it opened at ``path``."""
    inode, done = path.stat().st_ino, False

    def hooked(name: str) -> None:
        real = getattr(os, name)

        def call(fd: int, what: object) -> object:
            nonlocal done
            if not done and os.fstat(fd).st_ino == inode:
                done = True
                act()
            return real(fd, what)

        monkeypatch.setattr(os, name, call)

    hooked("read")
    hooked("readv")


@pytest.mark.parametrize("size", [1000, hashing.SMALL + 1000])
def test_a_file_truncated_while_it_is_read(
    tree: Path, look_at: Look, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    path = tree / "file"
    path.write_bytes(b"x" * size)
    at_first_read(monkeypatch, path, lambda: os.truncate(path, 10))
    found = look_at(tree)
    assert (found.entries[1].size, found.entries[1].sha256) == (10, hashlib.sha256(b"x" * 10).digest())
    assert found.unreadable == ()


@pytest.mark.parametrize("size", [1000, hashing.SMALL + 1000])
def test_a_file_replaced_while_it_is_read_is_one_of_the_two(
    tree: Path, look_at: Look, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    path, other = tree / "file", tree.parent / "other"
    path.write_bytes(b"x" * size)
    other.write_bytes(b"other")
    other.chmod(0o4755)
    at_first_read(monkeypatch, path, lambda: other.rename(path))
    (_, entry) = look_at(tree).entries
    old = (size, 0o644, hashlib.sha256(b"x" * size).digest())
    new = (5, 0o4755, hashlib.sha256(b"other").digest())
    assert (entry.size, entry.mode, entry.sha256) in (old, new)


def before_opening(monkeypatch: pytest.MonkeyPatch, name: bytes, act: Callable[[], object]) -> None:
    real, seen = walk.open_quietly, 0

    def hooked(what: bytes, flags: int = 0, dir_fd: int | None = None) -> int:
        nonlocal seen
        seen += what == name
        if what == name and seen == 1:
            act()
        return real(what, flags, dir_fd)

    for module in (walk, opening):
        monkeypatch.setattr(module, "open_quietly", hooked)


@pytest.mark.parametrize("kind", ["fifo", "device", "link", "socket", "directory", "nothing"])
def test_a_file_that_is_something_else_when_it_is_opened(
    tree: Path, look_at: Look, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path = tree / "file"
    path.write_text("x")

    def exchange() -> None:
        path.unlink()
        if kind == "fifo":
            os.mkfifo(path)
        elif kind == "link":
            path.symlink_to("/etc/hostname")
        elif kind == "directory":
            path.mkdir()
        elif kind == "device":
            path.symlink_to("/dev/zero")
        elif kind == "socket":
            with socket.socket(socket.AF_UNIX) as server:
                here = os.open(tree, os.O_RDONLY)
                server.bind(f"/proc/self/fd/{here}/file")
                os.close(here)

    before_opening(monkeypatch, b"file", exchange)
    found = look_at(tree)
    letters = {"fifo": b"p", "device": b"l", "link": b"l", "socket": b"s", "directory": b"d"}
    assert [entry.kind for entry in found.entries[1:]] == ([letters[kind]] if kind in letters else [])
    assert found.unreadable == ()


CHANGED = "directories that changed while the tree was read"


@pytest.fixture
def moving(tree: Path) -> Path:
    for name in ("a", "b/hidden/deep", "c"):
        (tree / name).mkdir(parents=True)
    (tree / "b/hidden/deep/file").write_text("x")
    return tree


def test_a_directory_moved_to_where_the_walk_has_been_is_said_to_be_missed(
    moving: Path, look_at: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert CHANGED not in look_at(moving).coverage.reasons
    before_opening(monkeypatch, b"b", lambda: (moving / "b/hidden").rename(moving / "a/hidden"))
    found = look_at(moving)
    assert b"/a/hidden" not in {entry.path for entry in found.entries}
    assert found.coverage.reasons[CHANGED] >= 1


def test_a_directory_that_the_walk_is_in_may_be_moved_or_removed(
    moving: Path, look_at: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    before_opening(monkeypatch, b"deep", lambda: (moving / "b").rename(moving / "c/b"))
    monkeypatch.setattr(walk, "OPEN_LEVELS", 1)
    found = look_at(moving)
    assert {b"/", b"/a", b"/b", b"/b/hidden", b"/c"} <= {entry.path for entry in found.entries}
    assert found.coverage.reasons[CHANGED] >= 1
