"""CloudTrail's event history as AWS documents it: every management call over HTTP, looked up later.

https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import json
import threading
from collections import defaultdict, deque
from collections.abc import Iterator
from typing import Any

from common import KNOBS, ApiError, bind, caller, now
from managed import body
from moto.cloudtrail.responses import CloudTrailResponse
from moto.core.responses import ActionResult, BaseResponse
from moto.ec2instanceconnect.responses import Ec2InstanceConnectResponse
from records import kept, record, resources
from world import World

KIND = "AWS API Call via CloudTrail"
PAGE = 50
HISTORY = dt.timedelta(days=90)
MOST = 100_000


class Trail:
    """The history of all accounts and regions."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.lock = threading.Lock()
        self.serial = 0
        self.events: dict[tuple[str, str], deque[dict[str, Any]]] = defaultdict(lambda: deque(maxlen=MOST))
        self.asked: dict[tuple[str, str], deque[float]] = defaultdict(lambda: deque(maxlen=100))
        world.resets.append(self.forget)

    def forget(self) -> None:
        """As if nobody had ever called."""
        with self.lock:
            self.events.clear()
            self.asked.clear()

    def write(self, response: Any, action: str, answer: tuple[int, Any, Any]) -> None:
        """Keep one call, and tell who listens."""
        written = record(response, action, answer)
        if written.get("errorCode", "").endswith("NotImplementedByTheEmulator"):
            return
        account, region = response.current_account, written["awsRegion"]
        text = json.dumps(written, default=str)
        who = written["userIdentity"]
        event = {
            "EventId": written["eventID"],
            "EventName": action,
            "ReadOnly": str(written["readOnly"]).lower(),
            "AccessKeyId": who["accessKeyId"],
            "EventTime": now().replace(microsecond=0),
            "EventSource": written["eventSource"],
            "Username": caller(who),
            "Resources": [] if written["readOnly"] else resources(text, written["eventSource"]),
            "CloudTrailEvent": text,
        }
        with self.lock:
            self.serial += 1
            self.events[account, region].append({"serial": self.serial, "at": now(), "event": event})
        self.world.happened(KIND, account, region, json.loads(text))

    def newest_first(self, place: tuple[str, str], below: int | None) -> Iterator[dict[str, Any]]:
        """What can be looked up by now: it takes its time from the call to the history."""
        latest = now() - dt.timedelta(seconds=KNOBS["trail_delay_s"])
        with self.lock:
            rows = list(self.events[place])
        for one in reversed(rows):
            if one["at"] <= latest and (below is None or one["serial"] < below):
                yield one

    def throttle(self, place: tuple[str, str]) -> None:
        """Two look-ups a second for an account in a region, where the knob says so."""
        most, this = KNOBS["trail_per_second"], now().timestamp()
        with self.lock:
            recent = self.asked[place]
            while recent and recent[0] <= this - 1:
                recent.popleft()
            if most and len(recent) >= most:
                raise ApiError("ThrottlingException", "Rate exceeded")
            recent.append(this)

    def lookup(self, response: Any) -> ActionResult:
        """One page, newest first."""
        asked = body(response)
        place = (response.current_account, response.region)
        self.throttle(place)
        size = _size(asked)
        wanted, begin, end = _wanted(asked)
        print_of = _print(asked)
        page: list[dict[str, Any]] = []
        for one in self.newest_first(place, _below(asked.get("NextToken"), print_of)):
            if _within(one["event"], begin, end) and _matches(one["event"], wanted):
                page.append(one)
            if len(page) > size:
                break
        answer: dict[str, Any] = {"Events": [one["event"] for one in page[:size]]}
        if asked.get("EventCategory"):  # insight events: nothing here is unusual
            answer["Events"] = []
        elif len(page) > size:
            answer["NextToken"] = base64.b64encode(f"{page[size - 1]['serial']} {print_of}".encode()).decode()
        return ActionResult(answer)


def _size(asked: dict[str, Any]) -> int:
    size = int(asked.get("MaxResults") or PAGE)
    if not 1 <= size <= PAGE:
        raise ApiError("InvalidMaxResultsException", "A page has between 1 and 50 events.")
    return size


def _wanted(asked: dict[str, Any]) -> tuple[dict[str, str] | None, dt.datetime, dt.datetime]:
    """What is looked for, and in which time: one attribute at most, and the last ninety days."""
    attributes = asked.get("LookupAttributes") or []
    if len(attributes) > 1:
        raise ApiError("InvalidLookupAttributesException", "Only one lookup attribute can be given.")
    earliest = now() - HISTORY
    begin = dt.datetime.fromtimestamp(asked["StartTime"], dt.UTC) if asked.get("StartTime") else earliest
    end = dt.datetime.fromtimestamp(asked["EndTime"], dt.UTC) if asked.get("EndTime") else now()
    if begin > end:
        raise ApiError("InvalidTimeRangeException", "The start time is after the end time.")
    return (attributes[0] if attributes else None), max(begin, earliest), end


def _within(event: dict[str, Any], begin: dt.datetime, end: dt.datetime) -> bool:
    return bool(begin.replace(microsecond=0) <= event["EventTime"] <= end)


def _matches(event: dict[str, Any], wanted: dict[str, str] | None) -> bool:
    """https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupAttribute.html."""
    if wanted is None:
        return True
    key, value = wanted["AttributeKey"], wanted["AttributeValue"]
    if key in {"ResourceType", "ResourceName"}:
        return any(one[key] == value for one in event["Resources"])
    if key not in {"EventId", "EventName", "ReadOnly", "Username", "EventSource", "AccessKeyId"}:
        raise ApiError("InvalidLookupAttributesException", f"{key} is no lookup attribute.")
    return bool(event[key] == value)


def _print(asked: dict[str, Any]) -> str:
    """A page token goes with the question it was given for."""
    question = {name: asked.get(name) for name in ("LookupAttributes", "StartTime", "EndTime")}
    return hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()[:16]


def _below(given: str | None, print_of: str) -> int | None:
    """Below which serial the next page begins."""
    if not given:
        return None
    try:
        serial, of = base64.b64decode(given, validate=True).decode().split(" ")
        if of == print_of:
            return int(serial)
    except (binascii.Error, ValueError):
        pass
    raise ApiError("InvalidNextTokenException", "The token is invalid or was given for another question.")


def open_tunnel(_self: Any) -> str:
    """What an EC2 Instance Connect Endpoint does for a client; no SDK has it, and no tunnel is opened here.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/log-ec2-instance-connect-endpoint-using-cloudtrail.html
    """
    return "{}"


def patch(world: World) -> None:
    """Record every call that goes through moto's dispatcher (S3's do not), and answer look-ups."""
    bind(world)
    trail, inner = Trail(world), BaseResponse.call_action

    def call_action(self: BaseResponse) -> Any:
        answer = inner(self)
        action = self._get_action()
        if action and kept(self.boto3_service_name, action):
            trail.write(self, action, answer)
        return answer

    BaseResponse.call_action = call_action
    CloudTrailResponse.lookup_events = lambda self: trail.lookup(self)  # noqa: PLW0108 - moto calls plain functions only
    Ec2InstanceConnectResponse.open_tunnel = open_tunnel
