"""``driftd status`` shows what waits for a person, with what to do, until somebody mended it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from driftd.core.replacement import Record, State
from driftd.edges.store import open_store

NOTE = "the undo failed; check that i-1 serves, then drain and end i-2 by hand"


@pytest.fixture
def store(tmp_path):
    made = open_store(f"sqlite:///{tmp_path / 'driftd.db'}")
    yield made
    made.close()


def ended(store, rid: str, state: State, hours_ago: float, group: str = "web", note: str = "") -> None:
    at = datetime.now(UTC) - timedelta(hours=hours_ago)
    record = Record(rid, group, f"{group}/1", "golden", f"i-{rid}", "drift", state, at, at, note=note)
    with store.write() as tx:
        assert tx.add_replacement(record)


@pytest.fixture
def stuck(store):
    """One of web, and so much after it in another group that nobody would see it among the newest."""
    ended(store, "W1", State.STUCK, 3, note=NOTE)
    for number in range(12):
        ended(store, f"D{number}", State.SUCCEEDED, 1 - number / 20, "db", "it serves")


def lines(said, word: str) -> list[str]:
    """Each of those that begin so, whole, however it was wrapped."""
    return [word + one for one in " ".join(said.out.split()).split(word)[1:]]


@pytest.mark.parametrize("group", [[], ["web"]])
def test_a_stuck_one_is_shown_with_its_hint_however_much_came_after_it(driftd, stuck, group):
    (said,) = lines(driftd("status", *group), "STUCK ")
    assert said.startswith(f"STUCK web/1 for 3 h, replacement W1: {NOTE} (docs/stuck.md; driftd journal show W1)")
    (found,) = json.loads(driftd("status", *group, "--json").out)["stuck"]
    assert (found["id"], found["slot"], found["old"], found["why"]) == ("W1", "web/1", "i-W1", NOTE)


def test_of_another_group_nothing_is_said(driftd, stuck):
    assert lines(driftd("status", "db"), "STUCK ") == []
    told = json.loads(driftd("status", "db", "--json").out)
    assert told["stuck"] == []
    assert {one["group"] for one in told["recent_replacements"]} == {"db"}


def test_what_ended_of_late_in_a_group_is_shown_whatever_ended_elsewhere(driftd, stuck):
    assert [one["id"] for one in json.loads(driftd("status", "web", "--json").out)["recent_replacements"]] == ["W1"]


def test_a_later_success_in_its_group_lifts_it(driftd, stuck, store):
    ended(store, "W2", State.FAILED_CLEAN, 2, note="no")
    assert len(lines(driftd("status"), "STUCK ")) == 1
    ended(store, "W3", State.SUCCEEDED, 1, note="it serves")
    said = driftd("status", "web")
    assert lines(said, "STUCK ") == []
    assert "web/1: replacement W1 stuck" in said.out
    assert json.loads(driftd("status", "--json").out)["stuck"] == []
