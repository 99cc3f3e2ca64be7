"""Whose session it was: driftd's own needs its key and its visit, or to be the very way that the probe came by."""

from dataclasses import replace
from datetime import timedelta

import pytest
from trees import NOW

from driftd.core import sessions
from driftd.core.facts import Session
from driftd.core.findings import signature
from driftd.core.whose import SKEW, Visit, split

KEY = "SHA256:driftd"
VISIT = Visit(KEY, NOW - timedelta(seconds=30), NOW - timedelta(seconds=20))
THIS = Visit(KEY, NOW - timedelta(seconds=2), None)
OURS = Session("ssh", "root", "10.0.0.1", VISIT.opened + timedelta(seconds=1), key=KEY, pid=7, evidence="log")
ANCESTOR = Session("ssh", "root", "10.0.0.1", THIS.opened, key=KEY, ancestor=True, live=True, evidence="process")
SECOND = timedelta(seconds=1)

CASES = {
    "in-a-visit": (OURS, True),
    "ancestor": (ANCESTOR, True),
    "ancestor-without-a-key": (replace(ANCESTOR, key=""), True),
    "just-before-the-visit": (replace(OURS, started_at=VISIT.opened - SKEW), True),
    "before-the-visit": (replace(OURS, started_at=VISIT.opened - SKEW - SECOND), False),
    "just-after-the-visit": (replace(OURS, started_at=NOW - timedelta(seconds=20) + SKEW), True),
    "after-the-visit": (replace(OURS, started_at=NOW - timedelta(seconds=20) + SKEW + SECOND), False),
    "another-key": (replace(OURS, key="SHA256:eve"), False),
    "no-key": (replace(OURS, key=""), False),
    "password-in-a-visit": (replace(OURS, key="", evidence="wtmp"), False),
    "our-key-while-we-are-here": (replace(OURS, started_at=NOW - SECOND), False),
}


@pytest.mark.parametrize("case", CASES)
def test_case(case):
    session, own = CASES[case]
    there = [session] if session.ancestor else [session, ANCESTOR]
    found = split(there, [VISIT, THIS], NOW)
    assert (session in found.own) is own
    assert (session in found.others) is not own


def test_a_visit_explains_one_session_and_no_second():
    second = replace(OURS, port=9, started_at=OURS.started_at + SECOND)
    found = split([second, OURS], [VISIT], NOW)
    assert found.own == (OURS,)
    assert found.others == (second,)


def test_as_many_are_explained_as_can_be():
    """The first session fits both visits and the second only the longer one."""
    long = Visit(KEY, NOW - timedelta(minutes=9), NOW)
    late = replace(OURS, port=9, started_at=NOW - timedelta(seconds=3))
    for visits in ([VISIT, long], [long, VISIT]):
        for there in ([OURS, late], [late, OURS]):
            assert split(there, visits, NOW).others == ()


def test_looks_in_quick_succession_leave_no_room_for_another():
    visits = [Visit(KEY, NOW - timedelta(seconds=2 * n), NOW - timedelta(seconds=2 * n - 1)) for n in range(1, 9)]
    ours = [replace(OURS, port=n, started_at=visit.opened) for n, visit in enumerate(visits)]
    assert split(ours, visits, NOW).others == ()
    assert len(split([*ours, replace(OURS, port=99, started_at=NOW - 9 * SECOND)], visits, NOW).others) == 1


def test_without_visits_only_the_way_in_is_our_own():
    found = split([OURS, ANCESTOR], [], NOW)
    assert found.own == (ANCESTOR,)
    assert found.others == (OURS,)


def test_a_clock_that_is_off_is_measured_by_our_own_session():
    ahead = timedelta(hours=1)
    late = [replace(one, started_at=one.started_at + ahead) for one in (OURS, ANCESTOR)]
    eve = replace(OURS, key="SHA256:eve", started_at=OURS.started_at + ahead)
    assert split([*late, eve], [VISIT, THIS], NOW).others == (eve,)
    assert split([late[0]], [VISIT], NOW).others == (late[0],), "without an ancestor nothing measures the clock"


def test_what_is_older_than_the_instance_came_with_the_image():
    old = replace(OURS, key="SHA256:builder", started_at=NOW - timedelta(days=9))
    found = split([old, replace(old, live=True)], [], NOW, born=NOW - timedelta(days=1))
    assert found.baked == 1
    assert found.others == (replace(old, live=True),), "a live session is nothing that was baked"
    assert split([old], [], NOW).others == (old,)


