"""Auditing one instance: whatever it is or does becomes a verdict with its reason, and never an exception."""

from dataclasses import replace
from datetime import timedelta

import pytest
from trees import IMAGE, NOW, SEAL, baked, directory, file, fingerprint, package

from driftd.core import wording
from driftd.core.clues import Readings
from driftd.core.digestkey import DigestKey
from driftd.core.facts import Instance, InstanceState, Kept, Session, Unseen, fact
from driftd.core.findings import Action, Verdict
from driftd.core.marks import NO_PAST, Past
from driftd.core.policy import Policy
from driftd.core.taint import same_one
from driftd.core.visits import Announced, Way
from driftd.core.whose import Visit
from driftd.core.wording import trust
from driftd.flows.audit import Rules, audit

SERVER = Instance("i-1", "web", IMAGE, launched_at=NOW - timedelta(hours=1))
TREE = [file(b"/etc/hosts", b"a"), file(b"/usr/bin/ls", b"elf", 0o755)]
MANIFEST = baked(TREE)
KEY = "SHA256:driftd"
EVE = Session("ssh", "eve", "10.0.0.9", NOW - timedelta(minutes=9), key="SHA256:eve", evidence="log")


class World:
    """A looker, a store of manifests and a clock that ticks a second each time it is read."""

    def __init__(self, seen=None, manifest=MANIFEST, key=KEY):
        self.seen = seen if seen is not None else fingerprint(TREE, booted_at=NOW - timedelta(hours=1))
        self.manifest = manifest
        self.key = key
        self.now = NOW
        self.looked = 0
        self.sent = None

    def look(self, instance, *, deadline_s, key=None, ask=None, image=None):
        self.looked += 1
        self.since = instance.launched_at
        self.sent = key
        return self.seen

    def own_key(self, instance):
        return self.key

    def for_image(self, image):
        return self.manifest

    def clock(self):
        self.now += timedelta(seconds=1)
        return self.now

    def audit(self, instance=SERVER, visits=(), rules=None, past=NO_PAST):
        return audit(instance, self, self, rules or Rules(Policy()), lambda: visits, self.clock, past=past)


def test_clean():
    look = World().audit()
    assert look.judgement.verdict is Verdict.CLEAN
    assert look.judgement.reason == f"nothing differs from {IMAGE}"
    assert look.root == MANIFEST.root
    assert look.duration_s == 1.0
    assert look.at == NOW + timedelta(seconds=1)


def test_drifted():
    look = World(fingerprint([*TREE, file(b"/usr/bin/evil", b"x", 0o755)])).audit()
    assert look.judgement.verdict is Verdict.DRIFTED
    assert look.judgement.reason == "1 finding: critical /usr/bin/evil added"
    assert look.judgement.action is Action.REPLACE


def test_lines_taken_out_of_the_log_are_drift():
    read = Session("ssh", "root", "10.0.0.1", NOW - timedelta(minutes=5), port=4, key=KEY, evidence="log")
    look = World().audit(visits=[Visit(KEY, read.started_at, read.started_at, read)])
    assert look.judgement.verdict is Verdict.DRIFTED
    assert look.judgement.reason == "1 finding: critical session ssh:root@10.0.0.1 removed"


def test_where_addresses_are_translated_the_look_says_so():
    came = Announced("5ca9", lambda: NOW)
    came.came(Way("10.0.0.1", 40001, "root", KEY))
    there = replace(SERVER, reach=replace(SERVER.reach, visit=came))
    ancestor = Session("ssh", "root", "192.0.2.7", NOW, 61001, key=KEY, ancestor=True, live=True, evidence="log")
    seen = replace(fingerprint(TREE), sessions=(ancestor,))
    look = World(seen).audit(there)
    assert look.own == unverified(ancestor)
    assert "it sees driftd come from 192.0.2.7 port 61001" in look.judgement.reason
    came.came(Way("192.0.2.7", 61001, "root", KEY))
    assert "translated" not in World(seen).audit(there).judgement.reason
    came.came(Way("10.0.0.1", 40001, "root", KEY, certified=True))
    assert "translated" not in World(seen).audit(there).judgement.reason


UNSEEN = {
    "not-running": (World(), replace(SERVER, state=InstanceState.STOPPED), "the instance is stopped", ""),
    "no-image": (World(), replace(SERVER, image=""), "nobody says which image i-1 was made from", "driftd bake"),
    "no-manifest": (
        World(manifest=Unseen("no manifest for x", "driftd bake")),
        SERVER,
        "no manifest for x",
        "driftd bake",
    ),
    "unreachable": (World(Unseen("no route", "see the network")), SERVER, "no route", "see the network"),
    "another-image's": (World(), replace(SERVER, image="golden-2"), "is the manifest of golden-1, not of golden-2", ""),
}


