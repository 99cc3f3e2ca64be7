"""Real processes on one store: at once, and ended hard in the middle of it."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from store_rows import NOW, instance, later, record

from driftd.core.chain import Verified
from driftd.core.memory import LeaseHeld, StoreUnavailable
from driftd.core.replacement import State
from driftd.edges.store import open_store

# Counts in a replacement's "attempt", each step in one transaction with its journal line.
WRITER = """
import sys
from dataclasses import replace
from datetime import UTC, datetime
from driftd.edges.store import open_store
url, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
store = open_store(url)
print("ready", flush=True)
sys.stdin.readline()
for number in range(count):
    with store.write() as tx:
        kept = tx.replacement("r1")
        line = tx.journal("intent", name, {"attempt": kept.attempt + 1, "pad": "x" * 500}, datetime.now(UTC))
        tx.save_replacement(replace(kept, attempt=kept.attempt + 1))
    print(kept.attempt + 1, line.seq, flush=True)
"""

HOLDER = """
import sys
from datetime import datetime
from driftd.edges.store import here, open_store
store = open_store(sys.argv[1])
print(store.take_lease(here(), 3600, datetime.fromisoformat(sys.argv[2])), flush=True)
sys.stdin.readline()
"""


def start(program, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parents[2],
    )


def end(process):
    process.kill()
    process.wait(10)
    process.stdin.close()
    process.stdout.close()


@pytest.fixture
def url(tmp_path):
    where = f"sqlite:///{tmp_path}/driftd.db"
    store = open_store(where)
    with store.write() as tx:
        tx.add_replacement(record(state=State.LAUNCHING, attempt=0))
    store.close()
    return where


def check(url):
    """The chain holds, and the record says exactly as much as the journal; how far it came."""
    store = open_store(url)
    answer = store.verify_journal()
    assert isinstance(answer, Verified), answer
    with store.read() as tx:
        kept = tx.replacement("r1")
        assert kept.attempt == kept.version == answer.count
        assert [line.body["attempt"] for line in tx.journal_lines()] == list(range(1, answer.count + 1))
    store.close()
    checked = sqlite3.connect(url.removeprefix("sqlite:///"))
    assert checked.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    checked.close()
    return answer.count


def test_two_processes_that_write_at_once_lose_nothing(url):
    writers = [start(WRITER, url, name, 150) for name in ("one", "two")]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    said = [writer.communicate(timeout=60)[0].splitlines() for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0]
    assert check(url) == 300
    assert sorted(int(line.split()[0]) for lines in said for line in lines) == list(range(1, 301))
    assert all(len(lines) == 150 for lines in said)


def test_ended_hard_in_the_middle_of_writing_nothing_that_was_said_is_lost(url):
    chance = random.Random(7)
    reached = 0
    for _ in range(5):
        writer = start(WRITER, url, "one", 1_000_000)
        assert writer.stdout.readline() == "ready\n"
        writer.stdin.write("go\n")
        writer.stdin.flush()
        last = writer.stdout.readline()
        deadline = time.monotonic() + chance.uniform(0.0, 0.15)
        while time.monotonic() < deadline:
            last = writer.stdout.readline()
        os.kill(writer.pid, signal.SIGKILL)
        rest = writer.stdout.read()
        end(writer)
        # The last line may have been cut short; what was said whole was kept, and at most one more.
        lines = [line for line in [last, *rest.splitlines(keepends=True)] if line.endswith("\n")]
        announced = int(lines[-1].split()[0])
        count = check(url)
        assert announced <= count <= announced + 1
        assert count > reached
        reached = count


def test_many_processes_open_a_new_store_at_once(tmp_path):
    where = f"sqlite:///{tmp_path}/new.db"
    writers = [start(WRITER, where, f"w{n}", 0) for n in range(3)]
    for writer in writers:
        out, _ = writer.communicate("go\n", timeout=60)
        assert (writer.returncode, out) == (0, "ready\n")


def test_the_lease_of_a_daemon_that_was_ended_hard_is_free_at_once_on_its_machine(url):
    holder = start(HOLDER, url, NOW.isoformat())
    assert holder.stdout.readline() == "1\n"
    store = open_store(url)
    try:
        with pytest.raises(LeaseHeld, match=f"pid {holder.pid}"):
            store.take_lease("next", 30, later(1))
        end(holder)
        assert store.take_lease("next", 30, later(1)) == 2
    finally:
        store.close()


def test_status_reads_while_another_process_writes(url):
    writer = start(WRITER, url, "one", 1_000_000)
    try:
        assert writer.stdout.readline() == "ready\n"
        writer.stdin.write("go\n")
        writer.stdin.flush()
        reader = open_store(url, read_only=True)
        seen = []
        for _ in range(30):
            writer.stdout.readline()
            with reader.read() as tx:
                lines = tx.journal_lines()
                assert tx.replacement("r1").attempt == len(lines)
            seen.append(len(lines))
        assert seen == sorted(seen)
        assert seen[-1] > seen[0]
        reader.close()
    finally:
        end(writer)


def test_a_store_that_is_locked_says_so_and_goes_on_afterwards(url):
    store = open_store(url, patience_s=0.2)
    rude = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    rude.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked by another process"), store.write() as tx:
        tx.put_instance(instance())
    with store.read() as tx:
        assert tx.instances() == []
    rude.execute("ROLLBACK")
    rude.close()
    with store.write() as tx:
        tx.put_instance(instance())
    store.close()
