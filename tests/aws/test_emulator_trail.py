"""The emulator's CloudTrail: each test says what AWS documents."""

import datetime as dt
import json
import urllib.request

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from standing import Standing

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMOMiMAXcWMHX+3mlA5xNwXkCJO1cVVtNXMOJFlKGRnU somebody"
NOBODY = "i-0123456789abcdef0"


@pytest.fixture
def aws(matter, matter_process):
    return Standing(matter, matter_process[1])


@pytest.fixture
def trail(aws):
    return aws.client("cloudtrail")


def refused(call, **asked):
    with pytest.raises(ClientError) as caught:
        call(**asked)
    return caught.value.response["Error"]["Code"]


def looked(trail, key, value, **more):
    found = trail.lookup_events(LookupAttributes=[{"AttributeKey": key, "AttributeValue": value}], **more)
    return [(one, json.loads(one["CloudTrailEvent"])) for one in found["Events"]]


def only(trail, name):
    [found] = looked(trail, "EventName", name)
    return found


class TestRecords:
    def test_a_call_is_recorded_with_who_what_and_from_where(self, aws, trail):
        [one] = aws.launch()
        aws.client("ec2").terminate_instances(InstanceIds=[one])
        event, record = only(trail, "TerminateInstances")
        assert (event["EventSource"], event["ReadOnly"]) == ("ec2.amazonaws.com", "false")
        assert event["EventId"] == record["eventID"]
        assert {"ResourceType": "AWS::EC2::Instance", "ResourceName": one} in event["Resources"]
        assert record["eventName"] == "TerminateInstances"
        assert record["sourceIPAddress"] == "127.0.0.1"
        assert "Boto3" in record["userAgent"]
        assert (record["awsRegion"], record["recipientAccountId"]) == ("eu-central-1", "123456789012")
        assert record["requestParameters"] == {"instancesSet": {"items": [{"instanceId": one}]}}
        [gone] = record["responseElements"]["instancesSet"]["items"]
        assert gone["instanceId"] == one
        assert gone["previousState"] == {"code": 16, "name": "running"}
        assert (record["eventType"], record["managementEvent"], record["eventCategory"]) == (
            *("AwsApiCall", True),
            "Management",
        )
        at = dt.datetime.fromisoformat(record["eventTime"])
        assert abs(dt.datetime.now(dt.UTC) - at) < dt.timedelta(seconds=30)
        assert event["EventTime"] == at

    def test_a_launch_and_its_tags_as_ec2s_records_have_them(self, aws, trail):
        tags = [{"ResourceType": "instance", "Tags": [{"Key": "role", "Value": "web"}]}]
        [one] = aws.launch(2, TagSpecifications=tags, ClientToken="once", UserData="#!/bin/sh\nsecret")[:1]
        _, record = only(trail, "RunInstances")
        asked = record["requestParameters"]
        assert asked["instancesSet"]["items"] == [{"imageId": "ami-12c6146b", "minCount": 2, "maxCount": 2}]
        assert (asked["clientToken"], asked["userData"]) == ("once", "<sensitiveDataRemoved>")
        assert asked["tagSpecificationSet"]["items"][0]["resourceType"] == "instance"
        assert one in [it["instanceId"] for it in record["responseElements"]["instancesSet"]["items"]]
        aws.client("ec2").create_tags(Resources=[one], Tags=[{"Key": "a", "Value": "b"}])
        _, record = only(trail, "CreateTags")
        assert record["requestParameters"] == {
            "resourcesSet": {"items": [{"resourceId": one}]},
            "tagSet": {"items": [{"key": "a", "value": "b"}]},
        }

    def test_a_call_that_was_refused_is_recorded_with_its_error(self, aws, trail):
        refused(aws.client("ec2").terminate_instances, InstanceIds=[NOBODY])
        _, record = only(trail, "TerminateInstances")
        assert record["errorCode"] == "Client.InvalidInstanceID.NotFound"
        assert NOBODY in record["errorMessage"]
        assert record["responseElements"] is None
        refused(aws.client("ssm").start_session, Target=NOBODY)
        _, record = only(trail, "StartSession")
        assert record["errorCode"] == "TargetNotConnected"

    def test_reading_is_recorded_as_reading_and_without_what_was_read(self, aws, trail):
        aws.launch()
        aws.client("ec2").describe_regions()
        event, record = only(trail, "DescribeRegions")
        assert (event["ReadOnly"], record["readOnly"], record["responseElements"]) == ("true", True, None)
        assert "DescribeRegions" not in [one["EventName"] for one, _ in looked(trail, "ReadOnly", "false")]

    def test_calls_about_data_are_in_no_history(self, aws, trail):
        sqs = aws.client("sqs")
        queue = sqs.create_queue(QueueName="q")["QueueUrl"]
        sqs.send_message(QueueUrl=queue, MessageBody="x")
        assert looked(trail, "EventName", "SendMessage") == []
        _, record = only(trail, "CreateQueue")
        assert record["requestParameters"]["queueName"] == "q"

    def test_what_the_emulator_does_not_play_was_no_call(self, aws, trail):
        code = refused(aws.client("ssm").describe_instance_patches, InstanceId=NOBODY)
        assert code == "NotImplementedByTheEmulator"
        assert looked(trail, "EventName", "DescribeInstancePatches") == []

    def test_services_that_speak_query_have_small_first_letters(self, aws, trail):
        scaling = aws.client("autoscaling")
        scaling.create_launch_configuration(
            LaunchConfigurationName="lc", ImageId="ami-12c6146b", InstanceType="t3.micro"
        )
        _, record = only(trail, "CreateLaunchConfiguration")
        assert record["eventSource"] == "autoscaling.amazonaws.com"
        asked = {"launchConfigurationName": "lc", "imageId": "ami-12c6146b", "instanceType": "t3.micro"}
        assert record["requestParameters"] == asked
        assert record["responseElements"] is None

    def test_global_services_are_recorded_in_us_east_1(self, aws, trail):
        aws.client("iam").create_user(UserName="mallory")
        assert looked(trail, "EventName", "CreateUser") == []
        _, record = only(aws.client("cloudtrail", region="us-east-1"), "CreateUser")
        assert record["awsRegion"] == "us-east-1"
        assert record["responseElements"]["user"]["userName"] == "mallory"


