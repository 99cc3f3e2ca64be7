"""What was so: findings of a time that is over, and what was explained, kept for trying other policies on it."""

from dataclasses import replace

import pytest
from store_rows import NOW, finding, instance, later

from driftd.core.difference import Change
from driftd.core.findings import Action
from driftd.edges.store.tx_history import MOST

LOG = finding("s1", subject=b"/var/log/x", change=Change.ADDED, action=Action.EXPLAIN, rule="debian:other-logs")
PORT = finding("s2", kind="listener", subject=b"tcp 0.0.0.0:80", action=Action.EXPLAIN, rule="nginx:ports")


def keep(store, *explained, at=0.0):
    with store.write() as tx:
        tx.put_instance(instance())
        tx.keep_explained("i-1", explained, later(at))


def kept(store, since=NOW):
    with store.read() as tx:
        return {(row.difference.kind, row.difference.subject): row for row in tx.explained_since(since)}


def test_what_was_explained_comes_back_as_it_was(store):
    keep(store, LOG, PORT)
    rows = kept(store)
    assert rows.keys() == {("file", b"/var/log/x"), ("listener", b"tcp 0.0.0.0:80")}
    row = rows["file", b"/var/log/x"]
    assert (row.instance_id, row.rule, row.because, row.first_seen, row.gone_at) == (
        "i-1",
        LOG.rule,
        LOG.because,
        NOW,
        None,
    )
    assert (row.difference.change, row.difference.expected, row.difference.actual) == (
        Change.ADDED,
        LOG.expected,
        LOG.actual,
    )


def test_a_log_that_grows_is_one_thing(store):
    keep(store, LOG)
    keep(store, replace(LOG, signature="other", actual={"size": "9"}), at=60)
    (row,) = kept(store).values()
    assert (row.difference.actual, row.first_seen) == ({"size": "9"}, NOW)


def test_two_programs_on_one_port_are_two(store):
    keep(store, PORT, replace(PORT, signature="s3", actual={"program": "/usr/bin/nc"}))
    with store.read() as tx:
        assert len(tx.explained_since(NOW)) == 2


def test_what_is_gone_is_kept_for_as_long_as_it_is_asked_for(store):
    keep(store, LOG)
    keep(store, at=60)
    keep(store, at=120)
    assert kept(store, later(60))["file", b"/var/log/x"].gone_at == later(60)
    assert kept(store, later(61)) == {}


def test_what_comes_back_is_there_again(store):
    keep(store, LOG)
    keep(store, at=60)
    keep(store, LOG, at=120)
    (row,) = kept(store, later(200)).values()
    assert (row.first_seen, row.gone_at) == (later(120), None)


def test_a_flood_is_cut(store):
    keep(store, *(replace(LOG, subject=b"/tmp/%d" % number) for number in range(MOST + 50)))
    assert len(kept(store)) == MOST


def test_findings_of_a_time(store):
    with store.write() as tx:
        tx.put_instance(instance())
        gone, stays = tx.add_finding("i-1", finding("a"), NOW), tx.add_finding("i-1", finding("b"), NOW)
        tx.resolve_finding(gone.id, later(60))
    with store.read() as tx:
        assert [row.id for row in tx.findings_since(later(60))] == [gone.id, stays.id]
        assert [row.id for row in tx.findings_since(later(61))] == [stays.id]


@pytest.mark.parametrize("gone", [False, True])
def test_what_is_over_is_swept(store, gone):
    keep(store, LOG)
    keep(store, at=60)
    if gone:
        with store.write() as tx:
            tx.keep_explained("i-1", [LOG], later(70))
            tx.put_instance(instance(gone_at=later(80)))
    with store.write() as tx:
        assert tx.prune(later(100))["explained"] == 1
    assert kept(store) == {}
