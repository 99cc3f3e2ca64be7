"""What a look is told of the past, and what only a later look of a run shows of an earlier one."""

from dataclasses import replace
from datetime import timedelta
from unittest.mock import ANY

import pytest
from trees import NOW

from driftd.core.facts import Instance, Session
from driftd.core.findings import Judgement, Severity, Verdict
from driftd.core.looks import Look
from driftd.core.marks import Mark, Twin
from driftd.core.memory import InstanceRow, Suppression
from driftd.core.policy import Policy
from driftd.core.seal import SeenManifest
from driftd.core.taint import same_one
from driftd.edges.store import open_store
from driftd.flows.audit import Rules
from driftd.flows.remembering import Known, Run, known, past

ID, KEY = b"/etc/machine-id", b"/etc/ssh/ssh_host_ed25519_key"
MINE = {ID: b"a" * 32, KEY: b"b" * 32}


def server(name, image="golden"):
    return Instance(name, "web", image)


def row(name, image="golden"):
    return InstanceRow(name, "web", "", image, "", "running", Verdict.CLEAN, "", "", NOW, NOW, NOW)


@pytest.fixture
def store(tmp_path):
    opened = open_store(f"sqlite:///{tmp_path}/driftd.db")
    with opened.write() as tx:
        for name in ("i-1", "i-2"):
            tx.put_instance(row(name))
        tx.put_marks("i-1", [Mark(b"/var/log/x", "growing", 3, b"m" * 32, NOW)])
        tx.put_identities("i-2", MINE)
    yield opened
    opened.close()


def test_marks_are_those_of_the_same_image(store):
    assert set(past(store, server("i-1")).marks) == {b"/var/log/x"}
    assert past(store, server("i-1", "another")).marks == {}
    assert past(store, server("i-3")).marks == {}


def test_the_boot_that_was_seen_is_remembered_of_the_same_image(store):
    with store.write() as tx:
        tx.put_instance(replace(row("i-1"), boot_id="b/1"))
    assert past(store, server("i-1")).boot_id == "b/1"
    assert past(store, server("i-1", "another")).boot_id == ""


def test_what_is_known_before_a_look_is_of_one_moment(store):
    seen = SeenManifest("golden", 3, "ab", NOW)
    accepted = Suppression(0, "sig", "web", "kim", "a test", NOW, NOW + timedelta(days=1))
    with store.write() as tx:
        tx.see_manifest(seen)
        tx.add_suppression(accepted)
        tx.put_instance(replace(row("i-2"), verdict=Verdict.DRIFTED))
    first = known(store, server("i-1"), NOW)
    assert [one.signature for one in first.suppressions] == ["sig"]
    assert (set(first.past.marks), first.glance, first.manifest) == ({b"/var/log/x"}, True, seen)
    assert not known(store, server("i-2"), NOW).glance, "what differs is looked at whole"
    assert known(store, server("i-3", "another"), NOW + timedelta(days=2)) == Known([], ANY, chosen=[], rollouts=[])


def test_twins_are_looked_for_in_the_store_and_in_the_run(store):
    run = Run()
    assert set(known(store, server("i-1"), NOW, run).past.twins({ID: b"a" * 32})) == {Twin("i-2", ID)}
    assert set(known(store, server("i-9"), NOW, run).past.twins(MINE)) == {
        Twin("i-1", ID),
        Twin("i-2", ID),
        Twin("i-2", KEY),
    }
    assert past(store, server("i-2")).twins(MINE) == ()


def test_what_others_came_for_is_remembered_and_driftds_own_visits_are_no_others(store):
    came = Session("ssh", "eve", "10.0.0.9", NOW, port=7, kind="transfer", live=True)
    with store.write() as tx:
        tx.add_session("i-1", came, own=False, now=NOW)
        tx.add_session("i-1", replace(came, port=8, kind=""), own=False, now=NOW)
        tx.add_session("i-1", replace(came, port=9), own=True, now=NOW)
    assert past(store, server("i-1")).kinds == {same_one(came): "transfer"}
    assert past(store, server("i-2")).kinds == {}


def look(name, identities):
    judgement = Judgement(Verdict.CLEAN, "nothing differs")
    return Look(server(name), NOW, 0.1, judgement, identities=identities)


def test_the_first_of_two_is_told_as_well_as_the_second():
    run = Run()
    looks = [look("i-1", MINE), look("i-2", {ID: MINE[ID]}), look("i-3", {ID: b"c" * 32})]
    for one in looks:
        run.twins(one.instance.id, one.identities)
    first, second, third = run.completed(looks, lambda _group: Rules(Policy()))
    assert [(one.subject, one.actual["same_as"]) for one in first.judgement.findings] == [(ID, "i-2")]
    assert [(one.subject, one.actual["same_as"]) for one in second.judgement.findings] == [(ID, "i-1")]
    assert first.judgement.verdict is Verdict.DRIFTED
    assert first.judgement.findings[0].severity is Severity.MEDIUM
    assert "/etc/machine-id" in first.judgement.reason
    assert third == looks[2]


def test_what_a_look_told_by_itself_is_not_told_twice():
    run = Run()
    looks = [look("i-1", MINE), look("i-2", MINE)]
    for one in looks:
        run.twins(one.instance.id, one.identities)
    (told, _) = run.completed(looks, lambda _group: Rules(Policy()))
    (again, _) = run.completed([told, looks[1]], lambda _group: Rules(Policy()))
    assert again == replace(told)


def test_what_was_accepted_of_the_first_stays_accepted():
    run = Run()
    looks = [look("i-1", MINE), look("i-2", {ID: MINE[ID]})]
    for one in looks:
        run.twins(one.instance.id, one.identities)
    (told, _) = run.completed(looks, lambda _group: Rules(Policy()))
    (finding,) = told.judgement.findings
    accepted = Suppression(1, finding.signature, "web", "ann", "a clone for an hour", NOW, NOW + timedelta(hours=1))
    first, _ = run.completed(looks, lambda _group: Rules(Policy(), (accepted,)))
    assert first.judgement.verdict is Verdict.EXPLAINED
    assert "ann" in first.judgement.findings[0].suppressed_by
    first, _ = run.completed(looks, lambda _group: Rules(Policy(), (accepted,), strict=True))
    assert first.judgement.verdict is Verdict.DRIFTED
