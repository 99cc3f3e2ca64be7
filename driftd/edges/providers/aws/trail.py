"""Whom AWS itself let in, as CloudTrail tells: by Systems Manager, pushed keys, tunnels and consoles.

Records have the shapes of "Logging AWS Systems Manager API calls with AWS CloudTrail" and "Log EC2 Instance Connect API
calls using AWS CloudTrail". They come late, as a rule within five minutes: each time those of the last while are asked
for again, and what is known is kept for as long as anybody may ask.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from driftd.core.errors import Unavailable
from driftd.core.facts import Instance, Session
from driftd.edges.providers.aws.cloud import Cloud
from driftd.probe.keys import read_line

EVENTS = (
    "StartSession",
    "TerminateSession",
    "SendCommand",
    "SendSSHPublicKey",
    "SendSerialConsoleSSHPublicKey",
    "OpenTunnel",
)
LATE = timedelta(minutes=20)  # CloudTrail "typically delivers events within about 5 minutes"; some take longer
KEPT = timedelta(hours=48)
KEY_LASTS = timedelta(seconds=60)  # "SendSSHPublicKey": the key can be used for 60 seconds
TUNNEL_LONGEST_S = 3600  # "OpenTunnel": maxTunnelDuration
_FRESH_S = 30.0


@dataclass(frozen=True, slots=True)
class _Came:
    """One event that let somebody in, on the instance ``instance_id`` or whoever has ``address``."""

    at: datetime
    session: Session
    instance_id: str = ""
    address: str = ""
    session_id: str = ""


@dataclass(slots=True)
class _Known:
    came: dict[str, _Came] = field(default_factory=dict)  # by the event's id
    ended: dict[str, datetime] = field(default_factory=dict)  # by the session's id
    until: datetime | None = None  # asked so far
    asked_at: float = 0.0


class Trail:
    """Implements ``Doorman.let_in``."""

    def __init__(self, cloud: Cloud, *, fresh_s: float = _FRESH_S) -> None:
        self._cloud = cloud
        self._fresh_s = fresh_s
        self._lock = threading.Lock()
        self._known = _Known()

    def let_in(self, instance: Instance, since: datetime) -> Sequence[Session]:
        """See ``Doorman.let_in``. CloudTrail is asked at most every half minute, for everybody at once."""
        with self._lock:
            if not self._known.asked_at or time.monotonic() - self._known.asked_at > self._fresh_s:
                self._ask(since)
            mine = [one for one in self._known.came.values() if _is_of(one, instance)]
            found = [self._finished(one) for one in mine]
        now = datetime.now(UTC)
        told = [replace(one, live=one.ended_at is None or one.ended_at > now) for one in found]
        told = [replace(one, ended_at=None) if one.live else one for one in told]
        return sorted((one for one in told if one.live or _left(one) >= since), key=lambda one: one.started_at)

    def _finished(self, one: _Came) -> Session:
        ended = self._known.ended.get(one.session_id)
        return one.session if ended is None else replace(one.session, ended_at=max(ended, one.session.started_at))

    def _ask(self, since: datetime) -> None:
        """Read what is new, and forget what is old."""
        now = datetime.now(UTC)
        begin = max(since, now - KEPT)
        if self._known.until is not None:
            begin = min(max(begin, self._known.until - LATE), now)
        for name in EVENTS:
            for record in self._looked_up(name, begin):
                self._take(record)
        self._end_sessions(now)
        self._known.came = {key: one for key, one in self._known.came.items() if one.at > now - KEPT}
        asked_for = {one.session_id for one in self._known.came.values()}
        self._known.ended = {name: at for name, at in self._known.ended.items() if name in asked_for}
        self._known.until, self._known.asked_at = now, time.monotonic()

    def _looked_up(self, name: str, begin: datetime) -> Iterator[Mapping[str, Any]]:
        attributes = [{"AttributeKey": "EventName", "AttributeValue": name}]
        pages = self._cloud.pages("cloudtrail", "lookup_events", "Events", LookupAttributes=attributes, StartTime=begin)
        for event in pages:
            try:
                record = json.loads(event["CloudTrailEvent"])
            except ValueError as error:
                raise Unavailable(f"CloudTrail told of {name} in a way that is not JSON") from error
            if isinstance(record, dict) and not record.get("errorCode"):
                yield record

    def _take(self, record: Mapping[str, Any]) -> None:
        if record.get("eventName") == "TerminateSession":
            session = str((record.get("requestParameters") or {}).get("sessionId") or "")
            self._known.ended.setdefault(session, _at(record))
            return
        for number, one in enumerate(self._read(record)):
            self._known.came[f"{record.get('eventID')}/{number}"] = one

    def _end_sessions(self, now: datetime) -> None:
        """Sessions end by themselves, too: by time, and when their instance stops."""
        open_ids = {one.session_id for one in self._known.came.values() if one.session_id} - set(self._known.ended)
        if not open_ids:
            return
        active = {one["SessionId"] for one in self._cloud.pages("ssm", "describe_sessions", "Sessions", State="Active")}
        for session in open_ids - active:
            filters = [{"key": "SessionId", "value": session}]
            past = self._cloud.ask("ssm", "describe_sessions", State="History", Filters=filters)["Sessions"]
            if past:
                self._known.ended[session] = past[0].get("EndDate") or now

    # --- records ---

    def _read(self, record: Mapping[str, Any]) -> list[_Came]:
        asked = record.get("requestParameters") or {}
        answered = record.get("responseElements") or {}
        name = record.get("eventName")
        base = Session("cloud", "", str(record.get("sourceIPAddress") or ""), _at(record), key_id=_who(record))
        if name == "StartSession":
            session = str(answered.get("sessionId") or "")
            made = replace(base, tty=session, kind="interactive")
            return [_Came(base.started_at, made, str(asked.get("target") or ""), session_id=session)]
        if name == "SendCommand":
            command = str((answered.get("command") or {}).get("commandId") or "")
            made = replace(base, tty=command, kind="command", ended_at=base.started_at)
            return [_Came(base.started_at, made, one) for one in self._reached(asked, command)]
        if name == "OpenTunnel":
            lasts = timedelta(seconds=_number(asked.get("maxTunnelDuration"), TUNNEL_LONGEST_S))
            made = replace(base, ended_at=base.started_at + lasts, kind="forward")
            return [_Came(base.started_at, made, address=str(asked.get("privateIpAddress") or ""))]
        user = str(asked.get("osUser") or asked.get("instanceOSUser") or "")
        made = replace(base, user=user, ended_at=base.started_at + KEY_LASTS, key=_key(asked))
        return [_Came(base.started_at, made, str(asked.get("instanceId") or ""))]

    def _reached(self, asked: Mapping[str, Any], command: str) -> list[str]:
        """Whom a command was sent to: by their ids, or by what selected them, of which SSM knows."""
        ids = asked.get("instanceIds")
        if ids:
            return [str(one) for one in ids]
        if not command:
            return []
        pages = self._cloud.pages("ssm", "list_command_invocations", "CommandInvocations", CommandId=command)
        return [str(one["InstanceId"]) for one in pages]


def _is_of(one: _Came, instance: Instance) -> bool:
    if one.instance_id:
        return one.instance_id == instance.id
    return bool(one.address) and one.address == instance.address


def _left(one: Session) -> datetime:
    return one.ended_at or one.started_at


def _at(record: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(str(record["eventTime"]))


def _who(record: Mapping[str, Any]) -> str:
    """The ARN of who it was: of an assumed role it ends in the session's name."""
    identity = record.get("userIdentity") or {}
    return str(identity.get("arn") or identity.get("principalId") or identity.get("type") or "nobody that is named")


def _key(asked: Mapping[str, Any]) -> str:
    told = asked.get("SSHKey") or asked.get("sSHPublicKey") or asked.get("sshPublicKey") or ""
    text = str(told.get("publicKey") or "") if isinstance(told, Mapping) else str(told)
    key = read_line(text.encode("ascii", "replace"))
    return key.fingerprint.decode() if key else ""


def _number(told: object, most: int) -> int:
    return min(int(told), most) if isinstance(told, (int, str)) and str(told).isdecimal() else most
