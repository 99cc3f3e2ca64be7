"""Groups behind classic load balancers, where AWS is unkind: the emulator without servers."""

from __future__ import annotations

from uuid import uuid4

import pytest
from emulated import ACCOUNT
from test_emulator_classic import Balancer

from driftd.core.errors import BadInput, NotFound, Refused, Unavailable
from driftd.core.ports import LaunchRequest, TargetState
from driftd.edges.providers.aws import classic
from driftd.edges.providers.aws.provider import create

REGION = "us-east-1"


@pytest.fixture
def made(cloud, monkeypatch):
    """Providers for the traffic that a test wants."""
    iam = cloud.emulator.client("iam")
    iam.create_user(UserName="driftd")
    key = iam.create_access_key(UserName="driftd")["AccessKey"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
    open_ = []

    def make(traffic, **own):
        settings = {"region": REGION, "endpoint": cloud.emulator.url, "host_keys": "known_hosts", "groups": own}
        web = {"select": {} if own.get("web", {}).get("auto_scaling_group") else {"tag:role": "web"}}
        open_.append(create({"settings": settings, "groups": {"web": {**web, "traffic": traffic}}}))
        return open_[-1]

    yield make
    for one in open_:
        one.close()


def run(cloud, number=1):
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "role", "Value": "web"}]}]
    found = cloud.run(number, TagSpecifications=tags)
    cloud.state(found[0])
    return found


def states(provider):
    return {one.instance_id: (one.state, one.connections) for one in provider.traffic.targets("web")}


@pytest.mark.parametrize("listed", [True, False])
def test_one_that_drains_is_busy_until_it_is_gone_whether_it_is_listed_or_not(cloud, emulator, made, listed):
    """What AWS lists while it drains nobody promises: it is asked for by name."""
    emulator.knobs(classic_lists_draining=listed)
    one, other = run(cloud, 2)
    Balancer(cloud, drain=30)
    provider = made({"load_balancer": "web"})
    for each in provider.inventory.find("web"):
        provider.traffic.register("web", each)
    assert states(provider) == dict.fromkeys((one, other), (TargetState.HEALTHY, 1))
    provider.traffic.drain("web", one)
    assert states(provider)[one] == (TargetState.DRAINING, 1)
    with pytest.raises(Refused, match=rf"{one} is draining in load balancer web"):
        provider.traffic.deregister("web", one)
    emulator.forward(20)
    provider.traffic.drain("web", one)  # again, which does not begin the time anew
    emulator.forward(11)
    assert states(provider) == {other: (TargetState.HEALTHY, 1)}
    provider.traffic.deregister("web", one)


def test_a_drain_is_undone_by_registering(cloud, emulator, made):
    (one,) = run(cloud)
    Balancer(cloud).put(one)
    provider = made({"load_balancer": "web"})
    provider.traffic.drain("web", one)
    provider.traffic.register("web", provider.compute.describe(one))
    emulator.forward(60)
    assert states(provider) == {one: (TargetState.HEALTHY, 1)}


def test_without_connection_draining_nobody_is_taken_out_and_nothing_is_launched(cloud, made):
    """Its requests would be cut off. It is said before anything is changed, and again by each call that would."""
    (one,) = run(cloud)
    balancer = Balancer(cloud, drain=0)
    balancer.put(one)
    provider = made({"load_balancer": "web"})
    assert states(provider) == {one: (TargetState.HEALTHY, 1)}, "looking needs none"
    request = LaunchRequest("web", f"web/{one}", cloud.image, uuid4().hex, {})
    assert "no connection draining" in provider.compute.preflight(request)
    with pytest.raises(Refused, match="load balancer web has no connection draining"):
        provider.traffic.drain("web", one)
    (other,) = run(cloud)
    with pytest.raises(Refused, match="no connection draining"):
        provider.traffic.register("web", provider.compute.describe(other))
    assert list(balancer.health()) == [one]
    balancer.draining(Enabled=True, Timeout=5)
    assert provider.compute.preflight(request) == ""
    provider.traffic.drain("web", one)


def test_several_beside_a_target_group_and_the_worst_counts(cloud, emulator, made):
    (one,) = run(cloud)
    arn, first, second = cloud.group("web", delay=10), Balancer(cloud, "first"), Balancer(cloud, "second", drain=60)
    provider = made({"target_group": "web", "load_balancer": "first", "load_balancers": ["second"]})
    provider.traffic.register("web", provider.compute.describe(one))
    assert set(cloud.health(arn)) == set(first.health()) == set(second.health()) == {one}
    provider.traffic.drain("web", one)
    emulator.forward(31)
    assert (cloud.health(arn), first.health()) == ({}, {})
    assert states(provider) == {one: (TargetState.DRAINING, 1)}
    emulator.forward(30)
    assert states(provider) == {}


