"""What the processes themselves tell of somebody: what was left running, who came from outside, connections."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_probe_sessions import BOOT, NOW, Proc

from driftd.probe import clues, inside, processes, sweep

PASSWD = "root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n"


@pytest.fixture
def place(tree: Path) -> Iterator[inside.Root]:
    (tree / "etc").mkdir(exist_ok=True)
    (tree / "etc/passwd").write_text(PASSWD)
    made = inside.Root(os.fsencode(tree))
    yield made
    made.close()


@pytest.fixture
def proc(tmp_path: Path) -> Proc:
    return Proc(tmp_path / "proc")


def numbered(proc: Proc, pid: int, number: int, uid: int = 1000) -> None:
    (proc.root / str(pid) / "sessionid").write_text(str(number))
    (proc.root / str(pid) / "loginuid").write_text(str(uid))


def swept(
    place: inside.Root, table: processes.Table, above: int = 1, peers: dict[int, bytes] | None = None
) -> list[clues.Clue]:
    return sweep.collect(place, table, table.live(), sweep.numbers(table), table.ancestors(above), peers or {})


def test_what_was_left_running_is_told_by_the_kernels_number(place: inside.Root, proc: Proc) -> None:
    proc.add(60, 1, "sshd", "sshd: root@notty", BOOT + 1)
    proc.add(70, 1, "beacon", "beacon", BOOT + 20, exe="/tmp/beacon")
    proc.add(71, 70, "sleep", "sleep 9", BOOT + 30, exe="/bin/sleep")
    proc.add(80, 1, "cron", "cron -f", BOOT + 2, exe="/usr/sbin/cron")
    proc.add(81, 80, "cron", "CRON", BOOT + 60, exe="/usr/sbin/cron")
    proc.add(82, 81, "backup", "backup", BOOT + 60, exe="/bin/sh")
    proc.add(90, 1, "agetty", "login -- root", BOOT + 5, exe="/bin/login")
    for pid, number, uid in ((60, 11, 0), (70, 12, 1000), (71, 12, 1000), (82, 13, 0), (90, 14, 77)):
        numbered(proc, pid, number, uid)
    numbered(proc, 80, 4294967295, 4294967295)
    found = swept(place, proc.table(), peers={12: b"10.0.0.9", 15: b"10.0.0.8"})
    assert [(one.door, one.user, one.number, one.pid, one.started - int(BOOT), one.note) for one in found] == [
        (b"ssh", b"alice", 12, 70, 20, b"beacon"),
        (b"service", b"root", 13, 82, 60, b"backup"),
        (b"console", b"77", 14, 90, 5, b"agetty"),
    ]
    assert [one.peer for one in found] == [b"10.0.0.9", b"", b""]


def test_a_server_that_carries_its_starters_number_is_nobody(place: inside.Root, proc: Proc) -> None:
    proc.add(70, 1, "nginx", "nginx", BOOT + 20, exe="/usr/sbin/nginx")
    numbered(proc, 1, 5)
    numbered(proc, 70, 5)
    assert swept(place, proc.table()) == []


def test_who_came_from_outside_has_no_parent_here(place: inside.Root, proc: Proc) -> None:
    proc.add(2, 0, "kthreadd", "", BOOT, exe="/none")
    stat = proc.root / "2/stat"
    stat.write_text(stat.read_text().replace("S 0 0 0 0 0 0 ", f"S 0 0 0 0 0 {0x00200000} "))
    proc.add(70, 0, "sh", "sh", BOOT + 20, exe="/bin/sh")
    proc.add(71, 70, "vi", "vi", BOOT + 30, exe="/usr/bin/vi")
    proc.add(75, 0, "python3", "python3 -I", BOOT + 40, exe="/usr/bin/python3")
    proc.add(76, 0, "gone", "", BOOT + 50, exe="/bin/sh")
    (proc.root / "76/stat").write_text((proc.root / "76/stat").read_text().replace(") S 0", ") Z 0"))
    (found,) = swept(place, proc.table(), above=75)
    assert (found.source, found.door, found.pid, found.note) == (b"outside", b"exec", 70, b"sh")


@pytest.mark.parametrize("state", ["S", "R", "D"])
def test_a_process_that_ends_while_it_is_read_is_nobody(place: inside.Root, proc: Proc, state: str) -> None:
    """The kernel takes parent, group and session away before the name: proc(5) shows 0, -1 and -1 then."""
    proc.add(70, 0, "true", "true", BOOT + 20, exe="/bin/true")
    stat = proc.root / "70/stat"
    stat.write_text(stat.read_text().replace(") S 0 0 0 ", f") {state} 0 -1 -1 "))
    assert " -1 -1 " in stat.read_text()
    assert swept(place, proc.table()) == []


@pytest.mark.parametrize("then", ["gone", "another"])
def test_who_is_there_no_more_when_looked_at_again_came_from_nowhere(place: inside.Root, proc: Proc, then: str) -> None:
    proc.add(70, 0, "sh", "sh", BOOT + 20, exe="/bin/sh")
    table = proc.table()
    shutil.rmtree(proc.root / "70")
    if then == "another":
        proc.add(70, 1, "cron", "cron", BOOT + 90, exe="/usr/sbin/cron")
    assert swept(place, table) == []


def test_a_connection_that_is_no_session(place: inside.Root, proc: Proc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: NOW)
    proc.add(60, 1, "sshd", "sshd: root@notty", BOOT + 1)
    proc.connect(60, 4001, "0900000A:C350")
    proc.add(61, 1, "sshd", "something else", BOOT + 2)
    proc.connect(61, 4002, "0800000A:1F90")
    proc.add(62, 1, "sshd", "sshd: [accepted]", NOW - 60)  # may still be logging in
    proc.connect(62, 4003, "0700000A:1F91")
    (found,) = swept(place, proc.table())
    assert (found.source, found.peer, found.port, found.pid) == (b"socket", b"10.0.0.8", 8080, 61)
