"""Target groups: https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetHealth.html"""

from emulated import OTHER_ZONE, refused

DRAINS = ("draining", "Target.DeregistrationInProgress")
GONE = ("unused", "Target.NotRegistered")


def put(cloud, arn, *targets):
    cloud.elb.register_targets(TargetGroupArn=arn, Targets=[{"Id": one} for one in targets])


def take(cloud, arn, *targets):
    cloud.elb.deregister_targets(TargetGroupArn=arn, Targets=[{"Id": one} for one in targets])


def test_a_new_target_is_initial_until_it_was_looked_at_often_enough(cloud, emulator):
    """Elb.InitialHealthChecking: the minimum number of health checks is not reached."""
    emulator.knobs(checks=3)
    (one,), arn = cloud.run(), cloud.group()
    put(cloud, arn, one)
    seen = [cloud.health(arn)[one] for _ in range(4)]
    assert seen == [("initial", "Elb.InitialHealthChecking")] * 2 + [("healthy", None)] * 2


def test_a_target_of_a_group_that_no_load_balancer_uses_is_unused(cloud):
    """Target.NotInUse"""
    (one,), arn = cloud.run(), cloud.group(listener=False)
    put(cloud, arn, one)
    assert cloud.health(arn) == {one: ("unused", "Target.NotInUse")}
    take(cloud, arn, one)
    assert cloud.health(arn) == {}


def test_a_deregistered_target_drains_for_as_long_as_its_group_says_and_is_gone(cloud, emulator):
    """edit-target-group-attributes.html, deregistration delay"""
    (one,), arn = cloud.run(), cloud.group(delay=30)
    put(cloud, arn, one)
    take(cloud, arn, one)
    assert cloud.health(arn) == {one: DRAINS}
    emulator.forward(20)
    assert cloud.health(arn, one) == {one: DRAINS}
    emulator.forward(11)
    assert cloud.health(arn) == {}
    assert cloud.health(arn, one) == {one: GONE}


def test_registering_it_again_ends_its_draining(cloud, emulator):
    (one,), arn = cloud.run(), cloud.group(delay=30)
    put(cloud, arn, one)
    take(cloud, arn, one)
    put(cloud, arn, one)
    assert cloud.health(arn) == {one: ("healthy", None)}
    emulator.forward(60)
    assert cloud.health(arn) == {one: ("healthy", None)}


def test_deregistering_twice_does_not_begin_the_delay_again_and_a_stranger_is_no_error(cloud, emulator):
    """API_DeregisterTargets.html: if the specified target does not exist, the action returns successfully."""
    (one, other), arn = cloud.run(count=2), cloud.group(delay=30)
    put(cloud, arn, one)
    take(cloud, arn, one)
    emulator.forward(20)
    take(cloud, arn, one, other)
    emulator.forward(11)
    assert cloud.health(arn) == {}


def test_a_stopped_target_is_unused_and_comes_back_by_itself(cloud):
    """Target.InvalidState: the target is in the stopped or terminated state."""
    (one,), arn = cloud.run(), cloud.group()
    put(cloud, arn, one)
    cloud.ec2.stop_instances(InstanceIds=[one])
    assert cloud.health(arn) == {one: ("unused", "Target.InvalidState")}
    cloud.ec2.start_instances(InstanceIds=[one])
    assert cloud.health(arn) == {one: ("healthy", None)}


def test_a_terminated_target_is_deregistered(cloud, emulator):
    (one, other), arn = cloud.run(count=2), cloud.group(delay=30)
    put(cloud, arn, one, other)
    cloud.ec2.terminate_instances(InstanceIds=[one])
    assert cloud.health(arn) == {one: DRAINS, other: ("healthy", None)}
    emulator.forward(31)
    assert cloud.health(arn) == {other: ("healthy", None)}


def test_only_a_running_instance_can_be_a_target_and_all_or_none_are_registered(cloud):
    """API_RegisterTargets.html, InvalidTarget"""
    (one, other), arn = cloud.run(count=2), cloud.group()
    cloud.ec2.stop_instances(InstanceIds=[other])
    for wrong in (other, "i-0123456789abcdef0"):
        with refused("InvalidTarget"):
            put(cloud, arn, one, wrong)
    assert cloud.health(arn) == {}


def test_an_instance_is_a_target_once_for_each_port(cloud):
    """API_DeregisterTargets.html: a port that was given to register must be given to deregister."""
    (one,), arn = cloud.run(), cloud.group()
    cloud.elb.register_targets(TargetGroupArn=arn, Targets=[{"Id": one}, {"Id": one, "Port": 9090}])
    take(cloud, arn, one)
    found = cloud.elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
    assert {one["Target"]["Port"]: one["TargetHealth"]["State"] for one in found} == {8080: "draining", 9090: "healthy"}


def test_the_matter_says_who_is_healthy_and_is_asked_at_every_look(matter, backed):
    (one,), arn = backed.run(SubnetId=backed.subnets[OTHER_ZONE]), backed.group()
    put(backed, arn, one)
    says = {"healthy": False, "why": "connection refused"}
    matter.answers["health"] = lambda _: (200, says)
    found = backed.elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"][0]["TargetHealth"]
    assert (found["State"], found["Reason"]) == ("unhealthy", "Target.FailedHealthChecks")
    assert found["Description"] == "connection refused"
    (asked,) = matter.said("health")
    address = backed.instance(one)["PrivateIpAddress"]
    assert (asked["group"], asked["id"], asked["address"], asked["port"]) == (arn, one, address, 8080)
    says["healthy"] = True
    assert backed.health(arn) == {one: ("healthy", None)}


def test_the_matter_hears_who_its_targets_are_whenever_that_changes(matter, backed, matter_process):
    (one,), arn = backed.run(), backed.group(delay=30)
    put(backed, arn, one)
    backed.health(arn)
    backed.health(arn)
    take(backed, arn, one)
    matter_process[1].forward(31)
    backed.health(arn)
    said = [[each["state"] for each in order["targets"]] for order in matter.said("targets")]
    assert said == [["initial"], ["healthy"], ["draining"], []]
    first = matter.said("targets")[0]
    assert (first["group"], first["port"], first["targets"][0]["id"]) == (arn, 8080, one)
    assert first["targets"][0]["address"] == backed.instance(one)["PrivateIpAddress"]
