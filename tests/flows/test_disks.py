"""The daemon's looks out of band: who is due, and that what they find stays until a person says otherwise."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from sweeping import MALLORY, VISITED, Fleet, drifted, finding

from driftd.core.difference import Change, Difference
from driftd.core.findings import Action, Judgement, Verdict
from driftd.core.looks import DISK, Look
from driftd.core.memory import StoreUnavailable, Suppression
from driftd.core.outofband import HIDDEN
from driftd.edges.gauges import StoreCollector
from driftd.flows.disks import DiskLooks, Stopping
from driftd.flows.outofband import Both

HIDES = finding(Difference(HIDDEN, b"/usr/bin/hider", Change.ADDED, {}, {"hidden": "file", "mode": "4755"}))
TAMPERED = replace(drifted(HIDES), verdict=Verdict.TAMPERED, reason="it hides file /usr/bin/hider")
FINE = Judgement(Verdict.EXPLAINED, "3 differences")
UNREAD = Judgement(Verdict.UNKNOWN, "its disk could not be read: away")


class Disks:
    """A fleet whose disks say what a test wants."""

    def __init__(self, home, enforce=Action.REPLACE):
        self.fleet = Fleet(home, enforce)
        self.fleet.group = replace(self.fleet.group, disks_every=timedelta(hours=24))
        self.fleet.groups["web"] = self.fleet.group
        self.says, self.asked, self.counted = {}, [], []
        self.fleet.sweeper.tick()
        self.restart()

    def restart(self):
        fleet = self.fleet
        self.looks = DiskLooks(
            fleet.store,
            fleet.groups,
            self.look,
            fleet.queue,
            fleet.sweeper.known,
            clock=fleet.clock,
            stopping=lambda: fleet.stopping,
            looked=self.counted.append,
        )

    def look(self, instance):
        self.asked.append(instance.id)
        said = self.says.get(instance.slot, FINE)
        if isinstance(said, Exception):
            raise said
        disk = Look(instance, self.fleet.clock(), 1.0, said, root=b"r", means=DISK)
        return Both(replace(disk, means=""), disk)

    def all(self):
        """Tick until nobody is due any more; what was said."""
        said, before = [], -1
        while before != len(self.asked):
            before = len(self.asked)
            said += self.looks.tick()
            self.looks.wait()
        return said + self.looks.tick()

    def row(self, slot="web/0"):
        with self.fleet.store.read() as tx:
            return next(row for row in tx.instances("web") if row.slot == slot)

    def open(self, slot="web/0"):
        with self.fleet.store.read() as tx:
            return [row.finding for row in tx.open_findings(self.row(slot).id)]

    def journal(self):
        with self.fleet.store.read() as tx:
            return [line.body for line in tx.journal_lines() if "out_of_band" in line.body]

    def swept(self):
        """Everybody is looked at as always, a little later."""
        self.fleet.clock.advance(11)
        self.fleet.sweeper.tick()


@pytest.fixture
def disks(tmp_path):
    return Disks(tmp_path)


def test_each_is_looked_at_once_in_its_time_also_by_the_next_daemon(disks):
    disks.all()
    assert len(disks.asked) == len(set(disks.asked)) == 3
    disks.fleet.clock.advance(23 * 3600)
    disks.restart()
    disks.all()
    assert len(disks.asked) == 3
    disks.fleet.clock.advance(3601)
    disks.all()
    assert len(disks.asked) == 6
    assert {look.means for look in disks.counted} == {DISK}
    assert [line["out_of_band"] for line in disks.journal()] == ["explained"] * 6, "a new daemon says it once more"


def test_a_tick_at_which_nobody_is_due_writes_nothing(disks, monkeypatch):
    disks.all()
    writes, plain = [], disks.fleet.store.write

    def write():
        writes.append(disks.fleet.clock())
        return plain()

    monkeypatch.setattr(disks.fleet.store, "write", write)
    for _ in range(3):
        disks.fleet.clock.advance(2)
        disks.looks.tick()
    assert writes == []
    disks.fleet.clock.advance(24 * 3600)
    disks.all()
    assert len(disks.asked) == 6
    assert writes


def test_who_comes_back_is_looked_at_again(disks):
    disks.all()
    found = disks.fleet.sweeper.known()
    back, there = disks.row("web/1").id, dict(found)
    disks.looks = DiskLooks(
        disks.fleet.store,
        disks.fleet.groups,
        disks.look,
        disks.fleet.queue,
        lambda: there,
        clock=disks.fleet.clock,
        stopping=lambda: False,
    )
    disks.all()
    del there[back]
    with disks.fleet.store.write() as tx:
        tx.put_instance(replace(tx.instance(back), gone_at=disks.fleet.clock()))
    disks.fleet.clock.advance(24 * 3600 + 1)
    for _ in range(3):
        disks.all()
    assert disks.asked.count(back) == 1
    with disks.fleet.store.write() as tx:
        tx.put_instance(replace(tx.instance(back), gone_at=None))
    there[back] = found[back]
    for _ in range(3):
        disks.all()
    assert disks.asked.count(back) == 2


def test_what_is_the_same_again_adds_no_line_to_the_journal(disks):
    disks.all()
    disks.fleet.clock.advance(24 * 3600 + 1)
    disks.all()
    assert len(disks.asked) == 6
    assert len(disks.journal()) == 3


def test_who_hides_something_is_tampered_with_and_stays_so_whatever_it_says_of_itself(disks):
    disks.says["web/0"] = TAMPERED
    said = disks.all()
    assert any("is tampered" in one for one in said)
    assert disks.row().verdict is Verdict.TAMPERED
    since = disks.row().verdict_since
    assert since == disks.fleet.clock()
    for _ in range(2):
        disks.swept()
        row = disks.row()
        assert (row.verdict, row.verdict_since) == (Verdict.TAMPERED, since)
        assert "it hides file /usr/bin/hider" in row.reason
        assert "it hides file /usr/bin/hider" in row.taint
        assert disks.open() == [HIDES]
    assert disks.row("web/1").verdict is Verdict.CLEAN
    disks.says["web/0"] = FINE
    disks.fleet.clock.advance(24 * 3600 + 1)
    disks.all()
    assert disks.open() == [HIDES], "nor does a disk without it make it honest"


def test_it_is_replaced_where_that_is_what_the_group_does_once_a_whole_look_was_made(disks):
    disks.says["web/0"] = TAMPERED
    disks.all()
    with disks.fleet.store.read() as tx:
        assert tx.open_replacements("web") == []
    disks.swept()
    with disks.fleet.store.read() as tx:
        (record,) = tx.open_replacements("web")
    assert record.slot == "web/0"
    assert "it hides file /usr/bin/hider" in record.why


def test_where_a_group_only_observes_nothing_is_planned(tmp_path):
    disks = Disks(tmp_path, Action.ALERT)
    disks.says["web/0"] = TAMPERED
    disks.all()
    disks.swept()
    with disks.fleet.store.read() as tx:
        assert tx.open_replacements("web") == []
        assert [one.code for one in tx.unsent(9)] == ["drift"], "people are told once"
    assert disks.row().verdict is Verdict.TAMPERED


def test_a_person_who_accepts_it_lifts_it(disks):
    disks.says["web/0"] = TAMPERED
    disks.all()
    now = disks.fleet.clock()
    with disks.fleet.store.write() as tx:
        tx.add_suppression(Suppression(0, HIDES.signature, "", "ann", "mine", now, now + timedelta(days=1)))
    disks.swept()
    assert (disks.row().verdict, disks.row().taint) == (Verdict.CLEAN, "")


ALONE = finding(Difference("file", b"/srv/under/x", Change.ADDED, {}, {"mode": "0644"}))


def test_once_it_is_accepted_what_else_the_disk_has_is_left_to_looks_at_the_instance(disks):
    disks.says["web/0"] = TAMPERED
    disks.all()
    now = disks.fleet.clock()
    with disks.fleet.store.write() as tx:
        tx.add_suppression(Suppression(0, HIDES.signature, "", "ann", "mine", now, now + timedelta(days=9)))
    disks.swept()
    disks.says["web/0"] = drifted(replace(HIDES, suppressed_by="ann"), ALONE)
    for _ in range(2):
        disks.fleet.clock.advance(24 * 3600 + 1)
        disks.all()
        row = disks.row()
        assert (row.verdict, row.action, row.reason) == (Verdict.CLEAN, Action.IGNORE, "nothing differs from golden")
        disks.swept()
    with disks.fleet.store.read() as tx:
        (acceptance,) = tx.suppressions(disks.fleet.clock())
    assert acceptance.used_at > now + timedelta(days=1), "it is still of use"


def test_the_row_says_what_is_hidden_and_nothing_else_that_the_disk_has(disks):
    hides = replace(HIDES, action=Action.ALERT)
    disks.says["web/0"] = replace(drifted(hides, ALONE), verdict=Verdict.TAMPERED)
    disks.all()
    row = disks.row()
    assert (row.verdict, row.action) == (Verdict.TAMPERED, Action.ALERT)
    assert row.reason.endswith("it hides file /usr/bin/hider")
    assert disks.open() == [hides]


def test_it_counts_as_tampered_in_the_metrics_also_while_it_cannot_be_reached(disks):
    disks.says["web/0"] = TAMPERED
    disks.all()
    disks.fleet.said[disks.row().id] = (Judgement(Verdict.UNKNOWN, "no answer"), ())
    disks.swept()
    assert disks.row().verdict is Verdict.UNKNOWN
    registry = CollectorRegistry()
    registry.register(StoreCollector(disks.fleet.store, disks.fleet.clock))
    assert b'driftd_tampered_instances{group="web"} 1.0' in generate_latest(registry)


def test_a_disk_that_cannot_be_read_changes_nothing_and_is_tried_again_in_an_hour(disks):
    disks.says["web/0"] = UNREAD
    disks.all()
    assert disks.row().verdict is Verdict.CLEAN
    assert disks.open() == []
    assert {line["out_of_band"] for line in disks.journal()} == {"unknown", "explained"}
    disks.fleet.clock.advance(3601)
    disks.all()
    assert len(disks.asked) == 4
    assert disks.asked[-1] == disks.row().id


def test_drift_that_the_disk_shows_is_left_to_looks_at_the_instance(disks):
    disks.says["web/0"] = drifted(finding(Difference("file", b"/etc/motd", Change.MODIFIED)))
    disks.all()
    assert (disks.row().verdict, disks.open()) == (Verdict.CLEAN, [])


def test_one_that_fails_in_a_way_nobody_foresaw_stops_no_other(disks):
    disks.says["web/0"] = RuntimeError("boom")
    said = disks.all()
    assert len(disks.asked) == 3
    assert any("RuntimeError in a look out of band" in one for one in said)


def test_a_look_that_was_cut_off_is_no_news_and_is_made_by_the_next_daemon(disks):
    disks.says.update({f"web/{number}": Stopping() for number in range(3)})
    disks.looks.tick()
    disks.looks.wait()
    assert len(disks.asked) == 1
    assert disks.journal() == []
    disks.says.clear()
    disks.restart()
    disks.all()
    assert disks.asked[0] in disks.asked[1:]
    disks.fleet.stopping = True
    disks.fleet.clock.advance(48 * 3600)
    assert disks.all() == []
    assert len(disks.asked) == 4


def test_once_it_is_accepted_the_taint_tells_of_those_who_were_there_alone(disks):
    disks.fleet.said[disks.row().id] = (drifted(VISITED), (MALLORY,))
    disks.swept()
    disks.says["web/0"] = TAMPERED
    disks.all()
    assert "it hides" in disks.row().taint
    now = disks.fleet.clock()
    with disks.fleet.store.write() as tx:
        tx.add_suppression(Suppression(0, HIDES.signature, "", "ann", "mine", now, now + timedelta(days=1)))
    disks.swept()
    assert "it hides" not in disks.row().taint
    assert "mallory" in disks.row().taint


def test_a_daemon_that_has_read_no_inventory_yet_forgets_nobodys_time(disks):
    disks.all()
    disks.fleet.clock.advance(24 * 3600 + 1)
    disks.fleet.restart()
    disks.restart()
    for _ in range(4):
        disks.all()
    assert len(disks.asked) == 3
    disks.fleet.sweeper.tick()
    disks.all()
    assert len(disks.asked) == 3, "a few minutes later"
    disks.fleet.clock.advance(301)
    disks.all()
    assert len(disks.asked) == 6
    disks.all()
    assert len(disks.asked) == 6


def test_who_is_gone_is_looked_at_no_more(disks):
    disks.all()
    gone = disks.row("web/1").id
    disks.fleet.provider.compute.terminate(gone)
    for _ in range(3):
        disks.fleet.clock.advance(60)
        disks.fleet.sweeper.tick()
    disks.fleet.clock.advance(24 * 3600 + 1)
    disks.all()
    disks.fleet.clock.advance(24 * 3600 + 1)
    disks.all()
    assert disks.asked.count(gone) == 1
    assert disks.fleet.queue.take("disk", 9, 1.0, disks.fleet.clock() + timedelta(days=9)), "the others wait"


def test_a_store_that_cannot_be_written_loses_no_look(disks):
    disks.says.update({f"web/{number}": StoreUnavailable("the disk is full") for number in range(3)})
    disks.looks.tick()
    disks.looks.wait()
    disks.says.clear()
    said = disks.all()
    assert "the disk is full" in said
    assert len(disks.asked) == 4
    assert len(set(disks.asked)) == 3
