"""``driftd breakers`` and ``driftd reset``, and what ``driftd status`` says of them."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from driftd.core.breakers.breaker import Breaker, State
from driftd.edges.store import open_store

pytestmark = pytest.mark.usefixtures("now_is_now")
NOW = datetime.now(UTC)


def breakers():
    """One that is open, one that time closes, one on trial, and one that is closed."""
    return (
        Breaker(
            "C1",
            "signature:0123456789ab",
            State.OPEN,
            "8 of 40 drifted alike \x1b[31m",
            NOW - timedelta(days=2),
            closes_by="a person",
        ),
        Breaker(
            "C9",
            "account:aws",
            State.OPEN,
            "no room",
            NOW,
            NOW + timedelta(days=4, hours=22.5),
            closes_by="time (10 min)",
        ),
        Breaker("C2", "group:web", State.HALF_OPEN, "2 failed", NOW, closes_by="2 probes", probe="R7"),
        Breaker("C4", "group:db", State.CLOSED, "ill", NOW, changed_at=NOW - timedelta(days=3)),
    )


@pytest.fixture
def store(tmp_path):
    (tmp_path / "driftd.yaml").write_text("{}\n")
    made = open_store(f"sqlite:///{tmp_path / 'driftd.db'}")
    with made.write() as tx:
        for one in breakers():
            tx.put_breaker(one)
    yield made
    made.close()


def test_the_list_says_where_why_and_what_closes_it(driftd, store):
    said = driftd("breakers").out
    assert "C1    open       signature:0123456789ab  8 of 40 drifted alike \\x1b[31m" in said
    assert "open for 2 d; closed by a person; driftd reset C1 signature:0123456789ab --reason" in said
    assert "closed by time (10 min), in 4 d 22 h" in said
    assert "driftd reset C9" not in said, "no person may close it"
    assert "half-open" in said
    assert "C4" not in said
    assert "closed 3 d ago by driftd" in driftd("breakers", "--all").out


def test_the_list_on_a_narrow_terminal(driftd, store, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    said = driftd("breakers").out
    assert "signature:0123456789ab" in said
    assert max(map(len, said.splitlines())) <= 60


def test_none_is_open(driftd, tmp_path):
    open_store(f"sqlite:///{tmp_path / 'driftd.db'}").close()
    assert driftd("breakers").out == "No breaker is open.\n"


def test_the_list_for_machines(driftd, store):
    said = json.loads(driftd("breakers", "--json").out)
    assert said["schema"] == "driftd.breakers/1"
    by_rule = {one["rule"]: one for one in said["breakers"]}
    assert sorted(by_rule) == ["C1", "C2", "C9"]
    assert by_rule["C1"]["a_person_may_close_it"] is True
    assert by_rule["C9"]["a_person_may_close_it"] is False
    assert by_rule["C9"]["until"] == breakers()[1].until.isoformat()
    assert (by_rule["C2"]["state"], by_rule["C2"]["probe"]) == ("half-open", "R7")


def test_a_person_closes_what_is_a_persons_and_it_is_in_the_journal(driftd, store):
    said = driftd("reset", "c1", breakers()[0].scope, "--reason", "our rollout")
    assert said.status == 0
    assert said.out.endswith("closed breaker C1 of signature 0123456789ab: our rollout.\n")
    with store.read() as tx:
        (row,) = [one for one in tx.breakers() if one.rule == "C1"]
        (line,) = tx.journal_lines("breaker/C1/signature:0123456789ab")
        (message,) = tx.unsent()
    assert (row.state, bool(row.by), row.seen_at is not None) == (State.CLOSED, True, True)
    assert (line.kind, line.body["reason"], line.body["was"]) == ("human", "our rollout", breakers()[0].why)
    assert message.code == "breaker-closed"


@pytest.mark.parametrize(
    ("rule", "scope", "why"),
    [
        ("C9", "account:aws", "only time closes it; the provider would refuse again (closed by time (10 min))"),
        ("C1", "fleet", "no breaker C1 of fleet is open"),
        ("C4", "group:db", "no breaker C4 of group:db is open"),
        ("C77", "fleet", "no breaker C77 of fleet is open"),
    ],
)
def test_what_a_person_may_not_close_is_refused_with_a_sentence(driftd, store, rule, scope, why):
    said = driftd("reset", rule, scope, "--reason", "because")
    assert said.status == 2
    assert why in said.err
    assert "driftd breakers" in said.err
    with store.read() as tx:
        assert tx.journal_lines() == []


def test_a_reset_needs_a_reason(driftd, store):
    assert driftd("reset", "C1", breakers()[0].scope).status == 2


def test_status_shows_them_first_and_for_machines(driftd, store):
    said = driftd("status").out
    assert said.splitlines()[0].startswith(
        "BREAKER C1 open for signature 0123456789ab since 2 d: 8 of 40 drifted alike"
    )
    assert [one["rule"] for one in json.loads(driftd("status", "--json").out)["breakers"]] == ["C1", "C2", "C9"]
