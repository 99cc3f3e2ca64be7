"""Pressing buttons: what the command line would do, by name and once; everything else is harmless and says why."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from store_rows import finding, instance
from test_boarding import Room, record

from driftd.core.cards import Press
from driftd.core.clicks import Click
from driftd.core.findings import Verdict
from driftd.core.replacement import State
from driftd.flows.pressing import Presser

MAY = {one: frozenset({"U1", "U2"}) for one in Press}


@pytest.fixture
def room(tmp_path):
    made = Room(tmp_path)
    made.there("i-1")
    made.says("i-1", "i-1 drifted")
    made.happens(lambda tx: tx.add_replacement(record(made.clock)))
    made.tick()
    made.presser = Presser(made.store, "slack", MAY, clock=made.clock)
    yield made
    made.store.close()


def click(room, press, user="U1", **others):
    button = next((one for one in room.places[0].card.buttons if one.press is press), None)
    values = {
        "id": f"{press}/{user}/{room.clock()}",
        "user": user,
        "by": f"slack:{user}",
        "press": press,
        "of": button.of if button else "R1",
        "group": "web",
        "key": "instance/i-1",
        "ref": next(iter(room.board.places)),
        "at": room.clock(),
    }
    return Click(**values | others)


def people(room):
    """What people did, from the journal."""
    with room.store.read() as tx:
        return [(line.subject, dict(line.body)) for line in tx.journal_lines() if line.kind == "human"]


def test_approve_is_what_the_command_does_by_the_name_of_who_clicked(room):
    said = room.presser.press(click(room, Press.APPROVE))
    assert "slack:U1" in said
    assert people(room) == [("R1", {"did": "approve", "by": "slack:U1"})]
    room.tick()
    assert ("Approved by", "slack:U1") in room.places[0].card.fields


def test_deny_cancels(room):
    room.presser.press(click(room, Press.DENY))
    with room.store.read() as tx:
        assert tx.replacement("R1").cancel_requested
    [(_, body)] = people(room)
    assert (body["did"], body["by"], body["reason"]) == ("deny", "slack:U1", "pressed in Slack")


def test_hold_holds_for_two_hours(room):
    room.presser.press(click(room, Press.HOLD))
    with room.store.read() as tx:
        [hold] = tx.holds(room.clock())
    assert (hold.owner, hold.instance_id, hold.until - hold.created_at) == ("slack:U1", "i-1", timedelta(hours=2))
    room.tick()
    assert "Held" in dict(room.places[0].card.fields)


def test_accept_makes_a_dated_acceptance_of_the_worst_cause(room):
    said = room.presser.press(click(room, Press.ACCEPT))
    assert "/etc/passwd" in said
    with room.store.read() as tx:
        [one] = tx.suppressions(room.clock())
    assert (one.owner, one.group, one.expires_at - one.created_at) == ("slack:U1", "web", timedelta(days=7))


@pytest.mark.parametrize("press", list(Press))
def test_a_wrong_user_changes_nothing(room, press):
    before = snapshot(room)
    said = room.presser.press(click(room, press, "U9"))
    assert said.startswith(f"You may not {press.value} here")
    assert snapshot(room) == before


def snapshot(room):
    with room.store.read() as tx:
        return tx.last_line().seq, tx.replacement("R1"), tx.every_hold(), tx.every_suppression()


@pytest.mark.parametrize("press", list(Press))
@pytest.mark.parametrize("minutes", [-6, 6])
def test_a_click_that_was_long_on_its_way_changes_nothing(room, press, minutes):
    before = snapshot(room)
    said = room.presser.press(click(room, press, at=room.clock() + timedelta(minutes=minutes)))
    assert "too late" in said
    assert snapshot(room) == before


@pytest.mark.parametrize("press", list(Press))
def test_a_replayed_click_changes_nothing(room, press):
    """Also where what it did was undone since."""
    one = click(room, press)
    room.presser.press(one)
    before = snapshot(room)
    assert "taken before" in room.presser.press(one)
    assert snapshot(room) == before


@pytest.mark.parametrize("user", ["U1", "U2"])
@pytest.mark.parametrize("press", list(Press))
def test_a_second_click_is_answered_and_changes_nothing(room, press, user):
    first = click(room, press)
    second = click(room, press, user, id="another")
    room.presser.press(first)
    before = snapshot(room)
    assert "slack:U1" in room.presser.press(second)
    assert snapshot(room) == before


@pytest.mark.parametrize("press", list(Press))
def test_a_click_on_what_is_over_or_was_never_shown_changes_nothing(room, press):
    old = click(room, press)
    before = snapshot(room)
    assert "is over" in room.presser.press(replace(old, id="1", ref="C1:999"))
    assert "is over" in room.presser.press(replace(old, id="2", key="instance/i-2"))
    assert snapshot(room) == before

    def ends(tx):
        tx.save_replacement(replace(tx.replacement("R1"), state=State.CANCELLED))
        tx.put_instance(replace(tx.instance("i-1"), verdict=Verdict.CLEAN))

    room.happens(ends)
    room.tick()
    before = snapshot(room)
    assert "is over" in room.presser.press(old)
    assert snapshot(room) == before


def test_what_a_card_shows_by_now_counts_and_not_what_a_click_names(room):
    """A button of an earlier replacement names it, and that one is over."""
    said = room.presser.press(replace(click(room, Press.APPROVE), of="R0"))
    assert "no open replacement" in said
    with room.store.read() as tx:
        assert tx.replacement("R1").approved_by == ""


def test_a_card_has_only_buttons_that_somebody_may_press(tmp_path):
    room = Room(tmp_path, may=frozenset({Press.HOLD}))
    room.there("i-1")
    room.says("i-1", "drifted")
    room.tick()
    assert [one.press for one in room.places[0].card.buttons] == [Press.HOLD]
    room.store.close()


def test_no_button_to_approve_where_nobody_is_asked(tmp_path):
    room = Room(tmp_path, asks=lambda group: False)
    with room.store.write() as tx:
        tx.put_instance(instance("i-1", verdict=Verdict.DRIFTED))
        tx.add_finding("i-1", finding(), room.clock())
        tx.add_replacement(record(room.clock))
    room.says("i-1", "drifted")
    room.tick()
    assert [one.press for one in room.places[0].card.buttons] == [Press.DENY, Press.HOLD, Press.ACCEPT]
    room.store.close()