@pytest.mark.parametrize("case", UNSEEN)
def test_could_not_look(case):
    world, instance, reason, hint = UNSEEN[case]
    look = world.audit(instance)
    assert look.judgement.verdict is Verdict.UNKNOWN
    assert reason in look.judgement.reason
    assert hint in look.hint
    assert look.judgement.action is Action.IGNORE
    assert (look.root, look.judgement.findings) == (b"", ())


def test_without_a_manifest_nobody_goes_there():
    world = World(manifest=Unseen("no manifest"))
    world.audit()
    assert world.looked == 0


# --- sessions --------------------------------------------------------------------------------------------------------


def unverified(*sessions):
    """As a look has them of which only a log tells."""
    return tuple(replace(one, confidence="unverified") for one in sessions)


def seen_with(*sessions):
    return fingerprint(TREE, sessions=sessions, booted_at=NOW - timedelta(hours=1))


def test_somebody_was_there():
    look = World(seen_with(EVE)).audit()
    assert look.judgement.reason == "1 finding: high session ssh:eve@10.0.0.9 added"
    assert look.others == unverified(EVE)


def test_what_somebody_was_there_for_is_told_as_an_earlier_look_saw_it():
    world, came = World(seen_with(EVE)), replace(EVE, kind="transfer")
    past = Past(kinds={same_one(EVE): "transfer"})
    look = audit(SERVER, world, world, Rules(Policy()), tuple, world.clock, past=past)
    assert look.others == unverified(came)
    assert [one.actual["kind"] for one in look.judgement.findings] == ["transfer"]


def test_our_own_visits_are_recorded_and_no_finding():
    now = Session(
        "ssh", "root", "10.0.0.1", NOW + timedelta(seconds=1), key=KEY, ancestor=True, live=True, evidence="log"
    )
    before = replace(now, started_at=NOW - timedelta(minutes=5), ancestor=False, live=False)
    visit = Visit(KEY, before.started_at, before.started_at + timedelta(seconds=3))
    look = World(seen_with(now, before)).audit(visits=[visit])
    assert look.judgement.verdict is Verdict.CLEAN
    assert look.own == unverified(now, before)
    assert World(seen_with(now, before)).audit().others == unverified(before), "without that visit it was somebody else"


def test_a_log_without_this_very_visit_says_nothing_of_others():
    now = Session("ssh", "root", "10.0.0.1", NOW + timedelta(seconds=1), key=KEY, ancestor=True, evidence="process")
    judgement = World(seen_with(now)).audit().judgement
    assert judgement.verdict is Verdict.UNKNOWN
    assert judgement.reason.startswith("the log of logins does not have driftd's own visit")
    assert World(seen_with(replace(now, evidence="journal+process"))).audit().judgement.verdict is Verdict.CLEAN
    assert World(seen_with(now, EVE)).audit().judgement.verdict is Verdict.DRIFTED


def test_what_is_mounted_on_a_directory_of_programs_is_unknown_even_where_nothing_was_baked():
    judgement = World(fingerprint(TREE, mounted=(b"/usr/local/bin", b"/run"))).audit().judgement
    assert judgement.verdict is Verdict.UNKNOWN
    assert judgement.reason.startswith("what is mounted on /usr/local/bin could not be looked at; nothing differs")
    assert World(fingerprint(TREE, mounted=(b"/run",))).audit().judgement.verdict is Verdict.CLEAN


def test_a_visit_by_our_key_within_this_look_is_ours_without_a_store():
    ours = Session("ssh", "root", "10.0.0.1", NOW + timedelta(seconds=1), key=KEY)
    assert World(seen_with(ours)).audit().own == unverified(ours)
    assert World(seen_with(ours), key="").audit().others == unverified(ours)


def test_sessions_before_the_launch_came_with_the_image():
    old = replace(EVE, started_at=NOW - timedelta(days=3))
    assert World(seen_with(old)).audit().judgement.verdict is Verdict.CLEAN


def test_a_restart_does_not_wash_off_who_was_there_before_it():
    seen = replace(seen_with(EVE), booted_at=NOW - timedelta(minutes=1))
    assert World(seen).audit().others == unverified(EVE)


