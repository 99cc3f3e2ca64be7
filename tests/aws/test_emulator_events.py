"""What the emulator tells EventBridge, as it arrives in a queue: each test says what AWS documents."""

import datetime as dt
import json
import re
import time

import pytest
from standing import REGION, Standing

ACCOUNT = "123456789012"
OPEN = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage"}


@pytest.fixture
def aws(matter, matter_process):
    return Standing(matter, matter_process[1])


class Queue:
    """A queue that rules send to."""

    def __init__(self, aws, name, policy=OPEN):
        self.sqs, self.events = aws.client("sqs"), aws.client("events")
        attributes = {"Policy": json.dumps({"Version": "2012-10-17", "Statement": [policy]})} if policy else {}
        self.url = self.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        self.arn = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])["Attributes"][
            "QueueArn"
        ]
        self.name = name

    def wants(self, pattern, **target):
        self.events.put_rule(Name=self.name, EventPattern=json.dumps(pattern), State="ENABLED")
        self.events.put_targets(Rule=self.name, Targets=[{"Id": "1", "Arn": self.arn, **target}])
        return self

    def raw(self):
        found = []
        while got := self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10).get("Messages"):
            for one in got:
                found.append(one["Body"])
                self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=one["ReceiptHandle"])
        return found

    def taken(self):
        return [json.loads(one) for one in self.raw()]


def states(queue):
    return [(one["detail"]["instance-id"], one["detail"]["state"]) for one in queue.taken()]


@pytest.fixture
def changes(aws):
    return Queue(aws, "changes").wants(
        {"source": ["aws.ec2"], "detail-type": ["EC2 Instance State-change Notification"]}
    )


