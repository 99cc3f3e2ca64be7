"""Classic Load Balancers:
https://docs.aws.amazon.com/elasticloadbalancing/2012-06-01/APIReference/API_InstanceState.html
"""

import pytest
from emulated import OTHER_ZONE, ZONE, refused

SERVES = ("InService", "N/A", "N/A")
NEW = ("OutOfService", "ELB", "Instance registration is still in progress.")
DRAINS = ("InService", "N/A", "Instance deregistration currently in progress.")
GONE = ("OutOfService", "Instance", "Instance is not currently registered with the LoadBalancer.")


class Balancer:
    """One, in both zones, by plain boto3."""

    def __init__(self, cloud, name="web", *, drain=30, subnets=None):
        self.name, self.elb = name, cloud.emulator.client("elb")
        listener = {"Protocol": "HTTP", "LoadBalancerPort": 80, "InstancePort": 8080}
        self.elb.create_load_balancer(
            LoadBalancerName=name,
            Listeners=[listener],
            Subnets=subnets or [cloud.subnets[ZONE], cloud.subnets[OTHER_ZONE]],
        )
        if drain:
            self.draining(Enabled=True, Timeout=drain)

    def draining(self, **said):
        self.elb.modify_load_balancer_attributes(
            LoadBalancerName=self.name, LoadBalancerAttributes={"ConnectionDraining": said}
        )

    def put(self, *idents):
        return self.elb.register_instances_with_load_balancer(
            LoadBalancerName=self.name, Instances=[{"InstanceId": one} for one in idents]
        )["Instances"]

    def take(self, *idents):
        return self.elb.deregister_instances_from_load_balancer(
            LoadBalancerName=self.name, Instances=[{"InstanceId": one} for one in idents]
        )["Instances"]

    def health(self, *idents):
        named = {"Instances": [{"InstanceId": one} for one in idents]} if idents else {}
        found = self.elb.describe_instance_health(LoadBalancerName=self.name, **named)["InstanceStates"]
        return {one["InstanceId"]: (one["State"], one["ReasonCode"], one["Description"]) for one in found}


@pytest.fixture
def balancer(cloud):
    return Balancer(cloud)


def test_a_new_instance_is_out_of_service_until_it_was_looked_at_often_enough(cloud, emulator, balancer):
    """API_InstanceState.html: the descriptions, and whether the reason is the load balancer's (ELB)."""
    emulator.knobs(checks=3)
    (one,) = cloud.run()
    assert balancer.put(one) == [{"InstanceId": one}]
    assert [balancer.health()[one] for _ in range(4)] == [NEW, NEW, SERVES, SERVES]


def test_what_fails_its_checks_is_out_of_service(backed, matter):
    matter.answers["health"] = lambda _: (200, {"healthy": False, "why": "500"})
    (one,) = backed.run()
    made = Balancer(backed)
    made.put(one)
    state, reason, said = made.health()[one]
    assert (state, reason) == ("OutOfService", "Instance")
    assert "failed at least the UnhealthyThreshold number of health checks" in said
    assert matter.said("targets")[-1]["group"] == "web"


@pytest.mark.parametrize("listed", [True, False])
def test_a_deregistered_instance_drains_for_as_long_as_it_is_said_and_is_gone(cloud, emulator, balancer, listed):
    """config-conn-drain.html: "InService: Instance deregistration currently in progress" until the timeout, then
    "OutOfService: Instance is not currently registered with the load balancer". API_DescribeInstanceHealth.html lists
    those "currently registered", and leaves open whether one that drains is among them.
    """
    emulator.knobs(classic_lists_draining=listed)
    (one,) = cloud.run()
    balancer.put(one)
    balancer.health()
    assert balancer.take(one) == []
    assert balancer.health() == ({one: DRAINS} if listed else {})
    emulator.forward(20)
    assert balancer.health(one) == {one: DRAINS}
    emulator.forward(11)
    assert balancer.health() == {}
    assert balancer.health(one) == {one: GONE}


def test_registering_it_again_ends_its_draining(cloud, emulator, balancer):
    (one,) = cloud.run()
    balancer.put(one)
    balancer.take(one)
    balancer.put(one)
    emulator.forward(60)
    assert balancer.health() == {one: SERVES}


def test_deregistering_twice_does_not_begin_the_delay_again(cloud, emulator, balancer):
    one, other = cloud.run(count=2)
    balancer.put(one)
    balancer.take(one)
    emulator.forward(20)
    balancer.take(one, other)
    emulator.forward(11)
    assert balancer.health(one) == {one: GONE}


def test_without_connection_draining_it_is_cut_off_at_once(cloud):
    """API_ConnectionDraining.html; an API's new load balancer has none."""
    made = Balancer(cloud, drain=0)
    asked = made.elb.describe_load_balancer_attributes(LoadBalancerName="web")["LoadBalancerAttributes"]
    assert asked["ConnectionDraining"]["Enabled"] is False
    (one,) = cloud.run()
    made.put(one)
    made.take(one)
    assert made.health(one) == {one: GONE}


