"""SSM Run Command as AWS documents it: what is sent runs on the world's servers, later, and may fail or last long."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import json
import queue
import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import sessions
from common import KNOBS, ApiError, bind, now, page, zulu
from managed import body, describe_instance_information, registered, tagged
from matter import Busy, Matter, MatterAway
from moto.core.responses import ActionResult, EmptyResult
from moto.s3.exceptions import MissingBucket
from moto.s3.models import s3_backends
from moto.ssm.models import ssm_backends
from moto.ssm.responses import SimpleSystemManagerResponse
from moto.utilities.utils import get_partition
from world import World

DOCUMENT = "AWS-RunShellScript"
PLUGIN = "aws:runShellScript"
FOLDER = "awsrunShellScript/0.awsrunShellScript"
PARAMETERS = {"commands", "workingDirectory", "executionTimeout"}
# https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetCommandInvocation.html
OUT_CHARACTERS, ERR_CHARACTERS = 24_000, 8_000
# https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_CommandPlugin.html
PLUGIN_CHARACTERS = 2_500
LONGEST, OWN_SIZE = 65_536, 1_600
OPEN = ("Pending", "InProgress", "Cancelling")
STOPPED_HARD = 137  # what the agent reports for a script that it ended with a signal


@dataclass
class Invocation:
    """One command on one instance."""

    instance: str
    status: str = "Pending"
    details: str = "Pending"
    code: int = -1
    began: dt.datetime | None = None
    ended: dt.datetime | None = None
    out: str = ""
    err: str = ""
    urls: dict[str, str] = field(default_factory=dict)

    def become(self, status: str, details: str | None = None) -> None:
        """Another status."""
        self.details = details or status
        self.status = status


@dataclass
class Command:
    """What was sent, and how far it is."""

    asked: dict[str, Any]
    account: str
    region: str
    invocations: dict[str, Invocation]
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    at: dt.datetime = field(default_factory=now)

    @property
    def delivery_s(self) -> int:
        """https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_SendCommand.html (TimeoutSeconds)."""
        return int(self.asked.get("TimeoutSeconds") or 3600)

    @property
    def execution_s(self) -> float:
        """https://docs.aws.amazon.com/systems-manager/latest/userguide/monitor-commands.html (execution timeout)."""
        return float(self.asked["Parameters"].get("executionTimeout", ["3600"])[0])

    def status(self) -> tuple[str, str]:
        """The whole command's status, and the detail of it."""
        seen = [one.status for one in self.invocations.values()]
        if not seen:  # a target that no instance has
            return "Success", "NoInstancesInTag"
        if any(one in OPEN for one in seen):
            started = any(one != "Pending" for one in seen)
            return ("InProgress", "InProgress") if started else ("Pending", "Pending")
        for one in self.invocations.values():
            if one.status != "Success":
                return one.status, one.details
        return "Success", "Success"

    def described(self) -> dict[str, Any]:
        """https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_Command.html."""
        status, details = self.status()
        every = list(self.invocations.values())
        copied = ("Comment", "OutputS3Region", "OutputS3BucketName", "OutputS3KeyPrefix")
        return {
            "CommandId": self.id,
            "DocumentName": self.asked["DocumentName"],
            "DocumentVersion": self.asked.get("DocumentVersion", "$DEFAULT"),
            "ExpiresAfter": self.at + dt.timedelta(seconds=self.delivery_s + self.execution_s),
            "Parameters": self.asked["Parameters"],
            "InstanceIds": self.asked.get("InstanceIds", []),
            "RequestedDateTime": self.at,
            "Status": status,
            "StatusDetails": details,
            "MaxConcurrency": self.asked.get("MaxConcurrency", "50"),
            "MaxErrors": self.asked.get("MaxErrors", "0"),
            "TargetCount": len(every),
            "CompletedCount": sum(one.status not in OPEN for one in every),
            "ErrorCount": sum(one.status == "Failed" for one in every),
            "DeliveryTimedOutCount": sum(one.details == "DeliveryTimedOut" for one in every),
            "TimeoutSeconds": self.delivery_s,
            "Targets": self.asked.get("Targets", []),
            **{name: self.asked.get(name, "") for name in copied},
        }


