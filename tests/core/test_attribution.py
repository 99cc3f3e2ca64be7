"""Whom a change is tied to: by the kernel's word, by who was there, and never surer than that."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from driftd.core.attributed import Attribution, Level
from driftd.core.attribution import BOOTS, Scene, attribute, remembered, stronger, told
from driftd.core.difference import Change, Difference
from driftd.core.facts import Session
from driftd.core.findings import Action, Finding, Severity, signature
from driftd.core.trails import Doer, Trail

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
BOOT = "boot/1"


def at(minutes, seconds=0):
    return NOON + timedelta(minutes=minutes, seconds=seconds)


def finding(kind="file", subject=b"/etc/motd", change=Change.MODIFIED, cause="", **actual):
    shape = signature(Difference(kind, subject, change, {}, actual))
    return Finding(kind, subject, change, Severity.HIGH, Action.ALERT, shape, "r", "b", {}, actual, cause=cause)


def session(name, begin, end=None, **more):
    given = {"key": f"SHA256:{name}", "source": "10.0.0.7", "evidence": "log", "confidence": "supported"} | more
    ended = None if end is None else at(end)
    return Session("ssh", "root", started_at=at(begin), ended_at=ended, **given)


ANN, BEN = session("ann", 2, 9), session("ben", 20, 30)
LIVE = session("ann", 2, live=True, pid=300, number=7, boot=BOOT, evidence="log+process", confidence="proved")
SCENE = Scene(until=at(60), since=at(0), boot=BOOT)
MOTD = finding(sha256="bb")


def one(found=MOTD, trail=None, *sessions, **more):
    scene = replace(SCENE, sessions=sessions, **more)
    path = found.actual.get("program", "").encode() or found.subject
    return attribute([found], {path: trail} if trail else {}, scene)[found.signature]


def stamped(minutes, seconds=0):
    return Trail(at(minutes, seconds))


# --- by time ---------------------------------------------------------------------------------------------------------


def test_nobody_was_there():
    assert one() == Attribution(Level.NONE, "nobody is known to have been there at that time")
    assert one(MOTD, stamped(15), ANN, BEN).level is Level.NONE


def test_one_alone_between_two_looks():
    made = one(MOTD, None, ANN)
    assert (made.level, made.session) == (Level.PROBABLE, ANN)
    assert made.why == "nobody else is known to have been there between the two looks"


def test_several_between_two_looks_and_one_at_the_moment_of_the_stamp():
    several = one(MOTD, None, ANN, BEN)
    assert (several.level, several.session) == (Level.POSSIBLE, None)
    made = one(MOTD, stamped(25), ANN, BEN)
    assert (made.level, made.session) == (Level.PROBABLE, BEN)
    assert "at the moment of the kernel's stamp" in made.why
    assert one(MOTD, stamped(25), BEN, session("cy", 24, 26)).level is Level.POSSIBLE


@pytest.mark.parametrize("seconds", [0, 0.5, 1])
def test_a_log_cuts_seconds_off(seconds):
    assert one(MOTD, Trail(ANN.ended_at + timedelta(seconds=seconds)), ANN).session == ANN
    assert one(MOTD, Trail(ANN.started_at - timedelta(seconds=0.1)), ANN).level is Level.NONE


def test_what_is_gone_went_before_its_directory_was_last_changed():
    gone = finding(change=Change.REMOVED)
    assert one(gone, Trail(at(15), itself=False), ANN, BEN).session == ANN
    assert one(gone, Trail(at(25), itself=False), ANN, BEN).level is Level.POSSIBLE
    assert one(gone, Trail(at(-99), itself=False), ANN).level is Level.PROBABLE, "that is no upper bound"


@pytest.mark.parametrize("moment", [at(-60), at(99)])
def test_a_stamp_of_another_time_counts_for_nothing_and_is_told(moment):
    made = one(MOTD, Trail(moment), ANN)
    assert (made.level, made.session) == (Level.POSSIBLE, ANN)
    assert "a clock was set" in made.why


def test_one_principal_is_one_however_often_and_whence_it_came():
    again = session("ann", 5, 40, source="10.9.9.9")
    made = one(MOTD, None, ANN, again)
    assert (made.level, made.session) == (Level.PROBABLE, again)
    assert one(MOTD, None, ANN, session("", 5, 40, key="", source="10.0.0.7")).level is Level.POSSIBLE


def test_an_unverified_session_is_never_named_without_the_word():
    made = one(MOTD, None, replace(ANN, confidence="unverified"))
    assert made.level is Level.PROBABLE
    assert "unverified" in made.why
    assert "unverified" in told([made])
    assert "unverified" not in one(MOTD, None, ANN).why


def test_the_boot_cron_and_packages_make_it_possible_at_most():
    assert one(MOTD, stamped(3), ANN, booted_at=at(2)).level is Level.POSSIBLE
    assert one(MOTD, stamped(3), ANN, booted_at=at(3) - BOOTS - timedelta(seconds=1)).level is Level.PROBABLE
    made = one(MOTD, stamped(3), ANN, jobs=[at(2, 30)])
    assert (made.level, made.session) == (Level.POSSIBLE, ANN)
    assert "cron" in made.why
    assert one(MOTD, stamped(8), ANN, jobs=[at(2, 30)]).level is Level.PROBABLE
    assert one(finding(cause="package"), stamped(8), ANN).level is Level.POSSIBLE


def test_services_sessions_are_nobodys():
    assert one(MOTD, None, replace(ANN, door="service")).level is Level.NONE


def test_a_session_whose_end_nobody_knows():
    endless = session("ann", 2)
    assert one(MOTD, stamped(30), endless).level is Level.POSSIBLE
    assert one(MOTD, None, endless).level is Level.PROBABLE, "it began between the two looks"
    assert one(MOTD, None, session("ann", -30)).level is Level.NONE, "the look before saw it live no more"
    now, before = remembered([session("ann", -30)], [session("ann", -30, live=True)])
    assert one(MOTD, stamped(30), *now, before=before).level is Level.POSSIBLE, "it left since, and nobody knows when"


def test_without_a_look_before_the_stamp_alone_tells():
    assert one(MOTD, stamped(5), ANN, BEN, since=None).session == ANN
    assert one(MOTD, None, ANN, BEN, since=None).level is Level.POSSIBLE


def test_what_a_look_before_saw_keeps_what_it_was_attributed_to():
    known = Attribution(Level.PROBABLE, "then", ANN)
    assert one(MOTD, stamped(25), BEN, standing={MOTD.signature: known}) == known
    proved = one(finding("process", b"/tmp/x"), Trail(at(1), runs=(Doer(at(3), 7),)), LIVE)
    assert stronger(proved, known)
    assert not stronger(Attribution(Level.POSSIBLE, ""), known)


def test_sessions_are_attributed_to_nobody():
    found = finding("session", b"ssh:root@10.0.0.7")
    assert attribute([found], {}, SCENE) == {}


# --- by the kernel ---------------------------------------------------------------------------------------------------

RUNS = finding("process", b"/tmp/miner", Change.ADDED)


def test_without_numbers_the_sshd_above_it_proves_it_unless_anybody_can_have_named_that():
    journal = replace(LIVE, number=0, evidence="journal+process")
    found = Trail(at(1), runs=(Doer(at(3), 0, (400, 300, 1)),))
    assert one(RUNS, found, journal).level is Level.PROVED
    assert one(RUNS, found, replace(journal, evidence="log+process")).level is not Level.PROVED
    assert one(RUNS, found, replace(journal, number=7)).level is not Level.PROVED
    assert one(RUNS, found, replace(journal, door="exec", evidence="outside")).level is Level.PROVED


def test_a_forged_line_of_somebody_elses_key_proves_nothing():
    real = replace(LIVE, port=4022, key="SHA256:mallory")
    forged = replace(LIVE, port=4022, live=False, number=0, pid=301, evidence="log")
    found = Trail(at(1), runs=(Doer(at(3), 7, (400, 300)),))
    assert one(RUNS, found, real).level is Level.PROVED
    assert one(RUNS, found, real, forged).level is Level.POSSIBLE
    assert one(RUNS, found, replace(forged, live=True, number=7, evidence="log+process"), real).level is Level.POSSIBLE


def test_a_line_that_names_anothers_process_proves_nothing():
    ann = replace(LIVE, pid=350, port=1)
    found = Trail(at(1), runs=(Doer(at(3), 9, (400, 350, 300)),))
    mallory = replace(LIVE, key="SHA256:mallory", pid=300, number=9, port=2)
    assert one(RUNS, found, ann).level is not Level.PROVED
    assert one(RUNS, found, ann, mallory).level is not Level.PROVED


@pytest.mark.parametrize("doer", [Doer(at(3), 7), Doer(at(3), 7, (400, 300, 1))])
def test_a_program_of_a_login_is_proved_whoever_else_was_there(doer):
    made = one(RUNS, Trail(at(1), runs=(doer,)), LIVE, session("ben", 1, live=True, pid=301, evidence="process"))
    assert (made.level, made.session) == (Level.PROVED, LIVE)


def test_a_listener_is_proved_by_its_program():
    found = finding("listener", b"tcp 0.0.0.0:4444", Change.ADDED, program="/usr/bin/nc")
    assert one(found, Trail(at(1), runs=(Doer(at(3), 7),)), LIVE).level is Level.PROVED


def test_a_file_is_proved_by_who_wrote_all_of_it():
    assert one(MOTD, Trail(at(4), wrote=(Doer(at(3), 7),)), LIVE).level is Level.PROVED
    assert one(MOTD, Trail(at(4), runs=(Doer(at(3), 7),)), LIVE).level is Level.PROBABLE
    assert one(finding(mode="0600"), Trail(at(4), wrote=(Doer(at(3), 7),)), LIVE).level is Level.PROBABLE


DOUBTFUL = {
    "no-login": ([Doer(at(3))], LIVE),
    "one-of-two": ([Doer(at(3), 7), Doer(at(3))], LIVE),
    "another-number": ([Doer(at(3), 8, (400, 300))], LIVE),
    "another-boot": ([Doer(at(3), 7)], replace(LIVE, boot="boot/0", pid=0)),
    "joined-by-user-and-time": ([Doer(at(3), 7)], replace(LIVE, evidence="log+sweep", live=False, ended_at=at(9))),
    "over": ([Doer(at(3), 0, (400, 300))], replace(LIVE, live=False, ended_at=at(9))),
    "never-live": ([Doer(at(3), 7)], replace(LIVE, evidence="log", live=False, ended_at=at(9))),
}


@pytest.mark.parametrize("case", DOUBTFUL)
def test_less_than_the_kernels_word_proves_nothing(case):
    doers, who = DOUBTFUL[case]
    assert one(RUNS, Trail(at(1), runs=tuple(doers)), who).level is not Level.PROVED


def test_a_number_that_two_have_proves_nothing():
    ben = replace(LIVE, key="SHA256:ben", pid=301)
    assert one(RUNS, Trail(at(1), runs=(Doer(at(3), 7),)), LIVE, ben).level is Level.POSSIBLE


def test_what_an_earlier_look_saw_of_the_kernel_counts_once_the_session_is_over():
    over = replace(LIVE, live=False, ended_at=at(9), evidence="log+sweep")
    now, before = remembered([over], [LIVE])
    assert one(RUNS, Trail(at(1), runs=(Doer(at(3), 7),)), *now, before=before).level is Level.PROVED
    wrong = replace(over, number=8)
    now, before = remembered([wrong], [LIVE])
    assert one(RUNS, Trail(at(1), runs=(Doer(at(3), 8),)), *now, before=before).level is not Level.PROVED


# --- whatever there is -----------------------------------------------------------------------------------------------

minutes = st.integers(-20, 80)


@st.composite
def sessions(draw):
    begin = draw(minutes)
    end = draw(st.none() | st.integers(begin, 90))
    live = end is None and draw(st.booleans())
    evidence = draw(st.sampled_from(["log", "process", "log+process", "log+sweep", "sweep"]))
    number = draw(st.integers(0, 4))
    more = {"live": live, "pid": draw(st.integers(0, 5)), "number": number, "boot": BOOT, "evidence": evidence}
    return session(draw(st.sampled_from("abc")), begin, end, port=draw(st.integers(1, 999)), **more)


doers = st.builds(Doer, minutes.map(at), st.integers(0, 4), st.lists(st.integers(1, 5), max_size=2).map(tuple))
trails = st.builds(
    Trail,
    minutes.map(at),
    st.booleans(),
    st.lists(doers, max_size=2).map(tuple),
    st.lists(doers, max_size=2).map(tuple),
)
findings = st.builds(
    finding,
    st.sampled_from(["file", "process", "package"]),
    st.just(b"/x"),
    st.sampled_from(list(Change)),
    sha256=st.just("bb"),
)
people = st.lists(sessions(), max_size=5)
before = st.none() | minutes.map(at)


@settings(max_examples=300)
@given(findings, st.none() | trails, people, before)
def test_nothing_is_proved_without_the_kernels_word(found, trail, there, since):
    bare = trail and replace(trail, runs=(), wrote=())
    assert one(found, bare, *there, since=since).level is not Level.PROVED
    made = one(found, trail, *there, since=since)
    if made.level is Level.PROVED:
        assert trail
        assert any(
            doer.number == made.session.number != 0 or made.session.pid in doer.above
            for doer in trail.runs + trail.wrote
        )


@settings(max_examples=300)
@given(findings, st.none() | trails, people, sessions(), before)
def test_more_sessions_never_make_it_surer(found, trail, there, more, since):
    first = one(found, trail, *there, since=since)
    then = one(found, trail, *there, more, since=since)
    if first.level is not Level.NONE and then.level is not Level.PROVED:
        assert then.level.rank <= first.level.rank
    if then.level is Level.PROVED and first.level is not Level.PROVED:
        assert then.session == more, "only the kernel's word of that very session"


@settings(max_examples=100)
@given(st.lists(sessions(), min_size=1, max_size=8), st.integers(0, 7), st.floats(0, 1), before)
def test_where_everybody_is_known_and_the_stamp_is_true_probable_is_right(there, who, when, since):
    actor = there[who % len(there)]
    # Who began before the look before, has no end, and was live no more when it looked, does nothing after it.
    assume(actor.ended_at or actor.live or since is None or actor.started_at > since)
    ended = actor.ended_at or at(60)
    moment = actor.started_at + max(ended - actor.started_at, timedelta(0)) * when
    made = one(MOTD, Trail(moment), *there, since=since)
    if made.level is Level.PROBABLE:
        assert made.session.key == actor.key
    if (since or moment) <= moment <= at(60):
        assert made.level is not Level.NONE or (not actor.live and actor.ended_at is None)


@settings(max_examples=200)
@given(st.none() | trails, people, before)
def test_as_counted_one_by_one(trail, there, since):
    """Bisection finds what a plain comparison of each session finds, for a file that is there."""
    bare = trail and replace(trail, itself=True, runs=(), wrote=())
    begin = since - timedelta(seconds=5) if since else at(-999)
    end = max(begin, at(60, 5))
    if bare and begin <= bare.changed_at <= end:
        begin = end = bare.changed_at
    found = set()
    for each in there:
        over = (
            each.ended_at + timedelta(seconds=1)
            if each.ended_at
            else max(each.started_at, at(60)) + timedelta(seconds=5)
        )
        if each.ended_at is None and not each.live and since and each.started_at <= since - timedelta(seconds=5):
            over = max(each.started_at, since - timedelta(seconds=6))
        if each.started_at <= end and begin <= over:
            found.add(each.key)
    made = one(MOTD, bare, *there, since=since)
    assert (made.level is Level.NONE) == (not found)
    assert (made.session is not None) == (len(found) == 1)
    if made.session:
        assert {made.session.key} == found
