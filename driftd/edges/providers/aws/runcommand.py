"""Run Command, one command on one instance: sent, waited for, its output read and removed, cancelled.

As "AWS Systems Manager Run Command" and the API's reference have it. SendCommand knows no client token: where its
answer was lost, the command is looked for by its comment, which no other one has.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError

from driftd.core.errors import NotFound, ProviderError, Refused, Throttled, Unavailable, Unreached
from driftd.edges.providers.aws.cloud import Cloud
from driftd.edges.providers.aws.errors import code_of
from driftd.edges.providers.aws.settings import Ssm

DOCUMENT = "AWS-RunShellScript"
FOLDER = "awsrunShellScript/0.awsrunShellScript"
INLINE = 24_000  # "StandardOutputContent: The first 24,000 characters"
_UNDER_WAY = frozenset({"Pending", "InProgress", "Delayed", "Cancelling"})
_DELIVERY_LEAST_S = 30  # SendCommand: TimeoutSeconds
_FIRST_S, _SLOWER, _LONGEST_S = 0.2, 1.6, 3.0  # between two questions whether it is done
_READ = 256 * 1024
_LATE_S = 30
_MOST_S = 172_800  # AWS-RunShellScript: executionTimeout


@dataclass(frozen=True, slots=True)
class Deadline:
    """Until when, by the monotonic clock; ``cut`` ends it early."""

    until: float
    cut: threading.Event

    def left(self) -> float:
        """Seconds; none once it was cut."""
        return 0.0 if self.cut.is_set() else max(0.0, self.until - time.monotonic())


@dataclass(frozen=True, slots=True)
class Sent:
    """One command on one instance, by the name that AWS gave it, and where its output goes."""

    id: str
    instance_id: str
    ssm: Ssm

    def key(self, stream: str) -> str:
        """The output's key: "prefix/command-id/instance-id/awsrunShellScript/0.awsrunShellScript/stdout"."""
        return "/".join(part for part in (self.ssm.prefix, self.id, self.instance_id, FOLDER, stream) if part)


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a command; ``details`` is AWS's own word for it."""

    status: str
    details: str
    code: int
    out: str
    said: str


class Late(Exception):
    """The deadline came first; ``status`` is how far the command was."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


class RunCommand:
    """Any thread may ask."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def send(self, instance_id: str, script: str, comment: str, ssm: Ssm, seconds: int) -> Sent:
        """Have ``script`` run there by root. It ends within ``seconds``, or the agent ends it soon after. Raises
        ``ProviderError``.
        """
        most = str(min(seconds + _LATE_S, _MOST_S))
        try:
            answer = self._cloud.do(
                "ssm",
                "send_command",
                InstanceIds=[instance_id],
                DocumentName=DOCUMENT,
                Comment=comment,
                Parameters={"commands": [script], "executionTimeout": [most]},
                TimeoutSeconds=max(_DELIVERY_LEAST_S, seconds),
                OutputS3BucketName=ssm.bucket,
                **({"OutputS3KeyPrefix": ssm.prefix} if ssm.prefix else {}),
            )
        except (Unreached, Throttled):
            raise
        except Unavailable:
            found = self._lost(instance_id, comment)
            if found is None:
                raise
            return Sent(found, instance_id, ssm)
        return Sent(str(answer["Command"]["CommandId"]), instance_id, ssm)

    def _lost(self, instance_id: str, comment: str) -> str | None:
        """The command whose answer did not come, if it was taken."""
        newest = self._cloud.ask("ssm", "list_commands", InstanceId=instance_id, MaxResults=20)["Commands"]
        return next((str(one["CommandId"]) for one in newest if one.get("Comment") == comment), None)

    def wait(self, sent: Sent, deadline: Deadline, begun: Callable[[], None]) -> Ended:
        """Until it has ended; ``begun`` is told once the agent has it. Raises ``Late`` and ``ProviderError``.

        Where AWS could not say how far it is, it is asked again until the deadline.
        """
        pause, status = _FIRST_S, "Pending"
        while True:
            told, trouble = None, None
            try:
                told = self._told(sent)
            except Unavailable as error:
                trouble = error
            if told is not None:
                status = str(told.get("Status") or status)
                if status != "Pending":
                    begun()
                if status not in _UNDER_WAY:
                    return _ended(told)
            if deadline.cut.wait(min(pause, deadline.left())) or not deadline.left():
                raise trouble or Late(status)
            pause = min(pause * _SLOWER, _LONGEST_S)

    def _told(self, sent: Sent) -> dict[str, Any] | None:
        """What AWS says of it; None where it knows nothing yet: an invocation is known later than its command."""
        try:
            return self._cloud.ask("ssm", "get_command_invocation", CommandId=sent.id, InstanceId=sent.instance_id)
        except ProviderError as error:
            if code_of(error) != "InvocationDoesNotExist":
                raise
            return None

    def cancel(self, sent: Sent) -> None:
        """Best effort: what runs already may run to its end, which the probe has of its own."""
        with suppress(ProviderError):
            self._cloud.do("ssm", "cancel_command", CommandId=sent.id, InstanceIds=[sent.instance_id])

    def output(self, sent: Sent, deadline: Deadline) -> Iterator[bytes]:
        """All of its standard output, from the bucket, in pieces. Raises ``ProviderError`` and ``Late``."""
        answer = self._cloud.ask("s3", "get_object", Bucket=sent.ssm.bucket, Key=sent.key("stdout"))
        body = answer["Body"]
        try:
            while data := body.read(_READ):
                yield data
                if not deadline.left():
                    raise Late("Success")
        except (BotoCoreError, OSError) as error:
            raise Unavailable(f"s3 get_object: the answer broke off: {type(error).__name__}", "look again") from error
        finally:
            body.close()

    def forget(self, sent: Sent, *, said: bool) -> None:
        """Remove its output from the bucket, best effort; ``said``: it wrote to standard error, too."""
        for stream in ("stdout", "stderr") if said else ("stdout",):
            with suppress(ProviderError):
                self._cloud.do("s3", "delete_object", Bucket=sent.ssm.bucket, Key=sent.key(stream))


def _ended(told: dict[str, Any]) -> Ended:
    return Ended(
        str(told.get("Status") or ""),
        str(told.get("StatusDetails") or ""),
        int(told.get("ResponseCode") or 0),
        str(told.get("StandardOutputContent") or ""),
        str(told.get("StandardErrorContent") or ""),
    )


def missing(error: ProviderError) -> bool:
    """Whether it says that an object is not in the bucket, or not for us to read: S3 tells the two apart only for who
    may list the bucket.
    """
    return isinstance(error, NotFound | Refused) and code_of(error) in {"NoSuchKey", "NoSuchBucket", "AccessDenied"}
