"""The keeper: the chain verified bit by bit, checkpoints, and a store that is older than the world."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from housekeeping import House

from driftd.core.checkpoint import opened
from driftd.core.errors import BadInput, Unavailable
from driftd.core.memory import StoreUnavailable
from driftd.core.world import ROLE, TAG_EPOCH, TAG_RID, TAG_ROLE
from driftd.edges.store import backup, open_store, restore
from driftd.flows.stops import stops
from driftd.flows.vouch import accept_break, accept_store, sign_head


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path)
    yield made
    made.close()


# --- the chain -------------------------------------------------------------------------------------------------------


def test_nothing_is_changed_before_everything_was_read(house):
    house.write(3)
    assert "still being verified" in house.frozen()
    house.keeper.tick()
    assert house.frozen() == ""
    assert house.chain().count == 3
    assert house.chain().whole_at == house.clock()


def test_a_provider_that_is_away_holds_its_group_alone(house):
    house.provider.fail_next("inventory.find", Unavailable("the cloud does not answer"))
    said = house.keeper.tick()
    assert any("could not be read: the cloud does not answer" in one for one in said)
    assert "the marks on the instances of web were not read yet" in house.frozen()
    house.keeper.tick()
    assert house.frozen() == ""


def test_a_long_chain_is_verified_a_second_at_a_time(house, monkeypatch):
    monkeypatch.setattr("driftd.flows.keep.PAGE", 10)
    house.write(200)
    beats = 0
    while house.keeper.unready("web"):
        house.keeper.tick()
        beats += 1
        assert beats < 100
    assert beats > 3
    assert house.chain().count == 200
    house.again()
    house.write(5)
    house.keeper.tick()
    assert house.frozen() == "", "only what was added is waited for"
    assert house.chain().count == 205


def test_what_is_added_is_verified_with_the_next_beat(house):
    house.keeper.tick()
    house.write(4)
    house.keeper.tick()
    assert house.chain().count == 4
    house.tamper("UPDATE journal SET subject = 'x' WHERE seq = 4")  # verified before: the daily whole pass finds it
    house.write()
    house.tamper("UPDATE journal SET kind = 'human' WHERE seq = 5")
    said = house.keeper.tick()
    assert "the journal is broken from line 5 on" in said[0]
    assert "line 5 is not what was written" in house.frozen()


@pytest.mark.parametrize(
    ("statements", "line", "why"),
    [
        (["UPDATE journal SET body = '{}' WHERE seq = 2"], 2, "is not what was written"),
        (["UPDATE journal SET epoch = 9 WHERE seq = 2"], 2, "is not what was written"),
        (["UPDATE journal SET schema = 1 WHERE seq = 2"], 2, "is not what was written"),
        (["UPDATE journal SET epoch = 'x' WHERE seq = 2"], 2, "is not what was written"),
        (["UPDATE journal SET at = x'ff' WHERE seq = 2"], 2, "is not what was written"),
        (["UPDATE journal SET subject = x'ff' WHERE seq = 2"], 2, "is not what was written"),
        (["UPDATE journal SET body = 0.5 WHERE seq = 2"], 2, "is not what was written"),
        (["DELETE FROM journal WHERE seq = 2"], 2, "line 2 is missing"),
        (["DELETE FROM journal WHERE seq > 3"], 4, "lines were cut off its end: line 5 was verified before"),
        (["DELETE FROM journal"], 1, "lines were cut off its end: line 5 was verified before"),
        (["UPDATE journal SET seq = -7 WHERE seq = 2"], 1, "line 1 is missing: line -7 stands in its place"),
        (
            ["UPDATE journal SET seq = 90 WHERE seq = 2", "UPDATE journal SET seq = 2 WHERE seq = 3"],
            6,  # what was added is verified first, and here a line was
            "line 6 is missing: line 90 stands in its place",
        ),
    ],
)
def test_a_broken_chain_stops_changes_says_so_and_goes_on_once_a_person_accepts_it(house, statements, line, why):
    house.write(5)
    house.keeper.tick()
    house.tamper(*statements)
    house.again()
    house.keeper.tick()
    assert house.chain().broken == line
    assert why in house.chain().why
    assert "so nothing is changed; looking goes on" in house.frozen()
    told = house.told()
    assert told == ["journal-broken", *(["store-doubted"] if "cut off" in why else [])], "a checkpoint knows of more"
    house.keeper.tick()
    assert house.told() == told, "said once"
    house.write(2)  # auditing goes on
    with pytest.raises(BadInput, match="the journal is broken"):
        sign_head(house.store, house.place, "x", house.clock())
    said = accept_break(house.store, "ann", "a bad disk", house.clock())
    assert "accepted by ann" in said
    if "cut off" in why:
        accept_store(house.store, "ann", "looked", house.clock())
    assert house.frozen() == ""
    house.write(2)
    for _ in range(3):
        house.clock.advance(timedelta(days=1, seconds=1).total_seconds())
        house.keeper.tick()
    assert house.chain().broken == 0
    house.again()
    house.keeper.tick()
    assert house.frozen() == ""
    with pytest.raises(BadInput, match="nothing to accept"):
        accept_break(house.store, "ann", "again", house.clock())


def test_a_chain_rewritten_whole_holds_in_itself_and_not_against_what_was_verified(house, tmp_path):
    house.write(5)
    house.keeper.tick()
    (tmp_path / "forgery").mkdir()
    forged = open_store(f"sqlite:///{tmp_path / 'forgery' / 'driftd.db'}")
    with forged.write() as tx:
        for number in range(6):
            tx.journal("decision", "s", {"forged": number}, house.clock())
        rows = tx.journal_lines()
    forged.close()
    house.tamper("DELETE FROM journal")
    with closing(sqlite3.connect(house.file)) as raw:
        raw.execute(f"ATTACH '{tmp_path / 'forgery' / 'driftd.db'}' AS other")
        raw.execute("INSERT INTO journal SELECT * FROM other.journal")
        raw.commit()
    assert len(rows) == 6
    assert house.store.verify_journal().count == 6
    house.keeper.tick()
    assert "line 5 is gone, or another than the one that was verified before" in house.frozen()


def test_a_seq_that_nobody_gave_is_said_and_not_a_failure(house):
    house.write(3)
    house.tamper(f"UPDATE journal SET seq = {2**63 - 1} WHERE seq = 3")
    with pytest.raises(StoreUnavailable, match="which driftd never gave it"):
        house.write()


# --- checkpoints -----------------------------------------------------------------------------------------------------


def test_a_checkpoint_is_written_now_and_then_while_the_journal_grows(house):
    house.keeper.tick()
    assert house.place.read() is None, "there is nothing to sign for"
    house.write(3)
    house.keeper.tick()
    first = opened(house.place.read()).said
    assert (first.seq, first.hash, first.epoch) == (3, house.chain().head, 1)
    house.write()
    house.keeper.tick()
    assert opened(house.place.read()).said == first, "not before its time"
    house.clock.advance(3600)
    house.keeper.tick()
    assert opened(house.place.read()).said.seq == 4
    before = house.place.file.stat().st_mtime_ns
    house.clock.advance(7200)
    house.keeper.tick()
    assert house.place.file.stat().st_mtime_ns == before, "nothing new"
    house.write()
    house.keeper.finish()
    assert opened(house.place.read()).said.seq == 5, "and at the end"
    with house.store.read() as tx:
        assert [one.seq for one in tx.checkpoints()] == [5, 4, 3]
        assert tx.checkpoints(1)[0].text == house.place.read()


def test_a_checkpoint_is_signed_where_there_is_a_key(tmp_path):
    house = House(tmp_path, key=True)
    house.write()
    house.keeper.tick()
    envelope = opened(house.place.read()).envelope
    assert len(envelope.signatures) == 1
    (tmp_path / "key").chmod(0o644)
    house.write()
    with pytest.raises(BadInput, match="others may use"):
        house.keeper.finish()
    assert house.frozen() == ""
    house.close()


def test_a_place_that_cannot_be_written_is_said_and_the_rest_goes_on(house):
    house.write()
    house.place.file = Path("/proc/nowhere/checkpoint.json")
    with pytest.raises(BadInput, match="the checkpoint cannot be written"):
        house.keeper.tick()
    assert house.frozen() == ""
    assert house.chain().count == 1


# --- a store that is older than the world ----------------------------------------------------------------------------


def restored(house) -> None:
    """Yesterday's backup is put in place of today's store."""
    house.write(3)
    house.keeper.tick()
    backup(f"sqlite:///{house.file}", house.home / "backup")
    house.write(3)
    house.keeper.finish()
    house.close()
    restore(f"sqlite:///{house.file}", house.home / "backup", "ann", house.clock())
    house.clock.advance(60)
    house.open()


def test_a_restored_store_holds_until_somebody_looked(house):
    restored(house)
    assert "it was restored on" in stops(house.store, "web", lambda _group: "").frozen, "at once, whoever asks"
    said = house.keeper.tick()
    assert "its journal ends at line 4, and a checkpoint" in said[0]
    assert house.told() == ["store-doubted"]
    evidence = house.place.read()
    house.write(9)
    house.clock.advance(7200)
    house.keeper.tick()
    assert house.place.read() == evidence, "what speaks against it is not overwritten"
    assert "and 1 more" in house.frozen()
    settled = accept_store(house.store, "ann", "looked at all four", house.clock())
    assert [doubt.code for doubt in settled] == ["restored", "checkpoint"]
    assert house.frozen() == ""
    house.clock.advance(7200)
    house.keeper.tick()
    assert opened(house.place.read()).said.seq > 6
    house.again()
    house.keeper.tick()
    assert house.frozen() == ""
    with house.store.read() as tx:
        assert "looked at all four" in json.dumps([dict(line.body) for line in tx.journal_lines("journal")])
    with pytest.raises(BadInput, match="nothing is doubted"):
        accept_store(house.store, "ann", "again", house.clock())


def test_an_old_file_copied_into_place_by_hand_is_noticed(house):
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
    house.keeper.tick()
    assert "its journal ends at line 3, and a checkpoint" in house.frozen()


def test_a_store_that_was_deleted_is_noticed(house):
    house.write(3)
    house.keeper.tick()
    house.close()
    house.file.unlink()
    house.open()
    house.write(1)
    house.keeper.tick()
    assert "the checkpoint beside it is of another store" in house.frozen()


def test_a_checkpoint_that_nobody_can_read_is_a_doubt(house):
    house.place.write(b"{}")
    house.keeper.tick()
    assert "the checkpoint beside it cannot be read" in house.frozen()
    accept_store(house.store, "ann", "it was me", house.clock())
    house.again()
    house.keeper.tick()
    assert house.frozen() == "", "the same bytes are not doubted twice"


@pytest.mark.parametrize("when", ["before the start", "later"])
@pytest.mark.parametrize("tags", [{TAG_EPOCH: "7"}, {TAG_RID: "01ARZ", TAG_ROLE: ROLE}])
def test_marks_that_the_store_knows_nothing_of_hold(house, tags, when):
    if when == "later":
        house.keeper.tick()
        assert house.frozen() == ""
    house.launch(**tags)
    house.clock.advance(700)
    house.keeper.tick()
    assert "this store may not know what was done" in house.frozen()
    accept_store(house.store, "ann", "ended by hand", house.clock())
    house.clock.advance(700)
    house.keeper.tick()
    assert house.frozen() == ""
    house.close()
    assert open_store(f"sqlite:///{house.file}").take_lease("beta", 30, house.clock()) == (
        8 if TAG_EPOCH in tags else 2
    )
    house.clock.advance(60)
    house.open()


def test_a_person_is_not_overruled_by_a_walk_that_was_under_way(house):
    """The chain was found broken and accepted while the daemon's whole pass was half done."""
    house.write(40)
    house.keeper.tick()
    state = house.chain()
    house.tamper("UPDATE journal SET subject = 'x' WHERE seq = 30")
    house.clock.advance(timedelta(days=2).total_seconds())
    house.keeper.tick()
    assert house.chain().broken == 30
    accept_break(house.store, "ann", "known", house.clock())
    house.keeper._save(state, replace(state, whole_at=house.clock()))
    assert house.chain().count == 42
