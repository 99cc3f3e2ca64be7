"""Whom a provider lets in itself is a session like any other, on the provider's word and not on the instance's."""

from dataclasses import replace
from datetime import timedelta

import pytest
from trees import IMAGE, NOW, baked, file, fingerprint

from driftd.core.clues import Readings
from driftd.core.errors import Unavailable
from driftd.core.facts import Instance, Session
from driftd.core.findings import Verdict
from driftd.core.policy import Policy
from driftd.core.visits import Trace, Way
from driftd.core.whose import Visit
from driftd.flows.audit import Rules, audit
from driftd.flows.doorman import MOST
from driftd.testing import FakeClock, FakeProvider

TREE = [file(b"/etc/hosts", b"a")]
SERVER = Instance("i-1", "web", IMAGE, launched_at=NOW - timedelta(days=1))
ANN = Session("cloud", "root", "10.0.0.7", NOW - timedelta(minutes=9), key_id="role/ops/ann", live=True)
OURS = Session(
    "ssh", "root", "10.0.0.1", NOW, port=4, key="SHA256:us", live=True, ancestor=True, evidence="log+process"
)


class Looks:
    """A look at what was baked, in which driftd alone is there."""

    own, readings = OURS, Readings()

    def look(self, instance, **_how):
        return replace(fingerprint(TREE, live=True), sessions=(self.own,), readings=self.readings, boot_id="b")

    def own_key(self, instance):
        return "SHA256:us"

    def for_image(self, image):
        return baked(TREE)

    def audit(self, provider, visits=()):
        return audit(SERVER, self, self, Rules(Policy()), lambda: visits, lambda: NOW, provider=provider)


@pytest.fixture
def provider():
    return FakeProvider(FakeClock())


def test_who_came_by_the_provider_was_there(provider):
    provider.visitors["i-1"] = [ANN]
    look = Looks().audit(provider)
    (one,) = look.others
    assert (one.door, one.key_id, one.evidence, one.confidence) == ("cloud", "role/ops/ann", "provider", "proved")
    assert one.live
    (finding,) = [one for one in look.judgement.findings if one.kind == "session"]
    assert finding.actual["door"] == "cloud"


def test_driftds_own_commands_are_nobody_and_anybody_elses_are_somebody(provider):
    sent = [
        replace(ANN, key_id="role/driftd", live=False, ended_at=ANN.started_at, kind="command", tty=f"c-{n}")
        for n in range(3)
    ]
    provider.visitors["i-1"] = sent
    trace = Trace("5ca9", Way.by_commands(["c-0", "c-2"]), ANN.started_at)
    visits = [Visit("", ANN.started_at, ANN.started_at, trace=trace)]
    (one,) = Looks().audit(provider, visits).others
    assert (one.door, one.tty) == ("cloud", "c-1")
    assert len(Looks().audit(provider).others) == 3, "the store of another driftd knows nothing of them"


def test_a_provider_without_such_ways_in_is_not_asked():
    assert Looks().audit(object()).others == ()
    assert Looks().audit(None).others == ()


def test_who_left_more_than_a_day_ago_is_not_asked_for(provider):
    provider.visitors["i-1"] = [replace(ANN, live=False, ended_at=NOW - timedelta(hours=25))]
    assert Looks().audit(provider).others == ()


def test_a_provider_that_cannot_be_asked_is_said_so_and_changes_no_verdict(provider):
    well = Looks().audit(provider).judgement
    provider.fail_next("provider.let_in", Unavailable("throttled\x1b[2J"))
    look = Looks().audit(provider)
    assert look.judgement.verdict is well.verdict is not Verdict.UNKNOWN
    assert "the provider could not be asked whom it let in itself (throttled" in look.judgement.reason
    assert look.judgement.reason.isprintable()
    assert "it let in" not in well.reason


def test_a_provider_says_who_came_and_nothing_that_the_kernel_knows(provider):
    lies = replace(ANN, user="ann\n" + "x" * 5000, door="ssh", port=4, pid=7, number=9, boot="b", ancestor=True)
    provider.visitors["i-1"] = [replace(lies, key="SHA256:us", kind="magic", evidence="process", confidence="proved")]
    (one,) = Looks().audit(provider).others
    assert (one.door, one.port, one.pid, one.number, one.boot, one.ancestor) == ("cloud", 0, 0, 0, "", False)
    assert (one.kind, one.evidence) == ("", "provider")
    assert one.user.isprintable()
    assert len(one.user) < 300


def test_of_very_many_the_newest_are_told(provider):
    provider.visitors["i-1"] = [
        replace(ANN, started_at=NOW - timedelta(seconds=number), key_id=str(number)) for number in range(MOST + 50)
    ]
    others = Looks().audit(provider).others
    assert len(others) == MOST
    assert min(one.started_at for one in others) == NOW - timedelta(seconds=MOST - 1)


def test_who_came_by_the_provider_has_none_of_the_kernels_numbers(provider):
    """So that he does not stand for a login that is missing in the logs."""
    provider.visitors["i-1"] = [ANN]
    looks = Looks()
    looks.own = replace(OURS, number=12)
    looks.readings = Readings(counted=True, since={"log": NOW - timedelta(days=1)})
    before = replace(OURS, started_at=NOW - timedelta(minutes=20), number=10, boot="b", live=False, ancestor=False)
    visit = Visit("SHA256:us", before.started_at, before.started_at, before)
    look = audit(SERVER, looks, looks, Rules(Policy()), lambda: [visit], lambda: NOW, provider=provider)
    assert sorted(one.evidence for one in look.others) == ["counter", "provider"]
