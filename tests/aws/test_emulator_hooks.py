"""Lifecycle hooks and instance refreshes of Auto Scaling groups.

https://docs.aws.amazon.com/autoscaling/ec2/userguide/lifecycle-hooks-overview.html
https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_StartInstanceRefresh.html
"""

import pytest
from emulated import refused
from test_emulator_scaling import described, end, group, members, states, template

LAUNCHING, TERMINATING = "autoscaling:EC2_INSTANCE_LAUNCHING", "autoscaling:EC2_INSTANCE_TERMINATING"


def hook(name, transition, **said):
    return {"LifecycleHookName": name, "LifecycleTransition": transition, "HeartbeatTimeout": 100, **said}


def put(cloud, name, transition, **said):
    cloud.asg.put_lifecycle_hook(AutoScalingGroupName="web", **hook(name, transition, **said))


def complete(cloud, name, ident, result="CONTINUE"):
    cloud.asg.complete_lifecycle_action(
        AutoScalingGroupName="web", LifecycleHookName=name, InstanceId=ident, LifecycleActionResult=result
    )


def test_a_launching_instance_waits_and_is_no_target_until_somebody_says_go_on(cloud):
    arn = cloud.group()
    (one,) = group(cloud, size=1, TargetGroupARNs=[arn], LifecycleHookSpecificationList=[hook("look", LAUNCHING)])
    assert members(cloud) == {one: "Pending:Wait"}
    assert cloud.health(arn) == {}
    complete(cloud, "look", one)
    assert members(cloud) == {one: "InService"}
    assert cloud.health(arn) == {one: ("healthy", None)}


def test_an_abandoned_launch_is_ended_and_begun_anew(cloud):
    (one,) = group(cloud, size=1, LifecycleHookSpecificationList=[hook("look", LAUNCHING)])
    complete(cloud, "look", one, "ABANDON")
    (two,) = members(cloud)
    assert two != one
    assert cloud.state(one) == "terminated"


@pytest.mark.parametrize(("result", "state"), [("CONTINUE", "InService"), ("ABANDON", "Pending:Wait")])
def test_a_wait_that_is_too_long_ends_as_its_hook_says(cloud, emulator, result, state):
    """API_PutLifecycleHook.html, HeartbeatTimeout and DefaultResult"""
    said = [hook("look", LAUNCHING, DefaultResult=result)]
    (one,) = group(cloud, size=1, LifecycleHookSpecificationList=said)
    emulator.forward(99)
    assert members(cloud) == {one: "Pending:Wait"}
    emulator.forward(2)
    now = members(cloud)
    assert list(now.values()) == [state]
    assert (one in now) is (result == "CONTINUE")


def test_a_heartbeat_begins_the_time_anew(cloud, emulator):
    """API_RecordLifecycleActionHeartbeat.html"""
    (one,) = group(cloud, size=1)
    put(cloud, "save", TERMINATING)
    end(cloud, one)
    emulator.forward(80)
    cloud.asg.record_lifecycle_action_heartbeat(AutoScalingGroupName="web", LifecycleHookName="save", InstanceId=one)
    emulator.forward(80)
    assert members(cloud)[one] == "Terminating:Wait"
    emulator.forward(21)
    assert one not in members(cloud)


def test_an_ending_instance_waits_after_it_has_drained_and_lives_until_it_may_go(cloud, emulator):
    """lifecycle-hooks-overview.html: deregistered and drained first, then Terminating:Wait."""
    arn = cloud.group(delay=30)
    (one,) = group(cloud, size=1, TargetGroupARNs=[arn])
    put(cloud, "save", TERMINATING)
    end(cloud, one)
    assert members(cloud)[one] == "Terminating"
    emulator.forward(31)
    assert (members(cloud)[one], cloud.state(one)) == ("Terminating:Wait", "running")
    complete(cloud, "save", one)
    assert one not in members(cloud)
    assert cloud.state(one) == "terminated"


def test_every_hook_of_a_transition_is_waited_for_unless_one_abandons(cloud):
    (one,) = group(cloud, size=1)
    put(cloud, "save", TERMINATING)
    put(cloud, "tell", TERMINATING)
    end(cloud, one)
    complete(cloud, "save", one)
    assert members(cloud)[one] == "Terminating:Wait"
    complete(cloud, "tell", one, "ABANDON")
    assert one not in members(cloud)


