"""Looking by Run Command: the emulator's commands run on real servers, and come back through its bucket."""

from __future__ import annotations

import base64
import binascii
import threading
import zlib
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

import accounts
import pytest
from servers import wait_until

from driftd.core.asks import Ask
from driftd.core.digestkey import DigestKey
from driftd.core.errands import Errand
from driftd.core.errors import BadInput
from driftd.core.facts import Unseen
from driftd.core.fingerprint import Fingerprint, Reader
from driftd.core.visits import Announced, Parted
from driftd.edges.providers.aws.looker import CommandLooker
from driftd.edges.providers.aws.provider import create
from driftd.edges.ssh.looker import SshLooker
from driftd.edges.ssh.options import SshOptions
from driftd.probe import wire

pytestmark = [pytest.mark.servers, pytest.mark.machine, pytest.mark.timeout(300)]

BUCKET = "looks"
HAPPY = {"bucket": BUCKET, "prefix": "driftd/web"}


@pytest.fixture(scope="module")
def account(golden_image, image_cache, login_key):
    with accounts.opened(golden_image, image_cache, login_key) as made:
        made.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        made.launched(1)
        yield made


class Scene:
    """A provider whose group is reached by Run Command, its one instance, and what it looks with."""

    def __init__(self, account):
        self.account = account
        options = account.options()
        self.over_ssh = create(options)
        options["groups"]["web"]["reach"] = {"ssm": HAPPY}
        self.provider = create(options)
        self.looker = self.provider.looker()
        (self.instance,) = self.provider.inventory.find("web")
        self.emulator = account.emulator
        self.orders = []

    def look(self, deadline_s=60.0, **more):
        return self.looker.look(more.pop("instance", self.instance), deadline_s=deadline_s, **more)

    def answers(self, change):
        """Every command runs, and what came of it is changed before anybody hears it."""

        def agent(said):
            self.orders.append(said)
            done = self.account.behind.run(said)
            found = change(base64.b64decode(done["out"]), len(self.orders))
            return found if isinstance(found, dict) else {**done, "out": base64.b64encode(found).decode()}

        self.account.behind.agent = agent

    def objects(self):
        return [one["Key"] for one in self.account.client("s3").list_objects_v2(Bucket=BUCKET).get("Contents", ())]

    def calls(self, name):
        return self.emulator.calls().get(name, 0)


@pytest.fixture
def scene(account, monkeypatch):
    account.credentials(monkeypatch)
    account.emulator.forget_calls()
    made = Scene(account)
    made.answers(lambda out, _: out)
    yield made
    account.behind.agent = None
    account.emulator.control("faults", verb="DELETE")
    account.emulator.knobs(ssm_absent=[], ssm_lost=[], ssm_pending_s=0.1, ssm_invocation_after_s=0.0)
    made.over_ssh.close()
    made.provider.close()


def unseen(seen):
    assert isinstance(seen, Unseen), seen
    assert seen.hint
    return seen.reason


def test_it_sees_what_a_look_over_ssh_sees(scene):
    seen = scene.look()
    assert isinstance(seen, Fingerprint), seen
    (reached,) = scene.over_ssh.inventory.find("web")
    other = SshLooker(SshOptions(agent=False)).look(reached, deadline_s=60)
    assert isinstance(other, Fingerprint), other
    apart = {one.path for one in {*seen.entries} ^ {*other.entries}}
    written = (b"/var/log/", b"/var/lib/amazon")
    assert {path for path in apart if not path.startswith(written)} == set(), "what a login and the agent write"
    left = [one for one in other.entries if one.path.startswith(b"/var/lib/amazon")]
    assert {one.kind for one in left} == {b"d"}, "no script of ours stays"
    assert len(seen.entries) > 1000
    assert (seen.looked, seen.kept, seen.live) == (other.looked, other.kept, True)
    assert {one for one in seen.facts if one.kind != "process"} == {one for one in other.facts if one.kind != "process"}
    assert (seen.boot_id, seen.booted_at, seen.mounted) == (other.boot_id, other.booted_at, other.mounted)
    assert seen.sessions == (), "nobody logs in"
    assert other.sessions != ()


def test_what_is_asked_after_it_is_told_by_one_more_command(scene):
    asked = (Ask(b"/etc/hostname", "match", b"(?#hostname)\\n"), Ask(b"/etc/hostname", "prefix", b"3"))
    seen = scene.look(ask=lambda _seen: asked)
    assert isinstance(seen, Fingerprint), seen
    assert [seen.answers[one].how for one in asked] == ["", ""]
    assert seen.answers[asked[0]].yes
    assert len(scene.orders) == 3
    assert scene.look(ask=lambda _seen: ()).answers == {}
    assert len(scene.orders) == 5


