"""Lines of the journal by who wrote them: what another program or a user says in sshd's or cron's name is a claim."""

from __future__ import annotations

import time

import pytest
from test_probe_sessions import NOW, iso

from driftd.probe import pamlog, sessions, sshlog


def entry(text: str, tag: str = "sshd", **fields: object) -> bytes:
    """An entry of the journal, written by root unless ``fields`` say otherwise."""
    said = {"__REALTIME_TIMESTAMP": int(NOW * 1000000), "_PID": 9, "_UID": 0, "SYSLOG_IDENTIFIER": tag} | fields
    return "".join(f"{name}={value}\n" for name, value in {**said, "MESSAGE": text}.items()).encode() + b"\n"


ACCEPTED = "Accepted password for eve from 10.0.0.3 port 99 ssh2"
OPENED = "pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)"


@pytest.mark.parametrize(
    ("fields", "own"),
    [
        ({}, True),  # journald may be late
        ({"_EXE": "/usr/sbin/sshd", "_COMM": "sshd"}, True),
        ({"_EXE": "/usr/sbin/sshd (deleted)"}, True),
        ({"_EXE": "/usr/lib/openssh/sshd-session", "tag": "sshd-session"}, True),
        ({"_COMM": "sshd"}, True),
        ({"_UID": 65534}, False),
        ({"_EXE": "/usr/bin/logger", "_COMM": "sshd"}, False),
        ({"_COMM": "logger"}, False),
        ({"_EXE": "/tmp/sshd"}, False),
    ],
)
def test_what_a_user_or_another_program_writes_into_the_journal_is_a_claim(fields: dict[str, str], own: bool) -> None:
    (found,) = sshlog.logins(sshlog.export_lines(entry(ACCEPTED, **fields)), 0, b"journal")
    assert found.evidence == ({b"journal"} if own else {b"log", b"claim"})


@pytest.mark.parametrize(
    ("tag", "program", "own"),
    [
        ("CRON", "/usr/sbin/cron", True),
        ("crond", "/usr/sbin/crond", True),
        ("(systemd)", "/usr/lib/systemd/systemd-executor", True),
        ("login", "/usr/bin/login", True),
        ("CRON", "/usr/bin/logger", False),
        ("(systemd)", "/usr/bin/systemd-cat", False),
        ("su", "/usr/bin/python3.11", False),
    ],
)
def test_what_another_program_says_that_a_service_opened_was_not(tag: str, program: str, own: bool) -> None:
    lines = list(sshlog.export_lines(entry(OPENED, tag, _EXE=program)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", lambda: NOW)
        assert len(pamlog.told(pamlog.export_openings(lines), 0)[1]) == own


def test_where_root_forged_a_line_those_of_nobody_known_are_worth_no_more() -> None:
    unknown, forged = entry(ACCEPTED), entry(OPENED, "CRON", _EXE="/usr/bin/logger")
    own, users = entry(ACCEPTED, _EXE="/usr/sbin/sshd", _PID=10), entry(OPENED, "CRON", _COMM="logger", _UID=65534)
    said = entry("the backup is done", "CRON", _EXE="/usr/bin/logger")
    cases = {
        unknown + users: b"journal",
        unknown + forged: b"claim",
        own + forged: b"journal",
        unknown + said: b"journal",
    }
    for data, evidence in cases.items():
        lines = sshlog.doubted(list(sshlog.export_lines(data)))
        (found,) = sshlog.logins(lines, 0, b"journal")
        assert evidence in found.evidence


def test_a_claim_ends_nobodys_session_and_is_one_with_its_line_in_a_file() -> None:
    ended = entry("Disconnected from user eve 10.0.0.3 port 99", _EXE="/usr/bin/logger")
    (found,) = sshlog.logins(sshlog.export_lines(entry(ACCEPTED) + ended), 0, b"journal")
    assert not found.ended
    claims = sshlog.logins(sshlog.export_lines(entry(ACCEPTED, _COMM="logger")), 0, b"journal")
    written = f"{iso(NOW)} web sshd[4242]: {ACCEPTED}\n".encode()
    (found,) = sessions.join_logins(claims, sshlog.logins(sshlog.syslog_lines(written, NOW), 0, b"log"))
    assert found.evidence == {b"claim", b"log"}
