from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from asking import Look

from driftd.core.facts import Instance, Reach, Unseen
from driftd.core.fingerprint import Fingerprint
from driftd.edges import local
from driftd.edges.local import LocalLooker


def at(root: Path | str) -> Instance:
    return Instance("i-1", "web", "base", reach=Reach(root=str(root)))


def test_a_root_directory_is_looked_at_without_sessions(tree: Path, look_at: Look) -> None:
    (tree / "etc").mkdir()
    (tree / "etc/group").write_text("root:x:0:\n")
    found = LocalLooker().look(at(tree), deadline_s=60)
    assert isinstance(found, Fingerprint)
    assert found.entries == look_at(tree).entries
    assert (found.sessions, found.boot_id, found.booted_at) == ((), "", None)
    assert LocalLooker().own_key(at(tree)) == ""


def test_a_relative_root_with_an_odd_name(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = os.fsdecode(b"odd \xff\nname")
    (tree / name / "inside").mkdir(parents=True)
    monkeypatch.chdir(tree)
    found = LocalLooker().look(at(name), deadline_s=60)
    assert isinstance(found, Fingerprint)
    assert [e.path for e in found.entries] == [b"/", b"/inside"]


def test_twice_the_same_tree_is_the_same_bytes(tree: Path) -> None:
    for name in ("a", "b"):
        (tree / name).write_text(name)
    first, second = (LocalLooker().look(at(tree), deadline_s=60) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("name", ["nothing", "file"])
def test_a_root_that_is_no_directory_is_unseen(tree: Path, name: str) -> None:
    (tree / "file").write_text("x")
    found = LocalLooker().look(at(tree / name), deadline_s=60)
    assert isinstance(found, Unseen)
    assert "there is no directory" in found.reason


def test_a_look_ends_by_its_deadline(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_START", "import time; time.sleep(60)")
    began = time.monotonic()
    found = LocalLooker().look(at(tree), deadline_s=0.5)
    assert isinstance(found, Unseen)
    assert found.reason == "looking took longer than 0.5 s"
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("program", ["", "import sys; sys.exit(3)", "print('y' * 1000)", "import os; os.abort()"])
def test_a_probe_that_dies_or_babbles_is_unseen(tree: Path, monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    monkeypatch.setattr(local, "_START", program)
    found = LocalLooker().look(at(tree), deadline_s=30)
    assert isinstance(found, Unseen)
    assert "no probe answered" in found.reason


def test_a_probe_that_dies_before_it_is_asked_is_unseen(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_START", "")
    exchange = local._exchange
    monkeypatch.setattr(local, "_exchange", lambda child, *rest: (child.wait(), exchange(child, *rest)))
    found = LocalLooker().look(at(tree), deadline_s=30)
    assert isinstance(found, Unseen)
    assert "no probe answered" in found.reason


def test_a_python_that_cannot_be_started_is_unseen(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local.sys, "executable", str(tree / "no-python"))
    found = LocalLooker().look(at(tree), deadline_s=30)
    assert isinstance(found, Unseen)
    assert "could not be started" in found.reason
