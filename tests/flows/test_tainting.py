"""Taints as marks at the provider: put on, taken off by a person's word alone, believed where the store is lost."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sweeping import CLEAN, MALLORY, VISITED, Fleet, drifted

from driftd.core.errors import Unavailable
from driftd.core.findings import Action, Verdict
from driftd.core.memory import Pause, Suppression
from driftd.core.world import TAG_TAINT
from driftd.edges.store import open_store
from driftd.flows import holding
from driftd.flows.tainting import Marker

OLD = "i-0002"


def marker(fleet, **more) -> Marker:
    return Marker(fleet.store, fleet.groups, clock=fleet.clock, **more)


def mark_of(fleet) -> str:
    return fleet.provider.compute.describe(OLD).tags.get(TAG_TAINT, "")


def accept(fleet, lasting=timedelta(days=7)) -> None:
    row = next(one for one in fleet.read("open_findings", OLD))
    until = max(row.finding.actual["last_at"], "2030-01-01T00:00:00Z")
    one = Suppression(
        0, row.finding.signature, "web", "ann", "it was me", fleet.clock(), fleet.clock() + lasting, until=until
    )
    with fleet.store.write() as tx:
        tx.add_suppression(one)


def calls(fleet) -> list[str]:
    return [event.detail for event in fleet.provider.events if event.call == "compute.tag"]


def test_a_taint_is_marked_once_and_again_when_somebody_removed_it(fleet):
    marks = marker(fleet)
    assert marks.tick() == []
    row = fleet.one(drifted(VISITED), (MALLORY,))
    assert marks.tick() == [f"{OLD} is marked as tainted at its provider: {row.taint}"]
    assert mark_of(fleet) == f"{row.taint_since:%Y-%m-%dT%H:%M:%SZ}"
    assert [line.kind for line in fleet.read("journal_lines", OLD)][-2:] == ["intent", "result"]
    fleet.clock.advance(60)
    assert marks.tick() == []
    fleet.provider.lose_tag(OLD, TAG_TAINT)
    fleet.clock.advance(60)
    marks.tick()
    assert mark_of(fleet)
    assert len(calls(fleet)) == 2


def test_a_hold_and_clean_looks_take_no_mark_off_and_a_persons_word_does(fleet):
    fleet.one(drifted(VISITED), (MALLORY,))
    marks = marker(fleet)
    marks.tick()
    holding.hold(fleet.store, OLD, "ann", "look at it first", timedelta(hours=2), fleet.clock())
    fleet.one(CLEAN)
    holding.release(fleet.store, OLD, "ann", fleet.clock())
    fleet.one(CLEAN)
    marks.tick()
    assert mark_of(fleet)
    accept(fleet, timedelta(hours=1))
    assert fleet.one(CLEAN).taint == ""
    (said,) = marks.tick()
    assert "no longer marked as tainted" in said
    assert mark_of(fleet) == ""
    fleet.clock.advance(3600)
    assert "mallory" in fleet.one(CLEAN).taint, "an acceptance ends, and with it what it lifted"
    marks.tick()
    assert mark_of(fleet)


def test_a_mark_without_a_session_taints_again_and_waits_for_a_person(fleet, tmp_path):
    fleet.one(drifted(VISITED), (MALLORY,))
    marker(fleet).tick()
    fleet.sweeper.close()
    fleet.store.close()
    (tmp_path / "lost").mkdir()
    fleet.store = open_store(f"sqlite:///{tmp_path / 'lost' / 'driftd.db'}")
    fleet.restart()
    row = fleet.one(CLEAN)
    assert (row.verdict, row.action) == (Verdict.CLEAN, Action.ALERT)
    assert "this store knows of no session" in row.taint
    assert not fleet.read("open_replacements")
    (said,) = [one.text for one in fleet.read("unsent") if one.code == "session"]
    assert "for a person to say (driftd replace, or driftd accept)" in said
    marks = marker(fleet)
    marks.tick()
    fleet.one(CLEAN)
    assert len(fleet.read("open_findings", OLD)) == 1
    assert mark_of(fleet)
    accept(fleet)
    assert fleet.one(CLEAN).taint == ""
    marks.tick()
    assert mark_of(fleet) == ""
    assert fleet.one(CLEAN).taint == ""


def test_a_mark_is_no_words_of_the_instances(fleet):
    fleet.one(drifted(VISITED), (replace(MALLORY, user="x\n" * 200),))
    marker(fleet).tick()
    assert len(mark_of(fleet)) == 20
    fleet.provider.compute.tag("i-0003", {TAG_TAINT: "\x1b[31m" + "y" * 500})
    fleet.sweeper.sweep_one(fleet.provider.compute.describe("i-0003"))
    taint = fleet.read("instance", "i-0003").taint
    assert taint.isprintable()
    assert len(taint) < 400


@pytest.mark.parametrize("why", ["observing", "paused", "pause file", "no compute"])
def test_nothing_is_changed_where_nothing_may_be(tmp_path, why):
    fleet = Fleet(tmp_path, enforce=Action.ALERT if why == "observing" else Action.REPLACE)
    try:
        fleet.one(drifted(VISITED), (MALLORY,))
        if why == "paused":
            with fleet.store.write() as tx:
                tx.set_pause(Pause("", "ann", "stop", fleet.clock()))
        if why == "no compute":
            fleet.provider.compute = None
        marks = marker(fleet, pause=lambda _group: "the file is there" if why == "pause file" else "")
        assert marks.tick() == []
        assert not calls(fleet)
        assert fleet.read("instance", OLD).taint
    finally:
        fleet.close()


def test_a_provider_that_will_not_is_asked_again_in_its_time(fleet, monkeypatch):
    fleet.one(drifted(VISITED), (MALLORY,))
    marks = marker(fleet)
    with monkeypatch.context() as patch:

        def refuse(*_):
            raise Unavailable("not authorised to tag")

        patch.setattr(fleet.provider.compute, "tag", refuse)
        (said,) = marks.tick()
        assert "the store alone says what is so: not authorised to tag" in said
        assert marks.tick() == []
    fleet.clock.advance(10)
    marks.tick()
    assert mark_of(fleet)
