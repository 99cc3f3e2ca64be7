"""All sources of one instance made into sessions: what joins, what stands alone, how sure it is, what is missing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.core.clues import Clue, Readings
from driftd.core.difference import Change
from driftd.core.facts import Session
from driftd.core.reconcile import reconcile, unwritten

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
BOOT = "b/1"


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


THEN = ago(600)
ALICE = Session("ssh", "alice", "10.0.0.9", ago(600), 5000, ended_at=ago(300), key="SHA256:a", pid=40, evidence="log")
OURS = Session(
    "ssh", "root", "10.0.0.1", NOW, 6000, pid=90, live=True, ancestor=True, evidence="journal+process", number=21
)
EARLIER = Session("ssh", "root", "10.0.0.1", ago(900), 7000, pid=30, evidence="journal", number=19, boot=BOOT)
READ = Readings(since={"journal": ago(86400)}, counted=True)


def clue(source: str, started: datetime = THEN, **more: object) -> Clue:
    return Clue(source, **{"door": "ssh", "user": "alice", "started_at": started, **more})  # type: ignore[arg-type]  # passed on


@pytest.mark.parametrize(
    "one",
    [
        clue("sweep", ago(400), number=20, pid=77, live=True),  # left running from it
        clue("logind", ago(599), peer="10.0.0.9", pid=41, number=20),
        clue("logind", ago(590), pid=40),
        clue("audit", ago(600), pid=40, number=20),
        clue("socket", peer="10.0.0.9", port=5000, user="", live=True),
        clue("utmp", ago(599), tty="pts/0", live=True),
        clue("lastlog", ago(599), tty="pts/0", peer="10.0.0.9"),
        clue("wtmpdb", ago(400), tty="pts/1", peer="10.0.0.9"),  # a second terminal
    ],
    ids=lambda one: one.source,
)
def test_a_clue_that_fits_a_session_is_evidence_of_it(one: Clue) -> None:
    (found,) = reconcile([ALICE], Readings((one,)), boot_id=BOOT).sessions
    assert found.evidence == "+".join(sorted(["log", one.source]))
    assert (found.key, found.number, found.boot) == ("SHA256:a", one.number, BOOT if one.number else "")
    assert found.confidence == ("proved" if one.source in {"sweep", "socket"} else "supported")


@pytest.mark.parametrize(
    "one",
    [
        clue("sweep", ago(100), number=20, pid=77, live=True),  # began when she was gone
        clue("sweep", user="bob", number=20, live=True),
        clue("logind", ago(60), pid=80),
        clue("socket", peer="10.0.0.9", port=5001, live=True),
        clue("lastlog", ago(30), tty="pts/0", peer="10.0.0.9"),
        clue("outside", door="exec", pid=700, live=True, note="sh"),
    ],
    ids=lambda one: one.source,
)
def test_a_clue_that_fits_none_is_somebody(one: Clue) -> None:
    first, found = reconcile([ALICE], replace(READ, clues=(one,)), boot_id=BOOT).sessions
    assert first.evidence == "log"
    assert (found.door, found.user, found.started_at, found.evidence) == (
        one.door,
        one.user,
        one.started_at,
        one.source,
    )
    assert found.confidence == ("proved" if one.live and one.source != "logind" else "supported")


def test_who_is_there_by_a_clue_is_there() -> None:
    console = replace(ALICE, door="console", evidence="wtmp", tty="ttyS0", ended_at=None)
    for one in (clue("utmp", tty="ttyS0", live=True), clue("logind", live=True), clue("sweep", tty="ttyS0", live=True)):
        (found,) = reconcile([console], Readings((one,))).sessions
        assert found.live
        assert not reconcile([replace(console, ended_at=ago(300))], Readings((one,))).sessions[0].live
    assert not reconcile([console], Readings((clue("sweep", live=True),))).sessions[0].live


def test_who_waited_at_a_console_and_who_came_in_there_are_one() -> None:
    console = replace(ALICE, door="console", evidence="wtmp", tty="ttyS0", ended_at=None)
    waited = clue("sweep", ago(9000), door="console", tty="ttyS0", pid=40, number=20, live=True)
    (found,) = reconcile([console], Readings((waited,)), boot_id=BOOT).sessions
    assert (found.evidence, found.number, found.started_at) == ("sweep+wtmp", 20, console.started_at)
    for other in (replace(console, ended_at=ago(300)), replace(console, pid=41), replace(console, tty="tty1")):
        assert len(reconcile([other], Readings((waited,)), boot_id=BOOT).sessions) == 2


def test_driftds_own_visits_leave_nothing_running() -> None:
    left = clue("sweep", ago(400), number=20, live=True)
    ours = replace(OURS, key="SHA256:d")
    earlier = replace(ALICE, key="SHA256:d")
    found = reconcile([earlier, ours], replace(READ, clues=(left,))).sessions
    assert [(one.evidence, one.live) for one in found][::2] == [("log", False), ("sweep", False)]


def test_a_terminal_is_not_of_a_session_that_had_none() -> None:
    terminal = Readings((clue("lastlog", ago(597), peer="10.0.0.9", tty="pts/0"),))
    for visit in (replace(ALICE, kind="command"), replace(ALICE, ended_at=ago(598))):
        assert [one.evidence for one in reconcile([visit], terminal).sessions] == ["log", "lastlog"]
    clues = (clue("sweep", ago(598), number=20, live=True), clue("lastlog", ago(597), tty="pts/0"))
    assert [one.evidence for one in reconcile([OURS], replace(READ, clues=clues)).sessions][1:] == ["sweep", "lastlog"]


def test_a_number_tells_two_logins_of_one_moment_apart() -> None:
    twins = [replace(ALICE, number=7, live=True), replace(ALICE, port=5001, pid=41, number=8, live=True)]
    found = reconcile(twins, Readings((clue("logind", number=8, tty="pts/3"),))).sessions
    assert [(one.number, one.evidence) for one in found] == [(7, "log"), (8, "log+logind")]


def test_services_are_nobody() -> None:
    clues = (clue("sweep", door="service", number=20, live=True), clue("logind", door="service"))
    found = reconcile([ALICE], Readings(clues))
    assert ([one.user for one in found.sessions], found.services) == (["alice"], 2)


@pytest.mark.parametrize(
    ("readings", "nobody"),
    [
        (READ, False),
        (replace(READ, opened=(ago(3000),)), True),  # of a job that began a while before
        (replace(READ, opened=(ago(90),)), False),  # it was there before that job
        (replace(READ, since={}), True),  # nothing tells what cron did
    ],
)
def test_what_was_left_running_may_be_a_jobs(readings: Readings, nobody: bool) -> None:
    left = clue("sweep", ago(100), user="bob", number=20, live=True)
    found = reconcile([ALICE, OURS], replace(readings, clues=(left,)))
    assert ([one.user for one in found.sessions][2:], found.services) == ([] if nobody else ["bob"], int(nobody))
    for somebody in (replace(left, tty="pts/4"), replace(left, peer="10.0.0.7")):
        assert len(reconcile([ALICE, OURS], replace(readings, clues=(somebody,))).sessions) == 3


def test_of_what_was_left_running_for_days_nothing_is_known() -> None:
    left = clue("sweep", ago(90000), user="bob", number=20, live=True)
    assert reconcile([OURS], replace(READ, clues=(left,))).services == 1


def test_becoming_another_is_a_way_in_only_for_somebody_who_was_not_there() -> None:
    inside = clue("pam", ago(400), door="sudo", note="became root")
    assert [one.door for one in reconcile([ALICE], Readings((inside,))).sessions] == ["ssh"]
    for one in (replace(inside, started_at=ago(100)), replace(inside, user="bob")):
        _, found = reconcile([ALICE], Readings((one,))).sessions
        assert (found.door, found.user, found.confidence) == ("sudo", one.user, "unverified")


def test_what_was_left_behind_is_somebody_only_where_nobody_was() -> None:
    left = clue("residue", ago(400), user="root", note="/root/.bash_history")
    assert [one.user for one in reconcile([ALICE, OURS], Readings((left,))).sessions] == ["alice", "root"]
    for at, user in ((ago(100), "root"), (NOW, "bob")):  # nobody was there; driftd's own visit writes none
        *_, found = reconcile([ALICE, OURS], Readings((replace(left, started_at=at, user=user),))).sessions
        assert (found.user, found.evidence, found.confidence) == (user, "residue", "unverified")


@pytest.mark.parametrize(
    ("evidence", "confidence"),
    [
        ("log", "unverified"),
        ("", "unverified"),
        ("pam", "unverified"),
        ("journal", "supported"),
        ("log+wtmp", "supported"),
        ("claim+log", "unverified"),
        ("lastlog", "supported"),
        ("log+process", "proved"),
        ("counter", "proved"),
    ],
)
def test_only_what_not_everybody_can_write_makes_a_session_sure(evidence: str, confidence: str) -> None:
    (found,) = reconcile([replace(ALICE, evidence=evidence)], Readings()).sessions
    assert found.confidence == confidence


# --- the counter -----------------------------------------------------------------------------------------------------


def gap(sessions: list[Session], readings: Readings = READ, own: tuple[Session, ...] = (EARLIER,)) -> list[Session]:
    found = reconcile([*sessions, OURS], readings, own, boot_id=BOOT).sessions
    return [one for one in found if one.evidence == "counter"]


def test_a_gap_between_two_visits_is_somebody() -> None:
    (found,) = gap([EARLIER])
    assert (found.door, found.user, found.number, found.confidence) == ("ssh", "", 20, "proved")
    assert (found.started_at, found.ended_at) == (EARLIER.started_at, OURS.started_at)


def test_what_is_known_to_be_forged_fills_no_gap() -> None:
    claim = replace(ALICE, evidence="claim+log")
    assert [one.number for one in gap([EARLIER, claim])] == [20]
    assert gap([EARLIER, replace(claim, evidence="claim+log+wtmp")]) == []  # somebody was there all the same


@pytest.mark.parametrize(
    ("sessions", "readings", "own"),
    [
        ([EARLIER, ALICE], READ, (EARLIER,)),  # it was she
        ([ALICE], READ, (EARLIER,)),  # and our own line was rotated away
        ([EARLIER], replace(READ, opened=(ago(100),)), (EARLIER,)),  # it was a service
        ([EARLIER], replace(READ, counted=False), (EARLIER,)),  # others count there, too
        ([EARLIER], replace(READ, since={}), (EARLIER,)),  # no log: services' sessions are not known
        ([EARLIER], READ, ()),
        ([EARLIER], READ, (replace(EARLIER, boot="b/2"),)),
        ([EARLIER], READ, (replace(EARLIER, number=20),)),
        ([EARLIER], READ, (replace(EARLIER, number=22),)),
        ([EARLIER], READ, (replace(EARLIER, started_at=NOW + timedelta(hours=1)),)),  # the clock was set back
        ([EARLIER], READ, (replace(EARLIER, started_at=ago(90000)),)),  # of more than a day services are not known
    ],
)
def test_it_does_not_cry_wolf(sessions: list[Session], readings: Readings, own: tuple[Session, ...]) -> None:
    assert gap(sessions, readings, own) == []


def test_a_gap_is_held_against_the_last_visit_that_has_a_number() -> None:
    own = (replace(EARLIER, number=3, started_at=ago(4000)), EARLIER, replace(EARLIER, number=0, started_at=ago(100)))
    (found,) = gap([EARLIER], own=own)
    assert found.number == 20


# --- lines that should be there --------------------------------------------------------------------------------------


def test_a_login_without_its_line_in_a_log_that_covers_it() -> None:
    silent = replace(ALICE, evidence="wtmp", tty="pts/0")
    (found,) = unwritten([silent, replace(silent, started_at=ago(500))], [OURS], READ)
    assert (found.kind, found.subject, found.change) == ("session", b"ssh:alice@10.0.0.9", Change.REMOVED)
    assert (found.expected["evidence"], found.expected["started_at"]) == ("wtmp", "2026-01-02T02:54:05Z")


@pytest.mark.parametrize(
    ("session", "own", "since"),
    [
        (ALICE, OURS, READ.since),  # it has one
        (replace(ALICE, evidence="wtmp"), OURS, {"log": ago(500)}),  # rotated away
        (replace(ALICE, evidence="wtmp"), OURS, {}),
        (replace(ALICE, evidence="wtmp"), replace(OURS, evidence="process"), READ.since),  # the log has not even ours
        (replace(ALICE, evidence="process", started_at=NOW + timedelta(seconds=3)), OURS, READ.since),  # just now
        (replace(ALICE, evidence="wtmp", door="console"), OURS, READ.since),
        (replace(ALICE, evidence="counter"), OURS, READ.since),
        (replace(ALICE, evidence="sweep"), OURS, READ.since),  # the login may be older than what it left running
    ],
)
def test_a_log_is_not_blamed_for_what_it_need_not_have(
    session: Session, own: Session, since: dict[str, datetime]
) -> None:
    assert unwritten([session], [own], replace(READ, since=since)) == ()


# --- whatever an instance says ---------------------------------------------------------------------------------------

TIMES = st.integers(0, 3000).map(ago)
CLUES = st.builds(
    Clue,
    source=st.sampled_from(["sweep", "outside", "socket", "logind", "utmp", "lastlog", "wtmpdb", "pam", "new"]),
    door=st.sampled_from(["ssh", "console", "su", "exec", "service"]),
    user=st.sampled_from(["alice", "bob", ""]),
    started_at=TIMES,
    peer=st.sampled_from(["10.0.0.9", ""]),
    port=st.sampled_from([0, 5000]),
    pid=st.integers(0, 50),
    number=st.integers(0, 25),
    ended_at=st.none() | TIMES,
    live=st.booleans(),
)


@given(st.lists(CLUES, max_size=8), st.lists(st.sampled_from([ALICE, EARLIER, OURS]), unique=True))
def test_no_clue_takes_a_session_away_or_makes_it_less_sure(clues: list[Clue], sessions: list[Session]) -> None:
    found = reconcile(sessions, Readings(tuple(clues)), boot_id=BOOT).sessions
    ranks = ["", "unverified", "supported", "proved"]
    for before, after in zip(reconcile(sessions, Readings()).sessions, found, strict=False):
        assert (after.user, after.source, after.port, after.started_at) == (
            before.user,
            before.source,
            before.port,
            before.started_at,
        )
        assert set(before.evidence.split("+")) <= set(after.evidence.split("+"))
        assert ranks.index(after.confidence) >= ranks.index(before.confidence)
    assert len(sessions) <= len(found) <= len(sessions) + len(clues)
