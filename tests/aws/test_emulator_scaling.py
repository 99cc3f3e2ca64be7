"""Auto Scaling groups: https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-lifecycle.html"""

import pytest
from emulated import OTHER_ZONE, ZONE, refused


def template(cloud, **said):
    said = {"ImageId": cloud.image, "InstanceType": "t3.micro", **said}
    cloud.ec2.create_launch_template(LaunchTemplateName="web", LaunchTemplateData=said)


def group(cloud, size=2, **said):
    """A group of two zones; its template is made where there is none."""
    if not cloud.ec2.describe_launch_templates()["LaunchTemplates"]:
        template(cloud)
    said = {"MinSize": 0, "MaxSize": 4, "DesiredCapacity": size, **said}
    cloud.asg.create_auto_scaling_group(
        AutoScalingGroupName="web",
        LaunchTemplate={"LaunchTemplateName": "web", "Version": "$Latest"},
        VPCZoneIdentifier=f"{cloud.subnets[ZONE]},{cloud.subnets[OTHER_ZONE]}",
        **said,
    )
    return members(cloud)


def described(cloud):
    return cloud.asg.describe_auto_scaling_groups(AutoScalingGroupNames=["web"])["AutoScalingGroups"][0]


def members(cloud):
    """Instance to lifecycle state."""
    return {one["InstanceId"]: one["LifecycleState"] for one in described(cloud)["Instances"]}


def states(cloud):
    return sorted(members(cloud).values())


def activities(cloud):
    return cloud.asg.describe_scaling_activities(AutoScalingGroupName="web")["Activities"]


def end(cloud, ident, *, smaller=False):
    return cloud.asg.terminate_instance_in_auto_scaling_group(InstanceId=ident, ShouldDecrementDesiredCapacity=smaller)


def test_a_group_launches_in_its_zones_from_its_template_and_registers_its_targets(cloud):
    arn = cloud.group()
    web = cloud.ec2.create_security_group(GroupName="w", Description="w", VpcId=cloud.vpc)["GroupId"]
    template(cloud, SecurityGroupIds=[web])
    made = group(cloud, TargetGroupARNs=[arn], Tags=[{"Key": "role", "Value": "web", "PropagateAtLaunch": True}])
    assert states(cloud) == ["InService", "InService"]
    found = [cloud.instance(one) for one in made]
    assert {one["Placement"]["AvailabilityZone"] for one in found} == {ZONE, OTHER_ZONE}
    assert {each["GroupId"] for one in found for each in one["SecurityGroups"]} == {web}
    tags = {each["Key"]: each["Value"] for each in found[0]["Tags"]}
    assert (tags["role"], tags["aws:autoscaling:groupName"]) == ("web", "web")
    assert cloud.health(arn) == dict.fromkeys(made, ("healthy", None))


def test_an_instance_is_pending_before_it_is_in_service(cloud, emulator):
    emulator.knobs(settle=60)
    group(cloud, size=1)
    assert states(cloud) == ["Pending"]
    emulator.forward(61)
    assert states(cloud) == ["InService"]


def test_activities_tell_what_happened_the_newest_first(cloud):
    """API_DescribeScalingActivities.html"""
    (one,) = group(cloud, size=1)
    said = end(cloud, one)["Activity"]
    assert (said["StatusCode"], said["Description"]) == ("InProgress", f"Terminating EC2 instance: {one}")
    (two,) = members(cloud)
    told = activities(cloud)
    assert {each["Description"] for each in told[:2]} == {
        f"Launching a new EC2 instance: {two}",
        f"Terminating EC2 instance: {one}",
    }
    assert told[2]["Description"] == f"Launching a new EC2 instance: {one}"
    assert {each["StatusCode"] for each in told} == {"Successful"}
    page = cloud.asg.describe_scaling_activities(AutoScalingGroupName="web", MaxRecords=2)
    assert len(page["Activities"]) == 2
    rest = cloud.asg.describe_scaling_activities(AutoScalingGroupName="web", NextToken=page["NextToken"])
    assert [each["ActivityId"] for each in rest["Activities"]] == [told[2]["ActivityId"]]