def test_more_than_can_be_asked_at_once_is_asked_by_more_commands(scene):
    asked = [Ask(b"/etc/%064x" % (number**9), "prefix", b"1") for number in range(4000)]
    seen = scene.look(ask=lambda _seen: asked, deadline_s=120)
    assert isinstance(seen, Fingerprint), seen
    assert {one.how for one in seen.answers.values()} == {"changed"}
    assert len(seen.answers) == len(asked)
    assert len(scene.orders) > 4


def test_what_is_long_comes_through_the_bucket_and_nothing_stays_there(scene):
    assert isinstance(scene.look(ask=lambda _seen: [Ask(b"/etc/hostname", "prefix", b"3")]), Fingerprint)
    assert scene.calls("s3.GET") == 2, "the tree and the facts; an answer is short enough to come beside"
    assert scene.objects() == []
    assert scene.calls("s3.DELETE") == 3


def test_nothing_secret_is_in_a_command(scene):
    key = DigestKey(b"\x51" * 32)
    seen = scene.look(key=key, ask=lambda _seen: [Ask(b"/etc/hostname", "prefix", b"3")])
    assert isinstance(seen, Fingerprint), seen
    assert [one for one in seen.facts if one.get("digest") and one.kind in {"account", "group"}] == []
    for said in scene.orders:
        words = said["commands"][0].split()
        assert key.secret not in b"".join(decoded(word) for word in words)


def decoded(word):
    try:
        return zlib.decompress(binascii.a2b_base64(word))
    except (binascii.Error, zlib.error):
        return word.encode()


# --- a hostile instance ----------------------------------------------------------------------------------------------


