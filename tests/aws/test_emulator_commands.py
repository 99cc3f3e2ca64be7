"""The emulator's SSM, EC2 Instance Connect and console: each test says what AWS documents."""

import base64
import re
import time

import pytest
from botocore.exceptions import ClientError
from standing import REGION, Standing

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMOMiMAXcWMHX+3mlA5xNwXkCJO1cVVtNXMOJFlKGRnU somebody"


@pytest.fixture
def aws(matter, matter_process):
    return Standing(matter, matter_process[1])


@pytest.fixture
def ssm(aws):
    return aws.client("ssm")


def refused(call, **asked):
    with pytest.raises(ClientError) as caught:
        call(**asked)
    return caught.value.response["Error"]["Code"]


def says(out="", err="", status=0, after=0.0):
    def answer(_):
        time.sleep(after)
        encoded = {name: base64.b64encode(text.encode()).decode() for name, text in (("out", out), ("err", err))}
        return {"status": status, **encoded}

    return answer


def send(ssm, *instances, commands=("true",), **more):
    parameters = {"commands": list(commands), **more.pop("parameters", {})}
    sent = ssm.send_command(
        DocumentName="AWS-RunShellScript", InstanceIds=list(instances), Parameters=parameters, **more
    )
    return sent["Command"]["CommandId"]


def looked(ssm, command, instance, until=("Success", "Failed", "TimedOut", "Cancelled")):
    for _ in range(200):
        seen = ssm.get_command_invocation(CommandId=command, InstanceId=instance)
        if seen["Status"] in until:
            return seen
        time.sleep(0.03)
    raise AssertionError(seen)


def eventually(what):
    for _ in range(100):
        if what():
            return
        time.sleep(0.05)
    raise AssertionError("never")


class TestManagedInstances:
    def test_running_instances_are_online_with_an_agents_version(self, aws, ssm):
        [one] = aws.launch()
        [seen] = ssm.describe_instance_information()["InstanceInformationList"]
        assert (seen["InstanceId"], seen["PingStatus"], seen["ResourceType"]) == (one, "Online", "EC2Instance")
        assert re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6}){2,3}", seen["AgentVersion"])
        assert seen["PlatformType"] == "Linux"

    def test_a_stopped_one_has_lost_its_connection_and_a_terminated_one_is_not_listed(self, aws, ssm):
        stopped, ended = aws.launch(2)
        aws.client("ec2").stop_instances(InstanceIds=[stopped])
        aws.client("ec2").terminate_instances(InstanceIds=[ended])
        listed = ssm.describe_instance_information()["InstanceInformationList"]
        assert [(one["InstanceId"], one["PingStatus"]) for one in listed] == [(stopped, "ConnectionLost")]

    def test_filters_choose_and_a_strange_one_is_refused(self, aws, ssm):
        [web] = aws.launch(TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "role", "Value": "web"}]}])
        [other] = aws.launch()

        def ids(*filters):
            found = ssm.describe_instance_information(Filters=list(filters))["InstanceInformationList"]
            return {one["InstanceId"] for one in found}

        assert ids({"Key": "tag:role", "Values": ["web"]}) == {web}
        assert ids({"Key": "InstanceIds", "Values": [other]}) == {other}
        assert ids({"Key": "PingStatus", "Values": ["ConnectionLost"]}) == set()
        assert (
            refused(ssm.describe_instance_information, Filters=[{"Key": "Colour", "Values": ["red"]}])
            == "InvalidFilterKey"
        )

    def test_pages(self, aws, ssm):
        ids = set(aws.launch(7))
        seen, token = set(), {}
        while True:
            got = ssm.describe_instance_information(MaxResults=5, **token)
            assert len(got["InstanceInformationList"]) <= 5
            seen |= {one["InstanceId"] for one in got["InstanceInformationList"]}
            if "NextToken" not in got:
                break
            token = {"NextToken": got["NextToken"]}
        assert seen == ids
        assert refused(ssm.describe_instance_information, NextToken="nonsense") == "InvalidNextToken"

    def test_only_what_has_a_role_is_registered_where_that_is_wanted(self, aws, ssm):
        aws.knobs(ssm_needs_role=True)
        aws.client("iam").create_instance_profile(InstanceProfileName="looked-at")
        aws.launch()
        [one] = aws.launch(IamInstanceProfile={"Name": "looked-at"})
        listed = ssm.describe_instance_information()["InstanceInformationList"]
        assert [seen["InstanceId"] for seen in listed] == [one]


