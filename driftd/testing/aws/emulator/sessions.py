"""Doors into an instance as AWS documents them: sessions as records, pushed keys, what the console said."""

from __future__ import annotations

import base64
import datetime as dt
import secrets
import uuid
from typing import Any

from common import KNOBS, ApiError, caller, identity, now, page
from managed import body, instances, registered
from matter import Busy, MatterAway
from moto.core.responses import ActionResult
from moto.ec2.responses.general import General
from moto.ec2instanceconnect.responses import Ec2InstanceConnectResponse
from moto.ssm.models import ssm_backends
from moto.ssm.responses import SimpleSystemManagerResponse
from world import World

DOCUMENT = "SSM-SessionManagerRunShell"
ACTIVE = {"Connected", "Connecting", "Disconnected"}
# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetConsoleOutput.html
CONSOLE_BYTES = 64 * 1024


def _sessions(response: Any) -> dict[str, dict[str, Any]]:
    """The sessions of this account and region, by id."""
    backend = ssm_backends[response.current_account][response.region]
    found: dict[str, dict[str, Any]] = vars(backend).setdefault("driftd_sessions", {})
    return found


def _opened(response: Any, session: str) -> ActionResult:
    """Where the client goes on; nobody listens there: a session here is a record and no more."""
    answer = {
        "SessionId": session,
        "TokenValue": secrets.token_urlsafe(48),
        "StreamUrl": f"wss://ssmmessages.{response.region}.amazonaws.com/v1/data-channel/{session}?role=publish_subscribe",
    }
    return ActionResult(answer)


def start_session(self: Any) -> ActionResult:
    """https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_StartSession.html."""
    asked = body(self)
    target = asked["Target"]
    if registered(self.current_account, self.region).get(target, (None, ""))[1] != "Online":
        raise ApiError("TargetNotConnected", f"{target} is not connected.")
    who = identity(self)
    session = f"{caller(who)}-{secrets.token_hex(9)[:17]}"
    _sessions(self)[session] = {
        "SessionId": session,
        "Target": target,
        "Status": "Connected",
        "StartDate": now(),
        "DocumentName": asked.get("DocumentName", DOCUMENT),
        "Owner": who["arn"],
        "Reason": asked.get("Reason"),
        "AccessType": "Standard",
    }
    return _opened(self, session)


def resume_session(self: Any) -> ActionResult:
    """https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_ResumeSession.html."""
    session = body(self)["SessionId"]
    found = _sessions(self).get(session)
    if found is None or found["Status"] not in ACTIVE:
        raise ApiError("DoesNotExistException", f"Session {session} does not exist.")
    return _opened(self, session)


def terminate_session(self: Any) -> ActionResult:
    """https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_TerminateSession.html: no id is wrong."""
    session = body(self)["SessionId"]
    found = _sessions(self).get(session)
    if found is not None and found["Status"] in ACTIVE:
        found |= {"Status": "Terminated", "EndDate": now()}
    return ActionResult({"SessionId": session})


def _matches(session: dict[str, Any], key: str, value: str) -> bool:
    """https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_SessionFilter.html."""
    if key in {"InvokedAfter", "InvokedBefore"}:
        at = dt.datetime.fromisoformat(value)
        return bool(session["StartDate"] > at if key == "InvokedAfter" else session["StartDate"] < at)
    if key not in {"Target", "Owner", "Status", "SessionId", "AccessType"}:
        raise ApiError("InvalidFilterKey", f"The specified filter key isn't valid: {key}")
    return bool(session[key] == value)


def describe_sessions(self: Any) -> ActionResult:
    """https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_DescribeSessions.html."""
    asked = body(self)
    active = asked["State"] == "Active"
    found = [one for one in _sessions(self).values() if (one["Status"] in ACTIVE) == active]
    for wanted in asked.get("Filters") or []:
        found = [one for one in found if _matches(one, wanted["key"], wanted["value"])]
    found.sort(key=lambda one: one["StartDate"], reverse=True)
    some, token = page(found, int(asked.get("MaxResults") or 50), asked.get("NextToken"), "InvalidNextToken")
    return ActionResult({"Sessions": some, "NextToken": token})


