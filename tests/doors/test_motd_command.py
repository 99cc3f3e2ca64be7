"""What a person is told at login, by ``driftd motd``, status and explain: what follows, when, and how to hold it."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sshd import ME, sshd

from driftd.core.facts import Session
from driftd.core.findings import Action, Verdict
from driftd.core.holds import Hold
from driftd.core.memory import InstanceRow
from driftd.core.policy import Policy, judge
from driftd.core.sessions import differences
from driftd.edges.store import open_store

pytestmark = pytest.mark.usefixtures("now_is_now")
NOW = datetime.now(UTC)
CONFIG = """\
groups:
  web:
    provider: static
    hosts: [192.0.2.1]
    enforce: replace
    policy: [sessions, web.yaml]
    replacing: {windows: always}
    sessions: {interactive: replace, command: alert}
  db:
    provider: static
    hosts: [192.0.2.2]
"""
RULES = """\
schema: driftd.policy/1
name: web
rules:
  - id: copies
    match: {session: {door: ssh, kind: transfer}}
    action: explain
    because: Copies are how this one lives.
"""
EVE = Session("ssh", "eve\n\x1b[31m", "203.0.113.9", NOW - timedelta(hours=1), key="SHA256:e", kind="interactive")


@pytest.fixture
def store(tmp_path):
    (tmp_path / "driftd.yaml").write_text(CONFIG)
    (tmp_path / "web.yaml").write_text(RULES)
    made = open_store(f"sqlite:///{tmp_path / 'driftd.db'}")
    row = InstanceRow(
        "i-1", "web", "web/1", "golden", "192.0.2.1", "running", Verdict.CLEAN, "as baked", "", NOW, NOW, NOW
    )
    with made.write() as tx:
        tx.put_instance(row)
    yield made
    made.close()


def tainted(store, *, live=False, action=Action.REPLACE, ago=timedelta(minutes=10), held=timedelta(0)):
    came = replace(EVE, live=live, ended_at=None if live else NOW - ago)
    with store.write() as tx:
        tx.add_session("i-1", came, own=False, now=NOW - timedelta(hours=1))
        (found,) = judge(differences([came]), Policy(), (), NOW).findings
        tx.add_finding("i-1", replace(found, action=action), NOW)
        row = tx.instance("i-1")
        since = NOW - timedelta(hours=1)
        tx.put_instance(replace(row, taint="eve was on it", taint_since=since, action=action))
        if held:
            tx.put_hold(Hold(0, "i-1", "web", "ann", "a crash", NOW, NOW + held))


def test_the_text_of_a_group_needs_no_store_and_says_each_kinds_answer(driftd, tmp_path):
    (tmp_path / "driftd.yaml").write_text(CONFIG)
    (tmp_path / "web.yaml").write_text(RULES)
    said = driftd("motd", "web")
    assert said.status == 0
    assert "For a shell: the server will be replaced." in said.out
    assert "For a command (ssh HOST COMMAND): it is noted, and people are told." in said.out
    assert "For a copy (scp, sftp): it is expected." in said.out
    assert "For a forwarded port: it is noted." in said.out
    assert "When: 30 min after the last session ends" in said.out
    assert 'driftd hold THIS-SERVERS-ADDRESS --for 2h --reason "..."' in said.out
    assert said.out.isascii()
    assert max(map(len, said.out.splitlines())) <= 76
    other = driftd("motd", "db").out
    assert "Nothing is done about it." in other
    assert "driftd hold" not in other


@pytest.mark.parametrize(
    ("about", "says", "holdable"),
    [
        ({}, "will be replaced at", True),
        ({"live": True}, "nobody is cut off, so it waits until 1 session on it ends, and 30 min more", True),
        ({"ago": timedelta(minutes=40)}, "it will be replaced now, as soon as the guards allow it", True),
        ({"held": timedelta(hours=5)}, "ann holds it until", True),
        (
            {"action": Action.OBSERVE},
            "noted, and nothing is done about it, as nothing that web goes by asks for a replacement",
            False,
        ),
        ({"action": Action.ALERT}, "people are told, and nothing is done about it", False),
    ],
)
def test_an_instance_and_status_and_explain_say_what_follows_and_how_to_hold_it(driftd, store, about, says, holdable):
    tainted(store, **about)
    flat = " ".join(driftd("motd", "web/1").out.split())
    assert "It is tainted: eve was on it." in flat
    assert says in flat
    hold = 'driftd hold i-1 --for 2h --reason "…"'
    assert (hold in flat) == holdable
    (one,) = json.loads(driftd("status", "--json").out)["instances"]
    assert says in one["taint_follows"]["says"]
    assert bool(one["taint_follows"]["hold"]) == holdable
    shown = driftd("status").out
    assert says[:20] in " ".join(shown.split())
    assert (hold in " ".join(shown.split())) == holdable
    told = driftd("explain", "i-1")
    assert told.status == 0
    assert says[:20] in " ".join(told.out.split())
    value = json.loads(driftd("explain", "i-1", "--format", "json").out)
    assert says in json.dumps(value)


def test_its_history_is_in_order_and_ends_with_what_follows(driftd, store):
    tainted(store, held=timedelta(hours=5))
    said = " ".join(driftd("history", "web/1").out.split())
    assert "tainted: eve was on it it will be replaced at" in said
    assert 'to keep it longer: driftd hold i-1 --for 2h --reason "…"' in said
    value = json.loads(driftd("history", "192.0.2.1", "--json").out)
    assert [one["what"] for one in value["events"]] == ["session", "hold"]
    assert "by ssh (interactive) from 203.0.113.9, until" in value["events"][0]["says"]
    assert "ann held it until" in value["events"][1]["says"]
    assert "ann holds it until" in value["taint_follows"]["says"]
    wrong = driftd("history", "web/9")
    assert (wrong.status, "nothing that driftd knows is called 'web/9'" in wrong.err) == (2, True)


def test_who_is_not_tainted_is_told_so_and_a_wrong_name_is_one_sentence(driftd, store):
    said = driftd("motd", "i-1").out
    assert "It is not tainted. driftd notes every login." in said
    wrong = driftd("motd", "web/9")
    assert wrong.status == 2
    assert "nothing that driftd knows is called 'web/9'" in wrong.err


def test_what_comes_from_an_instance_moves_no_cursor(driftd, store):
    tainted(store)
    with store.write() as tx:
        tx.put_instance(replace(tx.instance("i-1"), taint="eve\n\x1b[2J was on it " + "x" * 300))
    said = driftd("motd", "i-1").out
    assert all(line.isprintable() for line in said.splitlines())


@pytest.mark.parametrize("there", [True, False])
def test_as_a_banner_it_is_read_at_login_and_refuses_and_delays_nobody(driftd, tmp_path, there):
    (tmp_path / "driftd.yaml").write_text(CONFIG)
    (tmp_path / "web.yaml").write_text(RULES)
    banner = tmp_path / "banner"
    if there:
        banner.write_text(driftd("motd", "web").out)
    with sshd(tmp_path / "sshd", extra=f"Banner {banner}") as server:
        for _ in range(2):
            options = f"-oUserKnownHostsFile={server.known_hosts}", "-oIdentitiesOnly=yes", "-oBatchMode=yes"
            where = "-i", str(server.client_key), "-p", str(server.port), f"{ME}@127.0.0.1"
            said = subprocess.run(
                ["ssh", *options, *where, "echo in"],
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert (said.returncode, said.stdout) == (0, "in\n"), said.stderr
            assert ("For a shell: the server will be replaced." in said.stderr) == there
            Path(banner).unlink(missing_ok=True)  # an image that lost it lets people in all the same
            there = False
