from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from driftd.probe import files, inside, processes, sessions, sshlog, wtmp

KEY = b"SHA256:" + b"A" * 42 + b"k"
NOW = datetime(2025, 11, 5, 15, 0, 0, tzinfo=UTC).timestamp()
BOOT = NOW - 3600


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


PRECISE = b"""\
2025-11-05T14:02:10.104211+00:00 web sshd[310]: Server listening on 0.0.0.0 port 22.
2025-11-05T14:02:11.523123+00:00 web sshd[401]: Connection from 10.0.0.9 port 50000 on 10.0.0.1 port 22 rdomain ""
2025-11-05T14:02:11.523123+00:00 web sshd[401]: Accepted publickey for root from 10.0.0.9 port 50000 ssh2: ED25519 KEY
2025-11-05T14:02:11.600000+00:00 web sshd[401]: pam_unix(sshd:session): session opened for user root(uid=0) by (uid=0)
2025-11-05T14:02:11.700000+00:00 web sshd[401]: Starting session: shell on pts/0 for root from 10.0.0.9 port 50000 id 0
2025-11-05T14:05:00.000000+00:00 web sshd[401]: Received disconnect from 10.0.0.9 port 50000:11: disconnected by user
2025-11-05T14:05:01.000000+00:00 web sshd[401]: pam_unix(sshd:session): session closed for user root
2025-11-05T15:10:00+01:00 web sshd-session[500]: Accepted password for deploy from 2001:db8::5 port 1234 ssh2
2025-11-05T14:11:00Z web sshd[501]: Connection closed by 10.0.0.8 port 4711 [preauth]
2025-11-05T14:11:01Z web sshd[502]: Invalid user Accepted publickey for x from 1.2.3.4 port 9 ssh2 from 10.0.0.8 port 1
2025-11-05T14:11:02Z web sudo[1]: Accepted publickey for root from 10.0.0.9 port 50001 ssh2
2025-11-05T14:12:00Z web sshd[600]: Accepted publickey for bob from 10.0.0.7 port 77 ssh2: ED25519-CERT KEY ID bob@x \
T-1 (serial 42) CA ED25519 SHA256:ca
2025-11-05T14:12:01Z web sshd[600]: User child is on pid 605
""".replace(b"KEY", KEY)


def test_accepted_logins_are_sessions_and_nothing_else_is() -> None:
    found = sshlog.logins(sshlog.syslog_lines(PRECISE, NOW), 0, b"log")
    assert [(one.user, one.source, one.port, one.pid) for one in found] == [
        (b"root", b"10.0.0.9", 50000, 401),
        (b"deploy", b"2001:db8::5", 1234, 500),
        (b"bob", b"10.0.0.7", 77, 600),
    ]
    root, deploy, bob = found
    assert (root.started, root.ended) == (at("2025-11-05T14:02:11+00:00"), at("2025-11-05T14:05:01+00:00"))
    assert (root.key, root.tty) == (KEY, b"pts/0")
    assert (deploy.started, deploy.ended, deploy.key) == (at("2025-11-05T14:10:00+00:00"), 0, b"")
    assert (bob.key, bob.key_id, bob.pids) == (KEY, b"bob@x T-1", {600, 605})


def test_lines_from_before_the_boot_belong_to_the_image() -> None:
    since = at("2025-11-05T14:10:00+00:00")
    found = sshlog.logins(sshlog.syslog_lines(PRECISE, NOW), since, b"log")
    assert [one.user for one in found] == [b"deploy", b"bob"]


@pytest.mark.parametrize(
    ("stamp", "latest", "meant"),
    [
        ("Nov  5 15:02:11", "2025-11-05T14:30:00+00:00", "2025-11-05T14:02:11+00:00"),
        ("Jul 15 12:00:00", "2025-11-05T14:30:00+00:00", "2025-07-15T10:00:00+00:00"),  # summer time
        ("Dec 31 23:59:59", "2026-01-01T00:10:00+00:00", "2025-12-31T22:59:59+00:00"),
        ("Jan  1 00:30:00", "2025-12-31T23:45:00+00:00", "2025-12-31T23:30:00+00:00"),
        ("Feb 29 12:00:00", "2026-11-05T14:30:00+00:00", "2024-02-29T11:00:00+00:00"),
    ],
)
def test_a_stamp_without_year_and_zone_is_the_machines_own(zone: None, stamp: str, latest: str, meant: str) -> None:
    line = f"{stamp} web sshd[7]: Accepted password for u from 1.2.3.4 port 5 ssh2".encode()
    (found,) = sshlog.syslog_lines(line, at(latest))
    assert found.at == at(meant)


