"""The glance: what is known, and what the probe says of changes since, is what a fresh look sees."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from asking import Look, request
from glancing import HEAD, Known, Probe, agree, frame, tick
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from driftd.probe import bundle, stats, wire


def plant(tree: Path) -> None:
    (tree / "etc/sub/deep").mkdir(parents=True)
    (tree / "empty").mkdir()
    (tree / "etc/hosts").write_text("127.0.0.1")
    (tree / "etc/link").symlink_to("hosts")
    os.link(tree / "etc/hosts", tree / "etc/sub/same")
    os.mkfifo(tree / "fifo")
    (tree / "odd\udcff\n").write_text("x")
    (tree / "etc/sub/deep/\udcfe").mkdir()
    (tree / "etc/sub/deep/\udcfe/file").write_text("y")


def restore(path: Path) -> None:
    """Other content of the same size, and its time as if nothing had been written."""
    found = path.stat()
    path.write_text("127.0.0.2")
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def swap(tree: Path) -> None:
    (tree / "new").write_text("127.0.0.3")
    (tree / "new").rename(tree / "etc/hosts")


CHANGES: dict[str, Callable[[Path], object]] = {
    "content, mtime set back": lambda t: restore(t / "etc/hosts"),
    "mode": lambda t: (t / "fifo").chmod(0o600),
    "mode of the root": lambda t: t.chmod(0o700),
    "attribute": lambda t: os.setxattr(t / "empty", "user.x", b"1"),
    "attribute of the root": lambda t: os.setxattr(t, "user.x", b"1"),
    "new": lambda t: (t / "empty/new").write_text("x"),
    "hard link gone": lambda t: (t / "etc/sub/same").unlink(),
    "hard link more": lambda t: os.link(t / "etc/hosts", t / "empty/more"),
    "hard link moved": lambda t: (t / "etc/sub/same").rename(t / "empty/same"),
    "link renamed": lambda t: (t / "etc/link").rename(t / "etc/kink"),
    "directory renamed": lambda t: (t / "etc/sub").rename(t / "empty/sub"),
    "directory gone": lambda t: shutil.rmtree(t / "etc/sub"),
    "file for a directory": lambda t: (shutil.rmtree(t / "etc"), (t / "etc").write_text("x")),
    "file replaced": swap,
    "a name that is no text": lambda t: (t / "odd\udcff\n").rename(t / "odd\udcfe"),
    "below a name that is no text": lambda t: (t / "etc/sub/deep/\udcfe/file").write_text("z"),
}  # fmt: skip


@pytest.mark.parametrize("case", CHANGES)
def test_after_a_change_what_is_known_is_what_a_look_sees(tree: Path, probe: Probe, look_at: Look, case: str) -> None:
    plant(tree)
    tick()
    known = Known(probe, tree)
    known.glance()
    agree(known, look_at)
    known.glance()
    assert known.same
    tick()
    CHANGES[case](tree)
    known.glance()
    assert not known.same
    assert 0 < len(known.reads) <= 7
    agree(known, look_at)


def test_an_unchanged_tree_is_answered_in_few_bytes(tree: Path, probe: Probe) -> None:
    plant(tree)
    tick()
    known = Known(probe, tree)
    known.glance()
    found = probe.ask(
        b"G", schema=2, root=known.root, skip=[], known=known.view[b"root"], rehash={},
        limits={b"seconds": 60, b"settled": 0},
    )  # fmt: skip
    assert found.one(b"V") == {b"root": known.view[b"root"]}
    assert found.size < 300


def test_what_changed_a_moment_ago_is_never_taken_for_settled(tree: Path, probe: Probe) -> None:
    plant(tree)
    known = Known(probe, tree, settled=3600)
    known.glance()
    known.glance()
    assert not known.same
    assert {b"/etc/hosts", b"/"} <= set(known.reads)


def test_a_time_in_the_far_future_does_not_count_as_new(tree: Path, probe: Probe) -> None:
    (tree / "old").write_text("x")
    os.utime(tree / "old", (time.time() + 10**8,) * 2)
    tick()
    known = Known(probe, tree)
    known.glance()
    known.glance()
    assert known.same


@pytest.mark.parametrize("seconds", [-(2**33), 2**34, 0])
def test_times_of_centuries_ago_and_ahead(tree: Path, probe: Probe, look_at: Look, seconds: int) -> None:
    (tree / "old").write_text("x")
    os.utime(tree / "old", (seconds, seconds))
    tick()
    known = Known(probe, tree)
    known.glance()
    agree(known, look_at)


def test_what_is_left_out_is_left_out(tree: Path, probe: Probe, look_at: Look) -> None:
    plant(tree)
    tick()
    known = Known(probe, tree, skip=(b"/etc/sub", b"/fifo"))
    known.glance()
    agree(known, look_at)
    tick()
    (tree / "etc/sub/unseen").write_text("x")
    known.glance()
    assert not known.reads or b"/etc/sub" not in known.entries


def test_the_stat_tree_is_what_another_program_finds(tree: Path, probe: Probe) -> None:
    plant(tree)
    (tree / "etc/zürich").write_text("x")
    tick()
    known = Known(probe, tree)
    known.glance()
    root = os.fsencode(tree)
    expected = {(b"/", b""): stats.directory(b"/", b"", [b"/"], [stats.ROW(os.lstat(root))])}
    for directory, below, files in os.walk(root):
        names = sorted(below + files)
        rows = [stats.ROW(os.lstat(os.path.join(directory, name))) for name in names]
        path = directory[len(root) :] or b"/"
        expected[b"/", path] = stats.directory(b"/", path, names, rows)
    assert {spot: row.digest for spot, row in known.stats.items()} == expected


# --- anything that may happen to a tree ------------------------------------------------------------------

NAMES = st.sampled_from(["a", "b", "c", "ü", "\udcff"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
DEEDS = st.sampled_from(["mkdir", "write", "chmod", "link", "symlink", "rename", "remove", "attribute", "back"])


def rewrite(path: Path, number: int) -> None:
    """Other content of the same size, with the time as it was."""
    if path.is_file() and not path.is_symlink():
        found = path.stat()
        path.write_bytes(hashlib.sha256(b"%d" % number).digest()[: found.st_size])
        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


ACTS: dict[str, Callable[[Path, Path, int], object]] = {
    "mkdir": lambda here, there, number: here.mkdir(parents=True),
    "write": lambda here, there, number: here.write_text("x" * (number % 3)),
    "chmod": lambda here, there, number: here.chmod(0o700 + number),
    "link": lambda here, there, number: os.link(here, there, follow_symlinks=False),
    "symlink": lambda here, there, number: here.symlink_to(there.name),
    "rename": lambda here, there, number: here.rename(there),
    "remove": lambda here, there, number: remove(here),
    "attribute": lambda here, there, number: os.setxattr(here, "user.n", b"%d" % number, follow_symlinks=False),
    "back": lambda here, there, number: rewrite(here, number),
}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.tuples(DEEDS, PATHS, PATHS, st.integers(0, 7)), max_size=6), min_size=2, max_size=4))
def test_glances_come_to_what_looks_see(
    tree: Path, probe: Probe, look_at: Look, rounds: list[list[tuple[str, str, str, int]]]
) -> None:
    work = tree / f"{time.monotonic_ns()}"
    work.mkdir()
    known = Known(probe, work)
    for deeds in rounds:
        for deed, path, other, number in deeds:
            with contextlib.suppress(OSError):  # what cannot be done is not
                ACTS[deed](work / path, work / other, number)
        tick()
        known.glance()
        agree(known, look_at)
    known.glance()
    assert known.same


# --- large, deep, hostile --------------------------------------------------------------------------------


def test_a_directory_of_a_hundred_thousand_names(tree: Path, probe: Probe) -> None:
    (tree / "many").mkdir()
    fd = os.open(tree / "many", os.O_RDONLY)
    for number in range(100_000):
        os.mknod(f"{number}", dir_fd=fd)
    os.close(fd)
    tick()
    known = Known(probe, tree)
    known.glance(read=False)
    names = known.stats[b"/", b"/many"].names
    assert sorted(names) == sorted(b"%d" % number for number in range(100_000))
    (tree / "many/77777").write_text("x")
    known.glance()
    assert known.reads == [b"/many/77777"]


def test_a_tree_far_deeper_than_what_is_held_open(tree: Path, probe: Probe, look_at: Look) -> None:
    at = os.open(tree, os.O_RDONLY)
    for _ in range(300):
        for name in ("a", "z"):
            os.mkdir(name, dir_fd=at)
        below = os.open("a", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    tick()
    known = Known(probe, tree)
    known.glance()
    agree(known, look_at)
    tick()
    os.mkdir("new", dir_fd=at)
    os.close(at)
    known.glance()
    assert len(known.reads) == 2
    agree(known, look_at)


def test_nothing_but_directories_is_opened_and_no_access_time_moves(tree: Path, probe: Probe) -> None:
    plant(tree)
    with socket.socket(socket.AF_UNIX) as server:
        here = os.open(tree, os.O_RDONLY)
        server.bind(f"/proc/self/fd/{here}/socket")
        os.close(here)
    paths = [tree / name for name in ("etc/hosts", "etc", "empty", "fifo", "socket")]
    for path in paths:
        os.utime(path, (1, 1))
    tick()
    known = Known(probe, tree)
    known.glance()
    (tree / "etc/link").unlink()
    known.glance()
    assert {path.stat().st_atime for path in paths} == {1}


@pytest.mark.skipif(os.geteuid() != 0, reason="takes a user's rights")
def test_a_directory_that_may_not_be_searched_or_listed(tree: Path, look_at: Look) -> None:
    for name, mode in (("listed", 0o704), ("searched", 0o701), ("open", 0o705)):
        (tree / name).mkdir()
        (tree / name / "file").write_text("x")
        (tree / name).chmod(mode)
    tick()
    user = Probe(command=("setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups"))
    known = Known(user, tree)
    known.glance()
    assert {b"/listed", b"/searched", b"/open", b"/open/file"} <= known.entries.keys()
    assert b"/listed/file" not in known.entries
    before = known.view[b"around"]
    (tree / "open").chmod(0o700)
    known.glance()
    assert known.view[b"around"] != before
    assert user.end() == 0


# --- the loop --------------------------------------------------------------------------------------------


def test_odd_frames_are_answered_by_a_sentence_and_it_goes_on(tree: Path) -> None:
    probe = Probe()
    for tag, message, said in (
        (b"Y", {}, "not a question"),
        (b"N", {b"nonce": b"1", b"limits": {}, b"known": {}}, "no glance"),
        (b"R", {b"nonce": b"1", b"limits": {}, b"names": [], b"links": b"", b"due": {}}, "no glance"),
        (b"G", {b"nonce": b"1"}, "lacks a field"),
        (b"G", [], "lacks a field"),
        (b"G", {b"limits": {b"seconds": b"x"}}, "lacks a field"),
        (b"Q", {}, "not a question"),
    ):
        probe.write(frame(tag, message))
        assert said in probe.answer().failure
    probe.write(HEAD.pack(b"G", 3) + b"i1x")
    assert "integer" in probe.answer().failure
    for root, said in ((b"/nowhere at all", "No such file"), (os.fsencode(tree / "file"), "Not a directory")):
        (tree / "file").write_text("x")
        found = probe.ask(b"G", schema=2, root=root, skip=[], known=b"", rehash={})
        assert said in found.failure
    found = probe.ask(b"G", schema=3, root=os.fsencode(tree), skip=[], known=b"", rehash={})
    assert "in schema 3, this probe speaks 2" in found.failure
    spans = {b"spans": [[0, 0, 0, []]]}
    found = probe.ask(b"G", schema=2, root=os.fsencode(tree), skip=[], known=b"", rehash=spans)
    assert "span" in found.failure
    Known(probe, tree).glance()
    assert probe.end() == 0


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"G\0\0", "cut short"),
        (HEAD.pack(b"G", 10) + b"d", "cut short"),
        (HEAD.pack(b"G", 5 * 1024**2), "over the limit"),
        (frame(b"P", {b"piece": b"no zlib"}), "Error"),
        (frame(b"P", {}), "piece"),
    ],
)
def test_what_is_no_frame_is_said_and_ends_it(data: bytes, said: str) -> None:
    run = subprocess.run(
        [sys.executable, *bundle.ARGUMENTS],
        input=bundle.glance_program() + data,
        capture_output=True,
        timeout=30,
        check=True,
    )
    assert run.stderr == b""
    (found,) = wire.Decoder().feed(run.stdout)
    assert found.tag == b"E"
    assert said in wire.unpack(found.payload)[b"reason"].decode()


def test_a_question_has_a_deadline_and_waiting_has_none(tree: Path) -> None:
    for number in range(3):
        (tree / f"{number}").write_bytes(b"x" * 3000)
    probe = Probe()
    tick()
    known = Known(probe, tree)
    known.glance()
    limits = {b"seconds": 1}
    probe.ask(b"G", schema=2, root=known.root, skip=[], known=b"", rehash={}, limits=limits)
    time.sleep(1.2)  # longer than what the question was given
    spans = [[1000, 0, 1000, [b"/"]]]
    fields = {"schema": 2, "root": known.root, "skip": [], "known": b"", "rehash": {b"salt": b"", b"spans": spans}}
    probe.ask(b"G", limits={b"seconds": 60}, **fields)
    names = [[b"/", b"/", [b"0", b"1", b"2"]]]
    found = probe.ask(b"R", names=names, links=b"", due={b"bytes": 0, b"rate": 1}, limits={b"seconds": 1})
    assert not found.failure  # the rehash leaves half of the time to the rest
    assert probe.end() == 0


def test_the_rest_of_the_program_answers_a_full_look_its_questions_and_facts(tree: Path) -> None:
    (tree / "etc").mkdir()
    (tree / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    probe = Probe()
    probe.write(frame(b"P", {b"piece": bundle.rest_piece()}))
    Known(probe, tree).glance()

    probe.write(request(tree, (b"facts",)))
    frames = probe.answer().frames
    blocks = [wire.decode_block(one) for tag, payload in frames if tag == b"T" for one in wire.blocks(payload)]
    assert sorted(entry.path for _, entries in blocks for entry in entries) == [b"/", b"/etc", b"/etc/passwd"]
    asks = {b"nonce": b"again", b"asks": [[b"/etc/passwd", b"prefix", b"4"]]}
    probe.write(frame(b"A", asks))
    ((row,),) = probe.answer().of(b"W")
    assert hashlib.sha256(b"root").digest() in row
    fields = {"schema": 2, "root": os.fsencode(tree), "sections": [b"facts"], "key": b""}
    first = probe.ask(b"F", known=b"", **fields)
    digest = first.one(b"K")[b"facts"]
    facts = [row for one in first.of(b"F") for row in one.get(b"facts", ())]
    assert [b"account", b"root"] in [row[:2] for row in facts]
    again = probe.ask(b"F", known=digest, **fields)
    assert again.one(b"K") == {b"facts": digest}
    assert again.of(b"F") == []
    (tree / "etc/passwd").write_text("root:x:0:1::/root:/bin/sh\n")
    assert probe.ask(b"F", known=digest, **fields).of(b"F")
    probe.write(frame(b"A", {b"nonce": b"none", b"asks": []}))
    assert probe.end() == 0


# --- mounts ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [[], ["without"]], ids=["with a view", "without"])
def test_with_mounts_a_glance_agrees_or_says_that_only_a_look_can_tell(tmp_path: Path, how: list[str]) -> None:
    script = Path(__file__).with_name("glancescene.py")
    rootless = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    command = [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        *rootless,
        "--",
        sys.executable,
        script,
        tmp_path,
        *how,
    ]
    run = subprocess.run(
        command, stdout=subprocess.PIPE, check=True, env={**os.environ, "PYTHONPATH": ":".join([*sys.path[1:]])}
    )
    told = json.loads(run.stdout)
    assert {name: differ for name, (_, differ) in told.items() if differ} == {}
    said = {name: said for name, (said, _) in told.items()}
    assert said["nothing"] == said["in a tmpfs"] == ["same"]
    assert "around" in said["a mount more"]
    whole = {
        "on top",
        "on top, both have it",
        "a file mounted over a file",
        "a disk below a tmpfs",
        "a link on one side",
    }
    assert {name for name in whole if said[name]} == set()
    if not how:
        assert said["beneath, seen"] == said["beneath, hidden"] == []
        assert "beneath" in said["beneath, new"]
        assert "beneath" in said["on top, hides what was seen"]
