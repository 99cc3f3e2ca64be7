"""Each source of logins beside logs and processes of sshd, from files as the system writes them, and damaged ones."""

from __future__ import annotations

import os
import sqlite3
import struct
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_probe_sessions import BOOT, NOW, Proc, iso, record

from driftd.probe import (
    auditlog,
    clues,
    inside,
    lastlogins,
    logind,
    pamlog,
    processes,
    residue,
    sessions,
    sshlog,
)
from driftd.probe.found import Found

PASSWD = "root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n"


@pytest.fixture
def place(tree: Path) -> Iterator[inside.Root]:
    (tree / "etc").mkdir(exist_ok=True)
    (tree / "etc/passwd").write_text(PASSWD)
    made = inside.Root(os.fsencode(tree))
    yield made
    made.close()


@pytest.fixture
def proc(tmp_path: Path) -> Proc:
    return Proc(tmp_path / "proc")


# --- what it was for -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "kind", "tty"),
    [
        ("shell on pts/3 for u from 10.0.0.9 port 5 id 0", b"interactive", b"pts/3"),
        ("shell for u from 10.0.0.9 port 5 id 0", b"interactive", b""),
        ("command on pts/3 for u from 10.0.0.9 port 5 id 0", b"interactive", b"pts/3"),
        ("command for u from 10.0.0.9 port 5 id 0", b"command", b""),
        ("subsystem 'sftp' for u from 10.0.0.9 port 5 id 0", b"transfer", b""),
        ("forced-command (key-option) 'internal-sftp -R' for u from 10.0.0.9 port 5 id 0", b"transfer", b""),
        ("forced-command (config) '/bin/backup' for u from 10.0.0.9 port 5", b"command", b""),
        ("subsystem 'netconf' for u from 10.0.0.9 port 5 id 0", b"command", b""),
    ],
)
def test_the_log_tells_what_a_session_is_for(said: str, kind: bytes, tty: bytes) -> None:
    login = "sshd[9]: Accepted password for u from 10.0.0.9 port 5 ssh2"
    text = f"{iso(BOOT)} web {login}\n{iso(BOOT + 1)} web sshd[9]: Starting session: {said}\n"
    (found,) = sshlog.logins(sshlog.syslog_lines(text.encode(), NOW), 0, b"log")
    assert (found.kind, found.tty) == (kind, tty)


def test_what_only_forwards_says_nothing_where_others_do() -> None:
    logins = [f"{iso(BOOT)} web sshd[{n}]: Accepted password for u from 10.0.0.9 port {n} ssh2" for n in (1, 2, 3)]
    over = [f"{iso(BOOT + 9)} web sshd[{n}]: Disconnected from user u 10.0.0.9 port {n}" for n in (1, 2)]
    starting = f"{iso(BOOT + 1)} web sshd[1]: Starting session: command for u from 10.0.0.9 port 1 id 0"
    for lines, kinds in (([*logins, starting, *over], [b"command", b"forward", b""]), ([*logins, *over], [b""] * 3)):
        found = sshlog.logins(sshlog.syslog_lines("\n".join(lines).encode(), NOW), 0, b"log")
        assert [one.kind for one in found] == kinds


@pytest.mark.parametrize(
    ("title", "below", "kind"),
    [
        ("sshd: u@pts/0", "bash", b"interactive"),
        ("sshd: u@notty", "bash", b"command"),
        ("sshd: u@notty", "sftp-server", b"transfer"),
        ("sshd: u@notty", "scp", b"transfer"),
        ("sshd: u@internal-sftp", "", b"transfer"),
        ("sshd-session: u", "", b"forward"),
    ],
)
def test_processes_tell_what_a_live_session_is_for(proc: Proc, title: str, below: str, kind: bytes) -> None:
    proc.add(60, 1, "sshd", title, BOOT + 1)
    if below:
        proc.add(61, 60, "sh", "sh -c", BOOT + 2, exe="/bin/sh")
        proc.add(62, 61, below, below, BOOT + 2, exe="/usr/bin/" + below)
    (live,) = proc.table().live()
    assert (live.user, live.kind) == (b"u", kind)


