"""The store through its port: what goes in comes out, whole, and only once."""

import sqlite3
import threading
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from store_rows import NOW, finding, instance, later, session

from driftd.core.chain import Verified
from driftd.core.facts import Session
from driftd.core.findings import Action, Finding, Severity, Verdict
from driftd.core.memory import Message, Pause, StoreUnavailable, Suppression, Topic
from driftd.core.replacement import Record, State
from driftd.core.visits import Parted, Trace, VisitRow, Way
from driftd.core.zones import Placed
from driftd.edges.store import open_store

HOSTILE = ["\x00\n\x1b[31m", "\udcff\udcfe", "\ud83d", "'; DROP TABLE instance; --", "é\U0001f600", " "]


def filled(kind, **given):
    """One value of ``kind`` in which every field differs from its default."""
    samples = {
        "str": "text",
        "int": 7,
        "bool": True,
        "bytes": b"\xff\n\x00",
        "datetime": later(1.5),
        "datetime | None": later(2.25),
        "Mapping[str, str]": {"mode": "0644", "name": "\udcff"},
        "Change": finding().change,
        "Severity": Severity.LOW,
        "Action": Action.ALERT,
        "Verdict": Verdict.TAMPERED,
        "State": State.SOAKING,
    }
    return kind(**{field.name: samples[field.type] for field in fields(kind)} | given)


def test_every_field_of_every_row_survives(store):
    row = filled(type(instance()), id="i-1")
    found, seen, moved = filled(Finding), filled(Session), filled(Record, rid="r1")
    with store.write() as tx:
        tx.put_instance(row)
        kept = tx.add_finding("i-1", found, NOW)
        assert tx.add_session("i-1", seen, own=True, now=NOW)
        assert tx.add_replacement(moved)
    with store.read() as tx:
        assert tx.instance("i-1") == row
        assert tx.finding(kept.id) == kept
        assert kept.finding == found
        (again,) = tx.sessions("i-1")
        assert (again.session, again.own, again.first_seen) == (seen, True, NOW)
        assert tx.replacement("r1") == moved


@given(text=st.sampled_from(HOSTILE) | st.text(st.characters(), max_size=10), name=st.binary(max_size=10))
def test_text_and_names_survive_whatever_is_in_them(tmp_path_factory, text, name):
    path = tmp_path_factory.getbasetemp() / "hostile.db"
    store = open_store(f"sqlite:///{path}")
    try:
        with store.write() as tx:
            tx.put_instance(instance(text or "x", reason=text))
            row = tx.add_finding(text or "x", finding(text, subject=name, actual={"target": text}, because=text), NOW)
            tx.add_session(text or "x", session(user=text, tty=text), own=False, now=NOW)
        with store.read() as tx:
            assert tx.instance(text or "x").reason == text
            kept = tx.finding(row.id).finding
            assert (kept.subject, kept.because, kept.signature) == (name, text, text)
            # JSON joins a high and a low surrogate that stand side by side; everything else is as it was.
            assert kept.actual["target"].encode("utf-16", "surrogatepass") == text.encode("utf-16", "surrogatepass")
            assert any(one.session.user == text for one in tx.sessions(text or "x"))
    finally:
        store.close()


def test_times_come_back_aware_and_in_utc(store):
    elsewhere = NOW.astimezone(timezone(timedelta(hours=-7)))
    with store.write() as tx:
        tx.put_instance(instance(first_seen=elsewhere))
        (row,) = tx.instances()
    assert row.first_seen == NOW
    assert row.first_seen.tzinfo is UTC
    with pytest.raises(Exception, match="without a zone"), store.write() as tx:
        tx.put_instance(instance(first_seen=datetime(2026, 1, 1)))  # noqa: DTZ001  # naive on purpose


def test_a_block_that_raises_leaves_nothing(store):
    def work():
        with store.write() as tx:
            tx.put_instance(instance())
            tx.journal("decision", "i-1", {}, NOW)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    with store.read() as tx:
        assert tx.instances() == []
        assert tx.journal_lines() == []


