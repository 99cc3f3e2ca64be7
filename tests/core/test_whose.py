"""Whose session it was, by all that driftd's own end of a connection proves: what agrees in part is a person's."""

from dataclasses import replace
from datetime import timedelta

import pytest
from trees import NOW

from driftd.core.facts import Session
from driftd.core.visits import Announced, Parted, Trace, Way
from driftd.core.whose import LINGER, SKEW, Visit, split, strangers

KEY = "SHA256:driftd"
SECOND = timedelta(seconds=1)
HERE, THERE = "10.0.0.1", "192.0.2.7"
CAME = NOW - timedelta(minutes=5)
WAY = Way(HERE, 40001, "root", KEY)
TRACE = Trace("5ca9", WAY, CAME, CAME + SECOND, CAME + 8 * SECOND, Parted.ORDERLY)
VISIT = Visit(KEY, CAME - SECOND, CAME + 9 * SECOND, trace=TRACE)
OURS = Session(
    "ssh", "root", HERE, CAME, 40001, CAME + 8 * SECOND, key=KEY, pid=7, evidence="log", kind="command"
)  # fmt: skip
THIS = Visit(KEY, NOW - SECOND, None, trace=Trace("7415", replace(WAY, port=40002), NOW - SECOND, NOW - SECOND))
ANCESTOR = Session("ssh", "root", HERE, NOW - SECOND, 40002, key=KEY, ancestor=True, live=True, evidence="log+process")
BROKEN = replace(VISIT, trace=replace(TRACE, parted_at=None, parted=Parted.OPEN))
REFUSED = replace(VISIT, trace=replace(TRACE, entered_at=None, parted=Parted.REFUSED))
NEVER = replace(VISIT, trace=Trace("5ca9"))

PLAIN = {
    "all-agrees": (VISIT, OURS, True),
    "v4-in-v6": (VISIT, replace(OURS, source="::ffff:10.0.0.1"), True),
    "another-port": (VISIT, replace(OURS, port=40003), False),
    "another-address": (VISIT, replace(OURS, source=THERE), False),
    "another-user": (VISIT, replace(OURS, user="admin"), False),
    "another-key": (VISIT, replace(OURS, key="SHA256:eve"), False),
    "a-password": (VISIT, replace(OURS, key=""), False),
    "another-door": (VISIT, replace(OURS, door="console"), False),
    "a-terminal": (VISIT, replace(OURS, tty="pts/0"), False),
    "a-transfer": (VISIT, replace(OURS, kind="transfer"), False),
    "only-forwards": (VISIT, replace(OURS, kind="forward"), False),
    "broke-off-before-it-asked-for-anything": (BROKEN, replace(OURS, kind="forward"), True),
    "nothing-tells-its-kind": (VISIT, replace(OURS, kind=""), True),
    "too-early": (VISIT, replace(OURS, started_at=CAME - SKEW - SECOND), False),
    "too-late": (VISIT, replace(OURS, started_at=CAME + SECOND + SKEW + SECOND), False),
    "too-short": (VISIT, replace(OURS, ended_at=CAME + SECOND), False),
    "too-long": (VISIT, replace(OURS, ended_at=CAME + 8 * SECOND + LINGER + SECOND), False),
    "closed-slowly": (VISIT, replace(OURS, ended_at=CAME + 8 * SECOND + LINGER), True),
    "still-there": (VISIT, replace(OURS, ended_at=None, live=True), False),
    "nothing-tells-its-end": (VISIT, replace(OURS, ended_at=None), True),
    "broke-off-and-still-there": (BROKEN, replace(OURS, ended_at=None, live=True), True),
    "broke-off-and-the-key-is-used-from-elsewhere": (BROKEN, replace(OURS, port=40003), False),
    "refused": (REFUSED, OURS, False),
    "nothing-connected": (NEVER, OURS, False),
    "a-process-that-no-log-tells-of": (BROKEN, replace(OURS, key="", live=True, evidence="process"), True),
    "such-a-process-from-another-port": (BROKEN, replace(OURS, key="", port=4, live=True, evidence="process"), False),
}


@pytest.mark.parametrize("case", PLAIN)
def test_a_plain_key(case):
    visit, session, own = PLAIN[case]
    found = split([session, ANCESTOR], [visit, THIS], NOW)
    assert ((session in found.own), (session in found.others)) == (own, not own)
    assert found.translated == ""


def test_a_visit_explains_one_session():
    again = replace(OURS, pid=9, started_at=OURS.started_at + SECOND)
    assert split([OURS, again, ANCESTOR], [VISIT, THIS], NOW).others == (again,)


def test_a_stolen_key_in_the_middle_of_a_look_is_a_persons():
    thief = replace(ANCESTOR, port=40009, ancestor=False)
    for there in ([thief, ANCESTOR], [ANCESTOR, thief]):
        assert split(there, [THIS, NEVER, VISIT], NOW).others == (thief,)


