"""What a finding is attributed to is kept with it: with its session as that is known by now, if it is still known."""

import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest
from store_rows import NOW, finding, instance, later, session

from driftd.core.attributed import Attribution, Level
from driftd.edges.store import open_store


@pytest.fixture
def store(tmp_path):
    opened = open_store(f"sqlite:///{tmp_path / 's.db'}")
    with opened.write() as tx:
        tx.put_instance(instance())
        tx.put_instance(instance("i-2"))
    yield opened
    opened.close()


def test_it_is_found_again_and_replaced(store):
    here = session(live=True, key="SHA256:a")
    with store.write() as tx:
        number = tx.add_finding("i-1", finding(), NOW).id
        tx.add_session("i-1", here, own=False, now=NOW)
        (row,) = tx.sessions("i-1")
        tx.attribute(number, Attribution(Level.POSSIBLE, "several"), None, NOW)
        assert tx.attributions("i-1") == {number: Attribution(Level.POSSIBLE, "several")}
        tx.attribute(number, Attribution(Level.PROVED, "so the kernel says", here), row.id, NOW)
        left = replace(here, live=False, ended_at=later())
        tx.add_session("i-1", left, own=False, now=later())
        assert tx.attributions("i-1") == {number: Attribution(Level.PROVED, "so the kernel says", left)}
        assert tx.attributions("i-2") == {}


def test_it_goes_with_its_finding_and_outlives_its_session(store, tmp_path):
    with store.write() as tx:
        numbers = [tx.add_finding("i-1", finding(name), NOW).id for name in ("a", "b")]
        tx.add_session("i-1", session(), own=False, now=NOW)
        (row,) = tx.sessions("i-1")
        for number in numbers:
            tx.attribute(number, Attribution(Level.PROBABLE, "alone", row.session), row.id, NOW)
        tx.resolve_finding(numbers[0], NOW)
        assert list(tx.attributions("i-1")) == numbers[1:]
        assert list(tx.attributions("i-1", over=True)) == numbers
        tx.prune(later())
        assert list(tx.attributions("i-1", over=True)) == numbers[1:]
    with closing(sqlite3.connect(tmp_path / "s.db")) as raw:
        raw.execute("PRAGMA foreign_keys = ON")
        raw.execute("DELETE FROM session")
        raw.commit()
    with store.read() as tx:
        assert tx.attributions("i-1") == {numbers[1]: Attribution(Level.PROBABLE, "alone")}