class TestWho:
    def test_a_user_is_named(self, aws, trail):
        iam = aws.client("iam")
        iam.create_user(UserName="mallory")
        key = iam.create_access_key(UserName="mallory")["AccessKey"]["AccessKeyId"]
        [one] = aws.launch()
        aws.client("ec2", key=key).stop_instances(InstanceIds=[one])
        event, record = only(trail, "StopInstances")
        assert (event["Username"], event["AccessKeyId"]) == ("mallory", key)
        who = record["userIdentity"]
        assert (who["type"], who["userName"]) == ("IAMUser", "mallory")
        assert who["arn"] == "arn:aws:iam::123456789012:user/mallory"

    def test_a_roles_session_is_named_with_its_role(self, aws, trail):
        got = aws.client("sts").assume_role(RoleArn="arn:aws:iam::123456789012:role/ops", RoleSessionName="carol")
        given = got["Credentials"]
        [one] = aws.launch()
        ec2 = aws.client("ec2", key=given["AccessKeyId"], token=given["SessionToken"])
        ec2.stop_instances(InstanceIds=[one])
        event, record = only(trail, "StopInstances")
        assert event["Username"] == "carol"
        who = record["userIdentity"]
        assert (who["type"], who["accessKeyId"]) == ("AssumedRole", given["AccessKeyId"])
        assert who["arn"] == "arn:aws:sts::123456789012:assumed-role/ops/carol"
        assert who["principalId"].endswith(":carol")
        issuer = who["sessionContext"]["sessionIssuer"]
        assert (issuer["type"], issuer["userName"]) == ("Role", "ops")
        assert issuer["arn"] == "arn:aws:iam::123456789012:role/ops"

    def test_other_credentials_are_somebody_else(self, aws, trail):
        [one] = aws.launch()
        aws.client("ec2", key="AKIASOMEBODYELSE0001").reboot_instances(InstanceIds=[one])
        event, _ = only(trail, "RebootInstances")
        assert event["AccessKeyId"] == "AKIASOMEBODYELSE0001"
        assert [it["EventName"] for it, _ in looked(trail, "AccessKeyId", "AKIASOMEBODYELSE0001")] == [
            "RebootInstances"
        ]


