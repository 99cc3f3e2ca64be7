"""The migrations build what the tables say, no more and no less, and undo themselves when they fail."""

import importlib.util
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine
from sqlmodel import SQLModel

from driftd.core.memory import StoreUnavailable
from driftd.edges.store import open_store, opening, upgrading


def normal(sql):
    return " ".join(sql.replace("\n", " ").replace("\t", " ").split())


def schema(path):
    with closing(sqlite3.connect(path)) as raw:
        rows = raw.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND type != 'trigger'")
        return {name: normal(sql) for name, sql in rows if name not in ("alembic_version", "sqlite_sequence")}


@pytest.fixture
def path(tmp_path):
    open_store(f"sqlite:///{tmp_path}/driftd.db").close()
    return tmp_path / "driftd.db"


def test_alembic_finds_no_difference(path):
    with create_engine(f"sqlite:///{path}").connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), SQLModel.metadata) == []
        connection.engine.dispose()


def columns(path):
    with closing(sqlite3.connect(path)) as raw:
        names = [name for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {
            name: {
                "columns": raw.execute(f"PRAGMA table_info('{name}')").fetchall(),
                "keys": raw.execute(f"PRAGMA foreign_key_list('{name}')").fetchall(),
            }
            for name in names
            if name != "alembic_version"
        }


def test_sqlite_itself_finds_no_difference(path, tmp_path):
    """Alembic does not compare everything: partial indexes, AUTOINCREMENT and deferred keys are text in SQLite."""
    engine = create_engine(f"sqlite:///{tmp_path}/model.db")
    SQLModel.metadata.create_all(engine)
    engine.dispose()
    assert columns(path) == columns(tmp_path / "model.db")
    built, declared = schema(path), schema(tmp_path / "model.db")
    assert built.keys() == declared.keys()
    for name, sql in declared.items():
        if sql.startswith("CREATE TABLE"):
            for word in ("AUTOINCREMENT", "DEFERRABLE INITIALLY DEFERRED"):
                assert (word in sql) is (word in built[name]), (name, word)
        else:
            assert sql == built[name]


def test_opening_again_changes_nothing(path):
    before = path.read_bytes()
    open_store(f"sqlite:///{path}").close()
    assert path.read_bytes() == before


def test_a_migration_that_fails_leaves_the_store_as_it_was(tmp_path, monkeypatch):
    def half(connection):
        connection.exec_driver_sql("CREATE TABLE half (x)")
        connection.exec_driver_sql("CREATE TABLE half (x)")

    monkeypatch.setattr(upgrading, "upgrade", half)
    with pytest.raises(StoreUnavailable, match="half"):
        open_store(f"sqlite:///{tmp_path}/driftd.db")
    monkeypatch.undo()
    with closing(sqlite3.connect(tmp_path / "driftd.db")) as raw:
        assert raw.execute("SELECT name FROM sqlite_master").fetchall() == []
    open_store(f"sqlite:///{tmp_path}/driftd.db").close()


def test_the_newest_step_is_the_one_that_openings_expect():
    assert upgrading.steps()[0] == opening.HEAD


def test_the_migrations_are_found_from_anywhere(tmp_path):
    program = f"from driftd.edges.store import open_store; open_store('sqlite:///{tmp_path}/x.db').close()"
    subprocess.run([sys.executable, "-W", "error", "-c", program], cwd="/", check=True, timeout=60)
    assert (Path(importlib.util.find_spec("driftd.edges.store").origin).parent / "migrations" / "env.py").is_file()