# --- logind ----------------------------------------------------------------------------------------------------------

LOGIND = """\
# This is private data. Do not parse.
UID=1000
USER=alice
STATE=active
REMOTE=1
CLASS={class_}
TYPE=tty
LEADER=812
AUDIT=7
REMOTE_HOST=10.0.0.9
SERVICE={service}
REALTIME=1762349000123456
"""


@pytest.mark.parametrize(
    ("class_", "service", "door"),
    [
        ("user", "sshd", b"ssh"),
        ("user", "login", b"console"),
        ("user", "su-l", b"su"),
        ("user", "cron", b"service"),
        ("background", "cron", None),
        ("manager", "systemd-user", None),
        ("manager-early", "systemd-user", None),
        ("greeter", "gdm", None),
    ],
)
def test_logind(place: inside.Root, tree: Path, class_: str, service: str, door: bytes | None) -> None:
    (tree / "run/systemd/sessions").mkdir(parents=True)
    (tree / "run/systemd/sessions/3").write_text(LOGIND.format(class_=class_, service=service))
    found, left = logind.collect(place, Found())
    assert [one.door for one in found] == ([door] if door else [])
    assert left == {}
    for one in found:
        assert (one.user, one.peer, one.number, one.pid, one.started) == (b"alice", b"10.0.0.9", 7, 812, 1762349000)


def test_logind_knows_from_where_he_came_who_left_something_running(place: inside.Root, tree: Path) -> None:
    (tree / "run/systemd/sessions").mkdir(parents=True)
    for name, class_ in (("3", "user"), ("4", "background")):
        said = LOGIND.format(class_=class_, service="sshd").replace("active", "closing").replace("=7", f"={name}")
        (tree / "run/systemd/sessions" / name).write_text(said)
    assert logind.collect(place, Found()) == ([], {3: b"10.0.0.9"})


def test_logind_that_makes_no_sense(place: inside.Root, tree: Path) -> None:
    missing = Found()
    assert logind.collect(place, missing) == ([], {})
    (tree / "run/systemd/sessions").mkdir(parents=True)
    (tree / "run/systemd/sessions/1").write_bytes(
        b"\xff=\nLEADER=-1\nAUDIT=" + b"9" * 30 + b"\nREALTIME=x\n" + b"=" * 90
    )
    (tree / "run/systemd/sessions/2").write_bytes(b"x" * 100_000)
    (found,), _ = logind.collect(place, missing)
    assert (found.pid, found.number, found.started) == (0, 0, 0)
    assert missing.message()[b"kept"] == []


# --- utmp, lastlog and what comes after them -------------------------------------------------------------------------


def last(place: inside.Root, table: processes.Table, missing: Found | None = None) -> list[clues.Clue]:
    return lastlogins.collect(place, table, BOOT, missing or Found())


def test_utmp_tells_who_is_there(place: inside.Root, tree: Path, proc: Proc) -> None:
    proc.add(61, 1, "sshd", "sshd: alice@pts/0", BOOT + 1)
    (tree / "run").mkdir()
    (tree / "run/utmp").write_bytes(
        record(7, 61, b"pts/0", b"alice", BOOT + 1, "10.0.0.9")
        + record(7, 99, b"pts/1", b"bob", BOOT + 2, "10.0.0.9")  # whose process is gone
        + b"cut"
    )
    (found,) = last(place, proc.table())
    assert (found.source, found.user, found.peer, found.tty, found.live) == (
        b"utmp",
        b"alice",
        b"10.0.0.9",
        b"pts/0",
        1,
    )