class TestDoors:
    def test_a_session_is_recorded_and_its_token_is_not(self, aws, trail):
        [one] = aws.launch()
        ssm = aws.client("ssm")
        made = ssm.start_session(Target=one)
        event, record = only(trail, "StartSession")
        assert event["EventSource"] == "ssm.amazonaws.com"
        assert record["requestParameters"] == {"target": one}
        assert record["responseElements"]["sessionId"] == made["SessionId"]
        assert made["TokenValue"] not in event["CloudTrailEvent"]
        ssm.resume_session(SessionId=made["SessionId"])
        ssm.terminate_session(SessionId=made["SessionId"])
        for name in ("ResumeSession", "TerminateSession"):
            event, record = only(trail, name)
            assert record["requestParameters"] == {"sessionId": made["SessionId"]}
            assert event["ReadOnly"] == "false"

    def test_a_command_is_recorded_and_what_it_ran_is_not(self, aws, trail):
        [one] = aws.launch()
        sent = aws.client("ssm").send_command(
            DocumentName="AWS-RunShellScript", InstanceIds=[one], Parameters={"commands": ["echo hunter2"]}
        )
        event, record = only(trail, "SendCommand")
        assert record["requestParameters"]["instanceIds"] == [one]
        assert record["requestParameters"]["parameters"] == "HIDDEN_DUE_TO_SECURITY_REASONS"
        assert record["responseElements"]["command"]["commandId"] == sent["Command"]["CommandId"]
        assert "hunter2" not in event["CloudTrailEvent"]

    def test_a_pushed_key_is_recorded(self, aws, trail):
        [one] = aws.launch()
        connect = aws.client("ec2-instance-connect")
        connect.send_ssh_public_key(InstanceId=one, InstanceOSUser="admin", SSHPublicKey=KEY)
        event, record = only(trail, "SendSSHPublicKey")
        assert event["EventSource"] == "ec2-instance-connect.amazonaws.com"
        assert record["requestParameters"] == {"instanceId": one, "osUser": "admin", "SSHKey": {"publicKey": KEY}}
        assert record["responseElements"] is None
        aws.client("ec2").enable_serial_console_access()
        connect.send_serial_console_ssh_public_key(InstanceId=one, SerialPort=0, SSHPublicKey=KEY + "x" * 200)
        _, record = only(trail, "SendSerialConsoleSSHPublicKey")
        assert (record["requestParameters"]["instanceId"], record["requestParameters"]["serialPort"]) == (one, 0)

    def test_a_tunnel_is_recorded(self, aws, trail):
        asked = {
            "InstanceConnectEndpointId": "eici-0123456789abcdef0",
            "RemotePort": "22",
            "PrivateIpAddress": "10.0.0.9",
        }
        request = AWSRequest(
            "POST",
            aws.url + "/",
            {"X-Amz-Target": "AWSEC2InstanceConnectService.OpenTunnel", "Content-Type": "application/x-amz-json-1.1"},
            json.dumps(asked),
        )
        credentials = Credentials("AKIASOMEBODYELSE0001", "not-secret")
        SigV4Auth(credentials, "ec2-instance-connect", "eu-central-1").add_auth(request)
        sent = urllib.request.Request(aws.url + "/", json.dumps(asked).encode(), dict(request.headers.items()))
        with urllib.request.urlopen(sent) as answer:
            assert answer.status == 200
        event, record = only(trail, "OpenTunnel")
        assert event["Username"] == "AKIASOMEBODYELSE0001"
        assert record["requestParameters"]["privateIpAddress"] == "10.0.0.9"
        assert record["eventSource"] == "ec2-instance-connect.amazonaws.com"


