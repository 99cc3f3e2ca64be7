"""What AWS tells EventBridge by itself: instances' states, Auto Scaling, calls that CloudTrail saw; and on into SQS.

https://docs.aws.amazon.com/eventbridge/latest/ref/events-structure.html
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitoring-instance-state-changes.html
https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-event-reference.html
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-service-event-cloudtrail.html
"""

from __future__ import annotations

import copy
import datetime as dt
import json
import re
import uuid
from collections.abc import Callable
from typing import Any

from common import bind, now, zulu
from moto.autoscaling.models import autoscaling_backends
from moto.cloudtrail.models import cloudtrail_backends
from moto.events.models import EventsBackend, Rule, events_backends
from moto.events.utils import EventTemplateParser
from moto.sqs import models as sqs
from moto.sqs.models import sqs_backends
from moto.utilities.arns import parse_arn
from moto.utilities.utils import get_partition
from trail import KIND as CALL
from world import World

CHANGE = "EC2 Instance State-change Notification"
HOOKS = {
    "EC2 Instance-launch Lifecycle Action": ("EC2", "AutoScalingGroup"),
    "EC2 Instance-terminate Lifecycle Action": ("AutoScalingGroup", "EC2"),
}
ACTIVITY = re.compile(r"(Launch|Terminat)ing (?:a new )?EC2 instance(?:: (i-[0-9a-f]+))?")
SENDER = "events.amazonaws.com"
Event = dict[str, Any]


def _arn(account: str, region: str, service: str, what: str) -> str:
    return f"arn:{get_partition(region)}:{service}:{region}:{account}:{what}"


class Bus:
    """Every account's default bus."""

    def __init__(self, world: World) -> None:
        self.world = world
        world.listeners.append(self.hear)

    def hear(self, kind: str, account: str, region: str, detail: dict[str, Any]) -> None:
        """Something happened: if EventBridge hears of such things, its rules do."""
        if kind == CHANGE:
            one = _arn(account, region, "ec2", f"instance/{detail['instance-id']}")
            self.put(account, region, kind, "aws.ec2", [one], detail)
        elif kind in HOOKS:
            origin, destination = HOOKS[kind]
            group = self._group(account, region, detail["AutoScalingGroupName"])
            said = {**detail, "Origin": origin, "Destination": destination}
            self.put(account, region, kind, "aws.autoscaling", group, said)
        elif kind == CALL and not detail["readOnly"] and _logged(account, region):
            source = "aws." + detail["eventSource"].removesuffix(".amazonaws.com")
            self.put(account, region, kind, source, [], detail)

    def _group(self, account: str, region: str, name: str) -> list[str]:
        found = autoscaling_backends[account][region].autoscaling_groups.get(name)
        return [found.arn] if found else []

    def finished(self, activity: dict[str, Any]) -> None:
        """An activity of an Auto Scaling group has ended, well or not."""
        found = ACTIVITY.match(activity["Description"])
        if not found:
            return
        place = parse_arn(activity["AutoScalingGroupARN"])
        failed = activity["StatusCode"] == "Failed"
        launch, instance = found[1] == "Launch", found[2]
        kind = f"EC2 Instance {'Launch' if launch else 'Terminate'} {'Unsuccessful' if failed else 'Successful'}"
        resources = [activity["AutoScalingGroupARN"]]
        if instance:
            resources.append(_arn(place.account, place.region, "ec2", f"instance/{instance}"))
        detail = {
            "StatusCode": "Failed" if failed else "InProgress",  # so it is in AWS's own examples of both
            "StatusMessage": activity.get("StatusMessage", ""),
            "Description": activity["Description"],
            "AutoScalingGroupName": activity["AutoScalingGroupName"],
            "ActivityId": activity["ActivityId"],
            "RequestId": activity["ActivityId"],
            "Details": json.loads(activity["Details"]),
            "EC2InstanceId": instance or "",
            "StartTime": zulu(activity["StartTime"], milliseconds=True),
            "EndTime": zulu(activity["EndTime"], milliseconds=True),
            "Cause": activity["Cause"],
            "Origin": "EC2" if launch else "AutoScalingGroup",
            "Destination": "AutoScalingGroup" if launch else "EC2",
        }
        self.put(place.account, place.region, kind, "aws.autoscaling", resources, detail)

    def put(self, account: str, region: str, kind: str, source: str, resources: list[str], detail: Event) -> None:
        """One event onto the default bus, past each of its rules."""
        event = {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": kind,
            "source": source,
            "account": account,
            "time": now().timestamp(),
            "region": region,
            "resources": resources,
            "detail": detail,
            "ingestion-time": now().timestamp(),
        }
        bus = events_backends[account][region].event_buses["default"]
        for rule in list(bus.rules.values()):
            rule.send_to_targets(copy.deepcopy(event))


