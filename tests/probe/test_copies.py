"""What evidence asks of the probe: pieces of programs, and the processes of the moment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from driftd.probe import copying, dialogue, roster
from driftd.probe.asks import Answerer

ELF = b"\x7fELF"
KEY = b"-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n"


@pytest.fixture
def ask(tmp_path: Path):
    answerer = Answerer(os.fsencode(tmp_path))
    return lambda path, at=0: answerer.answer(path, b"copy", b"%d" % at)


def test_a_program_comes_in_pieces_that_are_it(tmp_path: Path, ask):
    shutil.copy("/bin/sh", tmp_path / "sh")
    whole = (tmp_path / "sh").read_bytes()
    pieces = [ask(b"/sh", at) for at in range(0, len(whole), dialogue.COPY_PIECE)]
    assert b"".join(one.content for one in pieces) == whole
    assert {one.size for one in pieces} == {len(whole)}
    assert all(len(one.content) <= dialogue.CONTENT_LIMIT for one in pieces)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"#!/bin/sh\n", b"it is no program"),
        (b"", b"it is no program"),
        (ELF + bytes(100) + KEY, b"it holds a private key"),
        (ELF + bytes((1 << 20) - 20) + KEY, b"it holds a private key"),  # across two reads
    ],
)
def test_of_all_else_nothing_leaves(tmp_path: Path, ask, data, why):
    (tmp_path / "x").write_bytes(data)
    answer = ask(b"/x")
    assert (answer.content, answer.why) == (b"", why)


def test_what_is_no_file_or_too_long_is_not_read(tmp_path: Path, ask):
    (tmp_path / "x").write_bytes(ELF)
    (tmp_path / "link").symlink_to("x")
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "long").open("wb") as stream:
        stream.write(ELF)
        stream.truncate(1 << 40)
    for path in (b"/link", b"/pipe", b"/none", b"/../x", b"/"):
        assert ask(path).how == dialogue.CHANGED
    assert ask(b"/long").why == b"it is longer than what is copied"
    assert ask(b"/x", 99).content == b""


def test_a_file_is_looked_through_once_and_again_when_it_changed(tmp_path: Path, ask):
    file = tmp_path / "x"
    file.write_bytes(ELF + bytes(100_000))
    assert ask(b"/x").content == (ELF + bytes(100_000))[: dialogue.COPY_PIECE]
    file.write_bytes(ELF + KEY + bytes(100_000))
    assert ask(b"/x", dialogue.COPY_PIECE).why == b"it holds a private key"


def test_a_file_that_grows_while_it_is_read_has_an_end(tmp_path: Path, monkeypatch):
    (tmp_path / "x").write_bytes(ELF)
    real, reads = os.pread, []

    def growing(fd, size, at):
        reads.append(size)
        with (tmp_path / "x").open("ab") as stream:
            stream.write(bytes(1 << 20))
        return real(fd, size, at)

    monkeypatch.setattr(copying.os, "pread", growing)
    copying.Copier().piece(os.open(tmp_path / "x", os.O_RDONLY), 0)
    assert len(reads) <= 4


def test_the_processes_of_this_machine_without_their_secrets():
    words = [sys.executable, "-c", "import time; time.sleep(60)", "--password=correct-horse-battery", "a\nb"]
    with subprocess.Popen(words) as child:
        try:
            answerer = Answerer(b"/")
            first = answerer.answer(b"/", b"processes", b"0")
            pages = [answerer.answer(b"/", b"processes", b"%d" % page) for page in range(first.size)]
        finally:
            child.kill()
    rows = {row[0]: row for page in pages for row in dialogue.read_processes(page.content)}
    number, above, user, started, name, program, command = rows[child.pid]
    assert (number, above, user) == (child.pid, os.getpid(), os.getuid())
    assert started > 1_600_000_000
    assert name
    assert os.path.realpath(program) == os.path.realpath(sys.executable).encode()
    assert b"time.sleep" in command
    assert b"horse" not in b"".join(row[6] for row in rows.values())
    assert b"\n" not in command
    assert answerer.answer(b"/", b"processes", b"99").content == b""


def test_a_tree_that_does_not_run_has_none(tmp_path: Path):
    answer = Answerer(os.fsencode(tmp_path)).answer(b"/", b"processes", b"0")
    assert (answer.size, answer.content, answer.how) == (0, b"", b"")


def test_many_processes_are_pages_and_no_end(monkeypatch):
    row = (1, 0, 0, 5, b"x" * 200, b"y" * 200, b"z" * 1000)
    monkeypatch.setattr(roster, "_rows", lambda: iter(lambda: row, None))
    found = roster.Roster(b"/")
    page, pages = found.page(31)
    assert pages == dialogue.PAGES_LIMIT + 1
    assert len(page) <= dialogue.CONTENT_LIMIT
    assert found.page(32) == (b"", pages)


@pytest.mark.parametrize("command", [b"", b"\xff\xfe\0x", b"x" * 100_000, b"\x1b[31m", "名前".encode()])
def test_any_command_line_is_a_line(command):
    said = roster.masked(command)
    assert len(said) <= 1024
    assert b"\n" not in said
    assert b"\x1b" not in said
