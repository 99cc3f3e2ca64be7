"""Stores of older driftds: each step is brought up to date, after a copy, and loses nothing."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from contextlib import closing

import pytest
from alembic import command
from sqlalchemy import create_engine
from store_rows import NOW

from driftd.core.chain import Verified
from driftd.core.memory import LeaseHeld, StoreUnavailable
from driftd.edges.store import check, here, open_store, upgrade, upgrading
from driftd.edges.store.opening import APPLICATION_ID, HEAD


def url(path):
    return f"sqlite:///{path}"


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


STEPS = sorted(upgrading.steps())


def older(path, step):
    """A store as the driftd of ``step`` made it, with a row in every table that this can be said of."""
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config = upgrading._config()
        config.attributes["connection"] = connection
        command.upgrade(config, step)
        connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")
    engine.dispose()
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("PRAGMA foreign_keys = ON")
        for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY rowid").fetchall():
            if name in {"alembic_version", "sqlite_sequence", "store", "journal", "chain", "checkpoint", "doubt"}:
                continue
            columns = [row[1:4] for row in raw.execute(f"PRAGMA table_info('{name}')")]
            values = [_value(*column) for column in columns]
            marks = ", ".join("?" for _ in columns)
            raw.execute(f"INSERT INTO '{name}' VALUES ({marks})", values)
        raw.executemany(
            "INSERT INTO journal (seq, at, kind, subject, body, prev, hash) VALUES (?, ?, ?, ?, ?, ?, ?)",
            JOURNAL_OF_OLD,
        )
        raw.commit()
    path.chmod(0o600)


def _value(name, kind, needed):
    if not needed:
        return None
    if kind != "TEXT":
        return b"de" if kind == "BLOB" else 1
    if name in WORDS:
        return WORDS[name]
    if name.endswith(("_at", "_since", "_seen")) or name in {"since", "at", "due", "until"}:
        return "2026-01-31T08:00:00.000000Z"
    return "i-1" if name in {"id", "instance_id"} else "x"


WORDS = dict.fromkeys(("expected", "actual", "seen", "record", "value"), "{}") | {
    "verdict": "clean",
    "action": "ignore",
    "change": "added",
    "severity": "high",
    "holder": "gone",
    "parted": "",
}

# A line as it was written before epochs were.
JOURNAL_OF_OLD = (
    (
        1,
        "2026-01-31T08:00:00.000000Z",
        "decision",
        "i-1",
        '{"n":1}',
        "0" * 64,
        "3be6e6c384763fd0023aac884c56c7685c00afc264199b37eff28bf1672ced91",
    ),
)


@pytest.mark.parametrize("step", STEPS[:-1])
def test_a_store_of_any_older_step_is_brought_up_to_date_and_loses_nothing(tmp_path, step):
    path = tmp_path / "driftd.db"
    older(path, step)
    with closing(sqlite3.connect(path)) as raw:
        tables = [name for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        before = {name: raw.execute(f"SELECT count(*) FROM '{name}'").fetchone() for name in tables}
    with pytest.raises(StoreUnavailable, match="of an older driftd") as caught:
        open_store(url(path), read_only=True)
    assert "driftd store upgrade" in caught.value.hint
    assert check(url(path)).schema == step
    assert upgrade(url(path)) == (step, tmp_path / f"driftd.db.schema-{step}")
    found = check(url(path))
    assert (found.schema, found.damage, found.chain) == (HEAD, "", Verified(1, JOURNAL_OF_OLD[0][-1]))
    assert upgrade(url(path)) == (HEAD, None)
    with closing(sqlite3.connect(path)) as raw:
        for name, count in before.items():
            assert raw.execute(f"SELECT count(*) FROM '{name}'").fetchone() == count, name
    kept = tmp_path / f"driftd.db.schema-{step}"
    assert kept.stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(kept)) as raw:
        assert raw.execute("SELECT version_num FROM alembic_version").fetchone() == (step,)
    store = open_store(url(path))
    assert store.take_lease(here(), 30, NOW) == 2, "the epoch goes on"
    with store.write() as tx:
        assert tx.journal("human", "s", {}, NOW).prev == JOURNAL_OF_OLD[0][-1]
        assert [pause.hard for pause in tx.pauses()] == [step >= "0009"]
        assert [row.zone for row in tx.instances(gone=True)] == ["x" if step >= "0010" else ""]
        assert len(tx.zones(NOW)) == (step >= "0010")
        assert [(row.key, bool(row.trace)) for row in tx.visits("i-1")] == [("x", step >= "0012")]
    assert isinstance(store.verify_journal(), Verified)
    store.close()


@pytest.mark.parametrize(
    ("is_open", "body", "ended"),
    [
        (0, '{"entered_at": "2026-01-31T09:00:00.000000Z"}', "2026-01-31T09:00:00.000000Z"),
        (0, "{}", "2026-01-31T08:00:00.000000Z"),
        (0, "no JSON", "2026-01-31T08:00:00.000000Z"),
        (1, '{"entered_at": "2026-01-31T09:00:00.000000Z"}', None),
    ],
)
def test_when_an_older_replacement_ended_is_taken_from_its_record(tmp_path, is_open, body, ended):
    path = tmp_path / "driftd.db"
    older(path, "0006")
    with closing(sqlite3.connect(path)) as raw:
        said = (is_open, body, "2026-01-31T08:00:00.000000Z")
        assert raw.execute("UPDATE replacement SET open = ?, record = ?, created_at = ?", said).rowcount
        raw.commit()
    open_store(url(path)).close()
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("SELECT ended_at FROM replacement").fetchall() == [(ended,)]


def test_an_older_daemon_that_runs_is_not_pulled_the_store_away_from(tmp_path):
    path = tmp_path / "driftd.db"
    older(path, "0006")
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("UPDATE lease SET holder = 'elsewhere pid 7', expires_at = '2999-01-01T00:00:00.000000Z'")
        raw.commit()
    with pytest.raises(LeaseHeld, match="An older driftd runs on the store"):
        open_store(url(path))
    assert check(url(path)).schema == "0006"


def test_where_there_is_no_room_for_the_copy_an_older_store_stays_as_it_is(small):
    path = small / "driftd.db"
    older(path, "0006")
    fill(small, 65536)
    with pytest.raises(StoreUnavailable):
        upgrade(url(path))
    assert check(url(path)).schema == "0006"
    (small / "ballast").unlink()
    assert upgrade(url(path))[0] == "0006"


def test_a_second_copy_does_not_take_the_first_ones_place(tmp_path):
    path = tmp_path / "driftd.db"
    older(path, "0005")
    first = upgrade(url(path))[1]
    content = first.read_bytes()
    path.unlink()
    older(path, "0005")
    assert upgrade(url(path))[1].name == "driftd.db.schema-0005.2"
    assert first.read_bytes() == content
