"""What looks leave for later ones: marks come back as they were, and identities are found among the living."""

from datetime import timedelta

import pytest
from store_rows import NOW, instance, later

from driftd.core.marks import Mark, Twin
from driftd.core.memory import StoreUnavailable
from driftd.edges.store.tables_marks import MARKS

ID, KEY = b"/etc/machine-id", b"/etc/ssh/ssh_host_rsa_key"
SOME = [
    Mark(b"/etc/once\n\xff", "firstboot", 0, b"\0" * 32, NOW.replace(microsecond=0)),
    Mark(b"/var/log/x", "growing", 1 << 40, b"\xff" * 32, NOW.replace(microsecond=0) - timedelta(days=400)),
]


@pytest.fixture
def two(store):
    with store.write() as tx:
        tx.put_instance(instance("i-1"))
        tx.put_instance(instance("i-2"))
    return store


def test_marks_come_back_as_they_were_and_are_replaced_as_a_whole(two):
    for marks in (SOME, SOME[:1], []):
        with two.write() as tx:
            tx.put_marks("i-1", marks)
        with two.read() as tx:
            assert list(tx.marks("i-1")) == marks
            assert list(tx.marks("i-2")) == []


def test_an_instance_without_a_word_from_earlier_looks_has_no_row(two):
    with two.write() as tx:
        tx.put_marks("i-1", [])
        assert tx.rows(MARKS.select()) == []


def test_marks_in_another_form_are_said_and_not_taken_for_none(two):
    with two.write() as tx:
        tx.put_marks("i-1", SOME)
        tx.run(MARKS.update().values(body=b"li1ee"))
    with two.read() as tx, pytest.raises(StoreUnavailable, match="marks of i-1"):
        tx.marks("i-1")


def test_twins_are_others_that_are_alive_with_the_same_digest_at_the_same_path(two):
    mine = {ID: b"a" * 32, KEY: b"b" * 32}
    with two.write() as tx:
        tx.put_identities("i-1", mine)
        tx.put_identities("i-2", {ID: b"a" * 32, KEY: b"a" * 32})
    with two.read() as tx:
        assert list(tx.twins("i-1", mine)) == [Twin("i-2", ID)]
        assert list(tx.twins("i-2", {KEY: b"b" * 32})) == [Twin("i-1", KEY)]
        assert list(tx.twins("i-1", {})) == []
    with two.write() as tx:
        tx.put_identities("i-2", {KEY: b"c" * 32})
        assert list(tx.twins("i-1", mine)) == []


def test_who_is_gone_is_nobodys_twin_until_it_is_there_again(two):
    with two.write() as tx:
        tx.put_identities("i-2", {ID: b"a" * 32})
        tx.put_instance(instance("i-2", gone_at=later(5)))
        assert list(tx.twins("i-1", {ID: b"a" * 32})) == []
        tx.put_instance(instance("i-2"))
        assert list(tx.twins("i-1", {ID: b"a" * 32})) == [Twin("i-2", ID)]


def test_they_go_with_their_instance(two):
    with two.write() as tx:
        tx.put_marks("i-2", SOME)
        tx.put_identities("i-2", {ID: b"a" * 32})
        tx.put_instance(instance("i-2", gone_at=later(5)))
        pruned = tx.prune(later(100))
        assert (pruned["marks"], pruned["identities"], pruned["instances"]) == (1, 1, 1)
