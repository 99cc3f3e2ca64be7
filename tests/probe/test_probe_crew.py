"""A look that several processes share: the same bytes as by one, and never a hole where one of them ends."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from asking import NONCE, Look, read, request
from leavings import no_open_files

from driftd.core.facts import Unseen
from driftd.core.fingerprint import Fingerprint, Reader
from driftd.core.interned import Interned
from driftd.probe import bundle, crew, fullwalk, names, opening, rows, walk, wire


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes, and jobs of a few names each."""
    monkeypatch.setattr(crew, "SIZE", 2)
    monkeypatch.setattr(fullwalk, "NAMES", 10)


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """No descriptor, and no process of this test's that is still running."""
    others = running()
    with no_open_files():
        yield
    wait_for(lambda: not running() - others)


def running() -> set[int]:
    """The children of this process; some may belong to fixtures that other tests use."""
    parent = os.getpid()
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return {int(child) for child in children if not ended(int(child))}


def ended(*pids: int) -> bool:
    """Whether none of them runs any more."""
    return not any("\nState:" in status(pid) and "\nState:\tZ" not in status(pid) for pid in pids)


def status(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return ""


def wait_for(what: Callable[[], object]) -> None:
    until = time.monotonic() + 60
    while not what():
        assert time.monotonic() < until
        time.sleep(0.02)


def told(tree: Path) -> tuple[list[tuple[bytes, bytes]], dict[bytes, int]]:
    """Every frame but the greeting, and the counts."""
    from driftd.probe import look

    decoder = wire.Decoder()
    data = b"".join(look.answer(wire.read_request(io.BytesIO(request(tree, ())))))
    return [(tag, payload) for tag, payload in decoder.feed(data) if tag != wire.HELLO], decoder.counts


def said(tree: Path) -> Fingerprint | Unseen:
    from driftd.probe import look

    reader = Reader(NONCE, ())
    reader.feed(b"".join(look.answer(wire.read_request(io.BytesIO(request(tree, ()))))))
    return reader.finish()


@pytest.fixture
def filled(tree: Path) -> Path:
    """Directories of many sizes, large files among small ones, links of every kind across directories."""
    for number in range(30):
        here = tree / f"{number % 3}/{number}"
        here.mkdir(parents=True)
        for other in range(number):
            (here / f"{other}").write_bytes(b"%d" % other * (other**4 if other % 7 == 0 else other))
        (here / "link").symlink_to("0")
        os.mkfifo(here / "fifo")
    (tree / "0/0/first").write_bytes(b"x" * 1000)
    for number in (1, 5, 12, 29):
        os.link(tree / "0/0/first", tree / f"{number % 3}/{number}/again")
        os.link(tree / "0/0/fifo", tree / f"{number % 3}/{number}/pipe")
    return tree


def test_a_still_tree_gives_the_same_bytes_whoever_looks(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fullwalk, "NAMES", 10)
    by_one = told(filled)
    assert len([tag for tag, _ in by_one[0] if tag == wire.TREE]) > 20
    for size in (2, 2, 3):
        monkeypatch.setattr(crew, "SIZE", size)
        assert told(filled) == by_one
    (filled / "2/29/5").write_text("other")
    assert told(filled) != by_one


def test_by_two_it_sees_what_one_sees(filled: Path, look_at: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = look_at(filled)
    assert {e.path: e.sha256 for e in plain.entries if e.kind == b"f"} == {
        b"/" + os.fsencode(path.relative_to(filled)): hashlib.sha256(path.read_bytes()).digest()
        for path in filled.rglob("*")
        if path.is_file() and not path.is_symlink()
    }
    monkeypatch.setattr(crew, "SIZE", 2)
    assert look_at(filled) == plain
    groups = {e.same for e in plain.entries if e.same}
    assert groups == {b"/0/0/first", b"/0/0/fifo"}
    assert sum(e.same == b"/0/0/first" for e in plain.entries) == 5


@pytest.mark.parametrize("together", [10, fullwalk.NAMES])
def test_what_is_as_in_the_image_is_never_parsed(filled: Path, monkeypatch: pytest.MonkeyPatch, together: int) -> None:
    from driftd.probe import look

    monkeypatch.setattr(fullwalk, "NAMES", together)
    for name in ("0/a file beside directories", "0/z", "2/29/d/e", "last"):
        (filled / name).parent.mkdir(exist_ok=True)
        (filled / name).write_text(name)
    answer = b"".join(look.answer(wire.read_request(io.BytesIO(request(filled, ())))))
    image = Interned(read(answer, ()).entries)
    assert image.rows(b"/0").index(b"z") < image.rows(b"/0").index(b"27")
    monkeypatch.setattr(wire, "decode_block", None)
    reader = Reader(NONCE, (), image=image)
    reader.feed(answer)
    assert reader.finish().entries is image.entries


@pytest.mark.usefixtures("shared")
def test_a_tree_deeper_than_what_is_held_open(tree: Path, look_at: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    fd = os.open(tree, os.O_RDONLY)
    for _ in range(walk.OPEN_LEVELS * 3):
        for name in ("d", "e"):
            os.mkdir(name, dir_fd=fd)
        for name in ("a", "z"):
            os.close(os.open(name, os.O_CREAT | os.O_WRONLY, dir_fd=fd))
        down = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = down
    os.close(fd)
    found = look_at(tree)
    assert found.coverage.entries == walk.OPEN_LEVELS * 3 * 4 + 1
    assert found.unreadable == ()
    monkeypatch.setattr(crew, "SIZE", 1)
    assert look_at(tree) == found


# --- what goes wrong -------------------------------------------------------------------------------------------------


def failing(monkeypatch: pytest.MonkeyPatch, how: Callable[[], object], at: bytes) -> None:
    """In another process than this one, at the file ``at``."""
    here, plain = os.getpid(), rows.Describer._plain

    def hooked(self: rows.Describer, dir_fd: int, name: bytes, path: bytes) -> bytes | None:
        if os.getpid() != here and path == at:
            how()
        return plain(self, dir_fd, name, path)

    monkeypatch.setattr(rows.Describer, "_plain", hooked)


@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize("at", [b"/0/0/first", b"/1/16/7", b"/2/29/5"])
def test_a_process_that_is_killed_in_the_middle_leaves_no_hole(
    filled: Path, monkeypatch: pytest.MonkeyPatch, at: bytes
) -> None:
    failing(monkeypatch, lambda: os.kill(os.getpid(), signal.SIGKILL), at)
    found = said(filled)
    assert isinstance(found, Unseen)
    assert "a process that was reading files ended (signal 9), perhaps for want of memory" in found.reason
    monkeypatch.undo()
    assert not isinstance(said(filled), Unseen)


def out_of_memory() -> None:
    raise MemoryError("too little")


@pytest.mark.usefixtures("shared")
def test_a_process_that_fails_says_why(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, out_of_memory, b"/1/16/7")
    found = said(filled)
    assert isinstance(found, Unseen)
    assert "a process that was reading files failed: MemoryError: too little" in found.reason


@pytest.mark.usefixtures("shared")
def test_who_stops_listening_stops_all(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from driftd.probe import tally, tree

    failing(monkeypatch, lambda: time.sleep(600), b"/2/29/5")
    batches = tree.scan(os.fsencode(filled), tally.Tally())
    others = running()
    next(batches)
    next(batches)
    assert len(running() - others) == 2
    batches.close()  # type: ignore[attr-defined]  # a generator
    wait_for(lambda: not running() - others)


PROGRAM = """
import os, sys, time
from driftd.probe import crew, fullwalk, look, rows

def work(self, asked, fds):
    with open(sys.argv[1], "a") as stream:
        stream.write("%d\\n" % os.getpid())
    time.sleep(600)

rows.Describer.work = work
fullwalk.NAMES = 10
crew.cores = lambda: 2
look.main(sys.stdin.buffer, sys.stdout.buffer)
"""


def started(tree: Path, note: Path, **limits: int) -> subprocess.Popen[bytes]:
    child = subprocess.Popen(
        [sys.executable, "-B", "-c", PROGRAM, str(note)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdin is not None
    child.stdin.write(request(tree, (), limits={key.encode(): value for key, value in limits.items()}))
    child.stdin.flush()
    wait_for(lambda: note.exists() and note.read_text().count("\n") == 2)
    return child


def test_the_deadline_ends_all_of_them(filled: Path, tmp_path: Path) -> None:
    with started(filled, tmp_path / "pids", seconds=2) as child:
        answer, _ = child.communicate(timeout=60)
    assert b"looking took longer than 2 s" in answer
    wait_for(lambda: ended(*map(int, (tmp_path / "pids").read_text().split())))


def test_none_outlives_the_one_that_walks(filled: Path, tmp_path: Path) -> None:
    with started(filled, tmp_path / "pids") as child:
        workers = [int(one) for one in (tmp_path / "pids").read_text().split()]
        assert child.pid not in workers
        child.kill()
        wait_for(lambda: ended(*workers))


# --- where there is little -------------------------------------------------------------------------------------------


def test_with_one_core_nobody_is_forked(filled: Path, look_at: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> int:
        raise AssertionError

    monkeypatch.setattr(os, "fork", refuse)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {5})
    monkeypatch.setattr(crew, "SIZE", crew.cores())
    assert look_at(filled).coverage.entries > 400
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    assert crew.cores() == 2


@pytest.mark.usefixtures("shared")
def test_for_one_job_nobody_is_forked(tree: Path, look_at: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    (tree / "file").write_text("x")
    monkeypatch.setattr(os, "fork", lambda: pytest.fail("forked"))
    assert look_at(tree).coverage.entries == 2


@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize(("least", "room"), [("_BUFFER", 1), ("_ROOM", 3000)])
def test_a_job_that_no_socket_takes_is_done_here(
    filled: Path, look_at: Look, monkeypatch: pytest.MonkeyPatch, least: str, room: int
) -> None:
    for number in range(100):
        (filled / f"0/{number:0200}").write_text("x")
    expected = look_at(filled)
    monkeypatch.setattr(fullwalk, "NAMES", 1000)
    monkeypatch.setattr(crew, least, room)  # of a buffer the kernel's least: a few KiB
    assert look_at(filled).entries == expected.entries


@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize("forks", [0, 1])
def test_where_nobody_may_be_forked_it_is_done_all_the_same(
    filled: Path, look_at: Look, monkeypatch: pytest.MonkeyPatch, forks: int
) -> None:
    real, left = os.fork, [None] * forks

    def refusing() -> int:
        if not left:
            raise BlockingIOError(11, "no more processes")
        left.pop()
        return real()

    monkeypatch.setattr(crew, "SIZE", 1)
    expected = look_at(filled)
    monkeypatch.setattr(crew, "SIZE", 2)
    monkeypatch.setattr(os, "fork", refusing)
    assert look_at(filled) == expected


def looked_without(tree: Path, module: str) -> Fingerprint:
    """By the program as it is sent, in a Python that lacks a module."""
    hiding = f"import sys; sys.modules[{module!r}] = None; " + bundle.BOOT
    command = [sys.executable, "-I", "-S", "-B", "-c", hiding]
    run = subprocess.run(command, input=bundle.program() + request(tree, ()), capture_output=True, check=True)
    return read(run.stdout, ())


def test_without_openssl_it_is_slower_and_right(filled: Path, look_at: Look) -> None:
    assert looked_without(filled, "_hashlib").entries == look_at(filled, sections=()).entries


def test_a_process_takes_little_memory(tree: Path) -> None:
    for number in range(40):
        (tree / f"{number}").mkdir()
        for other in range(100):
            (tree / f"{number}/{other}").write_bytes(b"%d" % other * 100)
    (tree / "large").write_bytes(bytes(8 * 1024**2))
    # Through a small process, since a child begins with its parent's peak.
    measuring = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True);"
        "sys.stderr.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))"
    )
    command = [sys.executable, "-I", "-S", "-c", measuring, sys.executable, *bundle.ARGUMENTS]
    run = subprocess.run(command, input=bundle.program() + request(tree, ()), capture_output=True, check=True)
    assert read(run.stdout, ()).coverage.entries == 4042
    assert int(run.stderr) < 24 * 1024, "KiB, of the largest of its processes"


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("avoid", [(), (b"a", b"d\xff", b"s")])
def test_what_is_in_a_directory_is_the_same_by_stat(
    tree: Path, monkeypatch: pytest.MonkeyPatch, avoid: tuple[bytes, ...]
) -> None:
    for name in ("a", "b", "\udcff", "ü"):
        (tree / name).write_text("x")
    (tree / "d\udcff").mkdir()
    (tree / "e").mkdir()
    (tree / "s").symlink_to("a")
    fd = os.open(tree, os.O_RDONLY)
    try:
        quick = names.contents(fd, avoid)
        monkeypatch.setattr(os, "supports_fd", set())
        assert names.contents(fd, avoid) == quick
    finally:
        os.close(fd)
    directories, everything, others = quick
    assert directories == [one for one in (b"d\xff", b"e") if one not in avoid]
    assert everything == [one for one in (b"a", b"b", b"s", "ü".encode(), b"\xff") if one not in avoid]
    assert others == ([] if avoid else [b"s"])


@pytest.mark.usefixtures("shared")
def test_without_kinds_from_the_directory_it_sees_the_same(
    filled: Path, look_at: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = look_at(filled)
    monkeypatch.setattr(os, "supports_fd", set())
    assert look_at(filled) == expected


def test_a_directory_that_takes_the_place_of_a_file_is_gone_into(
    tree: Path, look_at: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / "file").write_text("x")
    (tree / "hard").hardlink_to(tree / "file")
    real = walk.open_quietly

    def exchanging(name: bytes, flags: int = 0, dir_fd: int | None = None) -> int:
        if name == b"file" and (tree / "file").is_file():
            (tree / "file").unlink()
            (tree / "file/in").mkdir(parents=True)
            (tree / "file/in/again").hardlink_to(tree / "hard")
        return real(name, flags, dir_fd)

    for module in (walk, opening):
        monkeypatch.setattr(module, "open_quietly", exchanging)
    found = look_at(tree)
    assert [entry.path for entry in found.entries] == [b"/", b"/file", b"/file/in", b"/file/in/again", b"/hard"]
    assert [entry.same for entry in found.entries[3:]] == [b"/file/in/again"] * 2
    assert found.unreadable == ()


def test_a_directory_that_is_gone_and_back_is_not_said_to_be_empty(
    tree: Path, look_at: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / "dir/below").mkdir(parents=True)
    seen: list[bytes] = []
    real = walk.open_quietly

    def gone_once(name: bytes, flags: int = 0, dir_fd: int | None = None) -> int:
        if name == b"dir" and not seen:
            seen.append(name)
            raise FileNotFoundError(2, "No such file or directory")
        return real(name, flags, dir_fd)

    for module in (walk, opening):
        monkeypatch.setattr(module, "open_quietly", gone_once)
    found = look_at(tree)
    assert [entry.path for entry in found.entries] == [b"/", b"/dir"]
    assert found.unreadable == (b"/dir",)
    assert found.coverage.reasons["unreadable: changed while read"] == 1