def test_a_failed_statement_ends_the_transaction_even_if_somebody_catches_it(store):
    def work():
        with store.write() as tx:
            tx.put_instance(instance())
            with pytest.raises(StoreUnavailable):
                tx.put_instance(instance("i-2", slot=None))
            with pytest.raises(StoreUnavailable):
                tx.put_instance(instance("i-3"))

    with pytest.raises(StoreUnavailable, match="contradicts"):
        work()
    with store.read() as tx:
        assert tx.instances() == []


def test_a_finding_of_no_known_instance_is_refused_in_one_sentence(store):
    with pytest.raises(StoreUnavailable, match="FOREIGN KEY"), store.write() as tx:
        tx.add_finding("i-9", finding(), NOW)
    with store.write() as tx:  # the order within a transaction does not matter
        tx.add_finding("i-9", finding(), NOW)
        tx.put_instance(instance("i-9"))


def test_a_transaction_is_of_no_use_after_its_block(store):
    with store.write() as tx:
        tx.put_instance(instance())
    with pytest.raises(StoreUnavailable):
        tx.put_instance(instance("i-2"))
    with store.read() as tx:
        assert len(tx.instances()) == 1


def test_reading_cannot_write(store):
    with pytest.raises(StoreUnavailable), store.read() as tx:
        tx.put_instance(instance())
    with store.write() as tx:
        tx.put_instance(instance())


def test_a_reader_neither_waits_for_a_writer_nor_sees_half_of_it(store, other):
    with store.write() as tx:
        tx.put_instance(instance())
        with other.read() as reader:
            assert reader.instances() == []
    with other.read() as reader:
        assert len(reader.instances()) == 1
        with store.write() as tx:
            tx.put_instance(instance("i-2"))
        assert len(reader.instances()) == 1  # one moment