@pytest.mark.parametrize(
    "line",
    [
        b"Foo  5 15:02:11 web sshd[7]: Accepted password for u from 1.2.3.4 port 5 ssh2",
        b"Nov 35 15:02:11 web sshd[7]: Accepted password for u from 1.2.3.4 port 5 ssh2",
        b"2025-13-05T14:02:11Z web sshd[7]: Accepted password for u from 1.2.3.4 port 5 ssh2",
        b"2025-11-05T14:02:11Z web sshd[7]: Accepted password for u from 1.2.3.4 port 99999 ssh2",
        b"2025-11-05T14:02:11Z web sshd[7]: error: Accepted password for u from 1.2.3.4 port 5 ssh2",
        b"2025-11-05T14:02:11Z web notsshd[7]: Accepted password for u from 1.2.3.4 port 5 ssh2",
        b"sshd" * 100_000,
        b"\x00\xff sshd \x00",
    ],
)
def test_lines_that_tell_of_no_login(line: bytes) -> None:
    assert sshlog.logins(sshlog.syslog_lines(line, NOW), 0, b"log") == []


def export(at_s: int, pid: int, message: bytes) -> bytes:
    head = b"__REALTIME_TIMESTAMP=%d\n_PID=%d\nSYSLOG_IDENTIFIER=sshd\n" % (at_s * 1_000_000 + 5, pid)
    if b"\n" in message or b"\xff" in message:
        return head + b"MESSAGE\n" + struct.pack("<Q", len(message)) + message + b"\n\n"
    return head + b"MESSAGE=" + message + b"\n\n"


def test_the_journals_export_format() -> None:
    data = (
        export(100, 5, b"two\nlines \xff")
        + export(int(NOW), 9, b"Accepted publickey for eve from 10.0.0.3 port 99 ssh2: ED25519 " + KEY)
        + b"MESSAGE=without a time\n\n"
        + export(int(NOW) + 9, 9, b"Disconnected from user eve 10.0.0.3 port 99")
        + b"CUT\n\x01"
    )
    (found,) = sshlog.logins(sshlog.export_lines(data), 0, b"journal")
    assert (found.user, found.key, found.started, found.ended) == (b"eve", KEY, int(NOW), int(NOW) + 9)


# --- wtmp ------------------------------------------------------------------------------------------------------------


def record(kind: int, pid: int, line: bytes, user: bytes, when: float, peer: str = "", machine: str = "") -> bytes:
    address = bytes(int(part) for part in peer.split(".")) if peer else b""
    host = peer.encode()
    form = struct.Struct("=hxxi32s4s32s256shhqqq16s20x4x" if machine else "=hxxi32s4s32s256shhiii16s20x")
    return form.pack(kind, pid, line, b"", user, host, 0, 0, 0, int(when), 7, address)


def test_records_are_as_large_as_glibc_writes_them() -> None:
    assert (wtmp.record("x86_64").size, wtmp.record("aarch64").size) == (384, 400)


@pytest.mark.parametrize("machine", ["", "aarch64"])
def test_terminal_logins_and_their_ends(machine: str) -> None:
    data = b"".join(
        [
            record(2, 0, b"~", b"reboot", BOOT - 5000, machine=machine),
            record(7, 10, b"pts/0", b"baker", BOOT - 4000, "10.0.0.1", machine),
            record(2, 0, b"~", b"reboot", BOOT, machine=machine),
            record(7, 20, b"pts/0", b"alice", BOOT + 10, "10.0.0.2", machine),
            record(7, 21, b"tty1", b"root", BOOT + 20, machine=machine),
            record(8, 20, b"pts/0", b"", BOOT + 30, machine=machine),
            record(7, 22, b"pts/0", b"carol", BOOT + 40, "10.0.0.3", machine),
        ]
    )
    found = wtmp.terminals(data + b"cut", BOOT, wtmp.record(machine or "x86_64"))
    assert [(t.user, t.line, t.host, t.pid, t.started - int(BOOT), t.ended and t.ended - int(BOOT)) for t in found] == [
        (b"alice", b"pts/0", b"10.0.0.2", 20, 10, 30),
        (b"root", b"tty1", b"", 21, 20, 0),
        (b"carol", b"pts/0", b"10.0.0.3", 22, 40, 0),
    ]