def test_where_nobody_says_when_it_was_launched_the_last_look_knows_it_was_there():
    seen = replace(seen_with(EVE), booted_at=NOW - timedelta(minutes=1))
    unsaid = replace(SERVER, launched_at=None)
    assert World(seen).audit(unsaid).others == ()
    past = Past(looked_at=NOW - timedelta(minutes=20), boot_id="b/1")
    world = World(seen)
    assert world.audit(unsaid, past=past).others == unverified(EVE)
    assert world.since == past.looked_at
    world.audit(past=past)
    assert world.since == SERVER.launched_at


SEEN = Past(looked_at=NOW - timedelta(minutes=20), boot_id="b/1")


@pytest.mark.parametrize(
    ("past", "since", "said"),
    [
        (SEEN, {}, True),
        (SEEN, {"journal": NOW - timedelta(seconds=50)}, True),
        (SEEN, {"log": NOW - timedelta(minutes=90)}, False),
        (replace(SEEN, boot_id="b/2"), {}, False),  # the same boot
        (replace(SEEN, looked_at=NOW), {}, False),
        (replace(SEEN, boot_id=""), {}, False),  # of another image
        (NO_PAST, {}, False),
    ],
)
def test_what_no_log_tells_of_because_of_a_boot_is_said(past, since, said):
    booted = NOW - timedelta(minutes=1)
    seen = replace(seen_with(), booted_at=booted, boot_id="b/2", readings=Readings(since=since))
    assert ("nobody can tell who came by SSH" in World(seen).audit(past=past).judgement.reason) == said


# --- what the look did not cover -------------------------------------------------------------------------------------


def test_a_mount_over_programs_leaves_it_unknown():
    seen = fingerprint([TREE[0], directory(b"/usr/bin")], covered=(b"/usr/bin",))
    look = World(seen).audit()
    assert look.judgement.verdict is Verdict.UNKNOWN
    assert look.judgement.reason.startswith("1 baked path could not be looked at: something is mounted over /usr/bin")


def test_a_mount_over_programs_does_not_hide_a_finding():
    seen = fingerprint([file(b"/etc/hosts", b"bc"), directory(b"/usr/bin")], covered=(b"/usr/bin",))
    look = World(seen).audit()
    assert look.judgement.verdict is Verdict.DRIFTED
    assert "mounted over /usr/bin" in look.judgement.reason


def test_what_could_not_be_read_is_said():
    seen = fingerprint(TREE, unreadable=(b"/root",), kept=(Kept("session", "not available", "no\nlog"),))
    look = World(seen).audit()
    assert look.judgement.reason == (
        f"nothing differs from {IMAGE}; 1 path could not be read; not seen in full: session"
    )


def test_where_there_is_more_than_a_look_takes_nothing_is_clean():
    seen = fingerprint(
        TREE, kept=(Kept("listener", "cut short", "only the first 80000"), Kept("at", "not available", ""))
    )
    judgement = World(seen).audit().judgement
    assert judgement.verdict is Verdict.UNKNOWN
    assert judgement.reason == (f"there is more of listener than a look takes; nothing differs from {IMAGE}")


@pytest.mark.parametrize(
    ("path", "mode", "verdict"),
    [
        (b"/usr/bin/a", 0o755, Verdict.UNKNOWN),
        (b"/etc/a", 0o640, Verdict.CLEAN),  # not everybody's: a look without root cannot read it on any day
        (b"/var/log/a", 0o644, Verdict.CLEAN),
    ],
)
def test_a_file_that_everybody_may_read_and_this_look_could_not(path, mode, verdict):
    was = file(path, b"a", mode)
    seen = fingerprint([was._replace(sha256=b"")], unreadable=(path,))
    judgement = World(seen, manifest=baked([was])).audit().judgement
    assert judgement.verdict is verdict
    assert judgement.reason.startswith(f"what is in {path.decode()} could not be read, though") == (
        verdict is Verdict.UNKNOWN
    )


VOUCHERS = {
    "nobody": (None, False, trust.UNSIGNED),
    "nobody-for-a-server": (None, True, wording.PROVISIONAL),
    "not-for-the-server": (replace(SEAL, provisional=True), True, wording.PROVISIONAL),
    "for-the-server": (replace(SEAL, provisional=False), True, ""),
    "somebody": (SEAL, False, ""),
}


@pytest.mark.parametrize("case", VOUCHERS)
def test_nothing_is_replaced_because_of_a_manifest_that_nobody_vouches_for(case):
    seal, provisional, said = VOUCHERS[case]
    look = World(fingerprint(), manifest=replace(MANIFEST, provisional=provisional, seal=seal)).audit()
    assert look.judgement.verdict is Verdict.DRIFTED
    assert look.judgement.action is (Action.ALERT if said else Action.REPLACE)
    assert look.enforceable is not bool(said)
    assert look.judgement.reason.endswith(f"; {said}" if said else "cause")