def test_completing_what_does_not_wait_is_refused(cloud):
    (one,) = group(cloud, size=1)
    put(cloud, "save", TERMINATING)
    with refused("ValidationError"):
        complete(cloud, "save", one)
    with refused("ValidationError"):
        cloud.asg.record_lifecycle_action_heartbeat(
            AutoScalingGroupName="web", LifecycleHookName="save", InstanceId=one
        )


def refresh(cloud, **said):
    return cloud.asg.start_instance_refresh(AutoScalingGroupName="web", **said)["InstanceRefreshId"]


def shown(cloud, ident=None):
    wanted = {"InstanceRefreshIds": [ident]} if ident else {}
    return cloud.asg.describe_instance_refreshes(AutoScalingGroupName="web", **wanted)["InstanceRefreshes"]


def test_a_refresh_replaces_all_and_never_goes_below_what_must_be_healthy(cloud, emulator):
    """API_RefreshPreferences.html, MinHealthyPercentage"""
    before = group(cloud, size=4)
    emulator.knobs(settle=60)
    ident = refresh(cloud, Preferences={"MinHealthyPercentage": 50})
    least = 4
    for _ in range(40):
        now = list(members(cloud).values())
        least = min(least, now.count("InService"))
        if shown(cloud, ident)[0]["Status"] == "Successful":
            break
        emulator.forward(30)
    found = shown(cloud, ident)[0]
    assert (found["Status"], found["PercentageComplete"], found["InstancesToUpdate"]) == ("Successful", 100, 0)
    assert least == 2
    assert not set(before) & set(members(cloud))
    assert states(cloud) == ["InService"] * 4


def test_a_refresh_can_bring_a_new_version_and_skip_who_has_it(cloud):
    template(cloud)
    group(cloud)
    cloud.ec2.create_launch_template_version(
        LaunchTemplateName="web", SourceVersion="1", LaunchTemplateData={"InstanceType": "m5.large"}
    )
    wanted = {"LaunchTemplate": {"LaunchTemplateName": "web", "Version": "2"}}
    refresh(cloud, DesiredConfiguration=wanted)
    for _ in range(3):
        members(cloud)
    assert shown(cloud)[0]["Status"] == "Successful"
    assert {one["LaunchTemplate"]["Version"] for one in described(cloud)["Instances"]} == {"2"}
    before = members(cloud)
    refresh(cloud, DesiredConfiguration=wanted, Preferences={"SkipMatching": True})
    assert shown(cloud)[0]["Status"] == "Successful"
    assert members(cloud) == before


def test_one_refresh_at_a_time_and_it_can_be_cancelled(cloud, emulator):
    """API_CancelInstanceRefresh.html: it does not roll back, and what is being replaced is finished."""
    before = group(cloud, size=3)
    with refused("ActiveInstanceRefreshNotFound"):
        cloud.asg.cancel_instance_refresh(AutoScalingGroupName="web")
    emulator.knobs(settle=60)
    ident = refresh(cloud)
    members(cloud)
    with refused("InstanceRefreshInProgress"):
        refresh(cloud)
    assert cloud.asg.cancel_instance_refresh(AutoScalingGroupName="web")["InstanceRefreshId"] == ident
    assert shown(cloud)[0]["Status"] == "Cancelling"
    for _ in range(4):
        emulator.forward(61)
        members(cloud)
    assert shown(cloud)[0]["Status"] == "Cancelled"
    assert len(set(before) & set(members(cloud))) == 2


def test_a_refresh_fails_when_what_is_protected_is_in_its_way_for_an_hour(cloud, emulator):
    """API_RefreshPreferences.html, ScaleInProtectedInstances"""
    one, _other = group(cloud)
    cloud.asg.set_instance_protection(AutoScalingGroupName="web", InstanceIds=[one], ProtectedFromScaleIn=True)
    refresh(cloud)
    assert shown(cloud)[0]["Status"] == "InProgress"
    emulator.forward(3601)
    assert shown(cloud)[0]["Status"] == "Failed"
    assert one in members(cloud)
