"""What a backup does not know, and what people can do where the store is of another time."""

from __future__ import annotations

import json
import os
import shlex
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from driftd.core.findings import Verdict
from driftd.core.holds import Hold
from driftd.core.memory import InstanceRow
from driftd.core.upkeep import ChainState
from driftd.edges.store import open_store
from driftd.edges.store.opening import HEAD

CONFIGURATION = """\
store: sqlite:///driftd.db
groups: {}
"""
LEASE_OF_ANOTHER = (
    "INSERT OR REPLACE INTO lease (id, holder, epoch, taken_at, expires_at) "
    "VALUES (1, 'elsewhere pid 7', 3, '2026-01-01T00:00:00.000000Z', '2999-01-01T00:00:00.000000Z')"
)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A store with three instances, which some would rather keep."""
    (tmp_path / "driftd.yaml").write_text(CONFIGURATION)
    now = datetime.now(UTC)
    store = open_store(f"sqlite:///{tmp_path / 'driftd.db'}")
    with store.write() as tx:
        for name in ("i-1", "i-2", "i-3"):
            tx.put_instance(
                InstanceRow(name, "web", name, "golden", "", "running", Verdict.CLEAN, "", "", now, now, now)
            )
    store.close()
    return tmp_path


def raw(home: Path, *statements: str) -> None:
    with closing(sqlite3.connect(home / "driftd.db")) as opened:
        for statement in statements:
            opened.execute(statement)
        opened.commit()


def again(said: str) -> list[list[str]]:
    """The commands that it says to type."""
    lines = [line for line in said.splitlines() if "; again: driftd " in line]
    return [shlex.split(line.partition("; again: driftd ")[2]) for line in lines]


# --- pauses and holds ------------------------------------------------------------------------------------------------


def test_a_restore_names_the_pauses_and_holds_that_the_backup_does_not_know(driftd, home: Path):
    (home / "driftd.yaml").write_text(
        CONFIGURATION.replace("{}", '{db: {provider: static, image: x, hosts: ["127.0.0.1:1"]}}')
    )
    assert driftd("hold", "i-1", "--reason", "kept", "--for", "2h").status == 0
    assert driftd("pause", "--group", "db", "--reason", "kept").status == 0
    assert driftd("store", "backup", "-o", home / "backup").status == 0
    assert driftd("hold", "i-2", "--reason", "it's the evidence; rm -rf", "--for", "5h").status == 0
    assert driftd("hold", "i-3", "--reason", "no more").status == 0
    assert driftd("release", "i-3").status == 0
    assert driftd("pause", "--group", "web", "--hard", "--reason", "a fire").status == 0
    assert driftd("pause", "--reason", "until monday").status == 0
    said = driftd("store", "restore", home / "backup").out
    commands = again(said)
    assert len(commands) == 3
    assert "kept" not in said.replace("is kept:", "")
    assert "no more" not in said
    for words in commands:
        assert driftd(*words).status == 0
    store = open_store(f"sqlite:///{home / 'driftd.db'}", read_only=True)
    with store.read() as tx:
        assert {(one.group, one.hard, one.reason) for one in tx.pauses()} == {
            ("db", False, "kept"),
            ("web", True, "a fire"),
            ("", False, "until monday"),
        }
        now = datetime.now(UTC)
        holds = {one.instance_id: one for one in tx.holds(now)}
    store.close()
    assert holds.keys() == {"i-1", "i-2"}
    assert holds["i-2"].reason == "it's the evidence; rm -rf"
    assert timedelta(hours=4, minutes=58) < holds["i-2"].until - now < timedelta(hours=5, minutes=2)


def test_a_pause_that_was_made_hard_and_a_hold_that_was_renewed_are_named_too(driftd, home: Path):
    now = datetime.now(UTC)
    held = Hold(0, "i-1", "web", "ann", "looking", now, now + timedelta(hours=1))
    store = open_store(f"sqlite:///{home / 'driftd.db'}")
    with store.write() as tx:
        tx.put_hold(held)
    assert driftd("pause", "--reason", "lunch").status == 0
    assert driftd("store", "backup", "-o", home / "backup").status == 0
    with store.write() as tx:
        tx.put_hold(
            Hold(
                1,
                *[getattr(held, name) for name in ("instance_id", "group", "owner", "reason")],
                now,
                now + timedelta(hours=9),
                "bob",
            )
        )
    store.close()
    assert driftd("pause", "--hard", "--reason", "a fire").status == 0
    said = driftd("store", "restore", home / "backup").out
    assert [words[0] for words in again(said)] == ["pause", "hold"]
    assert "had paused everything, undoing too, and the backup does not know it" in said


def test_where_what_was_there_cannot_be_read_that_is_said(driftd, home: Path):
    assert driftd("store", "backup", "-o", home / "backup").status == 0
    (home / "driftd.db").write_bytes(b"\xff" * 8192)
    assert "neither can its pauses and holds" in driftd("store", "restore", home / "backup").out
    (home / "driftd.db").unlink()
    assert "pauses" not in driftd("store", "restore", home / "backup").out, "there were none"


# --- a newer driftd beside an older one ------------------------------------------------------------------------------


def test_a_pause_holds_while_an_older_driftd_runs_on_the_store(driftd, home: Path):
    raw(
        home,
        "UPDATE alembic_version SET version_num = '0008'",
        LEASE_OF_ANOTHER,
    )
    said = driftd("pause", "--reason", "a fire")
    assert said.status == 0, said.err
    assert "An older driftd runs on the store" in said.err
    assert "a fire" in (home / "driftd.pause").read_text()


def test_resuming_beside_an_older_driftd_removes_the_pause_file_and_says_what_stays(driftd, home: Path):
    assert driftd("pause", "--reason", "lunch").status == 0
    older = ("UPDATE alembic_version SET version_num = '0008'", LEASE_OF_ANOTHER)
    raw(home, *older)
    assert driftd("pause", "--reason", "a fire").status == 0
    said = driftd("resume", "--group", "web")
    assert said.status == 3
    assert (home / "driftd.pause").exists(), "it is not the group's"
    said = driftd("resume")
    assert said.status == 3
    assert not (home / "driftd.pause").exists()
    assert (
        "driftd.pause is removed; what is paused in the store still is: An older driftd runs on the store" in said.err
    )
    assert "driftd resume again" in said.err
    again = driftd("resume")
    assert again.status == 3
    assert "is removed" not in again.err, "there was nothing left to remove"
    raw(home, f"UPDATE alembic_version SET version_num = '{HEAD}'")
    assert driftd("resume").out == "Resumed everywhere.\n"


def test_resuming_a_group_says_that_the_pause_file_still_stops_it(driftd, home: Path):
    assert driftd("pause", "--group", "web", "--reason", "lunch").status == 0
    (home / "driftd.pause").touch()
    assert "Resumed web. The pause file" in driftd("resume", "--group", "web").out
    assert (home / "driftd.pause").exists()
    assert driftd("resume").status == 0
    assert not (home / "driftd.pause").exists()


def test_a_pause_file_that_cannot_be_removed_is_said(driftd, home: Path):
    assert driftd("pause", "--reason", "lunch").status == 0
    (home / "driftd.pause").mkdir()
    said = driftd("resume")
    assert said.status == 3
    assert "The pause in the store is lifted, but the pause file" in said.err
    status = driftd("status").out
    assert "lunch" not in status
    assert "undoing too, by the file" in status


# --- check -----------------------------------------------------------------------------------------------------------


def test_check_says_that_the_journal_of_an_older_store_was_not_looked_at(driftd, home: Path):
    raw(home, "UPDATE alembic_version SET version_num = '0008'")
    found = driftd("store", "check")
    assert found.status == 0
    assert "its journal was not looked at" in found.out
    assert json.loads(driftd("store", "check", "--json").out)["journal"] is None


def test_check_heeds_a_break_that_was_found_before(driftd, home: Path):
    """What is left holds in itself."""
    store = open_store(f"sqlite:///{home / 'driftd.db'}")
    with store.write() as tx:
        tx.journal("human", "s", {}, datetime.now(UTC))
        tx.put_chain(ChainState(9, "ab" * 32, broken=2, why="lines were cut off its end"))
    store.close()
    found = driftd("store", "check")
    assert found.status == 1
    assert "the journal is broken at line 2: lines were cut off its end" in found.out
    assert "verify" not in found.out


# --- an export -------------------------------------------------------------------------------------------------------


def test_an_export_that_nobody_reads_on_keeps_no_transaction_open(home: Path):
    """As long as one is, the store's log cannot be tidied, and grows with every line."""
    store = open_store(f"sqlite:///{home / 'driftd.db'}")
    with store.write() as tx:
        for number in range(3000):
            tx.journal("observation", "s", {"n": number, "pad": "x" * 200}, datetime.now(UTC))
    command = [sys.executable, "-m", "driftd", "journal", "export"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, cwd=home, stdout=subprocess.PIPE, env=environment) as slow:
        assert slow.stdout.readline().startswith(b'{"after":0')
        slow.stdout.readline()
        tidied = threading.Event()
        for _ in range(200):
            with store.write() as tx:
                tx.journal("human", "s", {}, datetime.now(UTC))
            with closing(sqlite3.connect(home / "driftd.db", timeout=0.1)) as opened:
                if opened.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0:
                    tidied.set()
                    break
        assert tidied.is_set()
        rest = slow.stdout.read().splitlines()
    assert slow.returncode == 0
    assert [json.loads(line)["seq"] for line in rest][:2999] == [*range(2, 3001)]
    store.close()


def test_a_checkpoint_of_the_line_before_the_export_says_nothing_of_lines_it_does_not_hold(driftd, home: Path):
    (home / "driftd.yaml").write_text(CONFIGURATION + "trust: {unsigned: look, signing_key: key}\n")
    assert driftd("manifest", "keygen", "key").status == 0
    assert driftd("pause", "--reason", "one").status == 0
    assert driftd("pause", "--reason", "two").status == 0
    assert driftd("journal", "checkpoint", "-o", home / "cp").status == 0
    assert driftd("resume").status == 0
    assert driftd("journal", "export", "--since", "2", "-o", home / "part").status == 0
    said = driftd("journal", "verify", "--file", home / "part", "--checkpoint", home / "cp", "--key", home / "key.pub")
    assert said.status == 0, said.err
    assert "line 2, which is not in this file and on which it follows, is as it was signed at" in said.out
    assert "all before it" not in said.out