def test_an_instance_that_is_gone_is_out(cloud, made):
    (one,) = run(cloud)
    balancer = Balancer(cloud)
    balancer.put(one)
    provider = made({"load_balancer": "web"})
    balancer.elb.register_instances_with_load_balancer(LoadBalancerName="web", Instances=[])
    cloud.ec2.terminate_instances(InstanceIds=[one])
    provider.traffic.drain("web", one)
    provider.traffic.deregister("web", one)
    classic.ClassicBalancer(provider.cloud, provider.compute._instances, "web").out("i-0123456789abcdef0")


@pytest.mark.parametrize(
    ("state", "said", "found"),
    [
        ("InService", "N/A", TargetState.HEALTHY),
        ("InService", "Instance deregistration currently in progress.", TargetState.DRAINING),
        ("OutOfService", "Instance registration is still in progress.", TargetState.INITIAL),
        ("OutOfService", "Instance has not passed the configured HealthyThreshold number of …", TargetState.INITIAL),
        ("OutOfService", "Instance is in pending state.", TargetState.INITIAL),
        (
            "OutOfService",
            "Instance is in the EC2 Availability Zone for which LoadBalancer is not …",
            TargetState.INITIAL,
        ),
        ("OutOfService", "Instance has failed at least the UnhealthyThreshold number …", TargetState.UNHEALTHY),
        ("OutOfService", "Instance is in stopped state.", TargetState.UNHEALTHY),
        ("OutOfService", "something new", TargetState.UNHEALTHY),
        ("OutOfService", "Instance is not currently registered with the LoadBalancer.", None),
        ("OutOfService", "Instance is not currently registered with the load balancer", None),
    ],
)
def test_what_is_said_of_an_instance(state, said, found):
    assert classic._state("web", {"InstanceId": "i-1", "State": state, "Description": said}) == found


def test_what_aws_does_not_know_nobody_knows():
    said = {"InstanceId": "i-1", "State": "Unknown", "Description": "A transient error\noccurred."}
    with pytest.raises(Unavailable, match="does not know how i-1 is: A transient error") as caught:
        classic._state("load balancer web", said)
    assert "\n" not in str(caught.value)


def test_one_that_is_not_there_is_named(cloud, made):
    run(cloud)
    provider = made({"load_balancer": "wbe"})
    with pytest.raises(NotFound, match="there is no classic load balancer wbe in us-east-1") as caught:
        provider.traffic.targets("web")
    assert "providers.aws.region" in caught.value.hint


@pytest.mark.parametrize("wrong", ["arn:aws:elasticloadbalancing:x", "a" * 33, "-a", "a-", "a b", "a\n"])
def test_a_name_that_no_classic_load_balancer_has_is_a_mistake(cloud, made, wrong):
    for traffic in ({"load_balancer": wrong}, {"load_balancers": [wrong]}):
        with pytest.raises(BadInput, match=r"groups\.web\.traffic\.load_balancer"):
            made(traffic)


def test_doctor_names_the_rights_that_lack(cloud, emulator, made):
    run(cloud)
    Balancer(cloud)
    provider = made({"load_balancer": "web"})
    four = {
        "elasticloadbalancing:DescribeInstanceHealth",
        "elasticloadbalancing:DescribeLoadBalancerAttributes",
        "elasticloadbalancing:DeregisterInstancesFromLoadBalancer",
        "elasticloadbalancing:RegisterInstancesWithLoadBalancer",
    }
    assert four <= set(provider.rights("web", changing=True).held)
    emulator.knobs(denied=sorted(four))
    found = provider.rights("web", changing=True)
    assert set(found.missing) == four
    assert set(provider.rights("web", changing=False).missing) == {one for one in four if ":Describe" in one}
    emulator.knobs(denied=["elasticloadbalancing:DescribeInstanceHealth"])
    with pytest.raises(Refused, match="elasticloadbalancing:DescribeInstanceHealth"):
        provider.traffic.targets("web")


def test_rights_are_asked_of_the_load_balancer_itself(cloud, made):
    (one,) = run(cloud)
    Balancer(cloud)
    subject = made({"load_balancer": "web"})._trying._subjects.of("web", changing=False)
    assert subject.instance == one
    assert subject.classic_arn == f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:loadbalancer/web"


def test_a_pass_asks_once_more_for_each_that_is_behind_nothing_and_reads_the_region_no_more(cloud, emulator, made):
    one, _ = run(cloud, 2)
    Balancer(cloud).put(one)
    provider = made({"load_balancer": "web"})
    provider.inventory.find("web")
    emulator.forget_calls()
    provider.traffic.targets("web")
    assert emulator.calls() == {"DescribeInstanceHealth": 2}
