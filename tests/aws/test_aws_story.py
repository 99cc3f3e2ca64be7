"""The demo's story on AWS's API: launched by others, looked at over SSH, drifted, replaced; no request is lost.

And without SSH: looked at by Run Command.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import tempfile
import time
from pathlib import Path

import accounts
import pytest
from daemons import run_daemon, wait_for_end
from placed import RULES, Place, findings, permitted

from driftd.doors.desks.baking import Source
from driftd.edges.providers.aws import trail
from driftd.edges.providers.aws.provider import create
from driftd.edges.stage.clients import Load, person
from driftd.settings import load
from driftd.wiring.house import WiredHouse

pytestmark = [pytest.mark.servers, pytest.mark.machine, pytest.mark.timeout(400)]
CLASSIC = "classic load balancer"
AGENT = """\
  - id: agent
    match: {path: [/var/lib/amazon, /var/lib/amazon/ssm, "/var/lib/amazon/ssm/i-*"]}
    action: explain
    because: The agent's package has them in an image that it is in.
"""


@pytest.fixture
def account(request, golden_image, image_cache, login_key, monkeypatch):
    with accounts.opened(
        golden_image, image_cache, login_key, classic=getattr(request, "param", "") == CLASSIC
    ) as made:
        made.credentials(monkeypatch)
        yield made


@pytest.fixture
def place(account):
    home = Path(tempfile.mkdtemp(prefix="da-"))
    yield Place(account, home)
    shutil.rmtree(home)


@pytest.mark.parametrize("account", ["target group", CLASSIC], indirect=True)
def test_who_was_logged_in_to_is_replaced_and_no_request_is_lost(place, account):
    before = set(account.launched(3))
    pid = run_daemon(place.config)
    load_ = Load(f"http://127.0.0.1:{account.behind.deployment.port}", slow_seconds=1.0)
    try:
        place.wait(
            lambda: {name: said[0] for name, said in place.verdicts().items()} == dict.fromkeys(before, "explained")
        )
        victim = min(before)
        provider = create(account.options())
        seen = provider.compute.describe(victim)
        person(seen, account.behind.deployment.key, place.home / "known", "sed -i s/x/y/ /etc/motd; echo hi >/etc/new")
        place.wait(place.replaced)
        time.sleep(1)
        served = load_.stop()
    finally:
        load_.stop()
        os.kill(pid, signal.SIGTERM)
        wait_for_end(pid)
    (record,) = place.replaced()
    assert (record.state, record.old_id) == ("succeeded", victim), (record, place.log())
    assert (served.failed, served.failures) == (0, ())
    assert served.requests > 100
    after = account.running()
    assert before - after == {victim}
    assert after == account.healthy()
    newcomer = provider.compute.describe(next(iter(after - before)))
    assert (newcomer.slot, newcomer.zone, newcomer.image) == (seen.slot, seen.zone, account.image)
    assert newcomer.tags["driftd:hostkey"] == account.behind.server(newcomer.id).reach.host_keys[0]
    assert place.house.keeping().verify()["ok"]
    assert "secret" not in place.log()


def test_a_daemon_that_observes_asks_no_more_than_its_policy_permits(place, account):
    """docs/aws/observe.json: what is asked besides would be denied."""
    before = set(account.launched(2))
    place.config.write_text(place.config.read_text().replace("enforce: replace", "enforce: observe"))
    account.emulator.forget_calls()
    pid = run_daemon(place.config)
    try:
        place.wait(
            lambda: {name: said[0] for name, said in place.verdicts().items()} == dict.fromkeys(before, "explained")
        )
        time.sleep(5)
        asked = set(account.emulator.calls())
    finally:
        os.kill(pid, signal.SIGTERM)
        wait_for_end(pid)
    assert asked <= permitted("observe")


@pytest.fixture
def without_ssh(place, account, monkeypatch):
    """No key and no known host: whoever would come by SSH gets nowhere."""
    monkeypatch.setattr(trail, "FRESH_S", 2.0)  # half a minute in production
    account.behind.keyless = True
    account.client("s3").create_bucket(Bucket="looks", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    text = place.config.read_text().replace("enforce: replace", "enforce: observe")
    text = text.replace("    provider: aws\n", "    provider: aws\n    reach: {ssm: {bucket: looks, prefix: driftd}}\n")
    text = re.sub("^ssh: .*\n", "", text, flags=re.MULTILINE)
    text = text.replace("policy: [auto,", "policy: [auto, ssm-agent,")
    place.config.write_text(text)
    (place.home / "web.yaml").write_text(RULES + AGENT)
    return place


def accepted(account, aws_id: str) -> bool:
    """Whether anybody logged in to the server behind an instance."""
    log = account.behind.deployment.upper(account.behind.server(aws_id)) / "var/log/auth.log"
    return log.exists() and b"Accepted" in log.read_bytes()


def test_drift_and_strangers_are_seen_without_ssh_and_driftds_own_commands_are_nobody(without_ssh, account):
    place, (one, other) = without_ssh, sorted(account.launched(2))
    account.emulator.forget_calls()
    pid = run_daemon(place.config)
    try:
        place.wait(
            lambda: (
                {name: said[0] for name, said in place.verdicts().items()} == dict.fromkeys((one, other), "explained")
            )
        )
        # CloudTrail tells of all that was sent by now, driftd's own commands among them.
        ssm = account.client("ssm", "mallory")
        line = {"commands": ["echo hi >/etc/new"]}
        ssm.send_command(DocumentName="AWS-RunShellScript", InstanceIds=[one], Parameters=line)
        place.wait(lambda: b"/etc/new" in findings(place, one))
        who = place.wait(lambda: [said for said in findings(place, one).values() if "mallory" in said])
        assert len(who) == 1
        assert {said[0] for said in place.verdicts().values()} == {"drifted", "explained"}
        assert findings(place, other) == {}
        assert [said for said in findings(place, one).values() if said and "mallory" not in said] == []
    finally:
        os.kill(pid, signal.SIGTERM)
        wait_for_end(pid)
    assert not any(accepted(account, name) for name in (one, other))
    listed = ssm.list_commands()["Commands"]
    assert len([command for command in listed if command["Comment"].startswith("driftd:")]) > 4
    asked = {name for name in account.emulator.calls() if not name.startswith("s3.")}
    assert asked - {"ListCommands", "SendCommand", "CreateBucket"} <= permitted("observe", "look-by-ssm")
    assert place.house.keeping().verify()["ok"]


def test_who_drifted_is_replaced_without_ssh(without_ssh, account):
    place, before = without_ssh, set(account.launched(3))
    place.config.write_text(place.config.read_text().replace("enforce: observe", "enforce: replace"))
    pid = run_daemon(place.config)
    try:
        place.wait(
            lambda: {name: said[0] for name, said in place.verdicts().items()} == dict.fromkeys(before, "explained")
        )
        victim = min(before)
        account.behind.changed(victim, "echo hi >/etc/new; chmod 4755 /usr/bin/env")
        place.wait(place.replaced)
    finally:
        os.kill(pid, signal.SIGTERM)
        wait_for_end(pid)
    (record,) = place.replaced()
    assert (record.state, record.old_id) == ("succeeded", victim), (record, place.log())
    (newcomer,) = account.running() - before
    assert not any(accepted(account, name) for name in account.running())
    house = WiredHouse(load(place.config), place.config)
    (look,) = house.audit(house.find([newcomer]), strict=False)
    assert (look.judgement.verdict, look.others) == ("explained", ()), look.judgement.reason
    made = house.baking().made(Source(host=newcomer), account.image)
    assert made.provisional
    assert re.search(rb"^key [0-9a-f]{16}$", made.text, re.MULTILINE) is None, "no digest key goes that way"