def test_a_launch_that_fails_is_an_activity_that_failed_and_is_tried_again(cloud, emulator):
    template(cloud)
    cloud.ec2.deregister_image(ImageId=cloud.image)
    assert group(cloud, size=1) == {}
    told = activities(cloud)[0]
    assert told["StatusCode"] == "Failed"
    assert "InvalidAMIID.Unavailable" in told["StatusMessage"]
    cloud.image = cloud.ec2.register_image(Name="new", RootDeviceName="/dev/sda1")["ImageId"]
    cloud.ec2.create_launch_template_version(
        LaunchTemplateName="web", SourceVersion="1", LaunchTemplateData={"ImageId": cloud.image}
    )
    emulator.forward(10)
    assert states(cloud) == ["InService"]
    found = described(cloud)["Instances"][0]
    assert found["LaunchTemplate"]["Version"] == "2"


@pytest.mark.parametrize("how", ["terminate_instances", "stop_instances"])
def test_what_ends_or_stops_behind_the_groups_back_is_replaced(cloud, how):
    """ec2-auto-scaling-health-checks.html"""
    one, other = group(cloud)
    getattr(cloud.ec2, how)(InstanceIds=[one])
    now = members(cloud)
    assert one not in now
    assert (len(now), now[other]) == (2, "InService")
    assert cloud.state(one) == "terminated"


def test_what_is_said_to_be_unhealthy_is_replaced_once_its_grace_is_over(cloud, emulator):
    """API_SetInstanceHealth.html"""
    (one,) = group(cloud, size=1, HealthCheckGracePeriod=300)
    cloud.asg.set_instance_health(InstanceId=one, HealthStatus="Unhealthy")
    assert members(cloud) == {one: "InService"}
    emulator.forward(301)
    cloud.asg.set_instance_health(InstanceId=one, HealthStatus="Unhealthy")
    assert one not in members(cloud)


def test_what_its_load_balancer_finds_unhealthy_is_replaced_where_the_group_says_elb(matter, backed):
    sick = []
    matter.answers["health"] = lambda said: (200, {"healthy": said["id"] not in sick, "why": "500"})
    arn = backed.group(delay=0)
    one, other = group(backed, TargetGroupARNs=[arn], HealthCheckType="ELB", HealthCheckGracePeriod=0)
    backed.health(arn)
    sick.append(one)
    backed.health(arn)
    assert one not in members(backed)
    assert other in members(backed)


def test_an_ending_instance_drains_before_it_ends(cloud, emulator):
    """lifecycle-hooks-overview.html: it is first deregistered, and waits for its connections."""
    arn = cloud.group(delay=30)
    (one,) = group(cloud, size=1, TargetGroupARNs=[arn])
    end(cloud, one)
    assert (members(cloud)[one], cloud.health(arn)[one][0], cloud.state(one)) == ("Terminating", "draining", "running")
    emulator.forward(31)
    assert one not in members(cloud)
    assert cloud.state(one) == "terminated"


def test_sizes_are_kept_to(cloud):
    """API_SetDesiredCapacity.html, API_UpdateAutoScalingGroup.html"""
    group(cloud, size=2, MinSize=1)
    for wrong in (0, 5):
        with refused("ValidationError"):
            cloud.asg.set_desired_capacity(AutoScalingGroupName="web", DesiredCapacity=wrong)
    cloud.asg.set_desired_capacity(AutoScalingGroupName="web", DesiredCapacity=3)
    assert states(cloud) == ["InService"] * 3
    cloud.asg.update_auto_scaling_group(AutoScalingGroupName="web", MaxSize=1)
    assert states(cloud) == ["InService"]
    assert described(cloud)["DesiredCapacity"] == 1


