"""Breakers and what their rules remember: kept as they are, bounded, pruned."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text
from store_rows import NOW, instance, later

from driftd.core.breakers.breaker import Breaker, State
from driftd.core.breakers.facts import Calls, Pass, Sighting, Version
from driftd.core.memory import StoreUnavailable
from driftd.core.seal import SeenManifest
from driftd.edges.store.tx_breaker import PASSES

ONE = Breaker("C1", "signature:ab", State.OPEN, "8 of 40", NOW, None, "a person", "", NOW, None, 0, "", "", None)
FULL = Breaker(
    "C2", "fleet", State.HALF_OPEN, "why\udcff", NOW, later(1), "p", "ann", later(2), later(3), 4, "r", "b", NOW
)


def read(store, name, *args):
    with store.read() as tx:
        return list(getattr(tx, name)(*args))


def write(store, name, *args):
    with store.write() as tx:
        getattr(tx, name)(*args)


def test_breakers_come_back_as_they_were_and_each_is_one_row(store):
    for one in (FULL, ONE, replace(FULL, state=State.OPEN), FULL):
        write(store, "put_breaker", one)
    assert read(store, "breakers") == [ONE, FULL]


def test_a_state_that_nobody_knows_is_said(store):
    write(store, "put_breaker", ONE)
    with store.write() as tx:
        tx.run(text("UPDATE breaker SET state = 'ajar'"))
    with pytest.raises(StoreUnavailable, match="ajar"):
        read(store, "breakers")


def test_sightings_begin_last_and_end(store):
    row = instance("i-1", slot="web/1")
    write(store, "put_instance", row)
    write(store, "keep_sightings", row, {"a": "x", "b": "y"}, NOW)
    write(store, "keep_sightings", row, {"a": "x"}, later(10))
    a = Sighting("i-1", "a", "web", "web/1", "x", NOW)
    b = Sighting("i-1", "b", "web", "web/1", "y", NOW, later(10))
    assert read(store, "sightings", NOW) == [a, b]
    write(store, "keep_sightings", row, {"a": "x"}, later(15))
    assert read(store, "sightings", later(11)) == [a], "what is over is not asked about for ever"
    write(store, "keep_sightings", row, {"b": "y"}, later(20))
    assert read(store, "sightings", later(5)) == [
        replace(a, ended_at=later(20)),
        replace(b, first_at=later(20), ended_at=None),
    ]


def test_a_look_that_says_the_same_changes_nothing(store):
    row = instance("i-1")
    write(store, "put_instance", row)
    write(store, "keep_sightings", row, {"a": "x"}, NOW)
    write(store, "keep_sightings", replace(row, slot="web/9"), {"a": "better"}, later(5))
    assert read(store, "sightings", NOW) == [Sighting("i-1", "a", "web", "web/9", "better", NOW)]


def test_of_passes_the_last_few_of_each_group_are_kept(store):
    for number in range(PASSES + 5):
        write(store, "add_pass", Pass("web", later(number), number, 1, 2, 3))
    write(store, "add_pass", Pass("db", NOW, 7))
    kept = read(store, "passes")
    assert [one.size for one in kept] == [7, *range(5, PASSES + 5)]
    assert kept[1] == Pass("web", later(5), 5, 1, 2, 3)


def test_of_passes_that_saw_nothing_in_a_row_the_last_is_kept(store):
    for number, unseen in enumerate(["", "a", "b", "c", "", "d"]):
        write(store, "add_pass", Pass("web", later(number), 3, unseen=unseen))
    assert [one.unseen for one in read(store, "passes")] == ["", "c", "", "d"]


def test_calls_add_up_by_minute_and_are_forgotten_after_an_hour(store):
    minute = timedelta(minutes=1)
    write(store, "count_calls", [Calls("aws", NOW, 5, 1, 0, "slow"), Calls("aws", NOW + minute, 1)])
    write(store, "count_calls", [Calls("aws", NOW, 5, 1, 1), Calls("other", NOW, 1)])
    both = [Calls("aws", NOW, 10, 2, 1, "slow"), Calls("aws", NOW + minute, 1), Calls("other", NOW, 1)]
    assert read(store, "calls", NOW) == both
    assert read(store, "calls", NOW + minute) == both[1:2]
    write(store, "count_calls", [Calls("aws", NOW + 61 * minute, 1)])
    assert [one.minute for one in read(store, "calls", NOW)] == [NOW + minute, NOW + 61 * minute]


def test_versions_and_manifests_are_known(store):
    write(store, "put_version", Version("driftd", "fleet", "1", NOW))
    write(store, "put_version", Version("driftd", "fleet", "2", later(1)))
    assert read(store, "versions") == [Version("driftd", "fleet", "2", later(1))]
    seen = SeenManifest("golden", 3, "ab" * 32, NOW)
    write(store, "see_manifest", seen)
    assert read(store, "manifests_seen") == [seen]


def test_what_is_over_is_pruned_and_what_is_open_never(store):
    row = instance("i-1")
    gone = instance("i-2", gone_at=later(5))
    with store.write() as tx:
        for one in (row, gone):
            tx.put_instance(one)
            tx.keep_sightings(one, {"a": "x", "b": "y"}, NOW)
        tx.keep_sightings(row, {"a": "x"}, later(1))
        tx.put_breaker(ONE)
        tx.put_breaker(replace(FULL, state=State.CLOSED))
        tx.add_pass(Pass("web", NOW, 3))
        pruned = tx.prune(later(100))
    assert (pruned["sightings"], pruned["breakers"]) == (3, 1)
    assert read(store, "breakers") == [ONE]
    assert read(store, "passes") == []
    assert [one.signature for one in read(store, "sightings", NOW)] == ["a"]
