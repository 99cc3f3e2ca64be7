"""What happens alike on many instances is told once; nobody is left out, and nobody is told of twice."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from sweeping import CLEAN, EDITED, MALLORY, VISITED, Fleet, drifted, finding

from driftd.core.causes import assign
from driftd.core.difference import Change, Difference
from driftd.core.findings import Action, Judgement, Verdict
from driftd.core.memory import Suppression
from driftd.core.ports import LaunchRequest
from driftd.flows.announce import Announcer

TREE = [
    finding(Difference("directory", b"/opt/app", Change.REMOVED, {"mode": "0755"}, {})),
    *(finding(Difference("file", b"/opt/app/%d" % n, Change.REMOVED, {"size": "1"}, {})) for n in range(12)),
]
GONE = drifted(*assign(TREE))


def others(content: str):
    return finding(Difference("file", b"/etc/motd", Change.MODIFIED, {"sha256": "aa"}, {"sha256": content}))


class Said:
    def __init__(self):
        self.messages = []

    def send(self, notice):
        self.messages += notice.messages


class Forty(Fleet):
    """Forty instances that are looked at every five minutes, and people who hear of it."""

    def __init__(self, home):
        super().__init__(home, Action.ALERT)
        for number in range(3, 40):
            self.provider.compute.launch(LaunchRequest("web", f"web/{number}", "golden", f"t{number}"))
        self.clock.advance(60)
        self.groups["web"] = replace(self.group, every=timedelta(minutes=5))
        self.people = Said()
        self.announcer = Announcer(self.store, self.people, clock=self.clock)
        self.ids = [f"i-{number:04}" for number in range(1, 41)]
        self.sweeper.tick()

    def happens(self, judgement, ids, others=()):
        for one in ids:
            self.said[one] = (judgement, others)

    def sweep(self, seconds: int = 300) -> list[str]:
        """A sweep's time goes by; what people heard."""
        before = len(self.people.messages)
        for _ in range(seconds // 10):
            self.clock.advance(10)
            self.sweeper.tick()
            self.announcer.tick()
        return [message.text for message in self.people.messages[before:]]


@pytest.fixture
def forty(tmp_path):
    made = Forty(tmp_path)
    yield made
    made.close()


def test_forty_instances_that_drift_alike_are_one_message(forty):
    forty.happens(GONE, forty.ids)
    [said] = forty.sweep()
    assert said.startswith("drift in web: high: /opt/app was deleted with 12 files, on 40 instances (i-0001, ")
    assert said.endswith(" and 37 more)")
    assert len(forty.read("open_findings")) == 40 * 13
    assert forty.sweep() == []


def test_one_instance_alone_is_told_as_ever_and_soon(forty):
    forty.happens(GONE, forty.ids[:1])
    assert forty.sweep() == ["i-0001 in web drifted: 13 findings, worst: high"]
    [message] = forty.people.messages
    assert message.instance_id == "i-0001"


def test_who_has_something_else_besides_is_counted_and_told_of_apart(forty):
    forty.happens(GONE, forty.ids)
    forty.happens(drifted(*assign([*TREE, EDITED])), forty.ids[7:8])
    said = sorted(forty.sweep())
    assert len(said) == 2
    assert "on 40 instances" in said[0]
    assert said[1].startswith("i-0008 in web drifted")


def test_what_differs_on_each_is_told_of_each(forty):
    for number, one in enumerate(forty.ids[:3]):
        forty.happens(drifted(others(f"{number}")), [one])
    assert len(forty.sweep()) == 3


def test_the_like_that_is_not_quite_the_same_is_one_message_that_says_so(forty):
    forty.happens(GONE, forty.ids[:20])
    more = finding(Difference("file", b"/opt/app/extra", Change.REMOVED, {"size": "2"}, {}))
    forty.happens(drifted(*assign([*TREE, more])), forty.ids[20:])
    [said] = forty.sweep()
    assert "on 40 instances" in said
    assert "not quite the same on each" in said


def test_a_sweep_that_takes_its_time_makes_two_messages_at_most(forty):
    """Each instance drifts some seconds after the one before, over a whole sweep."""
    said = []
    for number in range(0, 40, 2):
        forty.happens(GONE, forty.ids[number : number + 2])
        for one in forty.ids[number : number + 2]:
            forty.sweeper.sweep_one(forty.provider.compute.describe(one))
        said += forty.sweep(10)
    said += forty.sweep()
    assert 1 <= len(said) <= 2
    counted = [int(text.split(" instances (")[0].rsplit(" ", 1)[1]) for text in said]
    assert sum(counted) == 40


def test_what_is_being_sent_is_not_added_to(forty):
    forty.happens(GONE, forty.ids[:2])
    gate, late = threading.Event(), []

    class Slow(Said):
        def send(self, message):
            super().send(message)
            if not late:
                late.append(True)
                forty.happens(GONE, forty.ids[2:4])
                for one in forty.ids[2:4]:
                    forty.sweeper.sweep_one(forty.provider.compute.describe(one))
                gate.set()

    forty.people = slow = Slow()
    forty.announcer = Announcer(forty.store, slow, clock=forty.clock)
    said = forty.sweep() + forty.sweep()
    assert gate.is_set()
    assert [text.split(", on ")[1] for text in said] == [
        "2 instances (i-0001 and i-0002)",
        "2 instances (i-0003 and i-0004)",
    ]


def test_a_cause_that_grows_counts_its_instance_once(forty):
    forty.happens(GONE, forty.ids[:1])
    forty.clock.advance(1)
    forty.sweeper.sweep_one(forty.provider.compute.describe("i-0001"))
    more = finding(Difference("file", b"/opt/app/extra", Change.REMOVED, {"size": "2"}, {}))
    forty.happens(drifted(*assign([*TREE, more])), forty.ids[:1])
    forty.sweeper.sweep_one(forty.provider.compute.describe("i-0001"))
    [said] = forty.sweep()
    assert "on 1 instance (i-0001)" in said


def test_a_small_group_that_was_all_looked_at_is_told_of_at_once(observing):
    people = Said()
    announcer = Announcer(observing.store, people, clock=observing.clock)
    observing.sweeper.tick()
    for one in ("i-0001", "i-0002", "i-0003"):
        observing.said[one] = (GONE, ())
    observing.clock.advance(10)
    observing.sweeper.tick()
    announcer.tick()
    [message] = people.messages
    assert "on 3 instances" in message.text


def test_the_same_person_everywhere_is_one_message_and_so_is_the_end_of_it(forty):
    forty.happens(drifted(VISITED), forty.ids, (MALLORY,))
    [said] = forty.sweep()
    assert "session ssh:mallory@203.0.113.9 seen, on 40 instances" in said
    forty.happens(drifted(EDITED), forty.ids)
    assert len(forty.sweep()) == 1
    forty.happens(CLEAN, forty.ids)
    [said] = forty.sweep()
    assert said.startswith("as baked again in web: still tainted, on 40 instances")


def test_a_crash_between_sending_and_noting_it_says_it_twice_rather_than_never(forty):
    forty.happens(GONE, forty.ids)

    class Dies(Said):
        def send(self, message):
            super().send(message)
            if len(self.messages) == 1:
                raise KeyboardInterrupt

    forty.people = Dies()
    forty.announcer = Announcer(forty.store, forty.people, clock=forty.clock)
    with pytest.raises(KeyboardInterrupt):
        forty.sweep()
    forty.announcer = Announcer(forty.store, forty.people, clock=forty.clock)
    forty.sweep()
    assert len({message.text for message in forty.people.messages}) == 1
    assert len(forty.people.messages) == 2


# --- acceptances ---


def accept(fleet, finding_, **given):
    until = fleet.clock() + timedelta(days=1)
    with fleet.store.write() as tx:
        one = Suppression(0, finding_.signature, "web", "ann", "that was me", fleet.clock(), until)
        return tx.add_suppression(replace(one, **given))


def test_an_acceptance_of_a_session_hides_no_later_one(observing):
    observing.one(drifted(VISITED), (MALLORY,))
    accept(observing, VISITED, until=VISITED.actual["last_at"])
    assert observing.one(CLEAN).taint == ""
    later = replace(MALLORY, started_at=MALLORY.started_at + timedelta(hours=1), port=1)
    again = finding(replace(differences_of(MALLORY, later)))
    assert again.signature == VISITED.signature
    row = observing.one(drifted(again), (MALLORY, later))
    assert "mallory" in row.taint
    assert "session" in [message.code for message in observing.read("unsent")]


def differences_of(*sessions):
    from driftd.core.sessions import differences

    return differences(sessions)[0]


def test_the_use_of_an_acceptance_is_counted_and_dated_now_and_then(observing):
    number = accept(observing, EDITED)
    accepted = replace(drifted(EDITED), findings=(replace(EDITED, suppressed_by="accepted by ann"),))
    observing.one(accepted)
    [first] = observing.read("every_suppression")
    assert (first.id, first.hits, first.used_at) == (number, 1, observing.clock())
    observing.one(accepted)
    assert observing.read("every_suppression") == [first]
    observing.clock.advance(3600)
    observing.one(accepted)
    [later] = observing.read("every_suppression")
    assert (later.hits, later.used_at) == (1, observing.clock())


def test_when_an_acceptance_is_over_it_is_told_again(observing):
    until = observing.clock() + timedelta(minutes=5)
    accept(observing, EDITED, expires_at=until)
    covered = replace(EDITED, suppressed_by="accepted by ann")
    observing.one(Judgement(Verdict.EXPLAINED, "1 finding, accepted", (covered,)))
    assert not observing.read("unsent")
    lines = len(observing.read("journal_lines", "i-0002"))
    observing.one(drifted(EDITED))
    [message] = observing.read("unsent")
    assert "i-0002 in web drifted" in message.text
    assert len(observing.read("journal_lines", "i-0002")) == lines + 1
    observing.one(drifted(EDITED))
    assert len(observing.read("unsent")) == 1


def test_the_evidence_in_the_journal_is_bounded(observing):
    many = [finding(Difference("file", b"/srv/%d" % n, Change.ADDED, {}, {"size": "1"})) for n in range(300)]
    observing.one(drifted(*many))
    observing.one(CLEAN)
    first, second = observing.read("journal_lines", "i-0002")
    assert (len(first.body["opened"]), first.body["opened_in_all"], len(first.body["causes"])) == (50, 300, 50)
    assert (len(second.body["resolved"]), second.body["resolved_in_all"]) == (50, 300)