class TestRunCommand:
    def test_it_runs_on_the_server_and_says_what_it_said(self, aws, ssm):
        [one] = aws.launch()
        aws.world.answer("command", says("hello\n", "careful\n", after=0.3))
        command = send(ssm, one, commands=["echo hello", "echo careful >&2"], parameters={"executionTimeout": ["60"]})
        seen = looked(ssm, command, one)
        assert (seen["Status"], seen["StatusDetails"], seen["ResponseCode"]) == ("Success", "Success", 0)
        assert (seen["StandardOutputContent"], seen["StandardErrorContent"]) == ("hello\n", "careful\n")
        assert re.fullmatch(r"PT0\.[3-9]\d\dS", seen["ExecutionElapsedTime"])
        assert seen["PluginName"] == "aws:runShellScript"
        assert aws.world.heard("command") == [
            {"do": "command", "id": one, "commands": ["echo hello", "echo careful >&2"], "timeout": 60}
        ]

    def test_it_is_pending_first_then_in_progress_and_has_no_output_before_its_end(self, aws, ssm):
        [one] = aws.launch()
        aws.knobs(ssm_pending_s=0.5)
        aws.world.answer("command", says("late", after=0.5))
        command = send(ssm, one)
        pending = ssm.get_command_invocation(CommandId=command, InstanceId=one)
        assert (pending["Status"], pending["ResponseCode"], pending["ExecutionStartDateTime"]) == ("Pending", -1, "")
        progress = looked(ssm, command, one, until=["InProgress"])
        assert (progress["StandardOutputContent"], progress["ExecutionEndDateTime"]) == ("", "")
        assert looked(ssm, command, one)["StandardOutputContent"] == "late"

    def test_a_command_that_fails_says_with_what(self, aws, ssm):
        [one] = aws.launch()
        aws.world.answer("command", says(err="no such file", status=3))
        seen = looked(ssm, send(ssm, one), one)
        assert (seen["Status"], seen["ResponseCode"], seen["StandardErrorContent"]) == ("Failed", 3, "no such file")

    def test_a_command_that_takes_longer_than_its_time_is_timed_out(self, aws, ssm):
        [one] = aws.launch()
        aws.world.answer("command", says("never seen", after=2.5))
        seen = looked(ssm, send(ssm, one, parameters={"executionTimeout": ["1"]}), one)
        assert (seen["Status"], seen["StatusDetails"]) == ("TimedOut", "ExecutionTimedOut")
        assert seen["StandardOutputContent"] == ""

    def test_of_a_server_that_is_lost_meanwhile_nothing_is_heard_until_its_time_is_up(self, aws, ssm):
        [one] = aws.launch()
        aws.world.away("command")
        command = send(ssm, one, parameters={"executionTimeout": ["1"]})
        time.sleep(0.5)
        assert ssm.get_command_invocation(CommandId=command, InstanceId=one)["Status"] == "InProgress"
        seen = looked(ssm, command, one)
        assert (seen["Status"], seen["StatusDetails"]) == ("TimedOut", "ExecutionTimedOut")

    def test_what_cannot_be_delivered_waits_and_then_is_timed_out(self, aws, ssm):
        [one] = aws.launch()
        aws.knobs(ssm_lost=[one], ssm_delivery_s=0.5)
        command = send(ssm, one)
        time.sleep(0.2)
        assert ssm.get_command_invocation(CommandId=command, InstanceId=one)["Status"] == "Pending"
        seen = looked(ssm, command, one)
        assert (seen["Status"], seen["StatusDetails"], seen["ResponseCode"]) == ("TimedOut", "DeliveryTimedOut", -1)
        assert aws.world.heard("command") == []

    def test_the_first_24000_characters_of_what_it_said_and_8000_of_its_complaints(self, aws, ssm):
        [one] = aws.launch()
        aws.world.answer("command", says("a" * 30_000, "b" * 30_000))
        seen = looked(ssm, send(ssm, one), one)
        assert seen["StandardOutputContent"] == "a" * 24_000
        assert seen["StandardErrorContent"] == "b" * 8_000

    def test_all_of_it_is_in_the_bucket(self, aws, ssm):
        [one] = aws.launch()
        s3 = aws.client("s3", region="us-east-1")
        s3.create_bucket(Bucket="outputs")
        aws.world.answer("command", says("a" * 30_000))
        command = send(ssm, one, OutputS3BucketName="outputs", OutputS3KeyPrefix="looks/web")
        seen = looked(ssm, command, one)
        key = f"looks/web/{command}/{one}/awsrunShellScript/0.awsrunShellScript/stdout"
        assert s3.get_object(Bucket="outputs", Key=key)["Body"].read() == b"a" * 30_000
        assert seen["StandardOutputUrl"].endswith("/outputs/" + key)
        listed = s3.list_objects_v2(Bucket="outputs")["Contents"]
        assert [it["Key"] for it in listed] == [key], "an empty stream is no object"

    def test_a_bucket_that_is_not_there_spoils_nothing_but_the_output(self, aws, ssm):
        [one] = aws.launch()
        aws.world.answer("command", says("still here"))
        seen = looked(ssm, send(ssm, one, OutputS3BucketName="no-such-bucket"), one)
        assert (seen["Status"], seen["StandardOutputContent"]) == ("Success", "still here")

    def test_who_is_not_registered_is_refused(self, aws, ssm):
        [one] = aws.launch()
        with pytest.raises(ClientError) as caught:
            send(ssm, one, "i-0123456789abcdef0")
        assert caught.value.response["Error"]["Code"] == "InvalidInstanceId"
        assert aws.world.heard("command") == []

    def test_a_document_or_parameter_that_is_not_there_is_refused(self, aws, ssm):
        [one] = aws.launch()
        assert refused(ssm.send_command, DocumentName="Nobodys-Document", InstanceIds=[one]) == "InvalidDocument"
        asked = {"DocumentName": "AWS-RunShellScript", "InstanceIds": [one]}
        assert refused(ssm.send_command, **asked) == "InvalidParameters"
        strange = {"commands": ["true"], "colour": ["red"]}
        assert refused(ssm.send_command, **asked, Parameters=strange) == "InvalidParameters"

    def test_parameters_have_no_more_room_than_a_document_has(self, aws, ssm):
        [one] = aws.launch()
        aws.world.answer("command", says())
        send(ssm, one, commands=["true " + "x" * 62_000])
        asked = {"DocumentName": "AWS-RunShellScript", "InstanceIds": [one]}
        long = {"commands": ["true " + "x" * 64_500]}
        assert refused(ssm.send_command, **asked, Parameters=long) == "MaxDocumentSizeExceeded"

    def test_the_same_request_twice_is_two_commands(self, aws, ssm):
        [one] = aws.launch()
        commands = {send(ssm, one), send(ssm, one)}
        assert len(commands) == 2
        eventually(lambda: len(aws.world.heard("command")) == 2)

    def test_an_invocation_may_be_known_later_than_its_command(self, aws, ssm):
        [one] = aws.launch()
        aws.knobs(ssm_invocation_after_s=0.5)
        command = send(ssm, one)
        assert refused(ssm.get_command_invocation, CommandId=command, InstanceId=one) == "InvocationDoesNotExist"
        time.sleep(0.6)
        assert looked(ssm, command, one)["Status"] == "Success"

    def test_targets_choose_by_tag_and_nobody_is_no_failure(self, aws, ssm):
        tags = [{"ResourceType": "instance", "Tags": [{"Key": "role", "Value": "web"}]}]
        web = aws.launch(2, TagSpecifications=tags)
        aws.launch()

        def sent(value):
            return ssm.send_command(
                DocumentName="AWS-RunShellScript",
                Targets=[{"Key": "tag:role", "Values": [value]}],
                Parameters={"commands": ["true"]},
            )["Command"]["CommandId"]

        command, nobody = sent("web"), sent("nobody")
        for one in web:
            assert looked(ssm, command, one)["Status"] == "Success"
        rows = ssm.list_command_invocations(CommandId=command, Details=True)["CommandInvocations"]
        assert {row["InstanceId"] for row in rows} == set(web)
        assert {plugin["Name"] for row in rows for plugin in row["CommandPlugins"]} == {"aws:runShellScript"}
        [whole] = ssm.list_commands(CommandId=command)["Commands"]
        assert (whole["Status"], whole["TargetCount"], whole["CompletedCount"]) == ("Success", 2, 2)
        [none] = ssm.list_commands(CommandId=nobody)["Commands"]
        assert (none["Status"], none["StatusDetails"], none["TargetCount"]) == ("Success", "NoInstancesInTag", 0)

    def test_what_is_cancelled_before_it_is_delivered_never_runs(self, aws, ssm):
        [one] = aws.launch()
        aws.knobs(ssm_pending_s=0.4)
        command = send(ssm, one)
        ssm.cancel_command(CommandId=command)
        assert looked(ssm, command, one)["Status"] == "Cancelled"
        time.sleep(0.6)
        assert aws.world.heard("command") == []

    def test_what_runs_already_is_cancelling_until_it_ends(self, aws, ssm):
        [one] = aws.launch()
        aws.world.answer("command", says("done", after=0.6))
        command = send(ssm, one)
        looked(ssm, command, one, until=["InProgress"])
        ssm.cancel_command(CommandId=command, InstanceIds=[one])
        assert ssm.get_command_invocation(CommandId=command, InstanceId=one)["Status"] == "Cancelling"
        assert looked(ssm, command, one)["Status"] == "Cancelled"
        missing = "0" * 8 + "-0000-0000-0000-" + "0" * 12
        assert refused(ssm.cancel_command, CommandId=missing) == "InvalidCommandId"