def test_a_change_of_state_has_the_documented_shape(aws, changes):
    [one] = aws.launch()
    changes.raw()
    aws.client("ec2").stop_instances(InstanceIds=[one])
    event = changes.taken()[0]
    assert set(event) == {
        *("version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail"),
    }
    assert (event["version"], event["source"], event["account"], event["region"]) == ("0", "aws.ec2", ACCOUNT, REGION)
    assert event["detail-type"] == "EC2 Instance State-change Notification"
    assert event["resources"] == [f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/{one}"]
    assert event["detail"] == {"instance-id": one, "state": "stopping"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", event["time"])
    assert abs(dt.datetime.fromisoformat(event["time"]) - dt.datetime.now(dt.UTC)) < dt.timedelta(seconds=30)


def test_every_state_of_a_life_is_told_in_its_order(aws, changes):
    [one] = aws.launch()
    ec2 = aws.client("ec2")
    ec2.stop_instances(InstanceIds=[one])
    ec2.describe_instances()
    ec2.start_instances(InstanceIds=[one])
    ec2.describe_instances()
    ec2.terminate_instances(InstanceIds=[one])
    ec2.describe_instances()
    assert [state for instance, state in states(changes) if instance == one] == [
        *("pending", "running", "stopping", "stopped", "pending", "running", "shutting-down", "terminated"),
    ]


def test_patterns_choose(aws):
    ended = Queue(aws, "ended").wants({"source": ["aws.ec2"], "detail": {"state": ["terminated"]}})
    other = Queue(aws, "other").wants({"source": ["aws.rds"]})
    [one] = aws.launch()
    aws.client("ec2").terminate_instances(InstanceIds=[one])
    aws.client("ec2").describe_instances()
    assert states(ended) == [(one, "terminated")]
    assert other.taken() == []


def test_a_disabled_rule_sends_nothing(aws, changes):
    aws.client("events").disable_rule(Name="changes")
    aws.launch()
    assert changes.taken() == []


@pytest.mark.parametrize(
    "policy",
    [
        None,
        {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sqs:SendMessage"},
        {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage"},
        {**OPEN, "Action": "sqs:ReceiveMessage"},
        {**OPEN, "Effect": "Deny"},
    ],
)
def test_a_queue_that_does_not_let_eventbridge_in_gets_nothing(aws, policy):
    closed = Queue(aws, "closed", policy=policy).wants({"source": ["aws.ec2"]})
    aws.launch()
    assert closed.taken() == []


def test_a_constant_or_a_part_may_be_sent_instead(aws):
    constant = Queue(aws, "constant").wants({"detail": {"state": ["running"]}}, Input='{"look": "now"}')
    part = Queue(aws, "part").wants({"detail": {"state": ["running"]}}, InputPath="$.detail")
    [one] = aws.launch()
    assert constant.taken() == [{"look": "now"}]
    assert part.taken() == [{"instance-id": one, "state": "running"}]


def test_own_events_have_their_account_too(aws):
    queue = Queue(aws, "mine").wants({"source": ["mine"]})
    entry = {"Source": "mine", "DetailType": "x", "Detail": '{"a": 1}', "Resources": ["r"]}
    aws.client("events").put_events(Entries=[entry])
    [event] = queue.taken()
    assert (event["account"], event["resources"], event["detail"]) == (ACCOUNT, ["r"], {"a": 1})


def test_nobody_but_aws_has_sources_of_awss(aws):
    """https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsResultEntry.html."""
    queue = Queue(aws, "forged").wants({"source": ["aws.ssm"]})
    entry = {"DetailType": "AWS API Call via CloudTrail", "Detail": '{"eventName": "StartSession"}'}
    entries = [{**entry, "Source": one} for one in ("aws.ssm", "mine")]
    said = aws.client("events").put_events(Entries=entries)
    assert said["FailedEntryCount"] == 1
    assert said["Entries"][0]["ErrorCode"] == "NotAuthorizedForSourceException"
    assert said["Entries"][1]["EventId"]
    assert queue.taken() == []


def test_a_message_that_was_received_is_hidden_and_comes_again_unless_it_is_deleted(aws, changes):
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-visibility-timeout.html."""
    aws.launch()
    sqs = aws.client("sqs")
    asked = {"QueueUrl": changes.url, "MaxNumberOfMessages": 10, "VisibilityTimeout": 900}
    first = sqs.receive_message(**asked)["Messages"]
    assert "Messages" not in sqs.receive_message(**asked)
    sqs.delete_message(QueueUrl=changes.url, ReceiptHandle=first[0]["ReceiptHandle"])
    aws.forward(899)
    assert "Messages" not in sqs.receive_message(**asked)
    aws.forward(2)
    again = sqs.receive_message(**asked)["Messages"]
    assert {one["MessageId"] for one in again} == {one["MessageId"] for one in first[1:]}
    assert {one["ReceiptHandle"] for one in again}.isdisjoint({one["ReceiptHandle"] for one in first})


class TestCalls:
    @pytest.fixture
    def calls(self, aws):
        pattern = {"source": ["aws.ec2"], "detail-type": ["AWS API Call via CloudTrail"]}
        return Queue(aws, "calls").wants(pattern)

    @pytest.fixture
    def logging(self, aws):
        aws.client("s3", region="us-east-1").create_bucket(Bucket="trail")
        trail = aws.client("cloudtrail")
        trail.create_trail(Name="all", S3BucketName="trail")
        trail.start_logging(Name="all")

    def test_a_call_that_changes_something_is_an_event_with_its_record(self, aws, calls, logging):
        [one] = aws.launch()
        aws.client("ec2", key="AKIASOMEBODYELSE0001").terminate_instances(InstanceIds=[one])
        [event] = [it for it in calls.taken() if it["detail"]["eventName"] == "TerminateInstances"]
        assert (event["source"], event["detail-type"]) == ("aws.ec2", "AWS API Call via CloudTrail")
        assert event["resources"] == []
        detail = event["detail"]
        assert detail["requestParameters"] == {"instancesSet": {"items": [{"instanceId": one}]}}
        assert detail["userIdentity"]["accessKeyId"] == "AKIASOMEBODYELSE0001"

    def test_a_session_that_is_started_is_an_event(self, aws, logging):
        queue = Queue(aws, "doors").wants({"source": ["aws.ssm"], "detail": {"eventName": ["StartSession"]}})
        [one] = aws.launch()
        aws.client("ssm").start_session(Target=one)
        [event] = queue.taken()
        assert event["detail"]["requestParameters"] == {"target": one}

    def test_what_only_reads_is_none(self, aws, calls, logging):
        aws.client("ec2").describe_regions()
        assert calls.taken() == []

    def test_without_a_trail_that_logs_there_is_none(self, aws, calls, logging):
        aws.client("cloudtrail").stop_logging(Name="all")
        aws.launch()
        assert calls.taken() == []


class TestAutoScaling:
    @pytest.fixture
    def group(self, aws):
        ec2, scaling = aws.client("ec2"), aws.client("autoscaling")
        template = {"ImageId": "ami-12c6146b", "InstanceType": "t3.micro"}
        ec2.create_launch_template(LaunchTemplateName="web", LaunchTemplateData=template)

        def made(size):
            scaling.create_auto_scaling_group(
                AutoScalingGroupName="web",
                MinSize=0,
                MaxSize=3,
                DesiredCapacity=size,
                AvailabilityZones=[f"{REGION}a"],
                LaunchTemplate={"LaunchTemplateName": "web"},
            )

        return made

    def wait(self, queue):
        for _ in range(60):
            if got := queue.taken():
                return got
            time.sleep(0.1)
        raise AssertionError("no event")

    def test_a_launch_and_an_end_of_a_group_are_told(self, aws, group):
        queue = Queue(aws, "scaling").wants({"source": ["aws.autoscaling"]})
        group(1)
        [launched] = self.wait(queue)
        scaling = aws.client("autoscaling")
        [described] = scaling.describe_auto_scaling_groups()["AutoScalingGroups"]
        one = described["Instances"][0]["InstanceId"]
        assert launched["detail-type"] == "EC2 Instance Launch Successful"
        instance = f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/{one}"
        assert launched["resources"] == [described["AutoScalingGroupARN"], instance]
        detail = launched["detail"]
        assert (detail["EC2InstanceId"], detail["AutoScalingGroupName"]) == (one, "web")
        assert (detail["Origin"], detail["Destination"]) == ("EC2", "AutoScalingGroup")
        assert detail["Details"]["Availability Zone"] == f"{REGION}a"
        scaling.set_desired_capacity(AutoScalingGroupName="web", DesiredCapacity=0)
        [ended] = self.wait(queue)
        assert (ended["detail-type"], ended["detail"]["EC2InstanceId"]) == ("EC2 Instance Terminate Successful", one)

    def test_a_launch_that_failed_is_told_with_why(self, aws, group):
        queue = Queue(aws, "scaling").wants({"source": ["aws.autoscaling"]})
        aws.world.away("launch")
        group(1)
        [failed] = self.wait(queue)[:1]
        assert failed["detail-type"] == "EC2 Instance Launch Unsuccessful"
        assert (failed["detail"]["StatusCode"], failed["detail"]["EC2InstanceId"]) == ("Failed", "")
        assert failed["detail"]["StatusMessage"]

    def test_a_hook_is_told_with_its_token(self, aws, group):
        queue = Queue(aws, "hooks").wants({"detail-type": ["EC2 Instance-launch Lifecycle Action"]})
        scaling = aws.client("autoscaling")
        group(0)
        scaling.put_lifecycle_hook(
            AutoScalingGroupName="web",
            LifecycleHookName="look first",
            LifecycleTransition="autoscaling:EC2_INSTANCE_LAUNCHING",
        )
        scaling.set_desired_capacity(AutoScalingGroupName="web", DesiredCapacity=1)
        [event] = self.wait(queue)
        detail = event["detail"]
        assert event["source"] == "aws.autoscaling"
        assert (detail["LifecycleHookName"], detail["LifecycleTransition"]) == (
            *("look first",),
            "autoscaling:EC2_INSTANCE_LAUNCHING",
        )
        assert event["resources"][0].endswith(":autoScalingGroupName/web")
        scaling.complete_lifecycle_action(
            AutoScalingGroupName="web",
            LifecycleHookName="look first",
            LifecycleActionToken=detail["LifecycleActionToken"],
            LifecycleActionResult="CONTINUE",
        )