def kept(response: Any) -> dict[str, Command]:
    """The commands of this account and region, by id; moto's reset forgets them with everything else."""
    backend = ssm_backends[response.current_account][response.region]
    found: dict[str, Command] = vars(backend).setdefault("driftd_commands", {})
    return found


def _chosen(self: Any, asked: dict[str, Any]) -> list[str]:
    """The instances that a command is for: named ones must be registered, of targets only those that are count."""
    known = registered(self.current_account, self.region)
    named = asked.get("InstanceIds") or []
    if len(set(named)) < len(named):
        raise ApiError("DuplicateInstanceId", "You can't specify a managed node ID in more than one request.")
    missing = [one for one in named if one not in known]
    if missing:
        text = f"Instances [[{', '.join(missing)}]] not in a valid state for account {self.current_account}"
        raise ApiError("InvalidInstanceId", text)
    chosen = list(named)
    for target in asked.get("Targets") or []:
        key = target["Key"]
        found = tagged(self, key[4:], target["Values"]) if key.startswith("tag:") else set(target["Values"])
        chosen += [one for one in known if one in found and one not in chosen]
    return chosen


def _checked(asked: dict[str, Any]) -> None:
    """Refuse what AWS refuses, and every document but the one that really runs here."""
    if asked.get("DocumentName") != DOCUMENT:
        raise ApiError("InvalidDocument", f"Document with name {asked.get('DocumentName')} does not exist.")
    asked.setdefault("Parameters", {})
    strange = set(asked["Parameters"]) - PARAMETERS
    if strange or not asked["Parameters"].get("commands"):
        what = f"{sorted(strange)} are no parameters of it" if strange else "commands is required"
        raise ApiError("InvalidParameters", f"{DOCUMENT}: {what}")
    # https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_CreateDocument.html: "must not exceed 64KB.
    # This quota also includes the content specified for input parameters at runtime." Its own text counts, too.
    if len(json.dumps(asked["Parameters"])) > LONGEST - OWN_SIZE:
        raise ApiError("MaxDocumentSizeExceeded", "The size limit of a document is 64 KB.")
    if not asked.get("InstanceIds") and not asked.get("Targets"):
        raise ApiError("InvalidInstanceId", "Either InstanceIds or Targets must be specified.")
    if not 30 <= int(asked.get("TimeoutSeconds") or 3600) <= 2_592_000:
        raise ApiError("ValidationException", "TimeoutSeconds must be between 30 and 2592000.")


def send_command(self: Any, world: World) -> ActionResult:
    """https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_SendCommand.html.

    It has no client token: the same request twice is two commands.
    """
    asked = body(self)
    _checked(asked)
    chosen = _chosen(self, asked)
    command = Command(asked, self.current_account, self.region, {one: Invocation(one) for one in chosen})
    kept(self)[command.id] = command
    answer = command.described()
    for one in command.invocations.values():
        threading.Thread(target=_run, args=(world, command, one), daemon=True).start()
    return ActionResult({"Command": answer})


def _run(world: World, command: Command, one: Invocation) -> None:
    """Deliver the command, run it, keep what came of it."""
    time.sleep(KNOBS["ssm_pending_s"])
    wait_s = command.delivery_s if KNOBS["ssm_delivery_s"] is None else KNOBS["ssm_delivery_s"]
    until = command.at + dt.timedelta(seconds=wait_s)
    while registered(command.account, command.region).get(one.instance, (None, ""))[1] != "Online":
        if one.status != "Pending":
            return
        if now() > until:
            one.become("TimedOut", "DeliveryTimedOut")
            return
        time.sleep(0.1)
    if one.status != "Pending":  # cancelled before it was delivered
        return
    one.began = now()
    one.become("InProgress")
    answers: queue.Queue[dict[str, Any]] = queue.Queue()
    threading.Thread(target=_ask, args=(world, command, one, answers), daemon=True).start()
    try:
        answer = answers.get(timeout=command.execution_s)
    except queue.Empty:
        answer = {"late": True}
    _finish(command, one, answer)