def test_without_a_matter_a_command_succeeds_and_says_nothing(emulator):
    aws = Standing(None, emulator)
    [one] = aws.launch()
    ssm = aws.client("ssm")
    seen = looked(ssm, send(ssm, one), one)
    assert (seen["Status"], seen["StandardOutputContent"]) == ("Success", "")
    assert "Output" not in aws.client("ec2").get_console_output(InstanceId=one)


class TestSessions:
    def test_a_session_is_active_and_then_history(self, aws, ssm):
        [one] = aws.launch()
        made = ssm.start_session(Target=one, Reason="what is wrong here")
        assert made["StreamUrl"].startswith("wss://ssmmessages.eu-central-1.amazonaws.com/v1/data-channel/")
        [seen] = ssm.describe_sessions(State="Active")["Sessions"]
        assert (seen["SessionId"], seen["Target"], seen["Status"]) == (made["SessionId"], one, "Connected")
        assert (seen["Reason"], seen["DocumentName"]) == ("what is wrong here", "SSM-SessionManagerRunShell")
        assert ssm.describe_sessions(State="History")["Sessions"] == []
        ssm.terminate_session(SessionId=made["SessionId"])
        [past] = ssm.describe_sessions(State="History", Filters=[{"key": "Target", "value": one}])["Sessions"]
        assert past["Status"] == "Terminated"
        assert past["EndDate"] >= past["StartDate"]
        assert ssm.describe_sessions(State="Active")["Sessions"] == []
        assert refused(ssm.resume_session, SessionId=made["SessionId"]) == "DoesNotExistException"

    def test_its_owner_is_who_started_it(self, aws, ssm):
        [one] = aws.launch()
        iam = aws.client("iam")
        iam.create_user(UserName="mallory")
        key = iam.create_access_key(UserName="mallory")["AccessKey"]["AccessKeyId"]
        made = aws.client("ssm", key=key).start_session(Target=one)
        [seen] = ssm.describe_sessions(State="Active")["Sessions"]
        assert seen["Owner"] == "arn:aws:iam::123456789012:user/mallory"
        assert re.fullmatch(r"mallory-[0-9a-f]{17}", made["SessionId"])

    def test_of_a_role_the_session_is_named(self, aws, ssm):
        [one] = aws.launch()
        role = aws.client("sts").assume_role(RoleArn="arn:aws:iam::123456789012:role/ops", RoleSessionName="carol")
        made = aws.client("ssm", key=role["Credentials"]["AccessKeyId"]).start_session(Target=one)
        assert made["SessionId"].startswith("carol-")
        [seen] = ssm.describe_sessions(State="Active")["Sessions"]
        assert seen["Owner"] == "arn:aws:sts::123456789012:assumed-role/ops/carol"

    def test_whose_agent_is_silent_cannot_be_connected_to(self, aws, ssm):
        [one] = aws.launch()
        aws.knobs(ssm_lost=[one])
        assert refused(ssm.start_session, Target=one) == "TargetNotConnected"