def test_of_two_looks_at_once_each_is_known_by_its_port():
    """The other began later: the newest visit is not the one that the probe came by."""
    other = Visit(KEY, NOW, None, trace=Trace("0714", replace(WAY, port=40005), NOW, NOW))
    theirs = replace(ANCESTOR, port=40005, started_at=NOW, ancestor=False)
    assert split([ANCESTOR, theirs], [THIS, other], NOW).others == ()
    assert split([ANCESTOR, replace(theirs, port=40006)], [THIS, other], NOW).others


def test_a_looker_that_tells_of_no_connection_measures_the_clock_all_the_same():
    """An older visit is not taken for this one."""
    silent = replace(THIS, trace=Trace("7415"))
    thief = replace(OURS, port=4, started_at=CAME - SKEW - SECOND)
    assert split([thief, ANCESTOR], [VISIT, silent], NOW).others == (thief,)
    ahead = [replace(one, started_at=one.started_at + timedelta(hours=1), ended_at=None) for one in (OURS, ANCESTOR)]
    assert split(ahead, [VISIT, silent], NOW).others == ()


def test_a_visit_that_broke_off_before_the_clock_was_set_is_known_by_one_that_was_recorded_then():
    ahead = timedelta(hours=1)
    then = replace(OURS, started_at=CAME + ahead, ended_at=None)
    way, before = replace(WAY, port=40010), CAME - timedelta(minutes=2)
    trace = replace(TRACE, way=way, came_at=before, entered_at=before + SECOND, parted_at=before + SECOND)
    recorded = replace(then, port=40010, started_at=before + ahead)
    visits = [BROKEN, THIS, Visit(KEY, before, before + SECOND, trace=trace)]
    made = Visit(KEY, recorded.started_at, recorded.started_at, recorded)
    assert split([recorded, then, ANCESTOR], [*visits, made], NOW).others == ()
    thief = replace(then, port=40003)
    assert split([recorded, thief, ANCESTOR], [*visits, made], NOW).others == (thief,)
    assert split([then, ANCESTOR], [BROKEN, THIS], NOW).others == (then,), "nothing shows that it was set"


# --- certificates ----------------------------------------------------------------------------------------------------

CERTIFIED = replace(BROKEN, trace=replace(BROKEN.trace, way=replace(WAY, key="SHA256:once", certified=True)))
NAMED = replace(OURS, key="SHA256:once", key_id="driftd:5ca9")
CERTIFICATES = {
    "all-agrees": (NAMED, True),
    "an-old-sshd-that-logs-no-key": (replace(NAMED, key=""), True),
    "another-id": (replace(NAMED, key_id="driftd:5ca8"), False),
    "no-id": (replace(NAMED, key_id=""), False),
    "its-id-with-another-key": (replace(NAMED, key="SHA256:eve"), False),
    "its-id-from-another-port": (replace(NAMED, port=40003), False),
}


@pytest.mark.parametrize("case", CERTIFICATES)
def test_a_certificate(case):
    session, own = CERTIFICATES[case]
    assert (session in split([session, ANCESTOR], [CERTIFIED, THIS], NOW).own) is own


# --- translated addresses --------------------------------------------------------------------------------------------

AFAR = replace(ANCESTOR, source=THERE, port=61001)
TRANSLATED = {
    "a-plain-key-and-all-the-rest": (VISIT, replace(OURS, source=THERE, port=61000), True),
    "not-from-where-we-come-from": (VISIT, replace(OURS, source="192.0.2.8", port=61000), False),
    "refused": (REFUSED, replace(OURS, source=THERE, port=61000), False),
    "nothing-connected": (NEVER, replace(OURS, source=THERE, port=61000), False),
    "too-long": (VISIT, replace(OURS, source=THERE, ended_at=NOW), False),
    "a-terminal": (VISIT, replace(OURS, source=THERE, tty="pts/0", evidence="log+wtmp"), False),
    "a-certificate": (CERTIFIED, replace(NAMED, source=THERE, port=61000), True),
    "another-certificate": (CERTIFIED, replace(NAMED, source=THERE, key_id="driftd:5ca8"), False),
}


@pytest.mark.parametrize("case", TRANSLATED)
def test_where_addresses_are_translated(case):
    visit, session, own = TRANSLATED[case]
    found = split([session, AFAR], [visit, THIS], NOW)
    assert (session in found.own) is own
    assert found.translated == "192.0.2.7 port 61001"


def test_where_our_own_process_is_hidden_its_line_shows_that_nothing_is_translated():
    line = replace(ANCESTOR, ancestor=False, live=False, evidence="log")
    afar = replace(OURS, source=THERE, port=61000)
    assert split([line, afar], [BROKEN, THIS], NOW).others == (afar,)
    hidden = replace(line, source=THERE, port=61001)
    assert split([hidden, afar], [BROKEN, THIS], NOW).others == ()
    assert len(split([hidden, afar, replace(afar, port=1)], [BROKEN, THIS], NOW).others) == 1


# --- terminals -------------------------------------------------------------------------------------------------------


