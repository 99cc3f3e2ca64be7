"""A person's word from the command line: hold, release, approve, deny, and what is refused in one sentence."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from driftd.core.findings import Action, Verdict
from driftd.core.memory import InstanceRow
from driftd.core.replacement import Record, State
from driftd.edges.store import open_store

pytestmark = pytest.mark.usefixtures("now_is_now")
NOW = datetime.now(UTC)


@pytest.fixture
def store(tmp_path):
    made = open_store(f"sqlite:///{tmp_path / 'driftd.db'}")
    with made.write() as tx:
        for group, number in (("web", 1), ("web", 2), ("db", 3)):
            row = InstanceRow(
                f"i-{number}",
                group,
                f"{group}/{number}",
                "golden",
                f"192.0.2.{min(number, 2)}",
                "running",
                Verdict.DRIFTED,
                "1 finding",
                "",
                NOW,
                NOW,
                NOW,
                Action.REPLACE,
            )
            tx.put_instance(row)
    yield made
    made.close()


@pytest.fixture
def as_(monkeypatch):
    return lambda name: monkeypatch.setenv("SUDO_USER", name)


def waiting(store, state=State.ADMITTING, **more) -> Record:
    record = Record("01R", "web", "web/1", "golden", "i-1", "drift", state, NOW, NOW, **more)
    with store.write() as tx:
        tx.add_replacement(record)
    return record


def journal(store) -> list[tuple[str, object]]:
    with store.read() as tx:
        return [(line.kind, line.body.get("did")) for line in tx.journal_lines()]


def test_an_instance_is_held_and_released_by_name(driftd, store, as_):
    as_("ann")
    said = driftd("hold", "web/1", "--for", "90m", "--reason", "looking into the crash")
    assert said.status == 0
    assert said.out.startswith("i-1 is held by ann until ")
    assert said.out.endswith(": looking into the crash.\n")
    assert "HELD i-1 is held by ann until" in driftd("status").out
    (held,) = json.loads(driftd("status", "--json").out)["holds"]
    told = (held["instance"], held["owner"], held["reason"], held["renewed_by"])
    assert told == ("i-1", "ann", "looking into the crash", "")
    assert datetime.fromisoformat(held["until"]) - datetime.fromisoformat(held["since"]) == timedelta(minutes=90)
    assert json.loads(driftd("status", "--json", "db").out)["holds"] == []
    as_("bob")
    assert driftd("release", "i-1").out == "ann's hold of i-1 is released by bob.\n"
    assert "HELD" not in driftd("status").out
    assert journal(store) == [("human", "hold"), ("human", "release")]
    with store.read() as tx:
        assert [message.code for message in tx.unsent()] == ["hold", "release"]


def test_the_zone_is_shown_where_there_is_one(driftd, store):
    with store.write() as tx:
        tx.put_instance(replace(tx.instance("i-1"), zone="eu-1a"))
    shown = {one["id"]: one.get("zone") for one in json.loads(driftd("status", "--json").out)["instances"]}
    assert shown == {"i-1": "eu-1a", "i-2": None, "i-3": None}


def test_a_second_person_renews_once(driftd, store, as_):
    as_("ann")
    driftd("hold", "i-1", "--reason", "a crash")
    refused = driftd("hold", "i-1", "--for", "5h", "--reason", "still")
    assert refused.status == 2
    assert "only a second person can make that longer" in refused.err
    as_("bob")
    assert (
        "ann's hold of i-1 is renewed by bob until"
        in driftd("hold", "i-1", "--for", "5h", "--reason", "still").out.lower()
    )
    for name in ("bob", "cat"):
        as_(name)
        refused = driftd("hold", "i-1", "--for", "20h", "--reason", "still")
        assert refused.status == 2
        assert "renewed by bob already, and a hold is renewed once" in refused.err
    as_("ann")
    assert "now ends at" in driftd("hold", "i-1", "--for", "10m", "--reason", "nearly done").out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("hold", "i-1", "--for", "73h", "--reason", "x"), "3 d 1 h is longer than 72 h"),
        (("hold", "i-1", "--for", "3d1h", "--reason", "x"), "is not a length of time"),
        (("hold", "i-1", "--for", "0h", "--reason", "x"), "is not a length of time"),
        (("hold", "i-1", "--for", "2h"), "Missing option '--reason'"),
        (("hold", "i-1", "--reason", "  "), "a hold without a reason"),
        (("hold", "i-1", "--reason", "x" * 501), "501 characters"),
        (("hold", "i-9", "--reason", "x"), "nothing that driftd knows is called 'i-9'"),
        (("hold", "192.0.2.2", "--reason", "x"), "'192.0.2.2' names 2 instances"),
        (("release", "i-1"), "nothing called 'i-1' is held"),
        (("approve", "i-1"), "no open replacement has the id, slot or instance i-1"),
        (("deny", "01R"), "no open replacement has the id, slot or instance 01R"),
    ],
)
def test_what_may_not_be_is_one_sentence(driftd, store, words, said):
    refused = driftd(*words)
    assert refused.status == 2
    assert said in refused.err
    assert journal(store) == []


def test_a_hold_on_what_is_being_replaced_says_so(driftd, store, as_):
    as_("ann")
    waiting(store, State.SOAKING)
    said = driftd("hold", "i-1", "--reason", "wait").out
    assert (
        "replacement 01R of it is soaking: what is under way stops before its next step, and driftd cancel 01R" in said
    )


def test_a_replacement_is_approved(driftd, store, as_):
    waiting(store, note="web asks a person", next_at=NOW)
    assert "not replaced: web asks a person" in driftd("status").out
    as_("ann")
    assert driftd("approve", "web/1").out == "replacement 01R of i-1 is approved by ann.\n"
    as_("bob")
    assert "was approved already, by ann" in driftd("approve", "01R").out
    with store.read() as tx:
        record = tx.replacement("01R")
    assert (record.approved_by, record.next_at, record.cancel_requested) == ("ann", None, False)
    assert journal(store) == [("human", "approve")]


def test_a_replacement_is_denied_also_after_it_was_approved(driftd, store, as_):
    waiting(store)
    as_("ann")
    driftd("approve", "01R")
    as_("bob")
    assert "is denied by bob: it is cancelled" in driftd("deny", "i-1", "--reason", "not today").out
    with store.read() as tx:
        record = tx.replacement("01R")
        assert [line.body.get("reason") for line in tx.journal_lines()] == [None, "not today"]
    assert (record.denied_by, record.cancel_requested) == ("bob", True)
    refused = driftd("approve", "01R")
    assert refused.status == 2
    assert "denied by bob" in refused.err


def test_what_was_asked_for_by_hand_needs_no_approval_and_what_is_over_no_denial(driftd, store):
    record = waiting(store, State.RETIRING, manual=True, committed=True)
    assert "needs no approval" in driftd("approve", "01R").out
    refused = driftd("deny", "01R")
    assert refused.status == 2
    assert "past its point of no return" in refused.err
    with store.read() as tx:
        assert tx.replacement("01R") == replace(record, version=tx.replacement("01R").version)