def test_lastlog_tells_of_the_last_login_of_each_account(place: inside.Root, tree: Path, proc: Proc) -> None:
    wide = os.uname().machine == "aarch64"
    form = struct.Struct("=q32s256s" if wide else "=i32s256s")
    (tree / "var/log").mkdir(parents=True)
    with (tree / "var/log/lastlog").open("wb") as stream:
        stream.write(form.pack(int(BOOT) - 50, b"tty1", b""))  # root's, from when the image was made
        stream.seek(1000 * form.size)
        stream.write(form.pack(int(BOOT) + 50, b"pts/0", b"10.0.0.9"))
    (found,) = last(place, proc.table())
    assert (found.source, found.user, found.peer, found.started - int(BOOT)) == (b"lastlog", b"alice", b"10.0.0.9", 50)
    (tree / "var/log/lastlog").write_bytes(form.pack(int(BOOT) + 50, b"pts/0", b"10.0.0.9")[:-1])
    assert last(place, proc.table()) == [], "cut in the middle"


def database(path: Path, table: str, columns: str, *rows: tuple[object, ...]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(path) as connection:
        connection.execute(f"CREATE TABLE {table} ({columns})")
        marks = ", ".join("?" * len(rows[0]))
        connection.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)
    connection.close()


def test_the_successors_are_databases(place: inside.Root, tree: Path, proc: Proc) -> None:
    columns = "ID INTEGER PRIMARY KEY, Type INTEGER, User TEXT, Login INTEGER, Logout INTEGER, TTY TEXT, "
    at = int(BOOT) + 10
    database(
        tree / "var/lib/wtmpdb/wtmp.db",
        "wtmp",
        columns + "RemoteHost TEXT, Service TEXT",
        (1, 1, "reboot", at * 1000000, None, "~", None, None),
        (2, 3, "alice", at * 1000000, (at + 5) * 1000000, "pts/0", "10.0.0.9", "sshd"),
        (3, 3, "root", (at - 500) * 1000000, None, "tty1", None, "login"),
        (4, 3, "root", (1 << 70) // (1 << 8), "x", 7, None, None),  # from the future, and of no sense
    )
    columns = "Name TEXT PRIMARY KEY, Time INTEGER, TTY TEXT, RemoteHost TEXT, Service TEXT"
    database(tree / "var/lib/lastlog/lastlog2.db", "Lastlog2", columns, ("root", at + 7, "tty1", None, "login"))
    found = [(one.source, one.door, one.user, one.started, one.ended) for one in last(place, proc.table())]
    assert found[0] == (b"wtmpdb", b"ssh", b"alice", at, at + 5)
    assert found[-1] == (b"lastlog2", b"console", b"root", at + 7, 0)
    assert len(found) <= 3


def test_a_database_that_cannot_be_read_is_said(
    place: inside.Root, tree: Path, proc: Proc, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tree / "var/lib/wtmpdb/wtmp.db"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"SQLite format 3\x00" + b"\xff" * 500)
    missing = Found()
    assert last(place, proc.table(), missing) == []
    assert [row[2].split(b" (")[0] for row in missing.message()[b"kept"]] == [
        b"/var/lib/wtmpdb/wtmp.db cannot be read",
    ]
    monkeypatch.setitem(sys.modules, "sqlite3", None)
    missing = Found()
    assert last(place, proc.table(), missing) == []
    assert b"this Python has no sqlite3" in missing.message()[b"kept"][0][2]


# --- kernel audit, and what is left behind ----------------------------------------------------------------------------

AUDIT = """\
type=LOGIN msg=audit(AT.100:1): pid=40 uid=0 old-auid=4294967295 auid=1000 tty=(none) old-ses=4294967295 ses=7 res=1
type=USER_START msg=audit(AT.200:2): pid=40 uid=0 auid=1000 ses=7 msg='op=PAM:session_open acct="alice" \
exe="/usr/sbin/sshd" hostname=10.0.0.9 addr=10.0.0.9 terminal=ssh res=success'
type=LOGIN msg=audit(AT.300:3): pid=50 uid=0 old-auid=4294967295 auid=0 tty=(none) old-ses=4294967295 ses=8 res=1
type=USER_START msg=audit(AT.400:4): pid=50 uid=0 auid=0 ses=8 msg='op=PAM:session_open acct="root" \
exe="/usr/sbin/cron" hostname=? addr=? terminal=cron res=success'
type=LOGIN msg=audit(AT.500:5): pid=60 uid=0 old-auid=4294967295 auid=0 tty=(none) old-ses=4294967295 ses=9 res=0
type=USER_END msg=audit(ENDED.100:6): pid=40 uid=0 auid=1000 ses=7 msg='op=PAM:session_close acct="alice" \
exe="/usr/sbin/sshd" hostname=10.0.0.9 addr=10.0.0.9 terminal=ssh res=success'
type=LOGIN msg=audit(AT.600:7): pid=70 uid=0 auid=1000 ses=10 re"""


def test_kernel_audit(place: inside.Root, tree: Path) -> None:
    (tree / "var/log/audit").mkdir(parents=True)
    text = AUDIT.replace("AT.", f"{int(BOOT) + 5}.").replace("ENDED", str(int(BOOT) + 95))
    (tree / "var/log/audit/audit.log").write_text(text)
    alice, job, cut = auditlog.collect(place, BOOT, Found())
    assert (alice.door, alice.user, alice.peer, alice.number, alice.pid) == (b"ssh", b"alice", b"10.0.0.9", 7, 40)
    assert (alice.started - int(BOOT), alice.ended - int(BOOT)) == (5, 95)
    assert (job.door, job.number) == (b"service", 8)
    assert cut.number == 10
    assert auditlog.collect(place, BOOT + 9, Found()) == []


def test_what_is_left_behind_is_told_by_its_time_alone(place: inside.Root, tree: Path) -> None:
    for path, at in ((".bash_history", 5), (".viminfo", -500), (".ssh", 5), (".lesshst", 6)):
        (tree / "home/alice").mkdir(parents=True, exist_ok=True)
        (tree / "home/alice" / path).write_text("" if path == ".lesshst" else "secret")
        os.utime(tree / "home/alice" / path, (BOOT + at, BOOT + at))
    (tree / "run/sudo/ts").mkdir(parents=True)
    (tree / "run/sudo/ts/alice").write_text("x")
    os.utime(tree / "run/sudo/ts/alice", (BOOT + 7, BOOT + 7))
    found = [(one.user, one.note, one.started - int(BOOT)) for one in residue.collect(place, BOOT)]
    assert found == [(b"alice", b"/home/alice/.bash_history", 5), (b"alice", b"/run/sudo/ts/alice", 7)]


# --- PAM's lines -----------------------------------------------------------------------------------------------------

PAM = """\
AT web CRON[70]: pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)
AT web su[71]: pam_unix(su:session): session opened for user root(uid=0) by alice(uid=1000)
AT web sudo: pam_unix(sudo:session): session opened for user root(uid=0) by alice(uid=1000)
AT web su[72]: pam_unix(su-l:session): session opened for user postgres(uid=107) by (uid=0)
AT web sudo: pam_unix(sudo:session): session opened for user root(uid=0) by nagios(uid=108)
AT web sshd[73]: pam_unix(sshd:session): session opened for user alice(uid=1000) by (uid=0)
AT web (systemd)[74]: pam_unix(systemd-user:session): session opened for user alice(uid=1000) by (uid=0)
AT web logger[75]: x pam_unix(su:session): session opened for user root(uid=0) by mallory(uid=1001)
"""


def test_who_became_whom_and_what_services_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: NOW)
    text = PAM.replace("AT", iso(BOOT + 9)).encode()
    changes, opened = pamlog.told(pamlog.syslog_openings(text, NOW), BOOT)
    told = [(one.door, one.user, one.note) for one in changes]
    assert told == [(b"su", b"alice", b"became root"), (b"sudo", b"alice", b"became root")]
    assert opened == [int(BOOT) + 9] * 2
    assert pamlog.told(pamlog.syslog_openings(text, NOW), BOOT + 10) == ([], [])


