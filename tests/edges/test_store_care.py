"""The store's care: epochs, checks, backups under a daemon, restores, and stores of every older step."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing

import pytest
from store_rows import NOW, instance, later, record

from driftd.core.chain import Broken, Verified
from driftd.core.errors import BadInput
from driftd.core.memory import LeaseHeld, Pause, StoreUnavailable
from driftd.core.upkeep import ChainState, Doubt
from driftd.edges.store import backup, check, open_store, restore
from driftd.edges.store.care import open_by
from driftd.edges.store.opening import HEAD


def url(path):
    return f"sqlite:///{path}"


@pytest.fixture
def path(tmp_path):
    """A store with rows and ten lines, closed."""
    store = open_store(url(tmp_path / "driftd.db"))
    epoch = store.take_lease("alpha", 30, NOW)
    with store.write() as tx:
        tx.put_instance(instance())
        tx.add_replacement(record())
        for number in range(10):
            tx.journal("decision", "i-1", {"n": number}, NOW)
    store.drop_lease("alpha", epoch)
    store.close()
    return tmp_path / "driftd.db"


def lines_of(path):
    store = open_store(url(path), read_only=True)
    with store.read() as tx:
        found = tx.journal_lines()
    store.close()
    return found


# --- epochs in the store ---------------------------------------------------------------------------------------------


def test_every_line_carries_the_epoch_of_the_newest_lease(store, other):
    with store.write() as tx:
        tx.journal("human", "s", {}, NOW)
    store.take_lease("alpha", 30, NOW)
    with store.write() as tx:
        tx.journal("decision", "s", {}, NOW)
    other.take_lease("beta", 30, later(31))
    plain = open_store(url(store.path))
    with plain.write() as tx:  # a person's command, under whichever daemon
        tx.journal("human", "s", {}, NOW)
    plain.close()
    with store.read() as tx:
        assert [line.epoch for line in tx.journal_lines()] == [0, 1, 2]
    assert isinstance(store.verify_journal(), Verified)


def test_who_was_taken_over_adds_no_line_and_moves_no_record(store, other):
    store.take_lease("alpha", 30, NOW)
    with store.write() as tx:
        tx.add_replacement(record())
    other.take_lease("beta", 30, later(31))
    with pytest.raises(LeaseHeld, match="beta"), store.write() as tx:
        tx.journal("result", "r1", {"late": True}, later(32))
    with pytest.raises(LeaseHeld, match="beta"), store.write() as tx:
        tx.save_replacement(record())
    with other.read() as tx:
        assert tx.journal_lines() == []
        assert tx.replacement("r1").version == 0


def test_two_daemons_that_race_for_a_store_are_never_both_let_write(store, other):
    """Each takes the lease over from the other as soon as it may, and writes what its epoch says."""
    done = threading.Event()
    wrong = []

    def run(mine, name):
        for number in range(60):
            try:
                epoch = mine.take_lease(f"{name} {number}", 0, later(number))
                with mine.write() as tx:
                    if tx.journal("decision", name, {"epoch": epoch}, NOW).epoch != epoch:
                        wrong.append(epoch)
            except LeaseHeld:
                continue
        done.set()

    threads = [threading.Thread(target=run, args=pair) for pair in ((store, "alpha"), (other, "beta"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert done.is_set()
    assert not wrong
    with store.read() as tx:
        lines = tx.journal_lines()
    assert all(line.body["epoch"] == line.epoch for line in lines)
    assert len({line.epoch for line in lines}) == len(lines) > 10
    assert isinstance(store.verify_journal(), Verified)


def test_an_epoch_is_above_whatever_was_ever_written_or_taken_note_of(store):
    with store.write() as tx:
        tx.add_doubt(Doubt("epoch", "41", "i-1 was launched in epoch 41", NOW, 41))
        tx.add_doubt(Doubt("restored", "x", "it was restored", later(), 3))
        assert [one.epoch for one in tx.settle_doubts("ann", "looked", later(2))] == [41, 3]
        assert all(one.settled_by == "ann" for one in tx.doubts())
        assert tx.settle_doubts("ann", "again", later(3)) == []
        assert not tx.add_doubt(Doubt("epoch", "41", "again", later(4), 41)), "the same is not doubted twice"
    assert store.take_lease("alpha", 30, NOW) == 42


def test_what_is_known_of_the_chain_is_kept(store):
    with store.write() as tx:
        assert tx.chain() == ChainState(head="0" * 64)
        state = ChainState(3, "ab" * 32, NOW, None, 2, "line 2 is missing", later())
        tx.put_chain(state)
        assert tx.chain() == state


def test_a_hard_pause_is_kept_as_one(store):
    with store.write() as tx:
        tx.set_pause(Pause("web", "ann", "stop", NOW, hard=True))
        assert tx.pauses() == [Pause("web", "ann", "stop", NOW, hard=True)]
        tx.set_pause(Pause("web", "ann", "stop", NOW))
        assert tx.pauses() == [Pause("web", "ann", "stop", NOW)]


# --- check -----------------------------------------------------------------------------------------------------------


def test_a_store_that_is_whole_is_called_that_while_it_is_in_use(path):
    store = open_store(url(path))
    with store.write() as tx:
        tx.journal("human", "s", {}, NOW)
    found = check(url(path))
    assert (found.damage, found.schema, found.chain.count) == ("", HEAD, 11)
    assert found.size > 0
    assert found.log > 0
    store.close()


def test_a_broken_chain_and_a_damaged_file_are_told_apart(path):
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("DROP TRIGGER journal_no_update")
        raw.execute("UPDATE journal SET subject = 'x' WHERE seq = 4")
        raw.commit()
    found = check(url(path))
    assert found.damage == ""
    assert isinstance(found.chain, Broken)
    assert found.chain.seq == 4
    with closing(sqlite3.connect(path)) as raw:
        (page,) = raw.execute("SELECT rootpage FROM sqlite_master WHERE name = 'replacement_created'").fetchone()
    content = bytearray(path.read_bytes())
    content[(page - 1) * 4096 + 8 :] = content[(page - 1) * 4096 + 8 :].replace(b"2026-01-31", b"2029-01-31", 1)
    path.write_bytes(content)
    found = check(url(path))
    assert found.damage
    assert found.chain is None


@pytest.mark.parametrize("content", [None, b"", b"no database at all, only some words" * 100])
def test_what_is_no_store_is_said(tmp_path, content):
    if content is not None:
        (tmp_path / "x").write_bytes(content)
    with pytest.raises(StoreUnavailable):
        check(url(tmp_path / "x"))


def test_a_copy_on_media_that_nobody_can_write_to_is_read_where_it_lies(path, small):
    """Copied with cp: a log is kept beside it, SQLite thinks, and there it cannot be made."""
    (small / "copy").write_bytes(path.read_bytes())
    subprocess.run(["mount", "-o", "remount,ro", small], check=True)
    found = check(url(small / "copy"))
    assert (found.damage, found.chain.count) == ("", 10)
    restore(url(path), small / "copy", "ann", NOW)
    assert len(lines_of(path)) == 11


def test_a_break_that_was_found_before_counts_until_it_is_accepted(path):
    """Lines were cut off its end: what is left holds in itself."""
    store = open_store(url(path))
    with store.write() as tx:
        tx.put_chain(ChainState(10, "ab" * 32, broken=11, why="lines were cut off its end"))
    store.close()
    assert check(url(path)).chain == Broken(11, "lines were cut off its end")


# --- backup ----------------------------------------------------------------------------------------------------------


def test_a_backup_is_of_one_moment_while_the_daemon_writes(path, tmp_path):
    store = open_store(url(path))
    stop = threading.Event()
    rows = 0

    def write():
        nonlocal rows
        while not stop.is_set():
            with store.write() as tx:  # two things that belong together
                tx.put_instance(instance(f"w-{rows}"))
                tx.journal("observation", f"w-{rows}", {"n": rows}, NOW)
            rows += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(5):
            before = rows
            target = tmp_path / f"backup-{number}"
            assert isinstance(backup(url(path), target).chain, Verified)
            assert target.stat().st_mode & 0o777 == 0o600
            copied = open_store(url(target), read_only=True)
            with copied.read() as tx:
                instances = len(tx.instances()) - 1
                assert instances == len(tx.journal_lines()) - 10
            copied.close()
            assert before <= instances <= rows
    finally:
        stop.set()
        writer.join(30)
        store.close()
    assert not [file for file in tmp_path.iterdir() if file.name.startswith(".")]


def test_a_backup_replaces_a_file_whole_or_not_at_all(path, tmp_path):
    target = tmp_path / "backup"
    target.write_text("yesterday's")
    assert backup(url(path), target).chain.count == 10
    with pytest.raises(BadInput, match="the store itself"):
        backup(url(path), path)
    (tmp_path / "link").hardlink_to(path)
    with pytest.raises(BadInput, match="the store itself"):
        backup(url(path), tmp_path / "link")
    for bad in (tmp_path, tmp_path / "no" / "backup"):
        with pytest.raises(StoreUnavailable, match="cannot be made"):
            backup(url(path), bad)
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(StoreUnavailable, match="is no file"):
        backup(url(path), tmp_path / "fifo")


def test_a_damaged_store_is_not_copied_over_a_good_backup(path, tmp_path):
    target = tmp_path / "backup"
    target.write_text("good")
    content = path.read_bytes()
    path.write_bytes(content[:8192] + b"\x99" * 4096 + content[12288:])
    with pytest.raises(StoreUnavailable):
        backup(url(path), target)
    assert target.read_text() == "good"


@pytest.fixture
def small(tmp_path):
    where = tmp_path / "small"
    where.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", where], check=True)
    yield where
    subprocess.run(["umount", where], check=True)


def fill(where, leave):
    room = os.statvfs(where)
    (where / "ballast").write_bytes(b"\0" * max(0, room.f_bavail * room.f_frsize - leave))


@pytest.mark.parametrize("leave", [0, 4096, 40960, 131072])
def test_no_room_for_a_backup_is_said_and_leaves_what_was_there(path, small, leave):
    (small / "backup").write_text("yesterday's")
    fill(small, leave)
    with pytest.raises(StoreUnavailable, match=r"full|no space") as caught:
        backup(url(path), small / "backup")
    assert "Make room" in caught.value.hint or "directory" in caught.value.hint
    assert sorted(file.name for file in small.iterdir()) == ["backup", "ballast"]
    assert (small / "backup").read_text() == "yesterday's"


# --- restore ---------------------------------------------------------------------------------------------------------


def test_a_restored_store_is_marked_and_what_it_replaced_is_kept(path, tmp_path):
    backup(url(path), tmp_path / "backup")
    store = open_store(url(path))
    epoch = store.take_lease("beta", 30, later(100))
    with store.write() as tx:
        tx.journal("decision", "s", {"since": True}, NOW)
    store.drop_lease("beta", epoch)
    store.close()
    done = restore(url(path), tmp_path / "backup", "ann", later(200))
    assert [line.body.get("since") for line in lines_of(done.aside)][-1] is True
    assert len(lines_of(path)) == 11
    assert lines_of(path)[-1].body["did"] == "store restored"
    assert path.stat().st_mode & 0o777 == 0o600
    store = open_store(url(path))
    with store.read() as tx:
        (doubt,) = tx.doubts()
        facts = tx.store_facts()
    assert (doubt.code, doubt.settled_at) == ("restored", None)
    assert "from backup, whose journal ends at line 10 of 2026-01-31 08:00:00 UTC" in doubt.why
    assert facts.restored_at == later(200)
    # Above the epoch of the store that it replaced, whose own restore took one more.
    assert store.take_lease("gamma", 30, later(300)) > epoch
    assert isinstance(store.verify_journal(), Verified)
    store.close()


def test_a_restore_under_a_daemon_is_refused(path, tmp_path):
    backup(url(path), tmp_path / "backup")
    before = path.read_bytes()
    store = open_store(url(path))
    epoch = store.take_lease("alpha pid 7", 30, NOW)
    with pytest.raises(LeaseHeld, match="alpha pid 7"):
        restore(url(path), tmp_path / "backup", "ann", later(5))
    store.drop_lease("alpha pid 7", epoch)
    store.close()
    assert path.read_bytes()[:100][:24] == before[:24]
    assert restore(url(path), tmp_path / "backup", "ann", later(5)).aside


def test_a_restore_while_another_process_has_the_store_open_is_refused(path, tmp_path):
    backup(url(path), tmp_path / "backup")
    program = (
        "import sys; from driftd.edges.store import open_store; s = open_store(sys.argv[1]); "
        "tx = s.read(); tx.__enter__().instances(); print('open', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, url(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as reader:
        assert reader.stdout.readline() == b"open\n"
        assert open_by(str(path)) == reader.pid
        with pytest.raises(LeaseHeld, match=f"Process {reader.pid} has the store"):
            restore(url(path), tmp_path / "backup", "ann", NOW)
        reader.stdin.close()
        reader.wait(30)
    assert open_by(str(path)) == 0
    restore(url(path), tmp_path / "backup", "ann", NOW)


def test_a_store_that_is_damaged_or_gone_is_replaced_and_kept(path, tmp_path):
    backup(url(path), tmp_path / "backup")
    damaged = b"\x00" * 100 + path.read_bytes()[100:]
    path.write_bytes(damaged)
    done = restore(url(path), tmp_path / "backup", "ann", NOW)
    assert done.aside.read_bytes() == damaged
    assert len(lines_of(path)) == 11
    path.unlink()
    assert restore(url(path), tmp_path / "backup", "ann", later()).aside is None
    assert len(lines_of(path)) == 11


def test_a_log_that_was_left_behind_is_not_played_into_what_was_restored(path, tmp_path):
    """A daemon that ended hard leaves its -wal; its pages belong to the file that was replaced."""
    backup(url(path), tmp_path / "backup")
    program = (
        "import os, sys; from driftd.edges.store import open_store\n"
        "from store_rows import *\n"
        "s = open_store(sys.argv[1])\n"
        "with s.write() as tx: tx.journal('human', 's', {'late': 1}, NOW)\n"
        "os._exit(0)"
    )
    env = os.environ | {"PYTHONPATH": os.path.dirname(__file__)}
    subprocess.run([sys.executable, "-c", program, url(path)], check=True, env=env, timeout=60)
    assert (path.parent / "driftd.db-wal").exists()
    (path.parent / "driftd.db").write_bytes(b"\xff" * 4096)  # so that nobody can tidy the log into it
    done = restore(url(path), tmp_path / "backup", "ann", NOW)
    assert len(lines_of(path)) == 11
    assert (done.aside.parent / f"{done.aside.name}-wal").exists()


def test_a_log_without_its_file_is_not_played_into_what_was_restored_either(path, tmp_path):
    """Somebody took the damaged file away, and left its log."""
    backup(url(path), tmp_path / "backup")
    store = open_store(url(path))
    with store.write() as tx:
        tx.journal("human", "s", {"late": 1}, NOW)
    log = (tmp_path / "driftd.db-wal").read_bytes()
    store.close()
    path.unlink()
    (tmp_path / "driftd.db-wal").write_bytes(log)
    assert restore(url(path), tmp_path / "backup", "ann", NOW).aside is None
    assert len(lines_of(path)) == 11
    (aside,) = tmp_path.glob("driftd.db.replaced-*-wal")
    assert aside.read_bytes() == log


@pytest.mark.parametrize("wrong", ["missing", "words", "cut", "newer", "itself"])
def test_a_backup_that_is_none_is_refused_and_nothing_is_moved(path, tmp_path, wrong):
    source = tmp_path / "backup"
    backup(url(path), source)
    if wrong == "missing":
        source.unlink()
    elif wrong == "words":
        source.write_text("words" * 1000)
    elif wrong == "cut":
        source.write_bytes(source.read_bytes()[:-8192])
    elif wrong == "newer":
        with closing(sqlite3.connect(source)) as raw:
            raw.execute("UPDATE alembic_version SET version_num = '9999'")
            raw.commit()
    else:
        source.unlink()
        source.hardlink_to(path)
    names = sorted(file.name for file in tmp_path.iterdir())
    with pytest.raises((StoreUnavailable, BadInput)) as caught:
        restore(url(path), source, "ann", NOW)
    assert caught.value.hint
    assert sorted(file.name for file in tmp_path.iterdir()) == names
    assert len(lines_of(path)) == 10


def test_no_room_to_restore_leaves_the_store_as_it_was(small):
    place = small / "driftd.db"
    store = open_store(url(place))
    with store.write() as tx:
        for number in range(30):
            tx.journal("decision", "s", {"n": number}, NOW)
    store.close()
    backup(url(place), small / "backup")
    fill(small, 65536)
    with pytest.raises(StoreUnavailable, match=r"full|no space|grow"):
        restore(url(place), small / "backup", "ann", NOW)
    assert sorted(file.name for file in small.iterdir()) == ["backup", "ballast", "driftd.db"]
    assert len(lines_of(place)) == 30
