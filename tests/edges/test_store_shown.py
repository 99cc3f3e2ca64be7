"""What a changed file says is kept with its finding, found again, and gone when the finding is."""

from datetime import timedelta

import pytest
from sqlalchemy import text
from store_rows import NOW, finding, instance, later

from driftd.core.shown import Shown
from driftd.edges.store import open_store

TEXT = Shown("yaml", b"\xff" * 32, b"a: \xff\n")


@pytest.fixture
def store(tmp_path):
    opened = open_store(f"sqlite:///{tmp_path / 's.db'}")
    with opened.write() as tx:
        tx.put_instance(instance())
    yield opened
    opened.close()


def test_it_is_found_again_and_replaced(store):
    with store.write() as tx:
        number = tx.add_finding("i-1", finding(), NOW).id
        assert tx.shown(number) is None
        tx.put_shown(number, TEXT)
        tx.put_shown(number, TEXT)
    with store.read() as tx:
        assert tx.shown(number) == TEXT
        assert tx.shown(number + 1) is None
    with store.write() as tx:
        tx.put_shown(number, Shown("yaml", b"", b"", "it is gone"))
        assert tx.shown(number).withheld == "it is gone"


def test_it_goes_with_its_finding(store):
    with store.write() as tx:
        kept, pruned = (tx.add_finding("i-1", finding(name), NOW).id for name in ("a" * 16, "b" * 16))
        for number in (kept, pruned):
            tx.put_shown(number, TEXT)
        tx.resolve_finding(pruned, later())
        assert tx.shown(pruned) == TEXT
        tx.prune(NOW + timedelta(days=1))
        assert tx.shown(kept) == TEXT
        assert tx.shown(pruned) is None
        rows = tx.run(text("select count(*) from shown")).scalar_one()
    assert rows == 1
