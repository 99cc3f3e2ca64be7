"""What SQLite is asked directly is answered as SQLAlchemy would, at every asking; and whoever reads cannot write."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from datetime import UTC, datetime

import pytest
from sqlalchemy import bindparam, insert, select

from driftd.core.holds import Hold
from driftd.core.memory import StoreUnavailable
from driftd.edges.store import open_store
from driftd.edges.store.reading import Question, question
from driftd.edges.store.tables import JOB, PAUSE
from driftd.edges.store.tables_guard import HOLD

NOW = datetime(2030, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
ODD = ["plain", "ü \n \x00", "\udcff", "😀", "'; DROP TABLE hold; --"]


@pytest.fixture
def store(tmp_path):
    with closing(open_store(f"sqlite:///{tmp_path / 'driftd.db'}")) as made:
        with made.write() as tx:
            for number, text in enumerate(ODD):
                tx.put_hold(Hold(0, f"i-{number}", text, "ann", text, NOW, NOW))
        yield made


@pytest.mark.parametrize("text", ODD)
def test_every_asking_has_the_same_answer(store, text):
    """The first goes through SQLAlchemy, the third surely does not."""
    statement = select(HOLD).where(HOLD.c.group == bindparam("group"))
    answers = []
    for _ in range(3):
        with store.read() as tx:
            answers.append([dict(row) for row in tx.rows(statement, group=text)])
    assert isinstance(question(statement), Question)
    assert answers[0] == answers[1] == answers[2]
    (row,) = answers[2]
    assert (row["group"], row["reason"], row["until"], row["released_at"]) == (text, text, NOW, None)


def test_what_has_to_be_written_anew_for_its_values_stays_with_sqlalchemy(store):
    several = select(JOB.c.id).where(JOB.c.id.in_(bindparam("ids", expanding=True)))
    twice = select(HOLD.c.owner, PAUSE.c.owner).select_from(HOLD.join(PAUSE, HOLD.c.group == PAUSE.c.group))
    for statement, values in ((several, {"ids": (1, 2)}), (twice, {})):
        for _ in range(3):
            with store.read() as tx:
                assert list(tx.rows(statement, **values)) == []
    assert question(several) is None


def test_a_value_that_is_missing_is_a_mistake_and_not_nothing(store):
    statement = select(HOLD).where(HOLD.c.group == bindparam("group"))
    made = Question(statement)
    with closing(sqlite3.connect(store.path)) as connection, pytest.raises(KeyError):
        made.ask(connection, {})


def test_damage_is_said_at_every_asking_and_ends_the_transaction(store):
    statement = select(HOLD.c.until)
    with closing(sqlite3.connect(store.path)) as connection, connection:
        connection.execute("UPDATE hold SET until = 'yesterday'")
    for _ in range(3):
        with pytest.raises(StoreUnavailable, match="cannot read: 'yesterday'"), store.read() as tx:
            tx.rows(statement)
    with closing(sqlite3.connect(store.path)) as connection, connection:
        connection.execute("ALTER TABLE hold RENAME TO gone")
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="no such table"), store.read() as tx, suppress(StoreUnavailable):
            tx.rows(statement)


def test_whoever_reads_cannot_write_also_after_somebody_wrote(store):
    for _ in range(2):
        with store.write() as tx:
            tx.put_hold(Hold(0, "i-9", "web", "ann", "again", NOW, NOW))
        with pytest.raises(StoreUnavailable, match="cannot be written"), store.read() as tx:
            tx.run(insert(PAUSE), {"group": "", "owner": "eve", "reason": "no", "since": NOW, "hard": False})
    with store.read() as tx:
        assert list(tx.pauses()) == []
