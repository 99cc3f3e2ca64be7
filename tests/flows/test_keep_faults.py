"""The keeper where the store cannot be written, or the provider is slow: what was found holds before it is believed."""

from __future__ import annotations

import os
import threading

import pytest
from housekeeping import House

from driftd.core.checkpoint import opened
from driftd.core.errors import BadInput
from driftd.core.memory import StoreUnavailable
from driftd.core.world import TAG_EPOCH
from driftd.edges.store import open_store
from driftd.flows.vouch import accept_break, accept_store


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path)
    yield made
    made.close()


def put_back_by_hand(house):
    """An old file lies in the store's place, and the checkpoint beside it knows of more."""
    house.write(3)
    house.keeper.tick()
    house.close()
    old = house.file.read_bytes()
    house.open()
    house.write(3)
    house.keeper.tick()
    house.keeper.finish()
    house.close()
    house.file.write_bytes(old)
    house.clock.advance(60)
    house.open()


def test_a_checkpoint_that_speaks_against_the_store_is_read_again_until_the_doubt_is_written(house):
    put_back_by_hand(house)
    evidence = house.place.read()
    house.disk.room = 1  # for how far the chain was verified
    with pytest.raises(StoreUnavailable):
        house.keeper.tick()
    assert "were not read yet" in house.frozen(), "what was found is nowhere yet"
    house.disk.room = None
    house.clock.advance(7200)
    house.keeper.tick()
    assert "its journal ends at line 3, and a checkpoint" in house.frozen()
    house.keeper.finish()
    assert house.place.read() == evidence


@pytest.mark.parametrize("when", ["at the start", "later"])
def test_marks_count_as_read_once_what_they_say_is_written(house, when):
    house.write()
    house.keeper.tick()
    if when == "at the start":
        house.again()
    house.launch(**{TAG_EPOCH: "70"})
    house.clock.advance(700)
    house.disk.room = 1 if when == "at the start" else 0
    with pytest.raises(StoreUnavailable):
        house.keeper.tick()
    assert when == "later" or "were not read yet" in house.frozen()
    house.disk.room = None
    house.keeper.tick()
    assert "was launched in epoch 70" in house.frozen()


def test_what_a_checkpoint_says_does_not_wait_for_a_provider(house):
    put_back_by_hand(house)
    asked, answer = threading.Event(), threading.Event()
    find = house.provider.inventory.find

    def slowly(group):
        asked.set()
        assert answer.wait(30)
        return find(group)

    house.provider.inventory.find = slowly
    beat = threading.Thread(target=house.keeper.tick)
    beat.start()
    try:
        assert asked.wait(30)
        with house.store.read() as tx:
            assert [doubt.code for doubt in tx.doubts()] == ["checkpoint"]
    finally:
        answer.set()
        beat.join(30)


@pytest.mark.parametrize("line", [2, 5])
def test_a_break_that_could_not_be_written_is_found_again(house, line):
    """Line 2 was verified before, line 5 is new: the whole pass after a start finds the one, each beat the other."""
    house.write(4)
    house.keeper.tick()
    house.write()
    house.tamper(f"UPDATE journal SET subject = 'x' WHERE seq = {line}")
    house.again()
    house.disk.room = 1 if line == 2 else 0  # for how far what is new was verified
    with pytest.raises(StoreUnavailable):
        house.keeper.tick()
    assert "still being verified" in house.frozen()
    house.disk.room = None
    house.keeper.tick()
    assert f"the journal is broken from line {line} on" in house.frozen()


def test_a_walk_that_was_under_way_does_not_go_on_behind_an_accepted_break(house, monkeypatch):
    monkeypatch.setattr("driftd.flows.keep.PAGE", 5)
    house.write(40)
    while house.keeper.unready("web"):
        house.keeper.tick()
    house.again()
    house.keeper.tick()  # a part of the whole pass
    house.tamper("DELETE FROM journal WHERE seq > 4")
    house.keeper.tick()
    assert "lines were cut off its end" in house.frozen()
    accept_break(house.store, "ann", "a bad disk", house.clock())
    house.write(60)
    for _ in range(30):
        house.keeper.tick()
    assert house.chain().broken == 0


# --- checkpoints -----------------------------------------------------------------------------------------------------


def test_a_checkpoint_that_could_not_be_put_in_its_place_is_tried_again(house):
    house.write()
    house.keeper.tick()
    good, house.place.file = house.place.file, house.home
    house.write()
    house.clock.advance(7200)
    with pytest.raises(BadInput, match="the checkpoint cannot be written"):
        house.keeper.tick()
    house.place.file = good
    house.keeper.tick()
    assert opened(house.place.read()).said.seq == 2


def test_what_cannot_be_read_is_doubted_again_after_somebody_settled_it(house):
    house.place.file.parent.mkdir()
    os.mkfifo(house.place.file)
    house.keeper.tick()
    house.again()
    house.keeper.tick()
    with house.store.read() as tx:
        assert len(tx.doubts()) == 1, "once, as long as it is open"
    accept_store(house.store, "ann", "looked", house.clock())
    house.again()
    house.keeper.tick()
    assert "the checkpoint beside it cannot be read" in house.frozen()


def test_after_an_accepted_cut_a_checkpoint_is_signed_now_and_then_and_not_at_every_beat(house):
    house.write(9)
    house.keeper.tick()
    house.tamper("DELETE FROM journal WHERE seq > 4")
    house.keeper.tick()
    accept_break(house.store, "ann", "a bad disk", house.clock())
    house.clock.advance(7200)
    house.write()
    house.keeper.tick()
    signed = opened(house.place.read()).said.seq
    house.write()
    house.keeper.tick()
    assert opened(house.place.read()).said.seq == signed


def test_no_tag_makes_the_next_lease_one_that_nobody_can_read(house):
    house.write()
    house.launch(**{TAG_EPOCH: str(2**53 - 1)})
    house.keeper.tick()
    assert "carries an epoch that nobody can read" in house.frozen()
    accept_store(house.store, "ann", "somebody played", house.clock())
    house.again()
    assert house.epoch == 2
    house.keeper.tick()
    house.launch(**{TAG_EPOCH: str(house.epoch)})
    house.write()
    house.clock.advance(7200)
    house.keeper.tick()
    assert house.frozen() == ""
    assert opened(house.place.read()).said.epoch == 2


def test_nobody_waits_for_the_place_where_checkpoints_go(house, monkeypatch):
    """It may be on another machine."""
    house.write()
    put = house.place.write

    def slowly(text):
        other = open_store(f"sqlite:///{house.file}", patience_s=0.1)
        with other.write() as tx:
            tx.journal("human", "s", {}, house.clock())
        other.close()
        put(text)

    monkeypatch.setattr(house.place, "write", slowly)
    house.keeper.tick()
    assert opened(house.place.read()).said.seq == 1
    with house.store.read() as tx:
        assert [one.seq for one in tx.checkpoints()] == [1]
