"""An instance whose clock is years off, or was: no session goes missing for it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from test_probe_sessions import BOOT, KEY, Proc

from driftd.probe import inside, look, processes, sessions, sshlog

YEARS = 10 * 365 * 86400


def accepted(user: str, seconds: float) -> bytes:
    stamp = datetime.fromtimestamp(seconds, UTC).isoformat()
    return f"{stamp} web sshd[60]: Accepted publickey for {user} from 10.0.0.9 port 5 ssh2: ED25519 ".encode() + KEY


def listening(seconds: float) -> bytes:
    return f"{datetime.fromtimestamp(seconds, UTC).isoformat()} web sshd[9]: Server listening on :: port 22.".encode()


def users(tree: Path, proc: Proc, lines: list[bytes], clock: float, ahead: float) -> list[tuple[bytes, int]]:
    """Who was there, and when, on a machine whose clock is now ``clock`` seconds off."""
    (tree / "var/log").mkdir(parents=True)
    (tree / "var/log/auth.log").write_bytes(b"\n".join(lines) + b"\n")
    table = processes.Table(str(proc.root).encode(), BOOT - 100 + clock)
    place = inside.Root(str(tree).encode())
    try:
        found = sessions.collect(place, table, 1, 0, ahead)
    finally:
        place.close()
    return [(one[b"user"], one[b"started"]) for one in found[b"sessions"]]


@pytest.fixture
def proc(tmp_path: Path) -> Proc:
    return Proc(tmp_path / "proc")


LINES = [accepted("baker", BOOT - 900), listening(BOOT + 1), accepted("eve", BOOT + 50)]


def test_a_clock_set_forward_after_a_login_does_not_make_it_older_than_the_boot(tree: Path, proc: Proc) -> None:
    assert users(tree, proc, LINES, YEARS, YEARS) == [(b"eve", int(BOOT) + 50)]


def test_without_the_askers_time_it_would(tree: Path, proc: Proc) -> None:
    assert users(tree, proc, LINES, YEARS, 0) == []


def test_a_login_while_the_clock_was_set_back_stands_behind_the_boot(tree: Path, proc: Proc) -> None:
    lines = [*LINES[:2], accepted("eve", BOOT + 50 - YEARS), accepted("bob", BOOT + 70)]
    assert users(tree, proc, lines, 0, 0) == [(b"eve", int(BOOT) + 1), (b"bob", int(BOOT) + 70)]


def test_a_clock_that_is_behind_hides_nothing(tree: Path, proc: Proc) -> None:
    lines = [listening(BOOT + 1 - YEARS), accepted("eve", BOOT + 50 - YEARS)]
    assert users(tree, proc, lines, -YEARS, 0) == [(b"eve", int(BOOT) + 50 - YEARS)]


def test_the_images_own_lines_stay_the_images(tree: Path, proc: Proc) -> None:
    assert users(tree, proc, LINES, 0, 0) == [(b"eve", int(BOOT) + 50)]


@pytest.mark.parametrize(("off", "ahead"), [(0, 0), (59, 0), (3600, 3600), (YEARS, YEARS), (-YEARS, 0)])
def test_only_a_clock_that_somebody_set_counts_as_ahead(off: int, ahead: int) -> None:
    assert look._ahead(int(time.time()) - off) == pytest.approx(ahead, abs=5)


def test_an_asker_who_does_not_say_the_time_is_believed_nothing() -> None:
    assert look._ahead(0) == 0.0


def test_a_line_a_little_older_than_the_one_before_it_keeps_its_time() -> None:
    lines = sshlog.syslog_lines(b"\n".join([listening(BOOT + 60), accepted("eve", BOOT + 50)]) + b"\n", BOOT + 100)
    assert [one.started for one in sshlog.logins(lines, BOOT, b"log")] == [int(BOOT) + 50]
