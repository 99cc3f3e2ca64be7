"""What deploy/terraform/aws makes so that a queue tells who came, by plain boto3; and a trail that logs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from driftd.edges.providers.aws import messages

OPEN = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage"}


class Telling:
    """The queue, at ``url``. ``client`` makes a client of a service."""

    def __init__(self, client: Callable[[str], Any], region: str = "us-east-1") -> None:
        self.sqs = client("sqs")
        where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        client("s3").create_bucket(Bucket="trail", **where)
        trail = client("cloudtrail")
        trail.create_trail(Name="all", S3BucketName="trail")
        trail.start_logging(Name="all")
        policy = json.dumps({"Version": "2012-10-17", "Statement": [OPEN]})
        self.url = self.sqs.create_queue(QueueName="who", Attributes={"Policy": policy})["QueueUrl"]
        said = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])["Attributes"]
        events = client("events")
        for name, pattern in (("who", messages.pattern()), ("states", messages.changes())):
            events.put_rule(Name=name, EventPattern=json.dumps(pattern), State="ENABLED")
            events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": said["QueueArn"]}])

    def waiting(self) -> int:
        """How many messages are in the queue, hidden ones too."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)["Attributes"]
        return sum(int(one) for one in found.values())
