"""CloudTrail's records, made into who was let in and where.

They have the shapes of "Logging AWS Systems Manager API calls with AWS CloudTrail" and "Log EC2 Instance Connect API
calls using AWS CloudTrail".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from driftd.core.facts import Session
from driftd.probe.keys import read_line

SSM, CONNECT = "ssm.amazonaws.com", "ec2-instance-connect.amazonaws.com"
LETS_IN = {
    "StartSession": SSM,
    "SendCommand": SSM,
    "SendSSHPublicKey": CONNECT,
    "SendSerialConsoleSSHPublicKey": CONNECT,
    "OpenTunnel": CONNECT,
}
ENDS = "TerminateSession"
KEY_LASTS = timedelta(seconds=60)  # "SendSSHPublicKey": the key can be used for 60 seconds
TUNNEL_LONGEST_S = 3600  # "OpenTunnel": maxTunnelDuration


@dataclass(frozen=True, slots=True)
class Came:
    """One event that let somebody in, on the instance ``instance_id`` or whoever has ``address``."""

    at: datetime
    session: Session
    instance_id: str = ""
    address: str = ""
    session_id: str = ""

    def is_of(self, instance_id: str, address: str) -> bool:
        """Whether it was on the instance of that id and address."""
        if self.instance_id:
            return self.instance_id == instance_id
        return bool(self.address) and self.address == address


def came(record: Mapping[str, Any], reached: Callable[[str], Sequence[str]]) -> tuple[Came, ...]:
    """Who came by it; ``reached`` says whom a command was sent to that names nobody. Raises what that does."""
    asked = record.get("requestParameters") or {}
    answered = record.get("responseElements") or {}
    name = record.get("eventName")
    base = Session("cloud", "", str(record.get("sourceIPAddress") or ""), at(record), key_id=_who(record))
    if name == "StartSession":
        session = str(answered.get("sessionId") or "")
        made = replace(base, tty=session, kind="interactive")
        return (Came(base.started_at, made, str(asked.get("target") or ""), session_id=session),)
    if name == "SendCommand":
        command = str((answered.get("command") or {}).get("commandId") or "")
        made = replace(base, tty=command, kind="command", ended_at=base.started_at)
        ids = asked.get("instanceIds") or (reached(command) if command else ())
        return tuple(Came(base.started_at, made, str(one)) for one in ids)
    if name == "OpenTunnel":
        lasts = timedelta(seconds=_number(asked.get("maxTunnelDuration"), TUNNEL_LONGEST_S))
        made = replace(base, ended_at=base.started_at + lasts, kind="forward")
        return (Came(base.started_at, made, address=str(asked.get("privateIpAddress") or "")),)
    user = str(asked.get("osUser") or asked.get("instanceOSUser") or "")
    made = replace(base, user=user, ended_at=base.started_at + KEY_LASTS, key=_key(asked))
    return (Came(base.started_at, made, str(asked.get("instanceId") or "")),)


def at(record: Mapping[str, Any]) -> datetime:
    """When it was."""
    return datetime.fromisoformat(str(record["eventTime"]))


def ended(record: Mapping[str, Any]) -> str:
    """Which session somebody ended."""
    return str((record.get("requestParameters") or {}).get("sessionId") or "")


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
