"""The aws provider where AWS is unkind and where what it is asked for would do harm: the emulator without servers."""

from __future__ import annotations

import base64
from dataclasses import replace
from types import SimpleNamespace
from uuid import uuid4

import pytest

from driftd.core.errors import BadInput, NoCapacity, NotFound, Refused, Throttled, Unavailable
from driftd.core.facts import InstanceState
from driftd.core.ports import LaunchRequest, TargetState
from driftd.edges.providers.aws import hostkeys, instances
from driftd.edges.providers.aws.names import TAG_DEPLOYMENT, TAG_GROUP, TAG_SLOT, TAG_TOKEN
from driftd.edges.providers.aws.provider import create

REGION = "us-east-1"


class Ours:
    """driftd's side of an account: a provider for the groups that a test wants."""

    def __init__(self, cloud, monkeypatch):
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "driftd")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        self.cloud = cloud
        self.made = []

    def provider(self, own=None, host_keys="known_hosts", **groups):
        groups = groups or {"web": {"select": {"tag:role": "web"}}}
        settings = {
            "region": REGION,
            "endpoint": self.cloud.emulator.url,
            "host_keys": host_keys,
            "groups": own or {},
        }
        made = create({"settings": settings, "groups": groups})
        self.made.append(made)
        return made

    def run(self, number=1, **more):
        """As an operator launches: tagged by role; more tags as ``tags``."""
        tags = {"role": "web", **more.pop("tags", {})}
        spec = [{"ResourceType": "instance", "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}]
        return self.cloud.run(number, TagSpecifications=spec, **more)

    def request(self, slot, token=""):
        return LaunchRequest("web", slot, self.cloud.image, token or uuid4().hex, {})


@pytest.fixture
def ours(cloud, monkeypatch):
    made = Ours(cloud, monkeypatch)
    yield made
    for one in made.made:
        one.close()


# --- which ones ------------------------------------------------------------------------------------------------------


def test_what_another_deployment_marked_or_nobody_selects_is_nobodys(ours):
    (mine,) = ours.run()
    ours.run(tags={TAG_DEPLOYMENT: "another", TAG_GROUP: "web"})
    ours.run(tags={"role": "db"})
    provider = ours.provider()
    assert [one.id for one in provider.inventory.find("web")] == [mine]
    assert [one.id for one in provider.compute.list({})] == [mine]


@pytest.mark.parametrize(("select", "told"), [({"tag:": "x"}, "'tag:' selects nothing"), ({}, "does not say which")])
def test_a_group_that_selects_nobody_or_everybody_is_a_mistake(ours, select, told):
    with pytest.raises(BadInput, match=told):
        ours.provider(web={"select": select})


def test_a_console_without_keys_is_read_more_and_more_rarely(ours, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(hostkeys, "time", SimpleNamespace(monotonic=lambda: now[0]))
    ours.run()
    compute = ours.provider(host_keys="console").compute
    ours.cloud.emulator.forget_calls()
    for _ in range(100):
        assert compute.list({})[0].reach.vouched() == ()
        now[0] += 60
    assert 5 < ours.cloud.emulator.calls()["GetConsoleOutput"] < 12


def test_who_is_selected_by_two_groups_holds_both(ours):
    (one,) = ours.run()
    provider = ours.provider(web={"select": {"tag:role": "web"}}, all={"select": {"vpc": ours.cloud.vpc}})
    with pytest.raises(Refused, match=f"{one} is selected by the groups web and all"):
        provider.inventory.find("web")


def test_a_pass_over_all_groups_reads_the_region_once(ours):
    ours.run(3)
    provider = ours.provider(
        **{name: {"select": {"tag:role": name}} for name in ("web", "db", "cache")},
    )
    ours.cloud.emulator.forget_calls()
    assert [len(provider.inventory.find(name)) for name in ("web", "db", "cache")] == [3, 0, 0]
    assert ours.cloud.emulator.calls() == {"DescribeInstances": 1}
    provider.compute.tag(provider.inventory.find("web")[0].id, {"a": "b"})
    assert "a" in provider.inventory.find("web")[0].tags, "what driftd changed is read anew"


def test_a_pass_over_many_costs_one_call_a_page_however_long_it_takes(ours, monkeypatch):
    """The same with keys from consoles: those are read when somebody connects."""
    monkeypatch.setattr(instances, "_PAGE", 5)
    now = [1000.0]
    monkeypatch.setattr(instances, "time", SimpleNamespace(monotonic=lambda: now[0]))
    names = [f"g{number}" for number in range(6)]
    for name in names:
        ours.run(2, tags={"role": name})
    provider = ours.provider(host_keys="console", **{name: {"select": {"tag:role": name}} for name in names})
    for _ in range(2):
        ours.cloud.emulator.forget_calls()
        for name in names:
            assert len(provider.inventory.find(name)) == 2
            now[0] += 5
        assert ours.cloud.emulator.calls() == {"DescribeInstances": 3}
    (one, _) = provider.inventory.find("g0")
    ours.cloud.emulator.forget_calls()
    one.reach.vouched()
    assert ours.cloud.emulator.calls() == {"GetConsoleOutput": 1}


def test_a_key_is_kept_when_its_instance_enters_service_and_never_kept_anew(ours, monkeypatch):
    """Whoever is root there may write another one to the console later."""
    first, later = (
        "ssh-ed25519 " + base64.b64encode(b"\0\0\0\x0bssh-ed25519\0\0\0 " + seed * 32).decode() for seed in (b"a", b"b")
    )
    (one,) = ours.run()
    ours.cloud.group(delay=0)
    assert ours.cloud.state(one) == "running"
    group = {"select": {"tag:role": "web"}, "traffic": {"target_group": "web"}}
    for shown in (first, later):
        monkeypatch.setattr(hostkeys.HostKeys, "_read", lambda *_, shown=shown: (shown,))
        provider = ours.provider(host_keys="console", web=group)
        provider.traffic.register("web", provider.compute.describe(one))
        assert provider.compute.describe(one).reach.vouched() == (first,)


# --- launching -------------------------------------------------------------------------------------------------------


def test_a_newcomer_without_a_template_is_like_whose_slot_it_takes(ours):
    group = ours.cloud.ec2.create_security_group(GroupName="web", Description="web", VpcId=ours.cloud.vpc)["GroupId"]
    (old,) = ours.run(
        InstanceType="t3.large", SecurityGroupIds=[group], UserData="#!/bin/sh\necho hé\n", tags={"team": "b ü"}
    )
    made = ours.provider().compute.launch(ours.request(f"web/{old}"))
    raw = ours.cloud.instance(made.id)
    assert (raw["InstanceType"], raw["SubnetId"]) == ("t3.large", ours.cloud.instance(old)["SubnetId"])
    assert [one["GroupId"] for one in raw["SecurityGroups"]] == [group]
    assert (made.tags["team"], made.tags["role"], made.slot) == ("b ü", "web", f"web/{old}")
    data = ours.cloud.ec2.describe_instance_attribute(InstanceId=made.id, Attribute="userData")["UserData"]["Value"]
    assert base64.b64decode(data).decode() == "#!/bin/sh\necho hé\n"


def test_an_answer_that_is_lost_makes_no_second_one(ours):
    (old,) = ours.run()
    compute, request = ours.provider().compute, ours.request(f"web/{old}")
    ours.cloud.emulator.fault("RunInstances", "timeout-after")
    with pytest.raises(Unavailable):
        compute.launch(request)
    assert len(compute.list({TAG_TOKEN: request.token})) == 1
    assert compute.launch(request).id == compute.launch(request).id
    assert len(compute.list({TAG_TOKEN: request.token})) == 1


def test_one_that_is_not_listed_yet_is_not_launched_again(ours):
    (old,) = ours.run()
    compute, request = ours.provider().compute, ours.request(f"web/{old}")
    ours.cloud.emulator.forward(300)
    ours.cloud.emulator.knobs(lag=120)
    first = compute.launch(request)
    assert compute.list({TAG_TOKEN: request.token}) == []
    assert compute.launch(request).id == first.id


@pytest.mark.parametrize(
    ("kind", "error"),
    [("throttle", Throttled), ("capacity", NoCapacity), ("denied", Refused), ("expired", Unavailable)],
)
def test_what_aws_says_to_a_launch_is_told_and_nothing_is_made(ours, kind, error):
    (old,) = ours.run()
    provider = ours.provider()
    ours.cloud.emulator.fault("RunInstances", kind)
    with pytest.raises(error):
        provider.compute.launch(ours.request(f"web/{old}"))
    assert [one.id for one in provider.compute.list({})] == [old]


def test_an_image_or_a_template_that_is_not_there_is_refused_and_not_asked_for_again(ours):
    (old,) = ours.run()
    request = ours.request(f"web/{old}")
    with pytest.raises(Refused, match=r"InvalidAMIID\.NotFound"):
        ours.provider().compute.launch(replace(request, image="ami-0123456789abcdef0"))
    nowhere = {"web": {"launch": {"template": "nowhere"}}}
    with pytest.raises(Refused, match="nowhere"):
        ours.provider(nowhere, web={"select": {"tag:role": "web"}}).compute.launch(request)
    ours.cloud.ec2.deregister_image(ImageId=ours.cloud.image)
    with pytest.raises(Refused, match="InvalidAMIID"):
        ours.provider().compute.launch(request)


def test_a_slot_whose_instance_has_ended_stays_in_its_zone(ours):
    launch = {"template": "web", "subnets": [*ours.cloud.subnets.values()][:2]}
    ours.cloud.ec2.create_launch_template(LaunchTemplateName="web", LaunchTemplateData={"InstanceType": "t3.micro"})
    compute = ours.provider({"web": {"launch": launch}}, web={"select": {"tag:role": "web"}}).compute
    for slot in ("web/0", "web/1"):
        first = compute.launch(ours.request(slot))
        compute.terminate(first.id)
        assert ours.cloud.state(first.id) == "terminated"
        assert compute.launch(ours.request(slot)).zone == first.zone


def test_nobody_is_launched_like_one_in_quarantine(ours):
    (shut,) = ours.run(tags={TAG_DEPLOYMENT: "driftd", TAG_GROUP: "web", TAG_SLOT: "web/0"}, InstanceType="t3.large")
    provider = ours.provider()
    provider.isolate(shut)
    provider.compute.tag(shut, {"driftd:quarantine": "R1"})
    (old,) = ours.run(tags={TAG_DEPLOYMENT: "driftd", TAG_GROUP: "web", TAG_SLOT: "web/0"})
    made = provider.compute.launch(ours.request("web/0"))
    assert not provider.compute.describe(made.id).isolated
    assert ours.cloud.instance(made.id)["InstanceType"] == ours.cloud.instance(old)["InstanceType"]


# --- ending ----------------------------------------------------------------------------------------------------------


def test_who_lost_its_tags_is_not_ended_and_is_not_called_gone(ours):
    """Else a typing error in the console would leave a server that nobody knows of, or end somebody else's."""
    (one,) = ours.run()
    compute = ours.provider().compute
    ours.cloud.ec2.delete_tags(Resources=[one], Tags=[{"Key": "role"}])
    with pytest.raises(Refused, match="not ended"):
        compute.terminate(one)
    assert ours.cloud.state(one) == "running"


def test_termination_protection_is_told_before_anything_is_changed_and_kept(ours):
    (one,) = ours.run()
    ours.cloud.ec2.modify_instance_attribute(InstanceId=one, DisableApiTermination={"Value": True})
    compute = ours.provider().compute
    assert f"{one} has termination protection" in compute.preflight(ours.request(f"web/{one}"))
    with pytest.raises(Refused):
        compute.terminate(one)
    assert ours.cloud.state(one) == "running"


def test_a_data_volume_outlives_whoever_somebody_tied_it_to(ours):
    (one,) = ours.run()
    tags = [{"Key": TAG_DEPLOYMENT, "Value": "driftd"}, {"Key": TAG_SLOT, "Value": "web/0"}]
    zone = ours.cloud.instance(one)["Placement"]["AvailabilityZone"]
    volume = ours.cloud.ec2.create_volume(
        AvailabilityZone=zone, Size=1, TagSpecifications=[{"ResourceType": "volume", "Tags": tags}]
    )["VolumeId"]
    provider = ours.provider()
    provider.volumes.attach(volume, one)
    device = ours.cloud.volume(volume)["Attachments"][0]["Device"]
    tied = [{"DeviceName": device, "Ebs": {"DeleteOnTermination": True}}]
    ours.cloud.ec2.modify_instance_attribute(InstanceId=one, BlockDeviceMappings=tied)
    provider.compute.terminate(one)
    assert ours.cloud.state(one) == "terminated"
    assert ours.cloud.volume(volume)["State"] == "available"


# --- Auto Scaling ----------------------------------------------------------------------------------------------------


class Scaled:
    """An Auto Scaling group of two behind a target group."""

    def __init__(self, ours, least=2, most=3, delay=0):
        self.cloud = ours.cloud
        self.target_group = ours.cloud.group(delay=delay)
        data = {"ImageId": ours.cloud.image, "InstanceType": "t3.micro"}
        ours.cloud.ec2.create_launch_template(LaunchTemplateName="web", LaunchTemplateData=data)
        self.cloud.asg.create_auto_scaling_group(
            AutoScalingGroupName="web",
            MinSize=least,
            MaxSize=most,
            DesiredCapacity=2,
            LaunchTemplate={"LaunchTemplateName": "web", "Version": "$Latest"},
            TargetGroupARNs=[self.target_group],
            VPCZoneIdentifier=next(iter(ours.cloud.subnets.values())),
        )
        group = {"select": {}, "traffic": {"target_group": "web"}}
        self.provider = ours.provider({"web": {"auto_scaling_group": "web"}}, web=group)

    def group(self):
        return self.cloud.asg.describe_auto_scaling_groups(AutoScalingGroupNames=["web"])["AutoScalingGroups"][0]

    def states(self):
        return {one["InstanceId"]: one["LifecycleState"] for one in self.group()["Instances"]}

    def target(self, name):
        return {one.instance_id: one.state for one in self.provider.traffic.targets("web")}.get(name)


def test_a_member_is_replaced_and_the_group_fills_nobodys_place(ours):
    scaled = Scaled(ours)
    provider, before = scaled.provider, set(scaled.states())
    old = min(before)
    assert {one.id for one in provider.inventory.find("web")} == before
    new = provider.compute.launch(ours.request(f"web/{old}"))
    assert new.id not in scaled.states(), "it is no member before it is put into service"
    provider.traffic.register("web", provider.compute.describe(new.id))
    assert (scaled.group()["DesiredCapacity"], scaled.states()[new.id]) == (3, "InService")
    assert scaled.target(new.id) is TargetState.HEALTHY
    provider.traffic.drain("web", old)
    assert (scaled.group()["DesiredCapacity"], scaled.states()[old]) == (2, "Standby")
    assert scaled.target(old) in {None, TargetState.DRAINING}
    provider.compute.stop(old)
    provider.compute.terminate(old)
    assert scaled.group()["DesiredCapacity"] == 2
    assert provider.foreign("web") == ""
    assert ours.cloud.state(old) == "terminated"
    assert scaled.states() == dict.fromkeys(before - {old} | {new.id}, "InService"), "of nobody who is gone it tells"
    assert scaled.group()["DesiredCapacity"] == 2


def test_a_full_group_says_so_before_anything_is_launched(ours):
    scaled = Scaled(ours, most=2)
    old = min(scaled.states())
    assert "2 is the most it may have" in scaled.provider.compute.preflight(ours.request(f"web/{old}"))


def test_protection_is_told_in_an_auto_scaling_group_too(ours):
    scaled = Scaled(ours)
    old = min(scaled.states())
    ours.cloud.ec2.modify_instance_attribute(InstanceId=old, DisableApiTermination={"Value": True})
    assert f"{old} has termination protection" in scaled.provider.compute.preflight(ours.request(f"web/{old}"))


def test_select_narrows_an_auto_scaling_group(ours):
    scaled = Scaled(ours)
    mine = min(scaled.states())
    ours.cloud.ec2.create_tags(Resources=[mine], Tags=[{"Key": "ours", "Value": "yes"}])
    provider = ours.provider({"web": {"auto_scaling_group": "web"}}, web={"select": {"tag:ours": "yes"}})
    assert [one.id for one in provider.inventory.find("web")] == [mine]


def test_what_was_put_into_standby_comes_back(ours):
    scaled = Scaled(ours, least=1)
    one = min(scaled.states())
    scaled.provider.traffic.drain("web", one)
    scaled.provider.traffic.register("web", scaled.provider.compute.describe(one))
    assert (scaled.group()["DesiredCapacity"], scaled.states()[one]) == (2, "InService")


def test_a_drain_is_undone_at_once_and_not_after_its_delay(ours):
    scaled = Scaled(ours, least=1, delay=300)
    one = min(scaled.states())
    assert scaled.target(one) is TargetState.HEALTHY
    scaled.provider.traffic.drain("web", one)
    assert scaled.states()[one] == "EnteringStandby"
    assert scaled.target(one) is TargetState.DRAINING
    scaled.provider.traffic.register("web", scaled.provider.compute.describe(one))
    assert (scaled.group()["DesiredCapacity"], scaled.states()[one]) == (2, "InService")
    assert scaled.target(one) is TargetState.HEALTHY


def test_who_stands_by_and_is_a_target_all_the_same_is_not_in_service(ours):
    """Else an undo would leave it there, and the group one smaller than it was."""
    scaled = Scaled(ours, least=1)
    one = min(scaled.states())
    scaled.provider.traffic.drain("web", one)
    assert scaled.states()[one] == "Standby"
    ours.cloud.elb.register_targets(TargetGroupArn=scaled.target_group, Targets=[{"Id": one}])
    assert scaled.target(one) is TargetState.MAINTENANCE
    scaled.provider.traffic.register("web", scaled.provider.compute.describe(one))
    assert (scaled.group()["DesiredCapacity"], scaled.target(one)) == (2, TargetState.HEALTHY)


def test_who_waits_for_a_hook_of_the_group_is_not_in_service_yet(ours):
    scaled = Scaled(ours)
    hook = {"AutoScalingGroupName": "web", "LifecycleHookName": "warm-up"}
    ours.cloud.asg.put_lifecycle_hook(
        **hook, LifecycleTransition="autoscaling:EC2_INSTANCE_LAUNCHING", HeartbeatTimeout=300
    )
    provider = scaled.provider
    new = provider.compute.launch(ours.request(f"web/{min(scaled.states())}"))
    ours.cloud.state(new.id)
    provider.traffic.register("web", new)
    assert (scaled.states()[new.id], scaled.target(new.id)) == ("Pending:Wait", TargetState.INITIAL)
    with pytest.raises(Unavailable, match=f"{new.id} is joining web"):
        provider.compute.stop(new.id)
    assert ours.cloud.state(new.id) == "running"
    ours.cloud.asg.complete_lifecycle_action(**hook, InstanceId=new.id, LifecycleActionResult="CONTINUE")
    assert scaled.target(new.id) is TargetState.HEALTHY


def test_the_end_waits_for_the_groups_own_hook_and_protection_binds(ours):
    scaled = Scaled(ours, least=1)
    hook = {"AutoScalingGroupName": "web", "LifecycleHookName": "logs"}
    ours.cloud.asg.put_lifecycle_hook(
        **hook, LifecycleTransition="autoscaling:EC2_INSTANCE_TERMINATING", HeartbeatTimeout=300
    )
    one, compute = min(scaled.states()), scaled.provider.compute
    scaled.provider.traffic.drain("web", one)
    ours.cloud.ec2.modify_instance_attribute(InstanceId=one, DisableApiTermination={"Value": True})
    with pytest.raises(Refused, match=f"{one} has termination protection"):
        compute.terminate(one)
    ours.cloud.ec2.modify_instance_attribute(InstanceId=one, DisableApiTermination={"Value": False})
    for _ in range(2):
        compute.terminate(one)
        assert (ours.cloud.state(one), scaled.states()[one]) == ("running", "Terminating:Wait")
    assert scaled.provider.foreign("web") == "", "it is driftd's own doing"
    ours.cloud.asg.complete_lifecycle_action(**hook, InstanceId=one, LifecycleActionResult="CONTINUE")
    assert ours.cloud.state(one) == "terminated"
    assert scaled.group()["DesiredCapacity"] == 1


def test_an_instance_refresh_is_somebody_elses_work(ours):
    scaled = Scaled(ours)
    scaled.cloud.emulator.knobs(settle=60)
    scaled.cloud.asg.start_instance_refresh(AutoScalingGroupName="web")
    assert "instance refresh" in scaled.provider.foreign("web")


# --- what is missing -------------------------------------------------------------------------------------------------


def test_things_that_are_not_there_are_named(ours):
    ours.run()
    provider = ours.provider(web={"select": {"tag:role": "web"}, "traffic": {"target_group": "nowhere"}})
    with pytest.raises(NotFound, match="there is no target group nowhere in us-east-1"):
        provider.traffic.targets("web")
    launch = {"web": {"launch": {"template": "web", "version": 7}}}
    ours.cloud.ec2.create_launch_template(LaunchTemplateName="web", LaunchTemplateData={"InstanceType": "t3.micro"})
    compute = ours.provider(launch, web={"select": {"tag:role": "web"}}).compute
    assert "version" in compute.preflight(ours.request("web/0")).lower()
    assert compute.list({})[0].state is InstanceState.RUNNING
