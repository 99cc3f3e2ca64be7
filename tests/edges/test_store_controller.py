"""The store as the controller uses it: replacements, the journal, the lease, and what is pruned."""

from dataclasses import replace

import pytest
from store_rows import NOW, finding, instance, later, record, session

from driftd.core.chain import Verified, verify
from driftd.core.findings import Severity
from driftd.core.journal import GENESIS
from driftd.core.memory import LeaseHeld, Message, Pause, StaleRecord, Suppression
from driftd.core.replacement import TERMINAL, State
from driftd.edges.store import SqlStore, here, open_store

HOSTILE = ["\x00\n\x1b[31m", "\udcff\udcfe", "\ud83d", "'; DROP TABLE instance; --", "é\U0001f600", " "]


# --- replacements ----------------------------------------------------------------------------------------------------


def test_a_slot_and_an_old_instance_have_one_open_replacement(store):
    with store.write() as tx:
        assert tx.add_replacement(record("r1"))
        assert not tx.add_replacement(record("r1", slot="web/9", old_id="i-9"))
        assert not tx.add_replacement(record("r2", old_id="i-2"))
        assert not tx.add_replacement(record("r3", slot="web/2"))
        assert tx.add_replacement(record("r4", slot="web/2", old_id="i-2", created_at=later()))
        assert tx.add_replacement(record("r5", group="db", slot="web/1", old_id="i-3"))
        assert tx.add_replacement(record("r6", slot="", old_id="i-6"))
        assert tx.add_replacement(record("r7", slot="", old_id="i-7"))
        tx.save_replacement(record("r1", state=State.CANCELLED))
        assert tx.add_replacement(record("r8"))
        assert {row.rid for row in tx.open_replacements()} == {"r4", "r5", "r6", "r7", "r8"}
        assert [row.rid for row in tx.open_replacements("db")] == ["r5"]
        assert tx.replacements(1)[0].rid == "r4"
        assert len(tx.replacements()) == 6


def test_a_record_is_saved_only_over_the_version_that_was_read(store):
    with store.write() as tx:
        tx.add_replacement(record())
        mine = tx.replacement("r1")
        tx.save_replacement(replace(mine, state=State.LAUNCHING, intent='{"call":"launch"}', intent_at=later()))
        with pytest.raises(StaleRecord, match="r1"):
            tx.save_replacement(replace(mine, state=State.CANCELLED))
        kept = tx.replacement("r1")
        assert (kept.state, kept.version, kept.intent_at) == (State.LAUNCHING, 1, later())
        tx.save_replacement(replace(kept, state=State.BOOTING))
        with pytest.raises(StaleRecord):
            tx.save_replacement(record("nobody"))


@pytest.mark.parametrize("state", list(State))
def test_what_is_terminal_is_closed(store, state):
    with store.write() as tx:
        tx.add_replacement(record(state=state))
        assert (tx.open_replacements() == []) is (state in TERMINAL)


# --- journal ---------------------------------------------------------------------------------------------------------


def test_lines_have_no_gap_and_chain(store):
    with store.write() as tx:
        one = tx.journal("intent", "r1", {"call": "launch", "at": NOW, "name": b"\xff"}, NOW)
        two = tx.journal("human", "i-1", {"said": "pause \udcff"}, later())
        assert (one.seq, one.prev, two.seq, two.prev) == (1, GENESIS, 2, one.hash)
    with store.read() as tx:
        assert tx.journal_lines() == [one, two]
        assert tx.journal_lines("i-1") == [two]
        assert tx.journal_lines(after=1) == [two]
        assert tx.journal_lines(limit=1) == [one]
        assert verify(tx.journal_lines()) == Verified(2, two.hash)
    assert store.verify_journal() == Verified(2, two.hash)


def test_a_long_journal_is_verified_page_by_page(store, monkeypatch):
    monkeypatch.setattr("driftd.edges.store.sql.PAGE", 7)
    with store.write() as tx:
        for number in range(50):
            tx.journal("decision", "s", {"n": number}, NOW)
    answer = store.verify_journal()
    assert isinstance(answer, Verified)
    assert answer.count == 50


# --- lease -----------------------------------------------------------------------------------------------------------


