"""Acceptances from the command line: made, counted, listed, withdrawn; and what is refused in one sentence."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from driftd.core.causes import assign, gather
from driftd.core.difference import Change, Difference
from driftd.core.findings import Action, Finding, Severity, Verdict, signature
from driftd.core.memory import InstanceRow
from driftd.edges.store import open_store

pytestmark = pytest.mark.usefixtures("now_is_now")
NOW = datetime.now(UTC)


def finding(kind: str, subject: bytes, change=Change.ADDED, **actual: str) -> Finding:
    shape = signature(Difference(kind, subject, change, {}, actual))
    return Finding(kind, subject, change, Severity.HIGH, Action.REPLACE, shape, "a:b", "because", {}, actual)


TREE = assign(
    [
        finding("directory", b"/opt/app", Change.REMOVED),
        *(finding("file", b"/opt/app/%d" % n, Change.REMOVED) for n in range(3)),
    ]
)
MOTD = finding("file", b"/etc/motd", Change.MODIFIED, sha256="aa")
CAUSE = gather(TREE)[0].signature


@pytest.fixture
def store(tmp_path):
    made = open_store(f"sqlite:///{tmp_path / 'driftd.db'}")
    with made.write() as tx:
        for group, number in (("web", 1), ("web", 2), ("db", 3)):
            name = f"i-{number}"
            row = InstanceRow(
                name, group, f"{group}/{number}", "img", "", "running", Verdict.DRIFTED, "", "", NOW, NOW, NOW
            )
            tx.put_instance(row)
            for one in TREE:
                tx.add_finding(name, one, NOW)
        tx.add_finding("i-1", MOTD, NOW)
    yield made
    made.close()


def kept(store):
    with store.read() as tx:
        return tx.every_suppression()


def test_findings_are_one_row_a_cause_and_all_shows_the_rest(driftd, store):
    said = driftd("findings").out
    assert "/opt/app was deleted with 3 files (i-1, i-2 and i-3)" in said
    assert "on 3 instances" in said
    assert "13 findings of 2 causes" in said
    assert "/opt/app/1" not in said
    everything = driftd("findings", "--all").out
    assert everything.count("/opt/app/1") == 3
    [one] = [line for line in driftd("findings", "i-1").out.splitlines() if "/opt/app" in line]
    assert "i-1" in one


def test_the_json_has_every_finding_and_its_cause(driftd, store):
    rows = [json.loads(line) for line in driftd("findings", "--json").out.splitlines()]
    assert len(rows) == 13
    assert {row["cause"]["signature"] for row in rows} == {CAUSE, MOTD.signature}
    assert {row["cause"]["instances"] for row in rows if row["subject"].startswith("/opt")} == {3}


def test_a_cause_is_accepted_with_its_members_in_its_group(driftd, store):
    said = driftd("accept", CAUSE, "--for", "2h", "--reason", "we removed it", "--group", "web")
    assert said.status == 0, said.err
    assert "/opt/app was deleted with 3 files" in said.out
    [one] = kept(store)
    assert (one.signature, one.group, one.reason) == (CAUSE, "web", "we removed it")
    assert one.members == tuple(sorted(row.signature for row in TREE))
    assert one.expires_at - one.created_at == timedelta(hours=2)
    with store.read() as tx:
        [line] = tx.journal_lines("web")
    assert (line.kind, line.body["did"], line.body["findings"]) == ("human", "accept", 4)


def test_a_finding_is_accepted_for_seven_days_in_its_own_group(driftd, store):
    assert driftd("accept", MOTD.signature, "--reason", "mine").status == 0
    [one] = kept(store)
    assert (one.group, one.members, one.cause) == ("web", (), "")
    assert one.expires_at - one.created_at == timedelta(days=7)


def test_an_acceptance_of_a_session_knows_the_last_visit(driftd, store):
    session = finding("session", b"ssh:ann@::1", door="ssh", last_at="2026-01-31T08:00:00Z")
    with store.write() as tx:
        tx.add_finding("i-1", session, NOW)
        tx.add_finding("i-3", replace(session, actual={**session.actual, "last_at": "2026-05-01T08:00:00Z"}), NOW)
    assert driftd("accept", session.signature, "--reason", "me", "--group", "web").status == 0
    assert kept(store)[0].until == "2026-01-31T08:00:00Z"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing"], "no open finding or cause has the number or signature 'nothing'"),
        (["1", "--for", "91d"], "--for 91d is longer than 90 d"),
        (["1", "--for", "soon"], "--for 'soon' is not a length of time"),
        (["1", "--for", "0s"], "--for '0s' is not a length of time"),
        (["1", "--reason", "  "], "an acceptance needs a reason"),
        (["1", "--reason", "x" * 501], "the reason has 501 characters, 500 at most"),
        (["1", "--group", "nope"], "no instance of a group 'nope' is known"),
    ],
)
def test_what_cannot_be_accepted_is_one_sentence(driftd, store, words, said):
    words = words if "--reason" in words else [*words, "--reason", "because"]
    answer = driftd("accept", *words)
    assert answer.status == 2
    assert said in answer.err
    assert "next:" in answer.err
    assert kept(store) == []


def test_what_is_accepted_is_listed_with_its_use(driftd, store):
    driftd("accept", CAUSE, "--reason", "used", "--group", "web")
    driftd("accept", MOTD.signature, "--reason", "not used")
    with store.write() as tx:
        tx.count_suppression(1, NOW, 4)
        long_ago = NOW - timedelta(days=30)
        tx.add_suppression(
            replace(kept(store)[0], signature="old", created_at=long_ago, expires_at=NOW, hits=0, members=())
        )
    said = driftd("accepted").out
    states = [line.split()[1] for line in said.splitlines()[1:4]]
    assert states == ["used", "unused", "expired"]
    assert "not used yet" in said
    assert "never used in 30 d: withdraw it with driftd unaccept 3" in said
    rows = [json.loads(line) for line in driftd("accepted", "--json").out.splitlines()]
    assert [(row["state"], row["hits"], row["findings"]) for row in rows] == [
        ("used", 4, 4),
        ("unused", 0, 1),
        ("expired", 0, 1),
    ]


def test_an_acceptance_is_withdrawn_once(driftd, store):
    driftd("accept", MOTD.signature, "--reason", "mine")
    assert driftd("unaccept", 1).status == 0
    with store.read() as tx:
        assert tx.suppressions(NOW) == []
        assert [line.body["did"] for line in tx.journal_lines("web")] == ["accept", "unaccept"]
    assert "withdrawn already" in driftd("unaccept", 1).err
    assert "no acceptance has the number 7" in driftd("unaccept", 7).err
    assert "withdrawn" in driftd("accepted").out


def test_nothing_accepted_is_said(driftd, store):
    assert "Nothing is accepted." in driftd("accepted").out


def test_a_narrow_terminal_breaks_no_name_and_no_signature(driftd, store, monkeypatch):
    driftd("accept", CAUSE, "--reason", "a reason that is not short at all, so that it needs more than a column has")
    monkeypatch.setenv("COLUMNS", "80")
    for words in (("findings", "--all"), ("accepted",), ("status",)):
        said = driftd(*words).out
        assert all(len(line) <= 80 for line in said.splitlines())
        assert len(said.splitlines()) < 70
    assert f"{CAUSE} in web, by " in driftd("accepted").out
    said = driftd("findings", "--all").out
    assert "file /opt/app/1 removed" in said
    assert f"{MOTD.signature}  " in said
