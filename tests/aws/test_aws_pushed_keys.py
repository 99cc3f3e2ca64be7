"""EC2 Instance Connect as the way in: no key is on the servers, and each look pushes one of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import accounts
import paramiko
import pushed
import pytest
from daemons import run_daemon, wait_for_end
from placed import Place, findings, permitted
from servers import wait_until

from driftd.core.errors import BadInput
from driftd.core.facts import Unseen
from driftd.core.fingerprint import Fingerprint
from driftd.core.visits import Announced
from driftd.edges.providers.aws import trail
from driftd.edges.providers.aws.provider import create
from driftd.edges.ssh.keys import fresh
from driftd.edges.ssh.looker import SshLooker
from driftd.edges.ssh.options import SshOptions
from driftd.settings import load
from driftd.wiring.house import WiredHouse

pytestmark = [pytest.mark.servers, pytest.mark.machine, pytest.mark.timeout(400)]
REACH = "    reach: {ssh: {user: root, instance_connect: true}}\n"


@pytest.fixture(scope="module")
def opened(image_cache, login_key):
    with accounts.opened(pushed.golden(image_cache), image_cache, login_key) as made:
        made.behind.keyless = True
        yield made


@pytest.fixture
def account(opened, monkeypatch):
    opened.credentials(monkeypatch)
    opened.emulator.control("faults", verb="DELETE")
    opened.emulator.forget_calls()
    yield opened
    opened.emulator.knobs(denied=[])
    for one in opened.running():
        opened.ec2.terminate_instances(InstanceIds=[one])


@pytest.fixture
def place(account, monkeypatch):
    monkeypatch.setattr(trail, "FRESH_S", 2.0)  # half a minute in production
    home = Path(tempfile.mkdtemp(prefix="da-"))
    made = Place(account, home)
    text = made.config.read_text().replace("enforce: replace", "enforce: observe")
    text = text.replace("    provider: aws\n", "    provider: aws\n" + REACH)
    made.config.write_text(re.sub("^ssh: .*\n", "", text, flags=re.MULTILINE))
    yield made
    shutil.rmtree(home)


def all_are(place, names, verdict):
    return {name: said[0] for name, said in place.verdicts().items()} == dict.fromkeys(names, verdict)


def test_a_group_is_looked_at_by_pushed_keys_alone_and_driftds_own_are_nobody(place, account):
    names = one, other = sorted(account.launched(2))
    account.emulator.forget_calls()
    place.config.write_text(place.config.read_text().replace("every: 1s", "every: 1s\n    watch: true"))
    pid = run_daemon(place.config)
    try:
        place.wait(lambda: all_are(place, names, "explained"))
        before = place.wait(lambda: account.emulator.calls().get("SendSSHPublicKey", 0))
        # CloudTrail tells of all that was pushed so far. Somebody else's key, and somebody in driftd's place.
        connect = account.client("ec2-instance-connect", "mallory")
        connect.send_ssh_public_key(InstanceId=one, InstanceOSUser="root", SSHPublicKey=fresh().line)
        who = place.wait(lambda: [said for said in findings(place, one).values() if "mallory" in said])
        assert len(who) == 1
        assert findings(place, other) == {}
        assert [said for said in findings(place, one).values() if said and "mallory" not in said] == []
        # A kept connection needs no new key, and one that broke is made again by another one.
        account.behind.changed(other, "pkill -f 'sshd: [r]oot' || true")
        place.wait(lambda: account.emulator.calls()["SendSSHPublicKey"] > before + 1)
        account.behind.changed(other, "echo hi >/etc/new")
        place.wait(lambda: b"/etc/new" in findings(place, other))
    finally:
        os.kill(pid, signal.SIGTERM)
        wait_for_end(pid)
    asked = {name for name in account.emulator.calls() if not name.startswith("s3.")}
    assert asked <= permitted("observe", "look-by-instance-connect")
    assert place.house.keeping().verify()["ok"]
    assert "PRIVATE" not in place.log()
    for name in names:
        log = account.behind.deployment.upper(account.behind.server(name)) / "var/log/auth.log"
        assert b"Accepted publickey for root" in log.read_bytes()


def test_who_drifted_is_replaced_and_the_newcomer_is_looked_at_so_too(place, account):
    before = set(account.launched(3))
    place.config.write_text(place.config.read_text().replace("enforce: observe", "enforce: replace"))
    pid = run_daemon(place.config)
    try:
        place.wait(lambda: all_are(place, before, "explained"))
        victim = min(before)
        account.behind.changed(victim, "echo hi >/etc/new; chmod 4755 /usr/bin/env")
        place.wait(place.replaced)
    finally:
        os.kill(pid, signal.SIGTERM)
        wait_for_end(pid)
    (record,) = place.replaced()
    assert (record.state, record.old_id) == ("succeeded", victim), (record, place.log())


# --- one look --------------------------------------------------------------------------------------------------------


class Scene:
    def __init__(self, account):
        self.account = account
        options = account.options()
        options["groups"]["web"]["reach"] = {"ssh": {"user": "root", "instance_connect": True}}
        self.provider = create(options)
        (self.id,) = account.launched(1)
        (self.instance,) = self.provider.inventory.find("web")

    def look(self, **more):
        return SshLooker(SshOptions(agent=False)).look(more.pop("instance", self.instance), deadline_s=60)

    def pushes(self):
        return self.account.emulator.calls().get("SendSSHPublicKey", 0)

    def log(self):
        file = self.account.behind.deployment.upper(self.account.behind.server(self.id)) / "var/log/auth.log"
        return file.read_text() if file.exists() else ""


@pytest.fixture
def scene(account):
    made = Scene(account)
    account.emulator.forget_calls()
    yield made
    made.provider.close()


def test_a_key_that_was_pushed_is_good_for_a_minute(scene):
    mine = fresh()
    scene.provider.let_key_in(scene.instance, mine.line)

    def enters():
        with paramiko.SSHClient() as client:
            client.set_missing_host_key_policy(paramiko.AutoAddPolicy())  # whose it is, is no part of this
            try:
                client.connect(
                    scene.instance.address, username="root", pkey=mine.private, allow_agent=False, look_for_keys=False
                )
            except paramiko.AuthenticationException:
                return False
            return True

    assert enters()
    scene.account.emulator.forward(61)
    wait_until(lambda: not enters(), "the end of the minute")


def test_a_throttled_push_is_sent_again_and_a_missing_right_is_named(scene):
    scene.account.emulator.fault("SendSSHPublicKey", "throttle", 2)
    assert isinstance(scene.look(), Fingerprint)
    assert scene.pushes() == 3
    scene.account.emulator.knobs(denied=["ec2-instance-connect:SendSSHPublicKey"])
    seen = scene.look()
    assert isinstance(seen, Unseen)
    assert "EC2 Instance Connect did not take a key for" in seen.reason
    assert "AWS does not permit ec2-instance-connect:SendSSHPublicKey to this driftd" in seen.reason
    assert "ec2-instance-connect:SendSSHPublicKey" in seen.hint


def test_an_answer_that_was_lost_is_asked_for_again_and_both_pushes_are_driftds(scene):
    kept = []
    visit = Announced("ab" * 16, lambda: datetime.now(UTC), kept.append)
    visited = replace(scene.instance, reach=replace(scene.instance.reach, visit=visit))
    scene.account.emulator.fault("SendSSHPublicKey", "timeout-after")
    assert isinstance(scene.look(instance=visited), Fingerprint)
    told = [one for one in scene.provider.let_in(scene.instance, datetime(2000, 1, 1, tzinfo=UTC)) if one.key]
    assert {(one.user, one.key) for one in told} == {("root", visit.trace.way.key)}
    assert len(told) == 2


def test_an_image_without_the_package_is_told_as_that(scene):
    scene.account.behind.changed(scene.id, "chmod 644 /usr/share/ec2-instance-connect/eic_run_authorized_keys")
    seen = scene.look()
    assert isinstance(seen, Unseen)
    assert "refused the key for user root that EC2 Instance Connect had taken" in seen.reason
    assert "package ec2-instance-connect" in seen.hint


def test_an_instance_that_is_gone_is_told_as_that(scene):
    scene.account.ec2.stop_instances(InstanceIds=[scene.id])
    wait_until(lambda: scene.provider.compute.describe(scene.id).state == "stopped", "a stop")
    with pytest.raises(Exception, match="EC2InstanceStateInvalidException"):
        scene.provider.let_key_in(scene.instance, fresh().line)


# --- settings, and the doctor ----------------------------------------------------------------------------------------


def test_the_doctor_logs_in_by_a_key_of_its_own(place, account):
    account.launched(1)
    command = [sys.executable, "-m", "driftd", "--config", str(place.config), "doctor", "--json"]
    subprocess.run([*command[:-2], "audit"], capture_output=True, timeout=120, check=False)  # makes the store
    account.emulator.forget_calls()
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    points = json.loads(done.stdout)["points"]
    assert [one["mark"] for one in points if one["area"] == "instances"] == ["good"], points
    assert [one for one in points if one["area"] == "ssh"] == []
    assert account.emulator.calls()["SendSSHPublicKey"] == 1


def test_a_provider_that_pushes_no_keys_is_refused(place):
    text = place.config.read_text().replace("provider: aws\n", "provider: static\n    hosts: [192.0.2.1]\n")
    text = re.sub(r"    select:.*\n|    traffic:.*\n|    health:.*\n|providers:\n(  .*\n)+", "", text)
    place.config.write_text(text)

    with pytest.raises(BadInput, match="cannot push keys"):
        _ = WiredHouse(load(place.config), place.config).groups


def test_a_key_and_pushed_keys_exclude_each_other(place):
    place.config.write_text(place.config.read_text().replace("user: root", "key: /etc/own, user: root"))
    with pytest.raises(BadInput, match="key and instance_connect exclude each other"):
        load(place.config)