def _ask(world: World, command: Command, one: Invocation, answers: queue.Queue[dict[str, Any]]) -> None:
    """Have it run. A matter that cannot say what came of it has lost the server: nobody hears of it again."""
    matter = Matter(world.matter.url, command.execution_s + 5)  # it may take as long as the command may
    given = command.asked["Parameters"]
    lines = [f"cd {folder}" for folder in given.get("workingDirectory", [])[:1] if folder] + given["commands"]
    with contextlib.suppress(Busy, MatterAway):
        answers.put(matter.ask("command", id=one.instance, commands=lines, timeout=command.execution_s))


def _finish(command: Command, one: Invocation, answer: dict[str, Any]) -> None:
    """Write down how it ended; the status comes last, since it is what everybody waits for."""
    one.ended = now()
    streams = {name: base64.b64decode(answer.get(name) or "") for name in ("out", "err")}
    one.urls = _stored(command, one, {"stdout": streams["out"], "stderr": streams["err"]})
    one.out, one.err = (streams[name].decode("utf-8", "replace") for name in ("out", "err"))
    one.code = STOPPED_HARD if answer.get("late") else int(answer.get("status") or 0)
    if one.status == "Cancelling":
        one.become("Cancelled", "Canceled")
    elif answer.get("late"):
        one.become("TimedOut", "ExecutionTimedOut")
    else:
        one.become("Success" if one.code == 0 else "Failed")


def _stored(command: Command, one: Invocation, streams: dict[str, bytes]) -> dict[str, str]:
    """Put the whole output into the bucket; a bucket that is not there spoils nothing but the output.

    https://docs.aws.amazon.com/systems-manager/latest/userguide/rc-console.html and
    https://docs.aws.amazon.com/systems-manager/latest/userguide/monitor-commands.html: the key is
    prefix/command-id/instance-id/awsrunShellScript/0.awsrunShellScript/stdout. An empty stream is no object.
    """
    bucket, prefix = command.asked.get("OutputS3BucketName"), command.asked.get("OutputS3KeyPrefix") or ""
    if not bucket:
        return {}
    region = command.asked.get("OutputS3Region") or command.region
    folder = "/".join(part for part in (prefix.strip("/"), command.id, one.instance, FOLDER) if part)
    backend = s3_backends[command.account][get_partition(region)]
    for name, content in streams.items():
        if content:
            with contextlib.suppress(MissingBucket):
                backend.put_object(bucket, f"{folder}/{name}", content)
    return {name: f"https://s3.{region}.amazonaws.com/{bucket}/{folder}/{name}" for name in streams}


def get_command_invocation(self: Any) -> ActionResult:
    """https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetCommandInvocation.html."""
    asked = body(self)
    command = kept(self).get(asked["CommandId"])
    one = command.invocations.get(asked["InstanceId"]) if command else None
    plugin = asked.get("PluginName")
    if plugin not in {None, PLUGIN}:
        raise ApiError("InvalidPluginName", "The plugin name isn't valid.")
    hidden_s = KNOBS["ssm_invocation_after_s"]  # AWS knows of an invocation a little later than of its command
    if not command or not one or (now() - command.at).total_seconds() < hidden_s:
        text = "The command ID and managed node ID you specified didn't match any invocations."
        raise ApiError("InvocationDoesNotExist", text)
    finished = one.status in {"Success", "Failed"}
    took = (one.ended - one.began).total_seconds() if one.began and one.ended else None
    answer = {
        "CommandId": command.id,
        "InstanceId": one.instance,
        "Comment": command.asked.get("Comment", ""),
        "DocumentName": DOCUMENT,
        "DocumentVersion": command.asked.get("DocumentVersion", "$DEFAULT"),
        "PluginName": PLUGIN,
        "ResponseCode": one.code,
        "ExecutionStartDateTime": zulu(one.began, milliseconds=True) if one.began else "",
        "ExecutionElapsedTime": f"PT{took:.3f}S" if took is not None else "",
        "ExecutionEndDateTime": zulu(one.ended, milliseconds=True) if one.ended else "",
        "Status": one.status,
        "StatusDetails": one.details,
        "StandardOutputContent": one.out[:OUT_CHARACTERS] if finished else "",
        "StandardOutputUrl": one.urls.get("stdout", ""),
        "StandardErrorContent": one.err[:ERR_CHARACTERS] if finished else "",
        "StandardErrorUrl": one.urls.get("stderr", ""),
    }
    return ActionResult(answer)


