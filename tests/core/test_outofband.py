"""Two views of one server: what its disk has and it denies is hidden, and nothing honest ever is."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from trees import IMAGE, NOW, account, baked, directory, file, fingerprint

from driftd.core import outofband
from driftd.core.difference import Change
from driftd.core.drift import compare
from driftd.core.facts import Instance, Kept
from driftd.core.findings import Action, Judgement, Severity, Verdict
from driftd.core.fingerprint import Extent
from driftd.core.looks import DISK, Look
from driftd.core.memory import Suppression
from driftd.core.outofband import SETTLED, Inside, Meaning, Round, Says, confirmed, meaning, sort_out
from driftd.core.policy import Policy, judge

TOOL, HIDER, CONF = b"/usr/bin/tool", b"/usr/bin/hider", b"/etc/conf"
BAKED = (file(TOOL, b"tool", 0o755), file(CONF, b"conf"), directory(b"/mnt"))
MANIFEST = baked(BAKED, facts=(account("root"),))
POLICY = Policy()
S = timedelta(seconds=1)


def seen(*changed, without=(), **more):
    """What is seen where these are so, and all else as baked."""
    paths = {one.path for one in changed} | set(without)
    entries = (*(one for one in BAKED if one.path not in paths), *changed)
    return fingerprint(entries, **{"facts": (account("root"),), **more})


def judged(fingerprint, suppressions=()):
    return judge(compare(MANIFEST, fingerprint), POLICY, suppressions, NOW, image=IMAGE)


def says(fingerprint):
    return Says(MANIFEST, fingerprint)


def around(before, after, *, wait=SETTLED, asked=NOW, had=None, later=S):
    """A round whose first look ended ``wait`` before the copy was asked for."""
    had = had or asked + 30 * S
    first = Inside(asked - wait - 10 * S, asked - wait, before and says(before))
    return Round(first, asked, had, Inside(had + later, had + later + 10 * S, after and says(after)))


def disk_look(fingerprint, suppressions=()):
    instance = Instance("i-1", "web", IMAGE)
    return Look(instance, NOW, 1.0, judged(fingerprint, suppressions), root=fingerprint.root)


def verdict(fingerprint, one, *, again=None, suppressions=()):
    look = disk_look(fingerprint, suppressions)
    found = sort_out(look.judgement.findings, one)
    if again is not None:
        found = confirmed(found, again)
    return outofband.told(look, found, lambda hidden: judge(hidden, POLICY, suppressions, NOW, image=IMAGE))


CLEAN, EVIL = seen(), seen(file(TOOL, b"evil", 0o755), file(HIDER, b"x", 0o755), facts=(account("root"), account("x")))


# --- what is hidden --------------------------------------------------------------------------------------------------


def test_what_the_disk_has_and_the_instance_denies_is_tampered():
    found = verdict(EVIL, around(CLEAN, CLEAN))
    assert found.judgement.verdict is Verdict.TAMPERED
    assert {(one.kind, one.subject, one.change) for one in found.judgement.findings} == {
        ("hidden", TOOL, Change.MODIFIED),
        ("hidden", HIDER, Change.ADDED),
        ("hidden", b"x", Change.ADDED),
    }
    assert {one.severity for one in found.judgement.findings} == {Severity.CRITICAL}
    assert found.judgement.action is Action.REPLACE
    assert "it hides " in found.judgement.reason
    assert found.means == DISK
    of_account = next(one for one in found.judgement.findings if one.subject == b"x")
    assert of_account.actual["hidden"] == "account"


def test_what_is_gone_from_the_disk_and_shown_by_the_instance_is_hidden_too():
    found = verdict(seen(without=(TOOL,)), around(CLEAN, CLEAN))
    assert ("hidden", TOOL, Change.REMOVED) in {(one.kind, one.subject, one.change) for one in found.judgement.findings}
    assert found.judgement.verdict is Verdict.TAMPERED


def test_drift_that_both_show_is_drift():
    found = verdict(EVIL, around(EVIL, EVIL))
    assert found.judgement.verdict is Verdict.DRIFTED
    assert {one.kind for one in found.judgement.findings} == {"file", "account"}
    assert "that the instance shows, too" in found.judgement.reason
    half = verdict(EVIL, around(seen(file(TOOL, b"evil", 0o755)), seen(file(TOOL, b"evil", 0o755))))
    assert half.judgement.verdict is Verdict.TAMPERED, "what it shows of one thing excuses nothing of another"
    assert {(one.kind, one.subject) for one in half.judgement.findings} >= {("file", TOOL), ("hidden", HIDER)}


def test_a_file_that_the_instance_shows_otherwise_than_the_disk_is_shown_all_the_same():
    found = verdict(EVIL, around(*[seen(file(TOOL, b"other", 0o755), file(HIDER), facts=EVIL.facts)] * 2))
    assert found.judgement.verdict is Verdict.DRIFTED


def test_where_the_instance_could_not_be_seen_the_disk_alone_speaks():
    for blind in (None, seen(covered=(b"/usr",)), seen(mounted=(b"/usr/bin",)), seen(unreadable=(b"/usr",))):
        found = verdict(seen(file(TOOL, b"evil", 0o755)), around(blind, blind))
        assert found.judgement.verdict is Verdict.DRIFTED
        assert "where a look at the instance does not reach" in found.judgement.reason


def test_facts_that_were_kept_from_the_look_and_what_was_remembered_deny_nothing():
    stranger = seen(facts=(account("root"), account("x")))
    (finding,) = judged(stranger).findings
    kept = seen(kept=(Kept("account", "not permitted", "x"),))
    remembered = replace(CLEAN, extent=Extent.CHANGES)
    for inside in (kept, remembered):
        assert meaning(finding, around(inside, inside)) is Meaning.ALONE
    flagged = seen(file(TOOL, b"tool", 0o755, xattrs=((b"security.capability", b"1"),)))
    (finding,) = judged(flagged).findings
    no_tools = seen(kept=(Kept("xattr", "not available", "no getfattr"),))
    assert meaning(finding, around(no_tools, no_tools)) is Meaning.ALONE
    assert meaning(finding, around(CLEAN, CLEAN)) is Meaning.HIDDEN


def test_what_somebody_accepted_is_not_tampering():
    first = verdict(seen(file(HIDER, b"x", 0o755)), around(CLEAN, CLEAN))
    (hidden,) = first.judgement.findings
    accepted = Suppression(1, hidden.signature, "", "ann", "mine", NOW, NOW + timedelta(days=1))
    again = verdict(seen(file(HIDER, b"x", 0o755)), around(CLEAN, CLEAN), suppressions=[accepted])
    assert again.judgement.verdict is Verdict.EXPLAINED
    assert "accepted" in again.judgement.reason
    assert "no difference" not in again.judgement.reason
    assert again.judgement.action is Action.IGNORE
    assert again.judgement.findings[0].suppressed_by


# --- what is not -----------------------------------------------------------------------------------------------------


@given(st.integers(0, 119))
def test_a_look_just_before_the_copy_denies_nothing(seconds):
    found = verdict(EVIL, around(CLEAN, CLEAN, wait=seconds * S))
    assert (found.judgement.verdict, found.judgement.findings) == (Verdict.EXPLAINED, ())
    assert {one.because for one in found.judgement.explained} == {outofband.words.ON_ITS_WAY}


def test_a_look_that_began_before_the_copy_was_whole_denies_nothing():
    assert verdict(EVIL, around(CLEAN, CLEAN, later=-S)).judgement.verdict is Verdict.EXPLAINED


def test_what_changed_meanwhile_denies_nothing():
    for before, after in ((CLEAN, EVIL), (EVIL, CLEAN)):
        assert verdict(EVIL, around(before, after)).judgement.verdict is Verdict.DRIFTED
    for before, after in ((CLEAN, None), (None, CLEAN)):
        assert verdict(EVIL, around(before, after)).judgement.verdict is Verdict.EXPLAINED


def test_one_copy_alone_proves_nothing():
    one = around(CLEAN, CLEAN)
    nothing = sort_out(judged(CLEAN).findings, one)
    assert verdict(CLEAN, one, again=nothing).judgement.verdict is Verdict.CLEAN
    once = sort_out(judged(EVIL).findings, one)
    other = sort_out(judged(seen(file(CONF, b"changed"))).findings, one)
    assert confirmed(once, other).hidden == ()
    assert [finding.subject for finding in confirmed(once, other).unsure] == [CONF]
    assert {finding.subject for finding in confirmed(once, once).hidden} == {TOOL, HIDER, b"x"}


def test_a_disk_that_could_not_be_read_stays_unknown_whatever_the_instance_says():
    unread = replace(disk_look(CLEAN), judgement=Judgement(Verdict.UNKNOWN, "the file system is damaged"), root=b"")
    found = outofband.told(unread, sort_out((), around(CLEAN, CLEAN)), lambda _: judge((), POLICY, (), NOW))
    assert (found.judgement.verdict, found.judgement.reason) == (Verdict.UNKNOWN, "the file system is damaged")


# --- whatever an honest server does ----------------------------------------------------------------------------------

PATHS = (TOOL, CONF, HIDER)
SLOWEST = 40  # seconds from a write to the disk


class Honest:
    """A server on which each path is changed once and, perhaps, changed back; what is written is late on the disk."""

    def __init__(self, draw):
        self.changes = {
            path: (
                start := draw(st.integers(0, 900)),
                start + draw(st.integers(0, 400)),
                draw(st.integers(0, SLOWEST)),
                draw(st.integers(0, SLOWEST)),
            )
            for path in PATHS
            if draw(st.booleans())
        }

    def at(self, moments, *, disk=False):
        """What is seen, each path at its own moment."""
        changed = []
        for path, (there, back, late, later) in self.changes.items():
            from_, until = (there + late, max(back + later, there + late)) if disk else (there, back)
            if from_ <= moments[path] < until:
                changed.append(file(path, b"changed", 0o755))
        return seen(*changed)


@st.composite
def stories(draw):
    """Three looks and two copies of an honest server's disk, one after the other."""
    server, clock = Honest(draw), draw(st.integers(0, 100))

    def look():
        nonlocal clock
        began = clock
        clock += draw(st.integers(0, 60))
        return began, clock, server.at({path: draw(st.integers(began, clock)) for path in PATHS})

    def copy(before):
        nonlocal clock
        clock = max(clock, before[1] + int(SETTLED.total_seconds())) + draw(st.integers(0, 30))
        asked = clock
        clock += draw(st.integers(0, 60))
        moment = draw(st.integers(asked, clock))
        return asked, clock, server.at(dict.fromkeys(PATHS, moment), disk=True)

    def inside(one):
        return Inside(NOW + one[0] * S, NOW + one[1] * S, says(one[2]))

    looks, rounds = [look()], []
    for _ in range(2):
        made = copy(looks[-1])
        looks.append(look())
        one = Round(inside(looks[-2]), NOW + made[0] * S, NOW + made[1] * S, inside(looks[-1]))
        rounds.append(sort_out(judged(made[2]).findings, one))
    return rounds


@given(stories())
def test_an_honest_server_is_never_called_tampered(rounds):
    assert confirmed(*rounds).hidden == ()


@given(st.lists(st.sampled_from(PATHS), unique=True, min_size=1), st.integers(120, 900), st.integers(0, 60))
def test_who_hides_something_all_the_time_is_found_out(paths, wait, later):
    disk = seen(*(file(path, b"evil", 0o755) for path in paths))
    one = sort_out(judged(disk).findings, around(CLEAN, CLEAN, wait=wait * S, later=later * S))
    assert {finding.subject for finding in confirmed(one, one).hidden} == set(paths)