def test_a_second_daemon_is_told_who_runs_and_what_to_do(store, other):
    assert store.take_lease("alpha pid 7", 30, NOW) == 1
    with pytest.raises(LeaseHeld, match=r"alpha pid 7, since 2026-01-31 08:00:00 UTC") as caught:
        other.take_lease("beta", 30, later(29))
    assert "08:00:30" in caught.value.hint
    store.renew_lease("alpha pid 7", 1, 30, later(20))
    with pytest.raises(LeaseHeld):
        other.take_lease("beta", 30, later(40))
    with pytest.raises(LeaseHeld):
        other.take_lease("alpha pid 7", 30, later(40))  # the same name is not the same daemon


def test_who_was_taken_over_writes_nothing_any_more(store, other):
    epoch = store.take_lease("alpha", 30, NOW)
    with store.write() as tx:
        tx.put_instance(instance())
    assert other.take_lease("beta", 30, later(31)) == epoch + 1
    with pytest.raises(LeaseHeld, match="beta"), store.write() as tx:
        tx.put_instance(instance("i-2"))
    with pytest.raises(LeaseHeld, match="beta"):
        store.renew_lease("alpha", epoch, 30, later(32))
    store.drop_lease("alpha", epoch)  # no longer ours is success, and takes nothing from the other
    with store.read() as tx:
        assert len(tx.instances()) == 1
    with other.write() as tx:
        tx.put_instance(instance("i-2"))
    plain = open_store(f"sqlite:///{store.path}")
    with plain.write() as tx:  # a command that pauses holds no lease and needs none
        tx.set_pause(Pause("", "ann", "stop", NOW))
    plain.close()


def test_a_lease_given_back_is_free_at_once(store, other):
    store.take_lease("alpha", 30, NOW)
    store.drop_lease("alpha", 1)
    assert other.take_lease("beta", 30, later()) == 2
    with pytest.raises(LeaseHeld), store.write():
        pass


def test_a_lease_that_ran_out_but_was_not_taken_can_be_renewed(store):
    store.take_lease("alpha", 30, NOW)
    store.renew_lease("alpha", 1, 30, later(300))
    with store.write() as tx:
        tx.put_instance(instance())


def test_a_holder_that_runs_is_waited_for(store, other):
    store.take_lease(here(), 30, NOW)
    with pytest.raises(LeaseHeld):
        other.take_lease(here(), 30, later())


# --- growth ----------------------------------------------------------------------------------------------------------


def test_what_is_over_goes_and_what_lives_stays(store):
    with store.write() as tx:
        for name, gone in (("old", NOW), ("new", later(100)), ("here", None)):
            tx.put_instance(instance(name, gone_at=gone))
            tx.add_session(name, session(), own=True, now=NOW)
            tx.close_visit(tx.open_visit(name, "k", NOW), NOW)
            tx.add_finding(name, finding("open"), NOW)
        tx.open_visit("never-known", "k", NOW)
        resolved = tx.add_finding("here", finding("resolved"), NOW)
        tx.resolve_finding(resolved.id, NOW)
        tx.say(Message("sent", "c", Severity.LOW, "t"), NOW)
        tx.mark_sent(tx.unsent()[0].id, NOW)
        tx.say(Message("waits", "c", Severity.LOW, "t"), NOW)
        tx.add_suppression(Suppression(0, "s", "", "ann", "r", NOW, NOW))
        tx.add_replacement(record(state=State.SUCCEEDED))
        tx.journal("human", "ann", {}, NOW)
        assert tx.prune(later(50)) == {
            "findings": 2,
            "sessions": 1,
            "visits": 2,
            "instances": 1,
            "messages": 1,
            "jobs": 0,
            "suppressions": 1,
            "explained": 0,
            "identities": 0,
            "marks": 0,
            "holds": 0,
            "breakers": 0,
            "sightings": 0,
        }
    with store.read() as tx:
        assert [row.id for row in tx.instances(gone=True)] == ["here", "new"]
        assert len(tx.sessions("here")) == len(tx.visits("here")) == len(tx.open_findings("here")) == 1
        assert [one.key for one in tx.unsent()] == ["waits"]
        assert len(tx.replacements()) == len(tx.journal_lines()) == 1


def test_ten_thousand_instances(store: SqlStore):
    rows = [instance(f"i-{number:05}") for number in range(10_000)]
    with store.write() as tx:
        for row in rows:
            tx.put_instance(row)
    with store.read() as tx:
        assert sorted(tx.instances(), key=lambda row: row.id) == rows