class TestInstanceConnect:
    def test_a_key_is_good_for_a_minute_and_then_no_more(self, aws):
        [one] = aws.launch()
        said = aws.client("ec2-instance-connect").send_ssh_public_key(
            InstanceId=one, InstanceOSUser="admin", SSHPublicKey=KEY
        )
        assert said["Success"] is True
        told = {"id": one, "user": "admin", "key": KEY}
        assert aws.world.heard("key") == [{"do": "key", "seconds": 60, **told}]
        aws.forward(58)
        time.sleep(0.3)
        assert aws.world.heard("unkey") == []
        aws.forward(3)
        eventually(lambda: aws.world.heard("unkey") == [{"do": "unkey", **told}])

    def test_the_zone_that_is_named_is_the_instances_own(self, aws):
        """https://docs.aws.amazon.com/ec2-instance-connect/latest/APIReference/API_SendSSHPublicKey.html."""
        [one] = aws.launch(Placement={"AvailabilityZone": f"{REGION}b"})
        call = aws.client("ec2-instance-connect").send_ssh_public_key
        common = {"InstanceId": one, "InstanceOSUser": "admin", "SSHPublicKey": KEY}
        assert call(**common, AvailabilityZone=f"{REGION}b")["Success"] is True
        assert refused(call, **common, AvailabilityZone=f"{REGION}a") == "EC2InstanceNotFoundException"
        assert len(aws.world.heard("key")) == 1

    def test_it_refuses_who_is_not_there_not_running_or_no_key(self, aws):
        [one] = aws.launch()
        call = aws.client("ec2-instance-connect").send_ssh_public_key
        common = {"InstanceOSUser": "admin", "SSHPublicKey": KEY}
        assert refused(call, InstanceId="i-0123456789abcdef0", **common) == "EC2InstanceNotFoundException"
        no_key = {**common, "SSHPublicKey": "x" * 300}
        assert refused(call, InstanceId=one, **no_key) == "InvalidArgsException"
        aws.client("ec2").stop_instances(InstanceIds=[one])
        assert refused(call, InstanceId=one, **common) == "EC2InstanceStateInvalidException"
        assert aws.world.heard("key") == []

    def test_the_serial_console_is_closed_until_the_account_opens_it(self, aws):
        [one] = aws.launch()
        ec2, call = aws.client("ec2"), aws.client("ec2-instance-connect").send_serial_console_ssh_public_key
        assert ec2.get_serial_console_access_status()["SerialConsoleAccessEnabled"] is False
        asked = {"InstanceId": one, "SerialPort": 0, "SSHPublicKey": KEY + "x" * 200}
        assert refused(call, **asked) == "SerialConsoleAccessDisabledException"
        ec2.enable_serial_console_access()
        assert call(**asked)["Success"] is True
        ec2.disable_serial_console_access()
        assert refused(call, **asked) == "SerialConsoleAccessDisabledException"


def test_knobs_are_shown_and_are_as_they_were_after_a_reset(aws):
    aws.knobs(ssm_pending_s=7)
    assert aws.emulator.control("knobs")["ssm_pending_s"] == 7
    aws.emulator.reset()
    assert aws.emulator.control("knobs")["ssm_pending_s"] == 0.1


class TestConsole:
    def test_nothing_before_there_is_any_then_the_last_64_kilobytes(self, aws):
        [one] = aws.launch()
        ec2 = aws.client("ec2")
        assert "Output" not in ec2.get_console_output(InstanceId=one)
        aws.world.answer("console", lambda asked: {"text": f"{asked['id']} boots\n"})
        assert ec2.get_console_output(InstanceId=one)["Output"] == f"{one} boots\n"
        aws.world.answer("console", lambda _: {"text": "x" * 100_000 + "the end"})
        said = ec2.get_console_output(InstanceId=one)["Output"]
        assert len(said) == 64 * 1024
        assert said.endswith("the end")

    def test_of_an_instance_that_is_not_there(self, aws):
        ec2 = aws.client("ec2")
        assert refused(ec2.get_console_output, InstanceId="i-0123456789abcdef0") == "InvalidInstanceID.NotFound"