class TestLookup:
    def test_newest_first_in_pages_of_50(self, aws, trail):
        [one] = aws.launch()
        ec2 = aws.client("ec2")
        for number in range(60):
            ec2.create_tags(Resources=[one], Tags=[{"Key": "n", "Value": str(number)}])
        by_name = {"LookupAttributes": [{"AttributeKey": "EventName", "AttributeValue": "CreateTags"}]}
        first = trail.lookup_events(**by_name)
        assert len(first["Events"]) == 50
        ec2.create_tags(Resources=[one], Tags=[{"Key": "n", "Value": "later"}])
        rest = trail.lookup_events(**by_name, NextToken=first["NextToken"])
        assert "NextToken" not in rest
        seen = [
            json.loads(it["CloudTrailEvent"])["requestParameters"]["tagSet"]["items"][0]["value"]
            for it in first["Events"] + rest["Events"]
        ]
        assert seen == [str(number) for number in reversed(range(60))], "what came later shifts no page"
        assert refused(trail.lookup_events, NextToken=first["NextToken"]) == "InvalidNextTokenException"
        assert len(trail.lookup_events(**by_name, MaxResults=7)["Events"]) == 7

    def test_by_resource_name_and_type(self, aws, trail):
        one, other = aws.launch(2)
        ec2 = aws.client("ec2")
        ec2.stop_instances(InstanceIds=[one])
        ec2.stop_instances(InstanceIds=[other])
        names = [event["EventName"] for event, _ in looked(trail, "ResourceName", one)]
        assert names == ["StopInstances", "RunInstances"]
        assert len(looked(trail, "ResourceType", "AWS::EC2::Instance")) == 3

    def test_one_attribute_at_most(self, aws, trail):
        two = [{"AttributeKey": "EventName", "AttributeValue": name} for name in ("StartSession", "SendCommand")]
        assert refused(trail.lookup_events, LookupAttributes=two) == "InvalidLookupAttributesException"

    def test_within_a_time(self, aws, trail):
        aws.launch()
        aws.forward(600)
        aws.launch()
        now = dt.datetime.now(dt.UTC)
        by_name = {"LookupAttributes": [{"AttributeKey": "EventName", "AttributeValue": "RunInstances"}]}
        hour, soon = dt.timedelta(hours=1), dt.timedelta(minutes=5)

        def count(start, end):
            return len(trail.lookup_events(**by_name, StartTime=start, EndTime=end)["Events"])

        assert (count(now - hour, now + hour), count(now - hour, now + soon), count(now + soon, now + hour)) == (
            2,
            1,
            1,
        )
        assert refused(trail.lookup_events, StartTime=now, EndTime=now - hour) == "InvalidTimeRangeException"

    def test_it_comes_late_where_it_is_told_to(self, aws, trail):
        aws.knobs(trail_delay_s=300)
        aws.launch()
        assert looked(trail, "EventName", "RunInstances") == []
        aws.forward(301)
        _, record = only(trail, "RunInstances")
        assert dt.datetime.fromisoformat(record["eventTime"]) < dt.datetime.now(dt.UTC) + dt.timedelta(minutes=1)

    def test_two_a_second_where_it_is_told_to(self, aws, trail):
        aws.knobs(trail_per_second=2)
        aws.client("cloudtrail", region="us-east-1").lookup_events()
        trail.lookup_events()
        trail.lookup_events()
        assert refused(trail.lookup_events) == "ThrottlingException"
        aws.forward(1.1)
        trail.lookup_events()

    def test_insights_are_none(self, aws, trail):
        aws.launch()
        assert trail.lookup_events(EventCategory="insight")["Events"] == []

    def test_regions_have_their_own_history(self, aws, trail):
        aws.launch()
        assert looked(aws.client("cloudtrail", region="eu-west-1"), "EventName", "RunInstances") == []