def test_a_terminal_that_was_joined_to_our_login_is_somebodys():
    """Same user, same address, same moment: a person whose own line is gone from the log."""
    joined = replace(OURS, tty="pts/3", evidence="log+wtmp")
    found = split([joined, ANCESTOR], [VISIT, THIS], NOW)
    assert found.own == (joined, ANCESTOR)
    assert [(one.tty, one.source, one.evidence, one.key) for one in found.others] == [("pts/3", HERE, "wtmp", "")]
    made = Visit(KEY, CAME, CAME, joined)
    assert split([joined, ANCESTOR], [VISIT, THIS, made], NOW).others == (), "told when it was recorded"
    theirs = replace(OURS, key="SHA256:ann", port=50000, started_at=CAME + SECOND)
    assert split([joined, theirs, ANCESTOR], [VISIT, THIS], NOW).others == (theirs,), "not told twice"


def test_what_an_announced_visit_tells_is_kept_before_the_login():
    kept = []
    ticks = iter(NOW + n * SECOND for n in range(9))
    visit = Announced("5ca9", lambda: next(ticks), kept.append)
    visit.came(WAY)
    assert kept == [Trace("5ca9", WAY, NOW)]
    visit.entered()
    visit.parts(Parted.ORDERLY)
    assert visit.trace == Trace("5ca9", WAY, NOW, NOW + SECOND, NOW + 2 * SECOND, Parted.ORDERLY)
    assert len(kept) == 1


SENT = Trace("5ca9", Way.by_commands(["c-1", "c-2"]), CAME, CAME + SECOND)
COMMAND = Session("cloud", "", HERE, CAME, ended_at=CAME, key_id="role/driftd", tty="c-1", kind="command")


def test_a_command_is_driftds_own_by_the_name_that_the_provider_gave_it_and_by_nothing_else():
    visits = [replace(VISIT, trace=SENT), VISIT, NEVER]
    others = [replace(COMMAND, tty=name) for name in ("c-3", "", "c-1 c-2")]
    assert strangers([COMMAND, replace(COMMAND, tty="c-2"), *others], visits) == others
    assert strangers([COMMAND], [VISIT, NEVER]) == [COMMAND]


PUSHED = replace(VISIT, trace=replace(TRACE, way=replace(WAY, pushed=True)))
PUSH = Session("cloud", "root", HERE, CAME, ended_at=CAME, key=KEY, key_id="role/driftd")


def test_a_pushed_key_is_driftds_own_where_it_was_made_for_the_visit():
    others = [replace(PUSH, key="SHA256:eve"), replace(PUSH, user="admin"), replace(PUSH, key="")]
    assert strangers([PUSH, *others], [PUSHED, NEVER]) == others
    assert strangers([PUSH], [VISIT]) == [PUSH], "a key that stays may be stolen, and pushed by whoever has it"


def test_a_key_that_was_made_for_the_visit_says_whose_it_is_where_a_port_proves_nothing():
    came = replace(ANCESTOR, port=50001, source=THERE)
    far = replace(OURS, source=THERE, port=50002)
    assert split([far, came], [PUSHED, THIS], NOW).others == ()
    long = replace(far, ended_at=CAME + 8 * SECOND + LINGER + SECOND)
    assert split([long, came], [PUSHED, THIS], NOW).others == (long,)
    eve = replace(far, key="SHA256:eve")
    assert split([eve, came], [PUSHED, THIS], NOW).others == (eve,)
    assert split([replace(far, source=HERE), came], [PUSHED, THIS], NOW).others != ()


def test_a_visit_by_commands_explains_no_login_and_says_nothing_of_translated_addresses():
    sent = replace(VISIT, trace=SENT)
    forged = [replace(OURS, key=SENT.way.key, user="", source="commands", port=0), replace(OURS, key="", user="")]
    assert split(forged, [sent], NOW, this=sent).others == tuple(forged)
    translated = replace(ANCESTOR, port=50001)
    named = replace(OURS, key=SENT.way.key, user="", ended_at=None)
    assert split([named, translated], [sent, THIS], NOW, this=THIS).others == (named,), "nor where no port proves it"
    ours = split([OURS], [VISIT, sent], NOW, this=sent)
    assert (ours.own, ours.translated) == ((OURS,), ""), "an earlier visit over SSH is known by its port"
    elsewhere = replace(OURS, port=40003)
    assert split([elsewhere], [VISIT, sent], NOW, this=sent).others == (elsewhere,)


def test_each_command_of_a_visit_is_kept_when_it_has_a_name():
    kept = []
    ticks = iter(NOW + n * SECOND for n in range(9))
    visit = Announced("5ca9", lambda: next(ticks), kept.append)
    visit.sent("c-1")
    visit.sent("c-2")
    assert [one.way.commands for one in kept] == [("c-1",), ("c-1", "c-2")]
    assert [one.came_at for one in kept] == [NOW, NOW]
    assert WAY.commands == ()
