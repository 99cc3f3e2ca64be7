"""Trails: the kernel's stamp of a name, and which processes run it or wrote all of it."""

import os
import subprocess
import sys
from contextlib import contextmanager

import pytest

from driftd.core import trails as core
from driftd.core.asks import Answer, Ask
from driftd.core.difference import Change, Difference
from driftd.probe import dialogue, trails, wire
from driftd.probe.trails import Trails

HOLDS = "import os, sys; fd = os.open(sys.argv[1], {flags}, 0o644); {do}; print(flush=True); input()"


@contextmanager
def holding(path, flags="os.O_WRONLY | os.O_CREAT | os.O_TRUNC", do="os.write(fd, b'all of it')"):
    """A process that has done ``do`` with the file and holds it open."""
    words = [sys.executable, "-c", HOLDS.format(flags=flags, do=do), str(path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as one:
        assert one.stdout.readline() == b"\n"
        yield one
        one.stdin.close()


def deeds(path):
    return [(row[0], row[3][0]) for row in Trails(b"/").of(os.fsencode(path)).rows]


def test_the_stamp_of_a_name(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"x")
    os.utime(file, (1, 1))
    found = Trails(b"/").of(os.fsencode(file))
    assert (found.changed, found.itself, found.rows) == (file.stat().st_ctime_ns, True, [])
    link = tmp_path / "link"
    link.symlink_to(file)
    assert Trails(os.fsencode(tmp_path)).of(b"/link").changed == link.lstat().st_ctime_ns


@pytest.mark.parametrize("name", [b"/gone", b"/gone/below/it", b"/link/file", b"/../etc"])
def test_of_what_is_gone_the_stamp_of_the_directory_above(tmp_path, name):
    (tmp_path / "link").symlink_to("/etc")
    found = Trails(os.fsencode(tmp_path)).of(name)
    if name == b"/link/file":
        assert (found.changed, found.itself) == ((tmp_path / "link").lstat().st_ctime_ns, False)
    else:
        assert (found.changed, found.itself) == (tmp_path.stat().st_ctime_ns, False)


def test_who_wrote_all_of_it(tmp_path):
    with holding(tmp_path / "a") as one:
        assert deeds(tmp_path / "a") == [(b"wrote", one.pid)]
        (row,) = Trails(b"/").of(os.fsencode(tmp_path / "a")).rows
        assert os.getpid() in row[3]


@pytest.mark.parametrize(
    ("flags", "do"),
    [
        ("os.O_WRONLY | os.O_APPEND | os.O_CREAT", "os.write(fd, b'the end')"),
        ("os.O_RDONLY", "os.read(fd, 99)"),
        ("os.O_RDWR", "os.read(fd, 99)"),
        ("os.O_WRONLY", "os.write(fd, b'a')"),
        ("os.O_WRONLY", "0"),
    ],
    ids=["appends", "reads", "reads-and-may-write", "a-part", "nothing-yet"],
)
def test_who_did_less_did_not(tmp_path, flags, do):
    (tmp_path / "a").write_bytes(b"from before")
    with holding(tmp_path / "a", flags, do):
        assert deeds(tmp_path / "a") == []


def test_who_runs_it(tmp_path):
    program = tmp_path / "runs"
    program.write_bytes(open("/bin/sleep", "rb").read())  # noqa: SIM115  # a copy without what else cp takes
    program.chmod(0o755)
    with subprocess.Popen([program, "60"]) as one:
        try:
            assert deeds(program) == [(b"runs", one.pid)]
            program.unlink()
            assert deeds(program) == [(b"runs", one.pid)], "also once it is deleted"
        finally:
            one.kill()


@pytest.mark.parametrize("limit", ["FILES_LIMIT", "SECONDS"])
def test_of_a_part_of_the_processes_nothing_follows(tmp_path, monkeypatch, limit):
    monkeypatch.setattr(trails, limit, 0)
    with holding(tmp_path / "a"):
        assert deeds(tmp_path / "a") == []


def test_of_a_directory_that_holds_a_tree_no_process_tells(tmp_path):
    with holding(tmp_path / "a"):
        assert Trails(os.fsencode(tmp_path)).of(b"/a").rows == []


@pytest.mark.parametrize(
    "rows",
    [7, [7], [[b"reads", 1, 1, []]], [[b"runs", 1, 1]], [[b"runs", -1, 1, []]], [[b"runs", 1, 1, [b"x"]]], [[]] * 65],
)
def test_a_trail_that_is_none_tells_nothing(rows):
    content = wire.pack(rows)
    with pytest.raises(wire.WireError):
        dialogue.read_trail(content)
    assert core.read({Ask(b"/a", "trail"): Answer(yes=True, size=1, content=content)}) == {}


def test_what_travels_is_read():
    content = wire.pack([[b"runs", 7, 100, [5, 1]], [b"wrote", 0, 100, [6]]])
    asked = {Ask(b"/a", "trail"): Answer(yes=True, size=10**18 + 5000, content=content)}
    (found,) = core.read(asked).values()
    assert found.changed_at.timestamp() == pytest.approx(10**9 + 5e-6, abs=1e-6)
    assert [(one.number, one.above) for one in found.runs + found.wrote] == [(7, (5, 1)), (0, (6,))]
    for bad in (Answer(yes=True, size=(1 << 63) - 1), Answer(how="changed")):
        assert core.read({Ask(b"/a", "trail"): bad}).keys() <= {b"/a"}


def test_what_is_asked_is_bounded():
    many = [Difference("file", b"/%d" % number, Change.ADDED) for number in range(core.MOST + 9)]
    program = Difference("listener", b"tcp", Change.ADDED, {}, {"program": "/usr/bin/nc"})
    other = [Difference("package", b"nginx", Change.ADDED), Difference("process", b"[kthreadd]", Change.ADDED)]
    seen = type("Seen", (), {"live": True})()
    assert [one.path for one in core.asks([program, *other], seen)] == [b"/usr/bin/nc"]
    assert len(core.asks(many, seen)) == core.MOST
    seen.live = False
    assert core.asks(many, seen) == []
