"""Messages of a queue that EventBridge sends CloudTrail's records to: what is one, and what is not.

Others may write to a queue, so nothing in a message is believed because it stands there: it has to be an event of this
account and region, of now, that lets somebody in. Shapes as in "AWS service events delivered via AWS CloudTrail".
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from driftd.edges.providers.aws.trailrecords import LETS_IN, Came, at, came

KIND = "AWS API Call via CloudTrail"
CHANGE = "EC2 Instance State-change Notification"
STATES = ("running", "stopped", "terminated")
LONGEST = 256 * 1024  # an event of EventBridge is no longer
AHEAD = timedelta(minutes=5)  # that AWS's clock may be
KEPT = timedelta(hours=48)
_ID = re.compile(r"[0-9a-fA-F-]{36}")
_LONGEST_NAME = 2048  # of which ARNs are the longest
_MOST = 50  # instances that one command names: "InstanceIds"


@dataclass(frozen=True, slots=True)
class Told:
    """What a message tells of: the event's id, and who came by it. Or that an instance came or went: ``changed``.

    A command that was sent to whatever some tags select names no instance, so nobody ``came`` as far as it tells.
    """

    event: str
    came: Sequence[Came]
    changed: bool = False


class NotOurs(Exception):
    """A message that tells of nobody here, and why: another account's, too old, not EventBridge's at all.

    ``odd``: nothing that a rule of this module sends looks so. ``others``: it may be meant for somebody else.
    """

    def __init__(self, why: str, *, odd: bool = True, others: bool = False) -> None:
        super().__init__(why)
        self.odd = odd and not others
        self.others = others


def pattern() -> dict[str, Any]:
    """Which events a rule has to send. Only AWS has sources that begin with "aws.", so nobody else's event fits."""
    services = sorted(set(LETS_IN.values()))
    return {
        "source": [_source(one) for one in services],
        "detail-type": [KIND],
        "detail": {"eventSource": services, "eventName": sorted(LETS_IN)},
    }


def changes() -> dict[str, Any]:
    """Which events another rule may send: that instances came or went."""
    return {"source": ["aws.ec2"], "detail-type": [CHANGE], "detail": {"state": list(STATES)}}


def _source(service: str) -> str:
    return "aws." + service.removesuffix(".amazonaws.com")


def read(body: str, account: str, region: str, now: datetime) -> Told:
    """What ``body`` tells of. Raises ``NotOurs``."""
    event = _event(body)
    detail = event.get("detail")
    if not isinstance(detail, dict):
        raise NotOurs("it has no record of CloudTrail's")
    if (event.get("account"), detail.get("recipientAccountId", account)) != (account, account):
        raise NotOurs("it is another account's", others=True)
    if event.get("region") != region:
        raise NotOurs("it is another region's", others=True)
    if event["detail-type"] == CHANGE:
        return _changed(event)
    if detail.get("awsRegion") != region:
        raise NotOurs("its record is another region's", odd=False)
    name, source = detail.get("eventName"), detail.get("eventSource")
    if not isinstance(name, str) or LETS_IN.get(name, "") != source:
        raise NotOurs("it tells of something else than of who is let in", odd=False)
    if event.get("source") != _source(str(source)):
        raise NotOurs("its source is not the service that it tells of")
    if detail.get("errorCode"):
        raise NotOurs("nobody was let in", odd=False)
    number = detail.get("eventID")
    if not isinstance(number, str) or not _ID.fullmatch(number):
        raise NotOurs("its record has no id")
    return Told(number, _came(detail, now))


def _event(body: str) -> Mapping[str, Any]:
    if len(body) > LONGEST:
        raise NotOurs("it is longer than an event can be")
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        raise NotOurs("it is not JSON") from None
    if not isinstance(event, dict) or event.get("detail-type") not in (KIND, CHANGE):
        raise NotOurs("it is no event that a rule of driftd's module sends")
    return event


def _changed(event: Mapping[str, Any]) -> Told:
    """What is listed is asked for then, so that nothing more is believed of it."""
    if event.get("source") != "aws.ec2":
        raise NotOurs("its source is not the service that it tells of")
    return Told("", (), changed=True)


def _came(detail: Mapping[str, Any], now: datetime) -> Sequence[Came]:
    try:
        moment = at(detail)
        if not now - KEPT <= moment <= now + AHEAD:
            raise NotOurs("it is not of the last days", odd=moment > now)
        found = came(detail, lambda _command: ())
    except (TypeError, ValueError, AttributeError, KeyError, OverflowError):
        raise NotOurs("its record has another form than CloudTrail's") from None
    if len(found) > _MOST:
        raise NotOurs(f"it names more than {_MOST} instances")
    if any(len(name) > _LONGEST_NAME for one in found for name in _names(one)):
        raise NotOurs("it has a name that is longer than any of AWS's")
    return tuple(one for one in found if one.instance_id or one.address)


def _names(one: Came) -> Sequence[str]:
    session = one.session
    return one.instance_id, one.address, session.source, session.key_id, session.tty, session.user