def _reached(response: Any, asked: dict[str, Any]) -> Any:
    """The running instance that a key is for, or EC2 Instance Connect's errors."""
    found = [one for one in instances(response.current_account, response.region) if one.id == asked["InstanceId"]]
    if not found:
        raise ApiError("EC2InstanceNotFoundException", f"{asked['InstanceId']} was not found.")
    zone = asked.get("AvailabilityZone")
    if zone and zone != found[0].placement.zone:
        raise ApiError("EC2InstanceNotFoundException", f"{asked['InstanceId']} is not in {zone}.")
    if found[0].state != "running":
        raise ApiError("EC2InstanceStateInvalidException", f"{asked['InstanceId']} is not running.")
    key = asked["SSHPublicKey"].split()
    if len(key) < 2 or not key[0].startswith(("ssh-", "ecdsa-", "sk-")):
        raise ApiError("InvalidArgsException", "The public key is not valid.")
    return found[0]


class Keys:
    """Pushed keys until they are good no more."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.pushed: list[tuple[dt.datetime, dict[str, str]]] = []
        world.ticks.append(self.tick)
        world.resets.append(self.pushed.clear)

    def send(self, response: Any) -> ActionResult:
        """https://docs.aws.amazon.com/ec2-instance-connect/latest/APIReference/API_SendSSHPublicKey.html.

        The key is good for 60 seconds (knob ``key_s``): the matter hears of it ("key"), and of its end ("unkey").
        """
        asked = body(response)
        instance, lasts_s = _reached(response, asked), KNOBS["key_s"]
        said = {"id": instance.id, "user": asked["InstanceOSUser"], "key": asked["SSHPublicKey"]}
        try:
            self.world.matter.ask("key", seconds=lasts_s, **said)
        except (Busy, MatterAway) as away:
            raise ApiError("EC2InstanceUnavailableException", f"{instance.id} is unavailable: {away}") from away
        self.pushed.append((now() + dt.timedelta(seconds=lasts_s), said))
        return ActionResult({"RequestId": str(uuid.uuid4()), "Success": True})

    def tick(self) -> bool:
        """Take away what is good no more."""
        ended = [one for one in self.pushed if one[0] <= now()]
        for one in ended:
            self.pushed.remove(one)
            if one[1] not in [said for _, said in self.pushed]:  # not pushed once more since
                self.world.matter.ask("unkey", **one[1])
        return bool(ended)


def send_serial_console_ssh_public_key(self: Any) -> ActionResult:
    """https://docs.aws.amazon.com/ec2-instance-connect/latest/APIReference/API_SendSerialConsoleSSHPublicKey.html.

    An account may use the serial console only once somebody allowed it; nobody listens behind it here.
    """
    asked = body(self)
    if not _serial(self).get("enabled"):
        raise ApiError(
            "SerialConsoleAccessDisabledException", "Your account is not authorized to use the EC2 Serial Console."
        )
    _reached(self, asked)
    return ActionResult({"RequestId": str(uuid.uuid4()), "Success": True})


def _serial(response: Any) -> dict[str, bool]:
    """Whether this account may use the serial console in this region: not, unless somebody said so."""
    backend = ssm_backends[response.current_account][response.region]
    found: dict[str, bool] = vars(backend).setdefault("driftd_serial_console", {})
    return found


def _serial_access(*, enabled: bool | None) -> Any:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_EnableSerialConsoleAccess.html and its siblings."""

    def answer(self: Any) -> ActionResult:
        if enabled is not None:
            _serial(self)["enabled"] = enabled
        return ActionResult({"SerialConsoleAccessEnabled": _serial(self).get("enabled", False)})

    return answer


def get_console_output(self: Any, world: World) -> ActionResult:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetConsoleOutput.html: the last 64 KB, in base64.

    Before EC2 has posted any there is no output at all.
    """
    instance = self.ec2_backend.get_instance(self._get_param("InstanceId"))
    text = world.matter.ask("console", id=instance.id).get("text") or ""
    answer = {"InstanceId": instance.id, "Timestamp": now()}
    if text:
        answer["Output"] = base64.b64encode(text.encode("utf-8", "surrogateescape")[-CONSOLE_BYTES:]).decode()
    return ActionResult(answer)


def patch(world: World) -> None:
    """Put it all in the place of what moto has."""
    ssm = SimpleSystemManagerResponse
    for one in (start_session, resume_session, terminate_session, describe_sessions):
        setattr(ssm, one.__name__, one)
    connect = Ec2InstanceConnectResponse
    keys = Keys(world)
    connect.send_ssh_public_key = lambda self: keys.send(self)  # noqa: PLW0108 - moto calls plain functions only
    connect.send_serial_console_ssh_public_key = send_serial_console_ssh_public_key
    General.get_console_output = lambda self: get_console_output(self, world)
    General.enable_serial_console_access = _serial_access(enabled=True)
    General.disable_serial_console_access = _serial_access(enabled=False)
    General.get_serial_console_access_status = _serial_access(enabled=None)
