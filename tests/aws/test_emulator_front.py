"""The emulator's own doors: calls are counted, faults fall as AWS's do, knobs turn, and its process ends."""

import signal
import subprocess

import pytest
from botocore.exceptions import ConnectionClosedError
from emulated import ACCOUNT, Cloud, Emulator, refused


def test_calls_are_counted_by_operation_until_they_are_forgotten(emulator):
    ec2 = emulator.client("ec2")
    ec2.describe_volumes()
    ec2.describe_volumes()
    emulator.client("autoscaling").describe_auto_scaling_groups()
    assert emulator.calls() == {"DescribeVolumes": 2, "DescribeAutoScalingGroups": 1}
    emulator.forget_calls()
    assert emulator.calls() == {}


@pytest.mark.parametrize(
    ("kind", "code", "status"),
    [
        ("throttle", "RequestLimitExceeded", 503),
        ("500", "InternalError", 500),
        ("denied", "UnauthorizedOperation", 403),
        ("expired", "RequestExpired", 400),
        ("capacity", "InsufficientInstanceCapacity", 500),
    ],
)
def test_ec2_fails_as_its_page_of_errors_says_and_only_as_often_as_told(cloud, emulator, kind, code, status):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html"""
    emulator.fault("RunInstances", kind, times=2)
    for _ in range(2):
        with refused(code) as caught:
            cloud.run()
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert len(cloud.run()) == 1


@pytest.mark.parametrize(
    ("service", "operation", "call", "kind", "code"),
    [
        ("autoscaling", "DescribeAutoScalingGroups", "describe_auto_scaling_groups", "throttle", "Throttling"),
        ("elbv2", "DescribeTargetGroups", "describe_target_groups", "denied", "AccessDenied"),
        ("elbv2", "DescribeTargetGroups", "describe_target_groups", "expired", "ExpiredToken"),
        ("ssm", "DescribeParameters", "describe_parameters", "throttle", "ThrottlingException"),
        ("ssm", "DescribeParameters", "describe_parameters", "denied", "AccessDeniedException"),
    ],
)
def test_the_other_services_fail_in_their_own_words(emulator, service, operation, call, kind, code):
    """https://docs.aws.amazon.com/autoscaling/ec2/APIReference/CommonErrors.html and its neighbours."""
    emulator.fault(operation, kind)
    client = emulator.client(service)
    with refused(code):
        getattr(client, call)()
    getattr(client, call)()


def test_a_connection_that_is_cut_after_the_work_leaves_the_work_done(cloud, emulator):
    emulator.fault("CreateVolume", "timeout-after")
    with pytest.raises(ConnectionClosedError):
        cloud.ec2.create_volume(Size=1, AvailabilityZone="us-east-1a", ClientToken="once")
    before = cloud.ec2.describe_volumes(Filters=[{"Name": "size", "Values": ["1"]}])["Volumes"]
    assert len(before) == 1
    assert (
        cloud.ec2.create_volume(Size=1, AvailabilityZone="us-east-1a", ClientToken="once")["VolumeId"]
        == before[0]["VolumeId"]
    )


def test_a_connection_that_is_cut_before_the_work_leaves_nothing(cloud, emulator):
    emulator.fault("CreateVolume", "timeout-before")
    with pytest.raises(ConnectionClosedError):
        cloud.ec2.create_volume(Size=1, AvailabilityZone="us-east-1a")
    assert cloud.ec2.describe_volumes(Filters=[{"Name": "size", "Values": ["1"]}])["Volumes"] == []


def test_boto_retries_what_was_cut_with_the_same_token_and_launches_once(cloud, emulator):
    """https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html: an SDK makes up a token of its own."""
    emulator.fault("RunInstances", "timeout-after")
    cloud.ec2 = emulator.client("ec2", retries={"total_max_attempts": 3, "mode": "standard"})
    (made,) = cloud.run()
    assert emulator.calls()["RunInstances"] == 2
    found = cloud.ec2.describe_instances()["Reservations"]
    assert [one["InstanceId"] for each in found for one in each["Instances"]] == [made]


def test_a_knob_or_fault_that_is_none_is_refused(emulator):
    for what, said in (("knobs", {"speed": 1}), ("faults", {"operation": "X", "kind": "boredom"})):
        with pytest.raises(OSError, match="400"):
            emulator.control(what, said)
    with pytest.raises(OSError, match="404"):
        emulator.control("weather", {})


def test_knobs_are_put_back_by_a_reset_and_so_is_everything_else(emulator):
    cloud = Cloud(emulator)
    cloud.run()
    emulator.knobs(settle=9, lag=9)
    emulator.fault("RunInstances", "500")
    emulator.reset()
    assert emulator.control("knobs")["settle"] == 0
    assert emulator.control("faults") == []
    assert emulator.client("ec2").describe_instances()["Reservations"] == []


def test_the_account_is_the_one_that_was_asked_for(cloud):
    (made,) = cloud.run()
    assert cloud.ec2.describe_instances(InstanceIds=[made])["Reservations"][0]["OwnerId"] == ACCOUNT


@pytest.mark.parametrize("how", ["stdin", "SIGTERM"])
def test_it_ends_when_its_stdin_does_or_on_sigterm(how):
    started = Emulator()
    if how == "SIGTERM":
        started.process.send_signal(signal.SIGTERM)
    else:
        started.process.stdin.close()
    assert started.process.wait(10) == 0
    started.process.stdout.close()
    if how == "SIGTERM":
        started.process.stdin.close()


def test_a_matter_that_fails_makes_the_call_an_internal_error_and_leaves_no_record(matter, backed):
    matter.answers["launch"] = lambda _: (500, {"why": "no kernel"})
    with refused("InternalError") as caught:
        backed.run()
    assert "no kernel" in str(caught.value)
    assert backed.ec2.describe_instances()["Reservations"] == []
    assert not any(one["Attachments"] for one in backed.ec2.describe_volumes()["Volumes"])
    matter.answers.clear()
    assert len(backed.run()) == 1


@pytest.mark.parametrize(
    ("service", "call", "said"),
    [
        (
            "ec2",
            "create_capacity_reservation",
            {"InstanceType": "t3.micro", "InstancePlatform": "Linux/UNIX", "InstanceCount": 1},
        ),
        ("autoscaling", "describe_notification_configurations", {}),
    ],
)
def test_what_moto_does_not_play_is_a_plain_error_and_not_a_broken_answer(emulator, service, call, said):
    with refused("NotImplementedByTheEmulator"):
        getattr(emulator.client(service), call)(**said)


def test_the_matter_may_use_other_services_while_a_launch_waits_for_it(matter, backed, matter_process):
    ssm, seen = matter_process[1].client("ssm"), []

    def launch(_):
        seen.append(ssm.describe_parameters()["Parameters"])
        return 200, {}

    matter.answers["launch"] = launch
    backed.run()
    assert seen == [[]]


def test_without_the_matter_that_was_promised_calls_fail():
    started = Emulator("--matter", "http://127.0.0.1:9/")
    try:
        with refused("InternalError"):
            Cloud(started).run()
    finally:
        started.close()


def test_wrong_arguments_say_what_is_right():
    from emulated import EMULATOR, PYTHON

    done = subprocess.run([PYTHON, EMULATOR, "--speed", "1"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--settle SECONDS" in done.stderr