def test_threads_take_turns_and_lose_nothing(store):
    def work(name):
        for number in range(20):
            with store.write() as tx:
                tx.journal("observation", name, {"number": number}, NOW)

    threads = [threading.Thread(target=work, args=(f"t{n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    answer = store.verify_journal()
    assert isinstance(answer, Verified)
    assert answer.count == 120


def test_a_write_inside_a_write_is_a_mistake_that_is_said_at_once(store):
    with pytest.raises(RuntimeError, match="inside a write"), store.write(), store.write():
        pass
    with store.write() as tx:
        tx.put_instance(instance())


# --- instances, findings, sessions -----------------------------------------------------------------------------------


def test_gone_instances_are_shown_when_asked_for(store):
    with store.write() as tx:
        tx.put_instance(instance("i-2", slot="web/2"))
        tx.put_instance(instance("i-1", slot="web/1", gone_at=NOW))
        tx.put_instance(instance("i-3", group="db"))
        assert [row.id for row in tx.instances()] == ["i-3", "i-2"]
        assert [row.id for row in tx.instances("web", gone=True)] == ["i-1", "i-2"]
        assert tx.instance("i-1").gone_at == NOW
        assert tx.instance("i-9") is None


def test_zones_are_those_of_who_is_there_before_those_of_who_went_lately(store):
    with store.write() as tx:
        tx.put_instance(instance("i-3", zone="a", gone_at=later(10)))
        tx.put_instance(instance("i-2", zone="b", first_seen=later(1)))
        tx.put_instance(instance("i-1", zone="c", first_seen=later(2)))
        tx.put_instance(instance("i-4"))
        tx.put_instance(instance("i-5", zone="d", gone_at=later(5)))
    with store.read() as tx:
        assert tx.zones(later(5)) == [
            Placed("i-2", "web", "web/i-2", "b"),
            Placed("i-1", "web", "web/i-1", "c"),
            Placed("i-3", "web", "web/i-3", "a"),
        ]


def test_a_look_that_confirms_updates_one_row_and_adds_no_line(store):
    with store.write() as tx:
        tx.put_instance(instance())
    before = sqlite3.connect(store.path)
    with store.write() as tx:
        tx.put_instance(instance(looked_at=later(60)))
        assert tx.instance("i-1").looked_at == later(60)
        assert tx.instance("i-1").verdict_since == NOW
    assert before.execute("SELECT count(*) FROM instance").fetchone() == (1,)
    assert before.execute("SELECT count(*) FROM journal").fetchone() == (0,)
    before.close()


def test_a_finding_opens_is_seen_again_and_is_resolved(store):
    with store.write() as tx:
        tx.put_instance(instance())
        first = tx.add_finding("i-1", finding(), NOW)
        same = tx.add_finding("i-1", finding(because="said better"), later())
        assert (same.id, same.first_seen, same.last_seen) == (first.id, NOW, later())
        tx.touch_finding(first.id, finding(suppressed_by="ann"), later(2))
        (row,) = tx.open_findings("i-1")
        assert (row.last_seen, row.finding.suppressed_by) == (later(2), "ann")
        tx.resolve_finding(first.id, later(3))
        tx.resolve_finding(first.id, later(9))
        assert tx.open_findings() == []
        assert tx.finding(first.id).resolved_at == later(3)
        again = tx.add_finding("i-1", finding(), later(4))
        assert again.id != first.id
        assert again.first_seen == later(4)


def test_a_session_is_known_by_what_cannot_change_and_learns_the_rest(store):
    with store.write() as tx:
        tx.put_instance(instance())
        assert tx.add_session("i-1", session(live=True), own=False, now=NOW)
        assert not tx.add_session("i-1", session(ended_at=later(5), key="SHA256:x"), own=True, now=later(6))
        (row,) = tx.sessions("i-1")
        assert (row.session.ended_at, row.session.key, row.session.live) == (later(5), "SHA256:x", False)
        assert not row.own
        for change in ({"door": "tty"}, {"user": "ann"}, {"source": "x"}, {"port": 2}, {"pid": 8}):
            assert tx.add_session("i-1", session(**change), own=False, now=NOW)
        assert tx.add_session("i-1", session(started_at=later()), own=False, now=NOW)
        assert len(tx.sessions("i-1")) == 7
        assert tx.sessions("i-2") == []


def test_what_was_once_seen_of_a_session_stays(store):
    live = session(live=True, evidence="log+process", kind="command", number=7, boot="b/1", confidence="proved")
    with store.write() as tx:
        tx.put_instance(instance())
        tx.add_session("i-1", session(evidence="log", kind="forward", confidence="unverified"), own=False, now=NOW)
        tx.add_session("i-1", live, own=False, now=NOW)
        tx.add_session("i-1", session(evidence="log+wtmp", confidence="supported"), own=False, now=NOW)
        (row,) = tx.sessions("i-1")
    assert row.session == replace(live, live=False, evidence="log+process+wtmp")


def test_visits_are_newest_first_and_need_no_known_instance(store):
    with store.write() as tx:
        one = tx.open_visit("i-1", "SHA256:a", NOW)
        tx.open_visit("i-1", "SHA256:b", later())
        tx.close_visit(one, later(2))
        tx.close_visit(one, later(9))
        assert tx.visits("i-1") == [VisitRow("SHA256:b", later()), VisitRow("SHA256:a", NOW, later(2))]


def test_a_visit_keeps_what_became_known_of_its_connection(store):
    trace = Trace("5ca9", Way("10.0.0.1", 4711, "root", "SHA256:mine", certified=True), later())
    with store.write() as tx:
        number = tx.open_visit("i-1", "SHA256:a", NOW, "5ca9")
        assert tx.visits("i-1") == [VisitRow("SHA256:a", NOW, None, Trace("5ca9"))]
        tx.trace_visit(number, Trace("5ca9"))
        assert tx.visits("i-1")[0].trace == Trace("5ca9"), "nothing connected"
        tx.trace_visit(number, trace)
        assert tx.visits("i-1") == [VisitRow("SHA256:mine", NOW, None, trace)]
        over = replace(trace, entered_at=later(2), parted_at=later(3), parted=Parted.ORDERLY)
        tx.trace_visit(number, over)
        tx.close_visit(number, later(4))
        assert tx.visits("i-1") == [VisitRow("SHA256:mine", NOW, later(4), over)]
        sent = tx.open_visit("i-2", "", NOW, "c0de")
        by_commands = Trace("c0de", Way.by_commands(["c-1", "c-2"]), later(), later(2))
        tx.trace_visit(sent, by_commands)
        assert tx.visits("i-2")[0].trace == by_commands
        assert tx.visits("i-2")[0].trace.way.commands == ("c-1", "c-2")


# --- people ----------------------------------------------------------------------------------------------------------


def test_a_suppression_counts_until_it_expires(store):
    with store.write() as tx:
        number = tx.add_suppression(Suppression(0, "sig", "web", "ann", "mine", NOW, later(10)))
        tx.count_suppression(number, NOW)
        tx.count_suppression(number, NOW)
        (row,) = tx.suppressions(later(9))
        assert row == Suppression(number, "sig", "web", "ann", "mine", NOW, later(10), hits=2, used_at=NOW)
        assert tx.suppressions(later(10)) == []


def test_a_suppression_of_a_cause_is_withdrawn_once(store):
    with store.write() as tx:
        one = Suppression(0, "sig", "", "ann", "mine", NOW, later(10), cause="a tree", members=("a", "b"), until="x")
        number = tx.add_suppression(one)
        assert tx.suppressions(NOW) == [replace(one, id=number)]
        assert tx.withdraw_suppression(number, "bob", NOW)
        assert not tx.withdraw_suppression(number, "eve", later(1))
        assert not tx.withdraw_suppression(99, "bob", NOW)
        assert tx.suppressions(NOW) == []
        assert tx.every_suppression() == [replace(one, id=number, withdrawn_at=NOW, withdrawn_by="bob")]


def test_a_message_that_others_may_join_until_it_is_sealed(store):
    with store.write() as tx:
        tx.say(Message("k", "drift", Severity.LOW, "one", due=later(60)), NOW)
        [message] = tx.unsent()
        assert tx.message_id("k") == message.id
        assert tx.message_id("none") == 0
        assert tx.unsent(now=later(59)) == []
        assert tx.retell(replace(message, text="two", severity=Severity.HIGH))
        assert [one.text for one in tx.unsent(now=later(60))] == ["two"]
        topic = Topic("drift/web/x", message.id, Severity.HIGH, "two", 2, ("i-1", "i-2"), ("sig",), NOW)
        tx.put_topic(topic)
        assert tx.topic("drift/web/x") == topic
        assert tx.topics(message.id) == [topic]
        sealed = tx.seal(message.id)
        assert (sealed.text, sealed.due) == ("two", None)
        assert not tx.retell(replace(message, text="three", due=later(60)))
        assert tx.open_message(message.id) == sealed
        tx.mark_sent(message.id, NOW)
        assert tx.open_message(message.id) is None
        assert tx.seal(message.id) is None
        tx.prune(later(1))
        assert tx.topic("drift/web/x") is None


def test_pauses(store):
    with store.write() as tx:
        tx.set_pause(Pause("", "ann", "maintenance", NOW))
        tx.set_pause(Pause("web", "bob", "look", NOW))
        tx.set_pause(Pause("web", "cy", "look again", later()))
        assert tx.pauses() == [Pause("", "ann", "maintenance", NOW), Pause("web", "cy", "look again", later())]
        assert tx.clear_pause("web")
        assert not tx.clear_pause("web")
        assert [pause.group for pause in tx.pauses()] == [""]


def test_a_message_is_said_once_and_a_stubborn_one_does_not_hold_up_the_others(store):
    def message(key):
        return Message(key, "drift", Severity.HIGH, "text", "i-1", "r1")

    with store.write() as tx:
        assert tx.say(message("a"), NOW)
        assert not tx.say(replace(message("a"), text="other"), later())
        assert tx.say(message("b"), NOW)
        first, second = tx.unsent()
        assert (first.key, first.text, first.created_at, first.attempts) == ("a", "text", NOW, 0)
        tx.mark_failed(first.id, NOW)
        assert [one.key for one in tx.unsent()] == ["b", "a"]
        assert [one.key for one in tx.unsent(1)] == ["b"]
        tx.mark_sent(second.id, later())
        assert [(one.key, one.attempts) for one in tx.unsent()] == [("a", 1)]
        assert not tx.say(message("b"), later())
