"""The program in parts: each answers its own question, as the whole does, by any Python, and fits where it has to."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from asking import Look
from test_probe_program import interpreters

from driftd.core.arriving import Arrived, Limits
from driftd.core.asks import AnswerReader, Ask, encode
from driftd.core.fingerprint import Fingerprint, Reader
from driftd.core.glance.streams import Rest
from driftd.edges.providers.aws.script import LONGEST, Lines, room, script
from driftd.probe import bundle, wire

NONCE = b"n" * 16


def frame(tag: bytes, message: dict) -> bytes:
    payload = wire.pack(message)
    return struct.pack(">cI", tag, len(payload)) + payload


def facts_of(root: bytes) -> bytes:
    said = {b"nonce": NONCE, b"schema": wire.SCHEMA, b"root": root, b"sections": [b"facts"], b"key": b"", b"limits": {}}
    return frame(b"F", said)


def run(question: bytes, python: str = sys.executable, seconds: int = 60) -> tuple[bytes, subprocess.CompletedProcess]:
    text = script(question, seconds).replace("/usr/bin/python3", python, 1)
    done = subprocess.run(["sh", "-c", text], capture_output=True, timeout=100, check=False)
    lines = Lines()
    data = lines.feed(done.stdout)
    lines.finish()
    return data, done


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    (tmp_path / "etc/group").write_text("root:x:0:\n")
    (tmp_path / "etc/crontab").write_text("1 2 3 4 5 root true\n")
    for number in range(3000):
        (tmp_path / f"{number}").write_text("x" * number)
    return tmp_path


@pytest.mark.parametrize("tag", [b"Q", b"F", b"A"])
def test_a_part_and_its_question_fit_into_one_document_of_systems_manager(tag: bytes) -> None:
    assert len(script(tag + b"?" * 300, 100_000)) < LONGEST
    assert room(b"A") > 10_000


@pytest.mark.parametrize("python", interpreters())
def test_each_part_answers_as_the_whole_does(tree: Path, look_at: Look, python: str) -> None:
    there, root = look_at(tree), os.fsencode(tree)
    reader = Reader(NONCE, ())
    data, done = run(wire.encode_request(NONCE, root, ()), python)
    reader.feed(data)
    seen = reader.finish()
    assert isinstance(seen, Fingerprint), (seen, done.stderr)
    assert (seen.entries, seen.root) == (there.entries, there.root)
    data, done = run(facts_of(root), python)
    reader = Rest(NONCE, (b"facts",), Limits(), Arrived(seen.entries, seen.root), b"")
    reader.feed(data)
    found = reader.finish()
    assert isinstance(found, Fingerprint), (found, done.stderr)
    assert (found.facts, found.looked, found.kept) == (there.facts, there.looked, there.kept)


def test_what_is_asked_is_answered_of_the_running_machine() -> None:
    asks = [Ask(b"/etc/hostname", "prefix", b"1"), Ask(b"/nothing/there", "prefix", b"1")]
    reader = AnswerReader(NONCE, asks)
    data, done = run(encode(NONCE, asks))
    reader.feed(data)
    told = reader.finish()
    assert [told[one].how for one in asks] == ["", "changed"], (told, done.stderr)


def test_nothing_of_it_comes_through_on_standard_error_and_its_last_line_says_so(tree: Path) -> None:
    _, done = run(wire.encode_request(NONCE, os.fsencode(tree), ()))
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.endswith(b"\n.\n")
    assert max(map(len, done.stdout.split(b"\n"))) > 1000


def test_a_question_of_another_part_or_none_is_said_and_ends_it(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = bundle.errand_program(b"A")
    monkeypatch.setattr(bundle, "errand_program", lambda tag: whole)
    for question in (wire.encode_request(NONCE, os.fsencode(tree), ()), b"Q\x00\x00\x00\x02le", b"", b"Z\0\0\0\x02de"):
        data, done = run(question)
        assert b"reason" in data, done.stderr
        assert done.returncode == 0


def test_as_a_script_of_the_agents_it_leaves_none(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("agent") / "_script.sh"
    text = script(wire.encode_request(NONCE, os.fsencode(tree), ()), 60)
    file.write_text(text.replace("/usr/bin/python3", sys.executable, 1) + "\n")
    file.chmod(0o700)
    done = subprocess.run(["sh", "-c", str(file)], capture_output=True, check=False)
    assert done.stdout.endswith(b"\n.\n"), done.stderr
    assert not file.exists()


def test_it_ends_by_itself_when_its_time_is_over(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("driftd.edges.providers.aws.script._LATE_S", 0)
    asks = [Ask(b"/etc/hostname", "match", b"(a*)*" * 10 + b"b")]
    monkeypatch.setattr(bundle, "errand_program", lambda tag: bundle.zlib.compress(b"import time; time.sleep(50)"))
    _, done = run(encode(NONCE, asks), seconds=1)
    assert done.returncode != 0
    assert done.stdout == b""


def test_without_a_python_it_says_so() -> None:
    text = script(facts_of(b"/"), 60)
    for python in ("/usr/bin/python3", "/usr/local/bin/python3", "/usr/libexec/platform-python"):
        text = text.replace(python, "/nothing/there")
    done = subprocess.run(["sh", "-c", text], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (127, b"driftd: no python here\n")
