"""The resident probe itself, on real directories: what it shows by each means, and that it ends."""

from __future__ import annotations

import os
import shutil
import signal
import time

import pytest
from residents import NO_CTYPES, Resident

from driftd.core.watching import Glimpse, Why
from driftd.probe import newcomers, watchwire

MEANS = {"inotify": (b"inotify",), "dnotify": (b"dnotify",), "sweep": (b"sweep",)}


@pytest.fixture(params=MEANS)
def resident(request, tree):
    (tree / "etc").mkdir()
    (tree / "etc/passwd").write_text("root\n")
    found = Resident(tree, *MEANS[request.param])
    assert found.greeting.files == request.param
    yield found
    assert found.close() == 0


def _paths(glimpse):
    return {entry.path for entry in glimpse.seen.entries} if glimpse.seen else set()


def test_a_new_file_is_shown_with_what_it_holds_and_where_it_lies(resident, tree):
    (tree / "etc/new").write_text("x\n")
    glimpse = resident.shows(tree / "etc/new")
    found = {entry.path: entry for entry in glimpse.seen.entries}[os.fsencode(tree / "etc/new")]
    assert (found.size, len(found.sha256)) == (2, 32)
    assert {b"/", os.fsencode(tree), os.fsencode(tree / "etc")} <= _paths(glimpse)
    assert glimpse.listed[os.fsencode(tree / "etc")] == {b"new", b"passwd"}


def test_what_is_written_changed_or_renamed_is_shown(resident, tree):
    (tree / "etc/passwd").write_text("mallory\n")
    resident.shows(tree / "etc/passwd")
    (tree / "etc/passwd").chmod(0o600)
    mode = {e.path: e for e in resident.shows(tree / "etc/passwd").seen.entries}[os.fsencode(tree / "etc/passwd")].mode
    assert mode == 0o600
    (tree / "etc/passwd").rename(tree / "etc/shadow")
    assert b"passwd" not in resident.shows(tree / "etc/shadow").listed[os.fsencode(tree / "etc")]


def test_of_what_is_gone_the_names_that_are_left_tell(resident, tree):
    (tree / "etc/passwd").unlink()
    # A look that began before may still list it; what counts is that another one follows.
    assert resident.next(Glimpse, lambda one: one.listed.get(os.fsencode(tree / "etc")) == frozenset())


def test_a_new_directory_is_watched_from_then_on_and_what_was_in_it_before_is_shown(resident, tree):
    below = tree / "opt" / "deep"
    below.mkdir(parents=True)
    (below / "at-once").write_text("1")
    resident.shows(below / "at-once")
    time.sleep(0.1)  # whatever is made now was not there when the directory was met
    (below / "later").write_text("2")
    resident.shows(below / "later")


def test_where_there_is_no_ctypes_and_no_resource_it_says_so_and_still_watches(tree):
    resident = Resident(tree, first=NO_CTYPES)
    assert resident.greeting.files == "dnotify"
    (tree / "new").write_text("x")
    resident.shows(tree / "new")
    assert resident.close() == 0


def test_where_directories_are_held_by_the_thousand_it_still_reads_who_is_there(tree):
    for number in range(1100):
        (tree / str(number)).mkdir()
    resident = Resident(tree, first=NO_CTYPES, sections=(b"sessions",))
    assert resident.next(Glimpse, lambda one: one.logins).seen is not None
    assert resident.close() == 0


# By a round it takes as long as the purse needs to fill again.
@pytest.mark.parametrize("means", ["inotify", pytest.param("dnotify", marks=pytest.mark.soak)])
def test_a_storm_is_either_shown_or_asks_for_a_look_and_the_last_change_is_not_lost(means, tree):
    (tree / "etc").mkdir()
    resident = Resident(tree, *MEANS[means])
    for number in range(watchwire.NAMES_LIMIT + 100):
        (tree / "etc" / f"f{number}").write_bytes(b"x")
        resident.hear(0)  # who does not listen is left
    resident.next(Glimpse, lambda one: one.full in {Why.OVERFLOW, Why.TOO_MUCH})
    (tree / "last").write_text("x")
    resident.shows(tree / "last")
    assert resident.close() == 0


def test_a_change_that_carries_an_old_stamp_asks_for_a_look(tree):
    # No clock is set back here: the reader is told that it began in the future, which comes to the same.
    resident = Resident(tree, b"inotify", first="import time;t=time.time_ns;time.time_ns=lambda:t()+10**12;")
    (tree / "new").write_text("x")
    assert resident.next(Glimpse).full is Why.UNSEEN
    assert resident.close() == 0


def test_programs_that_start_are_told_once(tree):
    resident = Resident(tree, b"inotify", sections=())
    program = tree / "sleep"
    shutil.copy("/bin/sleep", program)
    child = os.spawnv(os.P_NOWAIT, str(program), ["sleep", "20"])
    try:
        resident.next(Glimpse, lambda one: os.fsencode(program) in one.programs)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert resident.close() == 0


def test_processes_are_listed_only_where_one_began_and_now_and_then_all_the_same(tmp_path):
    """The id that was given last is the kernel's word; where it is emulated it may be late, or not be there."""
    listed = []

    class Counting(newcomers.Sweep):
        def _pids(self):
            listed.append(1)
            return super()._pids()

    (tmp_path / "loadavg").write_text("0.00 0.00 0.00 1/7 41\n")
    sweep = Counting(str(tmp_path))
    for _ in range(newcomers.PASSED_LIMIT):
        sweep.take()
    assert len(listed) == 1
    sweep.take()
    assert len(listed) == 2
    (tmp_path / "loadavg").write_text("0.00 0.00 0.00 1/7 42\n")
    sweep.take()
    assert len(listed) == 3
    (tmp_path / "loadavg").unlink()
    sweep.take()
    sweep.take()
    assert len(listed) == 5


def test_it_ends_when_nobody_says_that_they_are_there(tree):
    resident = Resident(tree, first=f"import time;m=time.monotonic;b=m();time.monotonic=lambda:b+(m()-b)*{60};")
    assert watchwire.SILENCE_S < 60
    resident.alive = False
    while resident.hear(0.2):
        pass
    assert resident.process.wait(20) == 0
    resident.close()


def test_its_size_is_small_and_is_told(tree):
    resident = Resident(tree)
    beat = resident.beat()
    assert 4 * 2**20 < beat.rss < 24 * 2**20  # bench/watch.py measures; a Python of another make is larger
    assert 0 < beat.cpu_s < 30
    assert resident.close() == 0