def test_one_way_in_is_one_difference_however_often_it_was_taken():
    eve = replace(OURS, user="eve", key="SHA256:eve", evidence="log+process")
    again = replace(eve, started_at=NOW, live=True, evidence="wtmp", port=9)
    (found,) = sessions.differences([again, eve])
    assert found.subject == b"ssh:eve@10.0.0.1"
    assert found.actual["times"] == "2"
    assert found.actual["live"] == "yes"
    assert found.actual["evidence"] == "log+process+wtmp"
    assert found.actual["started_at"] < found.actual["last_at"]
    assert signature(found) == signature(sessions.differences([eve])[0])
    assert len(sessions.differences([eve, replace(eve, key="SHA256:other")])) == 2
    shell, copy = sessions.differences([replace(eve, kind="interactive"), replace(eve, kind="transfer")])
    assert (shell.actual["kind"], copy.actual["kind"]) == ("interactive", "transfer")
    assert signature(shell) != signature(copy)


def test_taint_is_one_sentence():
    eve = replace(OURS, user="e\nve", source="")
    assert sessions.taint_of([]) == ""
    said = sessions.taint_of([replace(eve, started_at=NOW), eve])
    assert "\n" not in said
    assert "an unknown address" in said
    assert "1 more session" in said


def test_what_was_recorded_as_our_own_stays_so_when_the_instances_clock_was_set():
    """It logged in a minute ahead, as the clock then was; since then the clock was put right."""
    ahead = replace(OURS, started_at=OURS.started_at + timedelta(minutes=1))
    visits = [VISIT, THIS]
    assert ahead in split([ahead, ANCESTOR], visits, NOW).others
    recorded = Visit(KEY, ahead.started_at, ahead.started_at, ahead)
    found = split([replace(ahead, live=False, evidence="log+wtmp"), ANCESTOR], [*visits, recorded], NOW)
    assert found.others == ()


def test_what_was_recorded_explains_itself_and_uses_its_visit_up():
    recorded = Visit(KEY, OURS.started_at, OURS.started_at, OURS)
    second = replace(OURS, port=9, started_at=OURS.started_at + SECOND)
    found = split([OURS, second, ANCESTOR], [VISIT, THIS, recorded], NOW)
    assert found.others == (second,)


READ = replace(OURS, port=40000)
BOOTED = NOW - timedelta(hours=1)
LOST = {
    "still-there": (READ, [READ], (), False),
    "another-zone": (READ, [replace(READ, started_at=READ.started_at - timedelta(hours=2))], (), False),
    "taken-out": (READ, [], (), True),
    "others-are-there": (READ, [replace(READ, port=40001)], (), True),
    "seen-as-a-process-only": (replace(READ, evidence="process"), [], (), False),
    "before-the-boot": (replace(READ, started_at=BOOTED - SECOND), [], (), False),
    "moved-with-a-date": (READ, [], (b"/var/log/secure-20260131",), False),
    "compressed-at-once": (READ, [], (b"/var/log/auth.log.1.gz",), False),
    "moved-as-usual": (READ, [], (b"/var/log/auth.log.1", b"/var/log/auth.log.2.gz"), True),
}


@pytest.mark.parametrize("case", LOST)
def test_lines_that_an_earlier_look_read_and_that_are_gone(case):
    read, there, paths, said = LOST[case]
    before = replace(READ, port=1, started_at=READ.started_at - SECOND)
    visits = [Visit(KEY, one.started_at, one.started_at, one) for one in (before, read)]
    found = sessions.lost([before, *there], [*visits, VISIT], paths, NOW, booted_at=BOOTED)
    assert [(one.kind, one.change, one.subject) for one in found] == (
        [("session", "removed", b"ssh:root@10.0.0.1")] if said else []
    )


def test_lines_are_not_missed_for_ever():
    old = Visit(KEY, NOW, NOW, replace(READ, started_at=NOW - timedelta(hours=25)))
    assert not sessions.lost([], [old], (), NOW, booted_at=NOW - timedelta(days=9))
    assert not sessions.lost([], [replace(old, made=READ)], (), NOW, booted_at=None)