# --- processes -------------------------------------------------------------------------------------------------------


class Proc:
    """A procfs made of files."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "self/net").mkdir(parents=True)
        self.tables = {"tcp": "header\n", "tcp6": "header\n"}
        self.add(1, 0, "init", "/sbin/init", BOOT)

    def add(self, pid: int, above: int, name: str, title: str, started: float, exe: str = "/usr/sbin/sshd") -> None:
        here = self.root / str(pid)
        (here / "fd").mkdir(parents=True)
        ticks = int((started - (BOOT - 100)) * os.sysconf("SC_CLK_TCK"))
        (here / "stat").write_text(f"{pid} ({name}) S {above}" + " 0" * 17 + f" {ticks} 0 0\n")
        (here / "cmdline").write_bytes(title.encode() + b"\0\0\0")
        (here / "exe").symlink_to(exe)

    def connect(self, pid: int, inode: int, peer: str, table: str = "tcp") -> None:
        (self.root / str(pid) / "fd/4").symlink_to(f"socket:[{inode}]")
        self.tables[table] += (
            f"   0: 0100000A:0016 {peer} 01 00000000:00000000 02:0009 00000000     0        0 {inode} 4\n"
        )
        (self.root / "self/net" / table).write_text(self.tables[table])

    def table(self) -> processes.Table:
        return processes.Table(os.fsencode(self.root), BOOT - 100)


@pytest.fixture
def proc(tmp_path: Path) -> Proc:
    made = Proc(tmp_path / "proc")
    made.add(50, 1, "sshd", "sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups", BOOT + 1)
    return made


def test_titles_of_those_who_are_in(proc: Proc) -> None:
    proc.add(60, 50, "sshd", "sshd: alice [priv]", BOOT + 10)
    proc.add(61, 60, "sshd", "sshd: alice@pts/0", BOOT + 11)
    proc.add(70, 50, "sshd", "sshd: root@notty", BOOT + 20)
    proc.add(80, 50, "sshd-session", "sshd-session: bob [priv]", BOOT + 30)
    proc.add(81, 80, "sshd-session", "sshd-session: bob", BOOT + 31)
    # not in, or not sshd
    proc.add(90, 50, "sshd", "sshd: [accepted]", BOOT + 40)
    proc.add(91, 50, "sshd", "sshd: mallory [priv]", BOOT + 41)
    proc.add(92, 91, "sshd", "sshd: mallory [net]", BOOT + 41)
    proc.add(93, 1, "sshd: x", "sshd: nobody@pts/9", BOOT + 42, exe="/usr/bin/python3.11")
    proc.add(94, 1, "odd) name (", "sshd: other@pts/8", BOOT + 43)
    proc.connect(60, 4001, "0900000A:C350")
    proc.connect(81, 4002, "0000000000000000FFFF00000800000A:1F90", "tcp6")
    proc.connect(70, 4003, "B80D0120000000000000000005000000:0050", "tcp6")
    live = proc.table().live()
    assert [(one.user, one.tty, one.pid, one.child, one.source, one.port) for one in live] == [
        (b"alice", b"pts/0", 60, 61, b"10.0.0.9", 50000),
        (b"root", b"", 70, 70, b"2001:db8::5", 80),
        (b"bob", b"", 80, 81, b"10.0.0.8", 8080),
    ]
    assert [one.started for one in live] == [int(BOOT) + 10, int(BOOT) + 20, int(BOOT) + 30]


def test_boot_is_when_the_first_process_of_the_namespace_began(proc: Proc) -> None:
    assert proc.table().booted_at == pytest.approx(BOOT, abs=0.02)


# --- joined ----------------------------------------------------------------------------------------------------------


def iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def test_all_evidence_of_one_session_is_one_session(tree: Path, proc: Proc) -> None:
    accepted = f"{iso(BOOT + 10.5)} web sshd[60]: Accepted publickey for alice from 10.0.0.9 port 50000 ssh2: ED25519 "
    log = [
        f"{iso(BOOT - 900)} web sshd[9]: Accepted password for baker from 10.0.0.9 port 1 ssh2".encode(),
        accepted.encode() + KEY,
        f"{iso(BOOT + 10.6)} web sshd[60]: User child is on pid 61".encode(),
        f"{iso(BOOT + 20)} web sshd[70]: Accepted publickey for root from 10.0.0.1 port 9 ssh2: ED25519 {'k'}".encode(),
        f"{iso(BOOT + 30)} web sshd[75]: Accepted password for root from 10.0.0.1 port 10 ssh2".encode(),
        f"{iso(BOOT + 31)} web sshd[75]: Disconnected from user root 10.0.0.1 port 10".encode(),
    ]
    (tree / "var/log").mkdir(parents=True)
    (tree / "var/log/auth.log.1").write_bytes(b"\n".join(log[:2]) + b"\n")
    (tree / "var/log/auth.log").write_bytes(b"\n".join(log[1:]) + b"\n")
    (tree / "var/log/wtmp").write_bytes(
        record(7, 61, b"pts/0", b"alice", BOOT + 11, "10.0.0.9")
        + record(7, 62, b"pts/1", b"alice", BOOT + 40, "10.0.0.9")  # a second terminal over the same connection
        + record(7, 99, b"tty1", b"root", BOOT + 50)
        + record(8, 99, b"tty1", b"", BOOT + 60)
    )
    proc.add(60, 50, "sshd", "sshd: alice [priv]", BOOT + 10)
    proc.add(61, 60, "sshd", "sshd: alice@pts/0", BOOT + 11)
    proc.add(70, 50, "sshd", "sshd: root@notty", BOOT + 19)
    proc.add(71, 70, "python3", "python3 -I", BOOT + 21)
    proc.add(85, 50, "sshd", "sshd: dave@notty", BOOT + 55)
    root = inside.Root(os.fsencode(tree))
    message = sessions.collect(root, proc.table(), 71)
    root.close()
    rows = {(row[b"user"], row[b"pid"]): row for row in message[b"sessions"]}
    assert set(rows) == {(b"alice", 60), (b"root", 70), (b"root", 75), (b"root", 99), (b"dave", 85)}
    alice = rows[b"alice", 60]
    assert (alice[b"key"], alice[b"tty"], alice[b"live"], alice[b"ended"]) == (KEY, b"pts/0", 1, 0)
    assert (alice[b"started"], alice[b"evidence"]) == (int(BOOT + 10), b"log+process+wtmp")
    assert [row[b"ancestor"] for row in message[b"sessions"]].count(1) == 1
    assert rows[b"root", 70][b"ancestor"] == 1
    assert (rows[b"root", 75][b"live"], rows[b"root", 75][b"ended"]) == (0, int(BOOT + 31))
    console = rows[b"root", 99]
    assert (console[b"door"], console[b"evidence"], console[b"ended"]) == (b"console", b"wtmp", int(BOOT + 60))
    assert rows[b"dave", 85][b"evidence"] == b"process"
    assert message[b"kept"] == []


def test_what_has_the_number_of_an_ended_session_is_not_that_session(tree: Path, proc: Proc) -> None:
    (tree / "var/log").mkdir(parents=True)
    lines = [
        f"{iso(BOOT + 5 + n)} web sshd[70]: Accepted password for root from 10.0.0.1 port {n} ssh2" for n in (1, 300)
    ]
    (tree / "var/log/auth.log").write_text("\n".join(lines))
    proc.add(70, 50, "sshd", "sshd: root@notty", BOOT + 304)
    root = inside.Root(os.fsencode(tree))
    message = sessions.collect(root, proc.table(), 70)
    root.close()
    assert [(row[b"port"], row[b"live"], row[b"ancestor"]) for row in message[b"sessions"]] == [(1, 0, 0), (300, 1, 1)]


def test_a_process_that_took_over_the_number_of_a_session_is_not_its_proof(tree: Path, proc: Proc) -> None:
    (tree / "var/log").mkdir(parents=True)
    (tree / "var/log/auth.log").write_text(
        f"{iso(BOOT + 5)} web sshd[71]: Accepted password for root from 10.0.0.1 port 1 ssh2"
    )
    proc.add(71, 50, "python3", "python3 -I", BOOT + 300)
    root = inside.Root(os.fsencode(tree))
    message = sessions.collect(root, proc.table(), 71)
    root.close()
    assert [row[b"ancestor"] for row in message[b"sessions"]] == [0]


def test_two_terminal_logins_without_a_log_are_two_sessions(tree: Path, proc: Proc) -> None:
    (tree / "var/log").mkdir(parents=True)
    (tree / "var/log/wtmp").write_bytes(
        record(7, 61, b"pts/0", b"alice", BOOT + 11, "10.0.0.9")
        + record(7, 65, b"pts/0", b"alice", BOOT + 40, "10.0.0.9")
        + record(8, 65, b"pts/0", b"", BOOT + 50)
    )
    root = inside.Root(os.fsencode(tree))
    message = sessions.collect(root, proc.table(), 1)
    root.close()
    rows = [(row[b"pid"], row[b"started"] - int(BOOT), row[b"ended"] - int(BOOT)) for row in message[b"sessions"]]
    assert rows == [(61, 11, 40), (65, 40, 50)]


def test_a_terminal_belongs_to_the_login_that_has_it(tree: Path, proc: Proc) -> None:
    (tree / "var/log").mkdir(parents=True)
    said = [
        "sshd[60]: Accepted password for root from 10.0.0.9 port 1 ssh2",
        "sshd[61]: Accepted password for root from 10.0.0.9 port 2 ssh2",
        "sshd[61]: Starting session: shell on pts/0 for root from 10.0.0.9 port 2 id 0",
    ]
    (tree / "var/log/auth.log").write_text("".join(f"{iso(BOOT + 5)} web {line}\n" for line in said))
    # OpenSSH in a PID namespace was seen to write 1 for the process
    (tree / "var/log/wtmp").write_bytes(record(7, 1, b"pts/0", b"root", BOOT + 5, "10.0.0.9"))
    root = inside.Root(os.fsencode(tree))
    message = sessions.collect(root, proc.table(), 1)
    root.close()
    assert [(row[b"pid"], row[b"evidence"]) for row in message[b"sessions"]] == [(60, b"log"), (61, b"log+wtmp")]


def test_what_is_missing_is_named(tree: Path, proc: Proc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "_JOURNALS", ())
    root = inside.Root(os.fsencode(tree))
    message = sessions.collect(root, proc.table(), 1)
    assert [row[1:] for row in message[b"kept"]] == [
        [b"not available", b"there is neither a log of sshd nor a journal"]
    ]
    (tree / "var/log").mkdir(parents=True)
    (tree / "var/log/auth.log").write_bytes(b"x" * 100)
    (tree / "var/log/wtmp").write_bytes(b"x" * 100)
    monkeypatch.setattr(files, "TAIL_LIMIT", 50)
    message = sessions.collect(root, proc.table(), 1)
    assert [row[2] for row in message[b"kept"]] == [
        b"/var/log/wtmp is not whole records",
        b"only the last 50 bytes of /var/log/auth.log were read",
    ]
    root.close()


def test_the_journal_is_asked_where_there_is_one(
    tree: Path, proc: Proc, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data = tmp_path / "export"
    data.write_bytes(export(int(BOOT) + 5, 9, b"Accepted password for eve from 10.0.0.3 port 99 ssh2"))
    monkeypatch.setattr(sessions, "_JOURNALS", (str(tree),))
    script = f'case "$*" in *"-t sshd -t sshd-session --since=@{int(BOOT) - 2}") cat {data};; esac'
    monkeypatch.setattr(sessions, "_JOURNALCTL", ["sh", "-c", script])
    root = inside.Root(os.fsencode(tree))
    message = sessions.collect(root, proc.table(), 1)
    assert [(row[b"user"], row[b"evidence"]) for row in message[b"sessions"]] == [(b"eve", b"journal")]
    assert message[b"kept"] == []
    monkeypatch.setattr(sessions, "_JOURNALCTL", ["sh", "-c", "exec sleep 30"])
    monkeypatch.setattr(sessions, "JOURNAL_SECONDS", 0.05)
    message = sessions.collect(root, proc.table(), 1)
    assert [row[1:] for row in message[b"kept"]] == [[b"not available", b"the journal was not read to its end"]]
    root.close()
