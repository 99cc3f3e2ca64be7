"""Signs that a store is older than the world, and what stops everything."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.core.checkpoint import Checkpoint
from driftd.core.facts import Instance, InstanceState
from driftd.core.memory import Pause
from driftd.core.restored import EPOCH_LIMIT, by_checkpoint, by_marks, put_back
from driftd.core.stops import stops_of
from driftd.core.upkeep import ChainState, Doubt, StoreFacts
from driftd.core.world import ROLE, TAG_EPOCH, TAG_RID, TAG_ROLE

NOW = datetime(2026, 1, 31, 8, 0, tzinfo=UTC)
MINE = StoreFacts("ab" * 16, epoch=4, floor=0)


def tagged(tags):
    return Instance(id="i-1", group="web", slot="web/1", image="img", state=InstanceState.RUNNING, tags=tags)


def known(rid):
    return rid == "known"


@pytest.mark.parametrize(
    ("claim", "why"),
    [
        (Checkpoint(MINE.id, 9, "aa" * 32, 4, NOW), ""),
        (Checkpoint(MINE.id, 3, "33" * 32, 9, NOW), ""),
        (
            Checkpoint(MINE.id, 10, "aa" * 32, 4, NOW),
            "ends at line 9, and a checkpoint of 2026-01-31 08:00:00 UTC knows",
        ),
        (Checkpoint(MINE.id, 9, "bb" * 32, 4, NOW), "line 9 of its journal is not the one"),
        (Checkpoint("cd" * 16, 9, "aa" * 32, 4, NOW), "of another store (cdcdcdcd, this one is abababab)"),
    ],
)
def test_a_checkpoint_that_knows_more_than_the_store(claim, why):
    hashes = {9: "aa" * 32, 3: "33" * 32}
    doubt = by_checkpoint(MINE, 9, lambda seq: hashes.get(seq, ""), claim, NOW)
    if not why:
        assert doubt is None
    else:
        assert doubt.code == "checkpoint"
        assert why in doubt.why
        assert doubt.epoch == 4


@pytest.mark.parametrize(
    ("tags", "codes"),
    [
        ({}, []),
        ({TAG_EPOCH: "4"}, []),
        ({TAG_EPOCH: "5"}, ["epoch"]),
        ({TAG_EPOCH: "05"}, ["epoch"]),
        ({TAG_EPOCH: "five"}, ["epoch"]),
        ({TAG_EPOCH: "9" * 400}, ["epoch"]),
        ({TAG_EPOCH: str(EPOCH_LIMIT)}, ["epoch"]),
        ({TAG_EPOCH: "\u0665"}, ["epoch"]),
        ({TAG_EPOCH: "-1"}, ["epoch"]),
        ({TAG_RID: "known", TAG_ROLE: ROLE}, []),
        ({TAG_RID: "stray"}, []),
        ({TAG_RID: "stray", TAG_ROLE: ROLE}, ["unknown-replacement"]),
        ({TAG_RID: "x" * 5000, TAG_ROLE: ROLE, TAG_EPOCH: "7"}, ["epoch", "unknown-replacement"]),
    ],
    ids=lambda value: str(value)[:60],
)
def test_marks_that_the_store_cannot_have_made(tags, codes):
    found = by_marks(MINE, [tagged(tags), tagged(tags)], known, NOW)
    assert [doubt.code for doubt in found] == codes
    assert all(len(doubt.why) < 300 and doubt.why.isprintable() for doubt in found)


def test_an_epoch_that_a_person_took_note_of_is_no_longer_news():
    assert not by_marks(StoreFacts(MINE.id, 4, 9), [tagged({TAG_EPOCH: "9"})], known, NOW)
    (doubt,) = by_marks(StoreFacts(MINE.id, 4, 9), [tagged({TAG_EPOCH: "10"})], known, NOW)
    assert doubt.epoch == 10
    assert "i-1 was launched in epoch 10, and this store only knows of epoch 4" in doubt.why


@pytest.mark.parametrize("named", [EPOCH_LIMIT, 2**53 - 1])
def test_an_epoch_that_no_daemon_can_have_reached_raises_no_floor(named):
    (doubt,) = by_marks(MINE, [tagged({TAG_EPOCH: str(named)})], known, NOW)
    assert doubt.epoch == 0
    assert "carries an epoch that nobody can read" in doubt.why
    claim = Checkpoint(MINE.id, 10, "aa" * 32, named, NOW)
    doubt = by_checkpoint(MINE, 9, lambda seq: "", claim, NOW)
    assert (doubt.code, doubt.epoch) == ("checkpoint", 0)


def test_the_highest_epoch_that_is_believed_leaves_the_next_leases_own_marks_readable():
    (doubt,) = by_marks(MINE, [tagged({TAG_EPOCH: str(EPOCH_LIMIT - 1)})], known, NOW)
    after = StoreFacts(MINE.id, epoch=doubt.epoch + 1, floor=doubt.epoch)
    assert not by_marks(after, [tagged({TAG_EPOCH: str(after.epoch)})], known, NOW)


@given(st.text(max_size=80))
def test_no_tag_of_a_stranger_ends_more_than_in_a_doubt(text):
    for tags in ({TAG_EPOCH: text}, {TAG_RID: text, TAG_ROLE: ROLE}):
        for doubt in by_marks(MINE, [tagged(tags)], known, NOW):
            assert doubt.why.isprintable()


# --- stops -----------------------------------------------------------------------------------------------------------

SOFT, HARD = Pause("web", "ann", "lunch", NOW), Pause("", "bob", "fire", NOW, hard=True)
OPEN, SETTLED = put_back(NOW, "backup", 3), Doubt("epoch", "5", "later", NOW, 5, NOW + timedelta(1), "ann", "looked")
BROKEN = ChainState(broken=7, why="line 7 is missing")


@pytest.mark.parametrize(
    ("pauses", "chain", "doubts", "paused", "frozen"),
    [
        ((), ChainState(), (), "", ""),
        ((), ChainState(), (SETTLED,), "", ""),
        ((SOFT,), ChainState(), (), "ann paused web: lunch", ""),
        ((Pause("db", "ann", "lunch", NOW, hard=True),), ChainState(), (), "", ""),
        ((HARD,), ChainState(), (), "bob paused everything: fire", "bob paused everything, undoing too: fire"),
        ((SOFT, HARD), ChainState(), (), "ann paused web: lunch", "bob paused everything, undoing too: fire"),
        ((), BROKEN, (), "", "the journal is broken from line 7 on (line 7 is missing)"),
        ((), ChainState(), (SETTLED, OPEN), "", "it was restored on 2026-01-31 08:00:00 UTC from backup"),
        ((HARD,), BROKEN, (OPEN,), "bob paused everything: fire", "the journal is broken"),
    ],
)
def test_what_stops_what(pauses, chain, doubts, paused, frozen):
    found = stops_of(pauses, chain, doubts, "web")
    assert found.paused == paused
    assert frozen in found.frozen
    assert bool(found.frozen) is bool(frozen)
    assert found.against(undoing=True) == found.frozen
    assert found.against(undoing=False) == (found.frozen or found.paused) == found.any