def test_its_timeout_is_from_one_second_to_an_hour(cloud, balancer):
    """config-conn-drain.html: "between 1 and 3,600 seconds", and 300 where nothing is said."""
    for wrong in (0, 3601):
        with refused("ValidationError"):
            balancer.draining(Enabled=True, Timeout=wrong)
    balancer.draining(Enabled=True)
    asked = balancer.elb.describe_load_balancer_attributes(LoadBalancerName="web")["LoadBalancerAttributes"]
    assert asked["ConnectionDraining"] == {"Enabled": True, "Timeout": 300}


def test_who_is_not_there_is_an_invalid_instance(cloud, balancer):
    """API_RegisterInstancesWithLoadBalancer.html, Errors: InvalidInstance (InvalidEndPoint)."""
    for work in (balancer.put, balancer.take, balancer.health):
        with refused("InvalidInstance"):
            work("i-0123456789abcdef0")
    vpc = cloud.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnet = cloud.ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.1.0/24", AvailabilityZone=ZONE)["Subnet"]["SubnetId"]
    (far,) = cloud.run(SubnetId=subnet)
    with refused("InvalidInstance"):
        balancer.put(far)


def test_a_load_balancer_that_is_not_there_is_said(cloud, balancer):
    elb = balancer.elb
    for work in ("describe_instance_health", "describe_load_balancer_attributes"):
        with refused("LoadBalancerNotFound"):
            getattr(elb, work)(LoadBalancerName="other")
    with refused("LoadBalancerNotFound"):
        elb.register_instances_with_load_balancer(LoadBalancerName="other", Instances=[])


def test_stopped_ended_and_in_another_zone(cloud, balancer):
    """API_InstanceState.html: "Instance is in stopped state.", and the zone that it does not route to."""
    one, other = cloud.run(count=2)
    balancer.put(one, other)
    cloud.ec2.stop_instances(InstanceIds=[one])
    cloud.state(one)
    assert balancer.health(one)[one] == ("OutOfService", "Instance", "Instance is in stopped state.")
    cloud.ec2.terminate_instances(InstanceIds=[other])
    cloud.state(other)
    assert list(balancer.health()) == [one]
    single = Balancer(cloud, "single", subnets=[cloud.subnets[OTHER_ZONE]])
    (third,) = cloud.run()
    single.put(third)
    assert single.health()[third][:2] == ("OutOfService", "ELB")


class TestAutoScaling:
    """https://docs.aws.amazon.com/autoscaling/ec2/userguide/autoscaling-load-balancer.html"""

    @pytest.fixture
    def group(self, cloud, balancer):
        data = {"ImageId": cloud.image, "InstanceType": "t3.micro"}
        cloud.ec2.create_launch_template(LaunchTemplateName="web", LaunchTemplateData=data)
        cloud.asg.create_auto_scaling_group(
            AutoScalingGroupName="web",
            MinSize=0,
            MaxSize=3,
            DesiredCapacity=2,
            LaunchTemplate={"LaunchTemplateName": "web"},
            LoadBalancerNames=["web"],
            VPCZoneIdentifier=cloud.subnets[ZONE],
        )
        cloud.emulator.forward(1)
        return balancer

    def members(self, cloud):
        (group,) = cloud.asg.describe_auto_scaling_groups()["AutoScalingGroups"]
        return {one["InstanceId"]: one["LifecycleState"] for one in group["Instances"]}

    def test_members_are_behind_it_and_standby_takes_one_out_once_it_has_drained(self, cloud, emulator, group):
        """https://docs.aws.amazon.com/autoscaling/ec2/userguide/as-enter-exit-standby.html"""
        one, other = sorted(self.members(cloud))
        assert set(group.health()) == {one, other}
        cloud.asg.enter_standby(AutoScalingGroupName="web", InstanceIds=[one], ShouldDecrementDesiredCapacity=True)
        assert self.members(cloud)[one] == "EnteringStandby"
        assert group.health(one) == {one: DRAINS}
        emulator.forward(31)
        assert self.members(cloud)[one] == "Standby"
        assert set(group.health()) == {other}
        cloud.asg.exit_standby(AutoScalingGroupName="web", InstanceIds=[one])
        assert self.members(cloud)[one] == "InService"
        assert set(group.health()) == {one, other}

    def test_detaching_it_takes_all_out_and_attaching_puts_them_back(self, cloud, emulator, group):
        """API_DetachLoadBalancers.html, API_AttachLoadBalancers.html"""
        cloud.asg.detach_load_balancers(AutoScalingGroupName="web", LoadBalancerNames=["web"])
        emulator.forward(31)
        assert group.health() == {}
        cloud.asg.attach_load_balancers(AutoScalingGroupName="web", LoadBalancerNames=["web"])
        assert set(group.health()) == set(self.members(cloud))