def test_what_a_persons_timers_do_is_not_the_person() -> None:
    lines = [
        "CRON[70]: pam_unix(cron:session): session opened for user alice(uid=1000) by (uid=0)",
        "sudo: pam_unix(sudo:session): session opened for user root(uid=0) by alice(uid=1000)",
    ]
    text = "".join(f"{iso(BOOT + 9)} web {line}\n" for line in lines).encode()
    assert pamlog.told(pamlog.syslog_openings(text, NOW), BOOT)[0] == []


# --- together --------------------------------------------------------------------------------------------------------


def test_logs_rotated_by_date_are_read(place: inside.Root, tree: Path, proc: Proc) -> None:
    (tree / "var/log").mkdir(parents=True)
    for n, name in enumerate(["secure-20251101", "secure-20251105", "secure"]):
        line = f"{iso(BOOT + n)} web sshd[{n}]: Accepted password for u{n} from 10.0.0.9 port {n} ssh2\n"
        (tree / "var/log" / name).write_text(line)
    message = sessions.collect(place, proc.table(), 1)
    assert [row[b"user"] for row in message[b"sessions"]] == [b"u1", b"u2"]
    assert message[b"reads"][0] == [b"log", int(BOOT) + 1]


def test_ten_thousand_logins_in_a_minute(place: inside.Root, tree: Path, proc: Proc) -> None:
    (tree / "var/log").mkdir(parents=True)
    stamp = datetime.fromtimestamp(BOOT + 5, UTC).isoformat()
    with (tree / "var/log/auth.log").open("w") as stream:
        for n in range(12_000):
            stream.write(f"{stamp} web sshd[{n}]: Accepted password for u from 10.0.0.9 port {n} ssh2\n")
            stream.write(f"{stamp} web su[{n}]: pam_unix(su:session): session opened for user root by u(uid=1000)\n")
    message = sessions.collect(place, proc.table(), 1)
    assert len(message[b"sessions"]) == sshlog.LOGINS_LIMIT
    assert len(message[b"clues"]) == clues.LIMIT
    assert message[b"sessions"][-1][b"port"] == 11_999