def _logged(account: str, region: str) -> bool:
    """Calls are events only where a trail is logging; of what only reads there is none."""
    return any(
        trail.status.is_logging and (place == region or trail.is_multi_region)
        for place, backend in list(cloudtrail_backends[account].items())
        for trail in list(backend.trails.values())
    )


def _said(target: dict[str, Any], event: Event) -> str:
    """What a target is sent: a constant, a part, something transformed, or the whole event.

    https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_Target.html
    """
    if "Input" in target:
        return str(target["Input"])
    whole = {name: value for name, value in event.items() if name != "ingestion-time"}
    if isinstance(whole["time"], int | float):
        whole["time"] = zulu(dt.datetime.fromtimestamp(whole["time"], dt.UTC))
    if "InputPath" in target:
        for part in target["InputPath"].removeprefix("$").split("."):
            whole = whole[part] if part else whole
        return json.dumps(whole)
    transformer = target.get("InputTransformer")
    if transformer is None:
        return json.dumps(whole)
    whole["ingestion-time"] = event["ingestion-time"]
    return json.dumps(
        EventTemplateParser.parse(transformer.get("InputTemplate"), transformer.get("InputPathsMap", {}), whole)
    )


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _lets_in(policy: Any) -> bool:
    """Whether a queue takes messages from EventBridge; what it does not take is dropped, and nobody is told.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html (conditions are not looked at)
    """
    if not policy:
        return False
    for one in _listed((json.loads(policy) if isinstance(policy, str) else policy).get("Statement", [])):
        who, actions = one.get("Principal"), {str(it).lower() for it in _listed(one.get("Action"))}
        named = who == "*" or (isinstance(who, dict) and SENDER in _listed(who.get("Service")))
        if one.get("Effect") == "Allow" and named and actions & {"sqs:sendmessage", "sqs:*", "*"}:
            return True
    return False


def _to_queue(target: dict[str, Any], event: Event) -> None:
    """Into the queue of the target's ARN, wherever that is, if it is there and lets us in."""
    arn = parse_arn(target["Arn"])
    backend = sqs_backends[arn.account][arn.region]
    queue = backend.queues.get(arn.resource_id)
    if queue is None or not _lets_in(queue.policy):
        return
    group = target.get("SqsParameters", {}).get("MessageGroupId")
    backend.send_message(queue_name=arn.resource_id, message_body=_said(target, event), group_id=group)


def _send(rule: Rule, event: Event, plain: Callable[..., None], *said: Any, **more: Any) -> None:
    """To a rule's targets, if it is enabled and has a pattern that fits; to all but queues as moto does it."""
    if rule.state == "DISABLED" or not rule.event_pattern.get_pattern() or not rule.event_pattern.matches_event(event):
        return
    others = copy.copy(rule)
    others.targets = []
    for target in list(rule.targets):
        if parse_arn(target["Arn"]).service == "sqs":
            _to_queue(target, event)
        else:
            others.targets.append(target)
    if others.targets:
        plain(others, event, *said, **more)


def _put(self: Any, entries: list[Event], plain: Callable[..., list[Event]]) -> list[Event]:
    """Nobody but AWS has sources that begin with "aws.".

    https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsResultEntry.html
    """
    refused = {"ErrorCode": "NotAuthorizedForSourceException", "ErrorMessage": "Not authorized for the source."}
    theirs = [str(one.get("Source") or "").startswith("aws.") for one in entries]
    answers = iter(plain(self, [one for one, aws in zip(entries, theirs, strict=True) if not aws]))
    return [dict(refused) if aws else next(answers) for aws in theirs]


def patch(world: World) -> None:
    """Listen, and deliver. A queue's clock is the emulator's.

    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-visibility-timeout.html
    """
    bind(world)
    sqs.unix_time = lambda: now().timestamp()
    sqs.unix_time_millis = lambda: now().timestamp() * 1000
    put = EventsBackend.put_events
    EventsBackend.put_events = lambda self, entries: _put(self, entries, put)
    bus, plain = Bus(world), Rule.send_to_targets
    Rule.send_to_targets = lambda self, event, *said, **more: _send(self, event, plain, *said, **more)
    activities = getattr(world, "activities", None)
    if activities is not None:
        finish = activities.finish

        def finished(activity: dict[str, Any] | None, why_not: str | None = None) -> None:
            fresh = activity is not None and "EndTime" not in activity
            finish(activity, why_not)
            if fresh:
                bus.finished(activity)

        activities.finish = finished