def test_what_is_protected_from_scale_in_stays(cloud):
    one, _other = group(cloud)
    cloud.asg.set_instance_protection(AutoScalingGroupName="web", InstanceIds=[one], ProtectedFromScaleIn=True)
    cloud.asg.set_desired_capacity(AutoScalingGroupName="web", DesiredCapacity=1)
    assert members(cloud) == {one: "InService"}


def test_ending_one_with_a_smaller_group_is_refused_at_its_least_size(cloud):
    """API_TerminateInstanceInAutoScalingGroup.html"""
    one, other = group(cloud, MinSize=1)
    end(cloud, one, smaller=True)
    assert members(cloud) == {other: "InService"}
    with refused("ValidationError"):
        end(cloud, other, smaller=True)
    with refused("ValidationError"):
        end(cloud, "i-0123456789abcdef0")


def test_standby_takes_it_from_its_target_groups_and_back(cloud, emulator):
    """API_EnterStandby.html, API_ExitStandby.html"""
    arn = cloud.group(delay=30)
    one, other = group(cloud, TargetGroupARNs=[arn])
    said = {"AutoScalingGroupName": "web", "InstanceIds": [one]}
    cloud.asg.enter_standby(**said, ShouldDecrementDesiredCapacity=True)
    assert (members(cloud)[one], cloud.health(arn)[one][0]) == ("EnteringStandby", "draining")
    emulator.forward(31)
    assert members(cloud) == {one: "Standby", other: "InService"}
    assert set(cloud.health(arn)) == {other}
    assert described(cloud)["DesiredCapacity"] == 1
    cloud.asg.exit_standby(**said)
    assert members(cloud) == {one: "InService", other: "InService"}
    assert cloud.health(arn)[one] == ("healthy", None)
    assert described(cloud)["DesiredCapacity"] == 2


def test_standby_without_a_smaller_group_is_replaced(cloud):
    one, _other = group(cloud)
    cloud.asg.enter_standby(AutoScalingGroupName="web", InstanceIds=[one], ShouldDecrementDesiredCapacity=False)
    assert states(cloud) == ["InService", "InService", "Standby"]
    assert described(cloud)["DesiredCapacity"] == 2
    cloud.ec2.stop_instances(InstanceIds=[one])
    assert members(cloud)[one] == "Standby", "nobody looks after the health of a standby one"
    assert cloud.state(one) == "stopped"


@pytest.mark.parametrize(("smaller", "desired"), [(False, 1), (True, 0)])
def test_ending_one_in_standby_makes_the_group_smaller_only_where_that_is_said(cloud, smaller, desired):
    """API_TerminateInstanceInAutoScalingGroup.html: nothing there is about standby."""
    one, other = group(cloud)
    cloud.asg.enter_standby(AutoScalingGroupName="web", InstanceIds=[one], ShouldDecrementDesiredCapacity=True)
    assert members(cloud) == {one: "Standby", other: "InService"}
    end(cloud, one, smaller=smaller)
    assert cloud.state(one) == "terminated"
    assert described(cloud)["DesiredCapacity"] == desired
    assert states(cloud) == ["InService"] * desired


def test_standby_below_the_least_size_is_refused(cloud):
    """API_EnterStandby.html: the capacity must stay at the minimum or above."""
    one, _ = group(cloud, MinSize=2)
    with refused("ValidationError"):
        cloud.asg.enter_standby(AutoScalingGroupName="web", InstanceIds=[one], ShouldDecrementDesiredCapacity=True)
    assert states(cloud) == ["InService", "InService"]