SOURCES = ["run/systemd/sessions/1", "var/log/audit/audit.log", "var/log/wtmp", "run/utmp", "var/log/lastlog"]
SOURCES += ["var/log/auth.log", "var/lib/wtmpdb/wtmp.db", "var/lib/lastlog/lastlog2.db"]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.binary(max_size=900), min_size=len(SOURCES), max_size=len(SOURCES)))
def test_whatever_stands_in_the_files_is_read_to_its_end(
    place: inside.Root, tree: Path, tmp_path: Path, said: list[bytes]
) -> None:
    proc = tmp_path / "proc"
    if not proc.exists():
        Proc(proc)
    for path, data in zip(SOURCES, said, strict=True):
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_bytes(data)
    message = sessions.collect(place, processes.Table(os.fsencode(proc), BOOT - 100), 1)
    rows = [*message[b"sessions"], *message[b"clues"]]
    assert all(row[key] >= 0 for row in rows for key in (b"started", b"ended", b"pid", b"number"))


def test_a_login_from_the_future_is_kept(place: inside.Root, tree: Path, proc: Proc) -> None:
    (tree / "var/log").mkdir(parents=True)
    ahead = 2**31 - 1
    (tree / "var/log/wtmp").write_bytes(record(7, 61, b"pts/0", b"alice", ahead, "10.0.0.9") + b"cut")
    message = sessions.collect(place, proc.table(), 1)
    assert [(row[b"user"], row[b"started"]) for row in message[b"sessions"]] == [(b"alice", ahead)]
    assert b"/var/log/wtmp is not whole records" in [row[2] for row in message[b"kept"]]