def _listed(self: Any) -> list[Command]:
    """The commands that a listing is about, newest first."""
    one, instance = self._get_param("CommandId"), self._get_param("InstanceId")
    found = [it for it in kept(self).values() if one in {None, it.id} and (not instance or instance in it.invocations)]
    for wanted in self._get_param("Filters") or []:
        if wanted["key"] == "Status":
            found = [it for it in found if it.status()[0] == wanted["value"]]
        elif wanted["key"] == "DocumentName":
            found = [it for it in found if it.asked["DocumentName"] == wanted["value"]]
        else:
            raise ApiError("InvalidFilterKey", f"The specified filter key isn't valid: {wanted['key']}")
    return sorted(found, key=lambda it: it.at, reverse=True)


def list_commands(self: Any) -> ActionResult:
    """https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_ListCommands.html."""
    size = int(self._get_param("MaxResults") or 50)
    some, token = page(_listed(self), size, self._get_param("NextToken"), "InvalidNextToken")
    return ActionResult({"Commands": [one.described() for one in some], "NextToken": token})


def list_command_invocations(self: Any) -> ActionResult:
    """https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_ListCommandInvocations.html."""
    instance, rows = self._get_param("InstanceId"), []
    detailed = bool(self._get_param("Details"))
    for command in _listed(self):
        chosen = [one for one in command.invocations.values() if instance in {None, one.instance}]
        rows += [_row(command, one, detailed=detailed) for one in chosen]
    size = int(self._get_param("MaxResults") or 50)
    some, token = page(rows, size, self._get_param("NextToken"), "InvalidNextToken")
    return ActionResult({"CommandInvocations": some, "NextToken": token})


def _row(command: Command, one: Invocation, *, detailed: bool) -> dict[str, Any]:
    """https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_CommandInvocation.html."""
    common = {
        "Status": one.status,
        "StatusDetails": one.details,
        "StandardOutputUrl": one.urls.get("stdout", ""),
        "StandardErrorUrl": one.urls.get("stderr", ""),
    }
    plugin = {**common, "Name": PLUGIN, "ResponseCode": one.code, "Output": one.out[:PLUGIN_CHARACTERS]}
    times = {"ResponseStartDateTime": one.began, "ResponseFinishDateTime": one.ended}
    plugin |= {name: at for name, at in times.items() if at}
    return {
        **common,
        "CommandId": command.id,
        "InstanceId": one.instance,
        "Comment": command.asked.get("Comment", ""),
        "DocumentName": DOCUMENT,
        "RequestedDateTime": command.at,
        "CommandPlugins": [plugin] if detailed else [],
    }


def cancel_command(self: Any) -> EmptyResult:
    """https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_CancelCommand.html.

    What runs already may run to its end: nothing is promised, so nothing is ended here.
    """
    asked = body(self)
    command = kept(self).get(asked["CommandId"])
    if command is None:
        raise ApiError("InvalidCommandId", "The specified command ID isn't valid.")
    chosen = asked.get("InstanceIds") or list(command.invocations)
    if not set(chosen) <= set(command.invocations):
        raise ApiError("InvalidInstanceId", "The command was not sent to this managed node.")
    for one in (command.invocations[instance] for instance in chosen):
        if one.status == "Pending":
            one.become("Cancelled", "Canceled")
        elif one.status == "InProgress":
            one.become("Cancelling")
    return EmptyResult()


def patch(world: World) -> None:
    """Put it all in the place of what moto has, Session Manager and Instance Connect with it."""
    bind(world)
    api = SimpleSystemManagerResponse
    api.describe_instance_information = describe_instance_information
    api.send_command = lambda self: send_command(self, world)
    api.get_command_invocation = get_command_invocation
    api.list_commands = list_commands
    api.list_command_invocations = list_command_invocations
    api.cancel_command = cancel_command
    sessions.patch(world)