def test_visits_are_asked_for_after_the_look_so_that_a_second_look_meanwhile_is_our_own():
    world = World()
    order = []

    class Watched(World):
        def look(self, instance, *, deadline_s, key=None, ask=None, image=None):
            order.append("look")
            return world.look(instance, deadline_s=deadline_s)

    def visits():
        order.append("visits")
        return []

    watched = Watched()
    audit(SERVER, watched, watched, Rules(Policy()), visits, watched.clock)
    assert order == ["look", "visits"]


# --- facts -----------------------------------------------------------------------------------------------------------

SECRET = DigestKey(b"k" * 32)
EVE_THERE = fact("account", "eve", uid=7, password="set", digest="a" * 32)


class Keys:
    def __init__(self, key=SECRET):
        self.key = key

    def known(self, image, key_id):
        assert (image, key_id) == (IMAGE, SECRET.id)
        return self.key


def keyed(*facts):
    return replace(baked(TREE, facts=facts), key_id=SECRET.id)


def audited(world, keys):
    return audit(SERVER, world, world, Rules(Policy()), tuple, world.clock, keys=keys)


def test_the_key_that_the_manifest_names_goes_with_the_look():
    world = World(fingerprint(TREE, facts=[EVE_THERE]), keyed(EVE_THERE))
    assert audited(world, Keys()).judgement.reason == f"nothing differs from {IMAGE}"
    assert world.sent is SECRET
    unkeyed = World(manifest=MANIFEST)
    audited(unkeyed, None)
    assert unkeyed.sent is None


@pytest.mark.parametrize("keys", [None, Keys(Unseen(f"the key {SECRET.id} is not here"))])
def test_without_the_key_digests_are_not_compared_and_that_is_said_once(keys):
    now = replace(EVE_THERE, fields=tuple(field for field in EVE_THERE.fields if field[0] != "digest"))
    world = World(fingerprint(TREE, facts=[now]), keyed(EVE_THERE))
    look = audited(world, keys)
    assert look.judgement.verdict is Verdict.CLEAN
    assert look.judgement.reason == (
        f"nothing differs from {IMAGE}; passwords are not compared: the key {SECRET.id} is not here"
    )
    assert world.sent is None
    no_secrets = World(fingerprint(TREE), keyed())
    assert audited(no_secrets, keys).judgement.reason == f"nothing differs from {IMAGE}"


def test_what_was_kept_is_said_once_a_kind():
    kept = [Kept("account", "not permitted", f"/home/{name} cannot be read") for name in "abc"]
    kept.append(Kept("sshd", "not available", "the manifest has none either"))
    look = World(fingerprint(TREE, kept=tuple(kept))).audit()
    assert look.judgement.reason == f"nothing differs from {IMAGE}; not seen in full: account"
    assert look.coverage.kept == tuple(kept)


def test_a_kind_of_which_nothing_was_said_leaves_it_unknown():
    manifest = baked(TREE, facts=[fact("sudo", "%sudo ALL=(ALL:ALL) ALL")])
    look = World(fingerprint(TREE), manifest).audit()
    assert look.judgement.verdict is Verdict.UNKNOWN
    assert look.judgement.reason == (f"nothing was said of sudo, which the manifest has; nothing differs from {IMAGE}")


def test_facts_are_counted_by_kind_and_those_that_were_not_baked_are_named():
    seen = fingerprint(TREE, facts=[package("a"), package("b"), fact("sshd", "port", value=22)])
    manifest = replace(baked(TREE, facts=[package("a"), package("b")]), looked=("account", "package"))
    coverage = World(seen, manifest).audit().coverage
    assert coverage.facts == {"account": 0, "group": 0, "package": 2, "sshd": 1}
    assert coverage.unbaked == ("group", "sshd")


def test_driftds_own_key_on_the_instance_is_no_difference():
    own, other = (fact("key", f"root {name}", type="ssh-ed25519") for name in (KEY, "SHA256:eve"))
    manifest = baked(TREE, looked=("key",))
    assert World(fingerprint(TREE, facts=[own], looked=("key",)), manifest).audit().judgement.verdict is Verdict.CLEAN
    look = World(fingerprint(TREE, facts=[own, other], looked=("key",)), manifest).audit()
    assert [one.subject for one in look.judgement.findings] == [b"root SHA256:eve"]
