"""What is denied is denied in each service's own words, IAM's simulator says so, and a dry run changes nothing."""

import pytest
from emulated import ACCOUNT, refused

USER = f"arn:aws:iam::{ACCOUNT}:user/somebody"


def test_what_is_denied_is_refused_in_the_services_words_until_it_is_permitted(cloud, emulator):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html"""
    (one,) = cloud.run()
    emulator.knobs(denied=["ec2:StopInstances", "elasticloadbalancing:DescribeTargetGroups", "ssm:DescribeSessions"])
    with refused("UnauthorizedOperation"):
        cloud.ec2.stop_instances(InstanceIds=[one])
    with refused("AccessDenied"):
        cloud.elb.describe_target_groups()
    with refused("AccessDeniedException"):
        emulator.client("ssm").describe_sessions(State="Active")
    cloud.ec2.describe_instances()
    emulator.knobs(denied=[])
    cloud.ec2.stop_instances(InstanceIds=[one])


@pytest.mark.parametrize("wanted", ["terminate_instances", "stop_instances"])
def test_a_dry_run_says_whether_it_is_permitted_and_does_nothing(cloud, emulator, wanted):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/CommonParameters.html: DryRun."""
    (one,) = cloud.run()
    with refused("DryRunOperation") as caught:
        getattr(cloud.ec2, wanted)(InstanceIds=[one], DryRun=True)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 412
    emulator.knobs(denied=["ec2:TerminateInstances", "ec2:StopInstances"])
    with refused("UnauthorizedOperation"):
        getattr(cloud.ec2, wanted)(InstanceIds=[one], DryRun=True)
    assert cloud.state(one) == "running"


def test_the_dry_run_of_a_launch_looks_at_its_parameters_too(cloud):
    with refused("InvalidAMIID.NotFound"):
        cloud.run(ImageId="ami-0123456789abcdef0", DryRun=True)
    with refused("DryRunOperation"):
        cloud.run(DryRun=True)


def test_iams_simulator_says_what_would_be_denied(emulator):
    """https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html"""
    emulator.knobs(denied=["autoscaling:EnterStandby"])
    iam = emulator.client("iam")
    said = iam.simulate_principal_policy(
        PolicySourceArn=USER,
        ActionNames=["autoscaling:EnterStandby", "autoscaling:ExitStandby"],
        ResourceArns=["arn:aws:autoscaling:us-east-1:123456789012:autoScalingGroup:x:autoScalingGroupName/web"],
    )
    found = {one["EvalActionName"]: one["EvalDecision"] for one in said["EvaluationResults"]}
    assert found == {"autoscaling:EnterStandby": "implicitDeny", "autoscaling:ExitStandby": "allowed"}


def test_iams_simulator_takes_no_session_of_a_role(emulator):
    """https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html: PolicySourceArn."""
    session = f"arn:aws:sts::{ACCOUNT}:assumed-role/driftd/session"
    with refused("InvalidInput"):
        emulator.client("iam").simulate_principal_policy(PolicySourceArn=session, ActionNames=["ec2:StopInstances"])