def test_attaching_beyond_the_largest_size_is_refused(cloud):
    """API_AttachInstances.html: the operation fails."""
    arn = cloud.group()
    group(cloud, MaxSize=3, TargetGroupARNs=[arn])
    first, second = cloud.run(count=2)
    cloud.asg.attach_instances(AutoScalingGroupName="web", InstanceIds=[first])
    assert members(cloud)[first] == "InService"
    assert cloud.health(arn)[first] == ("healthy", None)
    assert described(cloud)["DesiredCapacity"] == 3
    for wrong in (second, first):
        with refused("ValidationError"):
            cloud.asg.attach_instances(AutoScalingGroupName="web", InstanceIds=[wrong])
    cloud.asg.update_auto_scaling_group(AutoScalingGroupName="web", MaxSize=4)
    cloud.ec2.stop_instances(InstanceIds=[second])
    with refused("ValidationError"):
        cloud.asg.attach_instances(AutoScalingGroupName="web", InstanceIds=[second])


def test_a_detached_instance_drains_and_runs_on(cloud, emulator):
    """API_DetachInstances.html"""
    arn = cloud.group(delay=30)
    one, _other = group(cloud, TargetGroupARNs=[arn])
    cloud.asg.detach_instances(AutoScalingGroupName="web", InstanceIds=[one], ShouldDecrementDesiredCapacity=False)
    assert (members(cloud)[one], cloud.health(arn)[one][0]) == ("Detaching", "draining")
    emulator.forward(31)
    assert one not in members(cloud)
    assert states(cloud) == ["InService", "InService"]
    assert cloud.state(one) == "running"
    assert "aws:autoscaling:groupName" not in {each["Key"] for each in cloud.instance(one).get("Tags", [])}
    with refused("ValidationError"):
        cloud.asg.detach_instances(AutoScalingGroupName="web", InstanceIds=[one], ShouldDecrementDesiredCapacity=True)


@pytest.mark.parametrize("process", ["Launch", "Terminate", "HealthCheck", "ReplaceUnhealthy", "AddToLoadBalancer"])
def test_a_suspended_process_does_not_run(cloud, process):
    """https://docs.aws.amazon.com/autoscaling/ec2/userguide/as-suspend-resume-processes.html"""
    arn = cloud.group(delay=0)
    one, other = group(cloud, TargetGroupARNs=[arn])
    cloud.asg.suspend_processes(AutoScalingGroupName="web", ScalingProcesses=[process])
    cloud.ec2.terminate_instances(InstanceIds=[one])
    replaced = one not in members(cloud) and len(members(cloud)) == 2
    assert replaced is (process == "AddToLoadBalancer")
    health = {each["InstanceId"]: each["HealthStatus"] for each in described(cloud)["Instances"]}
    if process in {"Terminate", "ReplaceUnhealthy"}:
        assert health[one] == "Unhealthy"
    if process == "HealthCheck":
        assert health[one] == "Healthy"
    if process == "AddToLoadBalancer":
        assert set(cloud.health(arn)) == {other}
    cloud.asg.resume_processes(AutoScalingGroupName="web")
    assert one not in members(cloud)
    assert states(cloud) == ["InService", "InService"]


def test_a_group_with_instances_goes_only_by_force_and_takes_them_with_it(cloud):
    """API_DeleteAutoScalingGroup.html"""
    made = group(cloud)
    with refused("ResourceInUse"):
        cloud.asg.delete_auto_scaling_group(AutoScalingGroupName="web")
    cloud.asg.delete_auto_scaling_group(AutoScalingGroupName="web", ForceDelete=True)
    assert [cloud.state(one) for one in made] == ["terminated", "terminated"]
    assert cloud.asg.describe_auto_scaling_groups()["AutoScalingGroups"] == []


def test_a_matter_that_is_away_fails_the_groups_work_and_not_other_calls(matter, backed, matter_process):
    matter.answers["launch"] = lambda _: (500, {"why": "full"})
    assert group(backed, size=1) == {}
    assert "full" in activities(backed)[0]["StatusMessage"]
    matter.answers.clear()
    matter_process[1].forward(10)
    (one,) = members(backed)
    matter.answers["terminate"] = lambda _: (500, {"why": "hung"})
    end(backed, one)
    assert backed.state(one) == "running"
    matter.answers.clear()
    assert backed.state(one) == "terminated"