def flipped(text):
    """One byte of what a line holds is another one."""
    lines = text.split(b"\n")
    longest = max(range(len(lines)), key=lambda at: len(lines[at]))
    data = bytearray(base64.b64decode(lines[longest]))
    data[len(data) // 2] ^= 1
    lines[longest] = base64.b64encode(bytes(data))
    return b"\n".join(lines)


HOSTILE = {
    "nothing comes": (lambda out: b"", "no probe answered on {id}: nothing came"),
    "no base64": (lambda out: b"<html>" * 5000, "the answer of {id} was cut off: a line of it has no end"),
    "a line of no base64": (lambda out: b"!!!!\n" + out, "it is not the base64 that the probe writes"),
    "cut": (lambda out: out[: len(out) // 2].rpartition(b"\n")[0] + b"\n", "the answer was cut off after"),
    "cut before anything": (lambda out: b".\n", "no probe answered"),
    "twice": (lambda out: out[:-2] + out, "the answer is damaged: bytes after the trailer"),
    "something behind its end": (lambda out: out + b"AAAA\n", "more came after its end"),
    "flipped": (flipped, "the answer is damaged"),
    "another question's": (None, "the answer is not to this question"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_what_is_no_answer_is_unseen(scene, case, monkeypatch):
    monkeypatch.setattr("driftd.edges.providers.aws.script.LINE_LIMIT", 20_000 if case == "no base64" else 8 << 20)
    change, why = HOSTILE[case]
    if change is None:
        kept = []
        scene.answers(lambda out, _: kept.append(out) or out)
        assert isinstance(scene.look(), Fingerprint)
        scene.answers(lambda out, _: kept[0])
    else:
        scene.answers(lambda out, _: change(out))
    assert why.format(id=scene.instance.id) in unseen(scene.look())
    assert scene.objects() == []


def test_endless_output_is_read_no_further_than_its_bound(scene, account):
    looker = CommandLooker(scene.provider.cloud, scene.looker._groups, output_limit=100_000)
    scene.answers(lambda out, _: b"\n".join([b"AAAA" * 1000] * 1000))
    assert "it is longer than 100000 bytes" in unseen(looker.look(scene.instance, deadline_s=60))
    assert scene.objects() == []


def test_what_is_worth_nothing_already_is_read_no_further(scene):
    nonce = b"n" * 16
    encoder = wire.Encoder()
    other = encoder.start() + encoder.message(wire.HELLO, {b"nonce": b"other", b"schema": wire.SCHEMA})

    def pieces():
        yield base64.b64encode(other) + b"\n"
        pytest.fail("it was read on")

    errand = Errand(b"Q", Reader(nonce, ()))
    assert scene.looker._fed(pieces(), errand) is None
    assert "its nonce is another" in errand.reader.finish().reason


def test_a_piece_behind_the_trailer_spoils_it(scene):
    encoder = wire.Encoder()
    whole = encoder.start() + encoder.message(wire.HELLO, {b"nonce": b"n", b"schema": wire.SCHEMA}) + encoder.finish({})
    errand = Errand(b"Q", Reader(b"n", ()))
    lines = [base64.b64encode(one) + b"\n" for one in (whole, b"more")]
    scene.looker._fed(lines, errand)
    assert errand.reader.finish().reason == "the answer is damaged: bytes after the trailer"


def test_answers_to_other_asks_are_none(scene):
    kept = []
    scene.answers(lambda out, number: kept.append(out) or (kept[2] if number == 6 else out))
    asked = [Ask(b"/etc/hostname", "prefix", b"3")]
    assert isinstance(scene.look(ask=lambda _seen: asked), Fingerprint)
    assert "are damaged: they are not to these questions" in unseen(scene.look(ask=lambda _seen: asked))


def test_one_that_was_restarted_between_two_commands_was_not_seen(scene, account):
    def other_boot(out, number):
        if number != 2:
            return out
        return forged(scene.orders[-1])

    def forged(said):
        """The facts' answer of a machine that booted since: the probe itself, told another boot."""
        script = said["commands"][0].replace("exec(program)", 'exec(program.replace(b"boot_id", b"boot_ix"))')
        return base64.b64decode(account.behind.run({**said, "commands": [script]})["out"])

    scene.answers(other_boot)
    assert unseen(scene.look()) == "it was restarted while it was looked at"


def test_a_command_that_fails_says_what_it_said(scene):
    scene.answers(lambda out, _: {"status": 3, "out": "", "err": base64.b64encode(b"Killed \x1b[31m\n").decode()})
    said = unseen(scene.look())
    assert said == f"the probe on {scene.instance.id} ended with status 3; it said: Killed \\x1b[31m"


def test_a_host_without_python_is_named(scene):
    said = base64.b64encode(b"driftd: no python here\n").decode()
    scene.answers(lambda out, _: {"status": 127, "out": "", "err": said})
    assert unseen(scene.look()) == f"{scene.instance.id} has no Python to run the probe with"


# --- time, and trouble on the way ------------------------------------------------------------------------------------


@contextmanager
def stuck(scene):
    """Commands that never end, until the block does."""
    over = threading.Event()

    def agent(said):
        scene.orders.append(said)
        over.wait(60)
        return {"status": 0, "out": "", "err": ""}

    scene.account.behind.agent = agent
    try:
        yield
    finally:
        over.set()


def test_a_command_that_never_ends_is_cancelled_at_the_deadline(scene):
    with stuck(scene):
        said = unseen(scene.look(deadline_s=2.0))
        assert said == f"the look at {scene.instance.id} did not end within 2 s (its command was InProgress)"
        assert scene.calls("CancelCommand") == 1
        assert len(scene.orders) == 1


def test_a_stopped_looker_ends_its_looks_and_begins_none(scene):
    looker = CommandLooker(scene.provider.cloud, scene.looker._groups)
    found = []
    with stuck(scene):
        thread = threading.Thread(target=lambda: found.append(looker.look(scene.instance, deadline_s=60)))
        thread.start()
        wait_until(lambda: scene.orders, "a command")
        looker.stop()
        thread.join(20)
        assert "did not end within" in unseen(found[0])
        assert "did not end within" in unseen(looker.look(scene.instance, deadline_s=60))
        assert len(scene.orders) == 1


def test_a_command_that_somebody_cancels_is_unseen(scene, account):
    with stuck(scene):
        found = []
        thread = threading.Thread(target=lambda: found.append(scene.look()))
        thread.start()
        wait_until(lambda: scene.orders, "a command")
        ssm = account.client("ssm")
        (command,) = [one for one in ssm.list_commands()["Commands"] if one["Status"] == "InProgress"]
        ssm.cancel_command(CommandId=command["CommandId"])
    thread.join(20)
    assert unseen(found[0]) == f"somebody cancelled the command on {scene.instance.id}"


def test_an_absent_agent_is_named(scene):
    scene.emulator.knobs(ssm_absent=[scene.instance.id])
    assert unseen(scene.look()) == f"Systems Manager has no agent on {scene.instance.id} that it can reach"


def test_a_lost_agent_does_not_take_the_command(scene):
    scene.emulator.knobs(ssm_lost=[scene.instance.id], ssm_delivery_s=0.5)
    assert unseen(scene.look()) == f"the agent on {scene.instance.id} did not take the command in time"
    scene.emulator.knobs(ssm_delivery_s=None)
    assert "(its command was Pending)" in unseen(scene.look(deadline_s=1.0))


@pytest.mark.parametrize(
    ("operation", "kind", "times", "said"),
    [
        ("SendCommand", "throttle", 1, "ssm send_command: ThrottlingException"),
        ("SendCommand", "denied", 1, "AWS does not permit ssm:SendCommand to this driftd"),
        ("SendCommand", "timeout-before", 1, "ssm send_command: no answer that can be read"),
        ("GetCommandInvocation", "denied", 1, "AWS does not permit ssm:GetCommandInvocation to this driftd"),
        ("s3.GET", "denied", 100, "cannot be read from the bucket looks"),
        ("s3.GET", "500", 10, "s3 get_object: InternalError"),
    ],
)
def test_what_aws_says_is_told_in_one_sentence(scene, operation, kind, times, said, monkeypatch):
    monkeypatch.setattr("driftd.edges.providers.aws.looker.UPLOAD_S", 1.0)
    scene.emulator.fault(operation, kind, times)
    assert said in unseen(scene.look())
    assert len(scene.orders) <= 1


def test_output_may_come_into_the_bucket_after_the_end(scene):
    scene.emulator.fault("s3.GET", "denied", 2)
    assert isinstance(scene.look(), Fingerprint)


def test_a_status_that_cannot_be_told_now_is_asked_for_again(scene):
    scene.emulator.knobs(ssm_invocation_after_s=0.5)
    scene.emulator.fault("GetCommandInvocation", "throttle", 6)
    assert isinstance(scene.look(), Fingerprint)


def test_a_command_whose_answer_was_lost_is_found_and_sent_once(scene):
    scene.emulator.fault("SendCommand", "timeout-after")
    seen = scene.look()
    assert isinstance(seen, Fingerprint), seen
    assert len(scene.orders) == 2


def test_output_that_cannot_be_removed_spoils_nothing(scene, account):
    scene.emulator.fault("s3.DELETE", "denied", 10)
    assert isinstance(scene.look(), Fingerprint)
    scene.emulator.control("faults", verb="DELETE")
    for key in scene.objects():
        assert key.startswith("driftd/web/")
        account.client("s3").delete_object(Bucket=BUCKET, Key=key)


# --- whose command it was --------------------------------------------------------------------------------------------


def test_a_visit_is_told_of_each_command_as_soon_as_it_has_a_name(scene):
    kept = []
    visit = Announced("ab" * 16, lambda: datetime.now(UTC), kept.append)
    visited = replace(scene.instance, reach=replace(scene.instance.reach, visit=visit))
    assert isinstance(scene.look(instance=visited), Fingerprint)
    assert [len(one.way.commands) for one in kept] == [1, 2]
    assert (visit.trace.parted, visit.trace.entered_at is not None) == (Parted.ORDERLY, True)
    listed = scene.account.client("ssm").list_commands()["Commands"]
    names = {one["CommandId"] for one in listed if one["Comment"].startswith("driftd:" + "ab" * 16)}
    assert names == {*visit.trace.way.commands}
    wait_until(lambda: names <= {one.tty for one in let_in(scene)}, "CloudTrail's records")


def let_in(scene):
    provider = create({**scene.account.options()})
    try:
        return provider.let_in(scene.instance, datetime(2000, 1, 1, tzinfo=UTC))
    finally:
        provider.close()


def test_a_visit_that_cannot_be_kept_ends_its_command(scene):
    def keep(_trace):
        raise BadInput("the store is gone", "see it")

    visit = Announced("cd" * 16, lambda: datetime.now(UTC), keep)
    with stuck(scene):
        visited = replace(scene.instance, reach=replace(scene.instance.reach, visit=visit))
        assert unseen(scene.look(instance=visited)) == "the store is gone"
        assert scene.calls("CancelCommand") == 1


def test_a_look_changes_nothing_that_is_listed(scene):
    """Else each look of a sweep would have the region read anew."""
    before = scene.provider.cloud.changes
    assert isinstance(scene.look(), Fingerprint)
    assert scene.provider.cloud.changes == before
