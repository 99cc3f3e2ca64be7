"""What each outlet has taken, shows and was clicked on, in the store."""

from __future__ import annotations

from dataclasses import replace

import pytest
from store_rows import NOW, later

from driftd.core.findings import Severity
from driftd.core.memory import Message
from driftd.core.outbox import Ended, Incident
from driftd.edges.store import open_store


@pytest.fixture
def store(tmp_path):
    made = open_store(f"sqlite:///{tmp_path / 'driftd.db'}")
    with made.write() as tx:
        for key in ("a", "b"):
            tx.say(Message(key, "drift", Severity.LOW, key), NOW)
    yield made
    made.close()


def waiting(store, outlet):
    with store.read() as tx:
        return [(one.message.key, one.attempts, one.doubt) for one in tx.undelivered(outlet, 10)]


def test_each_outlet_has_its_own_state(store):
    with store.write() as tx:
        tx.begin_delivery("log", [1], NOW)
        tx.end_delivery("log", [1], Ended.SAID, NOW)
        tx.begin_delivery("slack", [1], NOW)
    assert waiting(store, "log") == [("b", 0, False)]
    assert waiting(store, "slack") == [("b", 0, False), ("a", 1, True)]
    assert waiting(store, "other") == [("a", 0, False), ("b", 0, False)]


def test_a_doubt_ends_with_what_surely_was_not_said(store):
    with store.write() as tx:
        tx.begin_delivery("slack", [1, 2], NOW)
        tx.end_delivery("slack", [1], Ended.UNSAID, NOW)
        tx.end_delivery("slack", [2], Ended.UNKNOWN, NOW)
    assert waiting(store, "slack") == [("a", 1, False), ("b", 1, True)]


def test_what_all_have_taken_is_known_and_what_one_lacks_is_not(store):
    with store.write() as tx:
        tx.end_delivery("log", [1, 2], Ended.SAID, NOW)
        tx.end_delivery("slack", [2], Ended.SAID, NOW)
        tx.end_delivery("gone", [1], Ended.SAID, NOW)
        assert list(tx.taken_by_all(["log", "slack"])) == [2]
        assert list(tx.taken_by_all(["log"])) == [1, 2]
        tx.mark_sent(2, NOW)
        assert list(tx.taken_by_all(["log"])) == [1]
    assert waiting(store, "late") == [("a", 0, False)]


def incident(**others):
    values = {"outlet": "slack", "key": "instance/i-1", "ref": "C:1", "group": "web", "severity": Severity.HIGH}
    return Incident(**values | {"text": "t\udcff", "opened_at": NOW, "changed_at": NOW} | others)


def test_an_incident_is_kept_changed_and_closed(store):
    with store.write() as tx:
        number = tx.put_incident(incident())
    with store.write() as tx:
        [one] = tx.incidents("slack")
        assert one == incident(id=number)
        assert tx.incidents("other") == []
        assert tx.put_incident(replace(one, last="more", closed_at=later())) == number
        assert tx.incidents("slack") == []
        assert tx.put_incident(incident()) != number  # of the same key, once more


def test_a_click_is_taken_once(store):
    with store.write() as tx:
        assert tx.add_click("slack/1", "slack:U1", "hold", NOW)
    with store.write() as tx:
        assert not tx.add_click("slack/1", "slack:U2", "deny", later())
        assert tx.add_click("slack/2", "slack:U1", "hold", NOW)


def test_what_is_over_is_pruned_with_its_message(store):
    with store.write() as tx:
        tx.end_delivery("log", [1, 2], Ended.SAID, NOW)
        tx.mark_sent(1, NOW)
        tx.put_incident(incident(closed_at=NOW))
        tx.put_incident(incident(key="instance/i-2"))
        tx.add_click("slack/1", "slack:U1", "hold", NOW)
    with store.write() as tx:
        tx.prune(later(10))
        assert list(tx.taken_by_all(["log"])) == [2]
        assert [one.key for one in tx.incidents("slack")] == ["instance/i-2"]
        assert tx.add_click("slack/1", "slack:U1", "hold", later(20))
