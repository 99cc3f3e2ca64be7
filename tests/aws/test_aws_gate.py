"""A launch hook as the gate of an Auto Scaling group: who is launched serves once driftd has seen it."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from pathlib import Path

import accounts
import pytest
from daemons import run_daemon, wait_for_end
from emulated import REGION
from placed import Place
from servers import wait_until
from test_emulator_hooks import LAUNCHING, complete, hook, put
from test_emulator_scaling import described, group, members

from driftd.core.errors import BadInput, Refused
from driftd.edges.providers.aws.provider import create
from driftd.edges.stage.clients import Load


@pytest.fixture
def provider(cloud, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "driftd")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    own = {"web": {"auto_scaling_group": "web", "gate": "look"}}
    settings = {"region": REGION, "endpoint": cloud.emulator.url, "groups": own}
    made = create({"settings": settings, "groups": {"web": {}}})
    yield made
    made.close()


def test_who_is_launched_waits_until_it_is_let_through(cloud, emulator, provider):
    (one,) = group(cloud, size=1, LifecycleHookSpecificationList=[hook("look", LAUNCHING)])
    assert provider.waiting("web") == [one]
    for _ in range(3):
        emulator.forward(60)
        provider.keep_waiting("web", one)
    assert members(cloud) == {one: "Pending:Wait"}
    provider.admit("web", one)
    assert members(cloud) == {one: "InService"}
    assert provider.waiting("web") == []
    provider.admit("web", one)
    provider.keep_waiting("web", one)


def test_who_waits_on_for_somebody_elses_hook_is_no_matter_of_ours(cloud, provider):
    (one,) = group(cloud, size=1, LifecycleHookSpecificationList=[hook("look", LAUNCHING), hook("boot", LAUNCHING)])
    provider.admit("web", one)
    assert members(cloud) == {one: "Pending:Wait"}
    assert provider.waiting("web") == []
    complete(cloud, "boot", one)
    assert members(cloud) == {one: "InService"}


def test_a_gate_that_is_not_there_is_said_with_the_command_that_makes_it(cloud, provider):
    group(cloud, size=1)
    with pytest.raises(Refused, match="no launch hook look, so nobody waits") as caught:
        provider.waiting("web")
    assert "put-lifecycle-hook" in caught.value.hint
    put(cloud, "look", "autoscaling:EC2_INSTANCE_TERMINATING")
    with pytest.raises(Refused, match="no launch hook look"):
        provider.waiting("web")


def test_who_is_put_into_quarantine_there_outlives_its_hook(cloud, emulator, provider):
    (one,) = group(cloud, size=1, LifecycleHookSpecificationList=[hook("look", LAUNCHING)])
    provider.isolate(one)
    assert members(cloud) == {one: "Standby"}
    assert described(cloud)["DesiredCapacity"] == 0
    assert provider.compute.describe(one).isolated
    emulator.forward(200_000)
    assert (members(cloud), cloud.state(one)) == ({one: "Standby"}, "running")
    provider.isolate(one)
    assert provider.waiting("web") == []


def test_a_heartbeat_has_nothing_read_anew(cloud, emulator, provider):
    (one,) = group(cloud, size=1, LifecycleHookSpecificationList=[hook("look", LAUNCHING)])
    provider.inventory.find("web")
    emulator.forget_calls()
    for _ in range(3):
        provider.keep_waiting("web", one)
        provider.inventory.find("web")
    assert emulator.calls() == {"RecordLifecycleActionHeartbeat": 3}


def test_a_gate_without_an_auto_scaling_group_is_wrong_at_once():
    with pytest.raises(BadInput, match="gate is a lifecycle hook of an Auto Scaling group"):
        create({"settings": {"region": REGION, "groups": {"web": {"gate": "look"}}}, "groups": {"web": {}}})


@pytest.fixture
def place(golden_image, image_cache, login_key, monkeypatch):
    with accounts.opened(golden_image, image_cache, login_key) as account:
        account.credentials(monkeypatch)
        account.scaled()
        wanted(account, 3)
        wait_until(lambda: len(in_service(account)) == 3 and account.healthy() == in_service(account), "a group", 60)
        said = {"AutoScalingGroupName": "web", "LifecycleHookName": "look", "LifecycleTransition": LAUNCHING}
        account.asg.put_lifecycle_hook(**said, HeartbeatTimeout=30, DefaultResult="ABANDON")
        home = Path(tempfile.mkdtemp(prefix="da-"))
        made = Place(account, home)
        text = made.config.read_text().replace('    select: {"tag:role": web}\n', "")
        text = text.replace(
            "breakers: {observe_first: 0s}",
            "breakers: {observe_first: 0s, quiet_foreign: 1s, size_percent: 100, ill_percent: 90, well_for: 1s}",
        )
        at = text.index("    groups: {web:")
        end = text.index("\n", at)
        made.config.write_text(f"{text[:at]}    groups: {{web: {{auto_scaling_group: web, gate: look}}}}{text[end:]}")
        yield made
        shutil.rmtree(home)


def wanted(account, number):
    account.asg.set_desired_capacity(AutoScalingGroupName="web", DesiredCapacity=number)


def in_service(account) -> set[str]:
    return {name for name, state in account.members().items() if state == "InService"}


@pytest.mark.servers
@pytest.mark.machine
@pytest.mark.timeout(400)
def test_a_scale_out_serves_once_it_was_seen_and_never_where_it_drifted(place):
    account = place.account
    wanted(account, 4)
    wait_until(lambda: "Pending:Wait" in account.members().values(), "one who waits")
    assert len(account.healthy()) == 3
    pid = run_daemon(place.config)
    load = Load(f"http://127.0.0.1:{account.behind.deployment.port}", slow_seconds=1.0)
    try:
        place.wait(lambda: len(in_service(account)) == 4 and account.healthy() == in_service(account))
        account.behind.spoiled = "echo hi >/etc/new; chmod 4755 /usr/bin/env"
        before = set(account.members())
        wanted(account, 5)
        (bad,) = wait_until(lambda: set(account.members()) - before, "one more")
        account.behind.spoiled = ""
        served = set()
        place.wait(lambda: served.update(account.healthy()) or place.replaced())
        place.wait(lambda: len(in_service(account)) == 5)
        counted = load.stop()
    finally:
        load.stop()
        os.kill(pid, signal.SIGTERM)
        wait_for_end(pid)
    (record,) = place.replaced()
    assert (record.state, record.old_id) == ("succeeded", bad), (record, place.log())
    assert bad not in served | set(account.members())
    assert (counted.failed, account.desired()) == (0, 5), counted.failures
    assert place.house.keeping().verify()["ok"]
