"""Looking by Run Command: no SSH, no open port, no key; the agent on the instance runs the probe as root.

Nothing stays open between two questions, so a look is two or three commands (core/errands.py). Their answers come
through a bucket. What an instance did is always ``Unseen`` with a sentence, and nothing that it says is trusted.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Iterable, Mapping

from driftd.core.digestkey import DigestKey
from driftd.core.errands import Errand, Wanted, errands
from driftd.core.errors import DriftdError, ProviderError
from driftd.core.facts import Instance, Unseen
from driftd.core.fingerprint import Fingerprint
from driftd.core.interned import Interned
from driftd.core.ports import AskFor
from driftd.core.visits import KEY_ID, Parted
from driftd.core.wording import printable
from driftd.edges.providers.aws.cloud import Cloud
from driftd.edges.providers.aws.errors import code_of
from driftd.edges.providers.aws.runcommand import Deadline, Ended, Late, RunCommand, Sent, missing
from driftd.edges.providers.aws.script import LONGEST, NO_PYTHON, Lines, room, script
from driftd.edges.providers.aws.settings import Served
from driftd.probe import dialogue
from driftd.probe.wire import WireError

OUTPUT_LIMIT = 700 * 1024 * 1024  # of base64 in one answer; as much as over SSH
UPLOAD_S = 10.0  # from a command's end until its output is in the bucket, at most
_AGENT_HINT = (
    "see that the SSM agent runs there and reaches the service, and that its instance profile lets it register "
    "(AmazonSSMManagedInstanceCore)"
)
_GARBAGE_HINT = "look at the instance from outside: somebody there or at the bucket may have put that in its place"
_LATE_HINT = "give it a longer deadline (ssh.look_timeout), or see what keeps the instance or its agent busy"
_NO_DETAILS = {
    "DeliveryTimedOut": "the agent on {id} did not take the command in time",
    "Undeliverable": "the command could not be delivered to {id}",
    "Terminated": "the command for {id} was ended by AWS before it began",
    "ExecutionTimedOut": "the agent on {id} ended the command, since it took too long",
    "AccessDenied": "AWS did not let the command run on {id}",
}


class CommandLooker:
    """``StoppableLooker`` for the instances of ``groups`` that are reached by Run Command. Any number of threads."""

    def __init__(self, cloud: Cloud, groups: Mapping[str, Served], *, output_limit: int = OUTPUT_LIMIT) -> None:
        self._commands = RunCommand(cloud)
        self._groups = groups
        self._limit = output_limit
        self._cut = threading.Event()

    def stop(self) -> None:
        """See ``StoppableLooker``."""
        self._cut.set()

    def own_key(self, instance: Instance) -> str:  # noqa: ARG002  # the port's signature
        """No key: nobody logs in."""
        return ""

    def look(
        self,
        instance: Instance,
        *,
        deadline_s: float,
        key: DigestKey | None = None,  # noqa: ARG002  # others may read commands: no key is in one
        ask: AskFor | None = None,
        image: Interned | None = None,
    ) -> Fingerprint | Unseen:
        """See ``Looker.look``."""
        deadline = Deadline(time.monotonic() + deadline_s, self._cut)
        launched = instance.launched_at
        wanted = Wanted(
            nonce=lambda: os.urandom(16),
            seconds=lambda: int(deadline.left()),
            now=int(time.time()),
            room=room(dialogue.ASKS),
            since=max(1, int(launched.timestamp())) if launched is not None else None,
            ask=ask,
            image=image,
        )
        try:
            return self._all(instance, wanted, deadline)
        except Late as late:
            return Unseen(
                f"the look at {instance.id} did not end within {deadline_s:.0f} s (its command was {late.status})",
                _LATE_HINT,
            )
        except WireError as error:
            return Unseen(f"the answer of {instance.id} was cut off: {error}", _GARBAGE_HINT)
        except DriftdError as error:
            return Unseen(str(error), error.hint or "look again")

    def _all(self, instance: Instance, wanted: Wanted, deadline: Deadline) -> Fingerprint | Unseen:
        visit, running = instance.reach.visit, errands(wanted)
        name = KEY_ID + (visit.trace.scan if visit is not None else secrets.token_hex(16))
        try:
            number, errand = 1, next(running)
            while True:
                failure = self._run(instance, errand, f"{name}/{number}", deadline)
                if failure is not None:
                    return failure
                number, errand = number + 1, next(running)
        except StopIteration as ended:
            seen: Fingerprint | Unseen = ended.value
        if visit is not None:
            visit.parts(Parted.ORDERLY)
        return seen

    def _run(self, instance: Instance, errand: Errand, name: str, deadline: Deadline) -> Unseen | None:
        """One command, from beginning to end; why it brought no answer, if it did not."""
        seconds = max(1, int(deadline.left()))
        text = script(errand.question, seconds)
        if len(text) > LONGEST:
            return Unseen(f"what is to be asked of {instance.id} is longer than a command may be", "look over SSH")
        if not deadline.left():
            raise Late("not sent yet")
        ssm = self._groups[instance.group].reach.ssm
        if ssm is None:
            return Unseen(f"{instance.id} is not reached by Run Command", "see reach of its group")
        try:
            sent = self._commands.send(instance.id, text, name, ssm, seconds)
        except ProviderError as error:
            if code_of(error) == "InvalidInstanceId":
                return Unseen(f"Systems Manager has no agent on {instance.id} that it can reach", _AGENT_HINT)
            raise
        ended = None
        try:
            if instance.reach.visit is not None:
                instance.reach.visit.sent(sent.id)
            ended = self._commands.wait(sent, deadline, lambda: _entered(instance))
            return self._read(sent, ended, errand, deadline)
        finally:
            if ended is None:
                self._commands.cancel(sent)
            else:
                self._commands.forget(sent, said=bool(ended.said))

    def _read(self, sent: Sent, ended: Ended, errand: Errand, deadline: Deadline) -> Unseen | None:
        if ended.status != "Success" or ended.code != 0:
            return _failed(sent, ended)
        if not ended.out:
            return Unseen(f"no probe answered on {sent.instance_id}: nothing came", "look again")
        inline = ended.out.encode("utf-8", "backslashreplace")
        # What was cut has no last line; then all of it is in the bucket.
        if inline.rstrip(b"\n").endswith(b"\n."):
            return self._fed([inline], errand)
        until = time.monotonic() + UPLOAD_S
        while True:
            try:
                return self._fed(self._commands.output(sent, deadline), errand)
            except ProviderError as error:
                if not missing(error):
                    raise
            # Older agents say that they are done, and then send their output.
            if time.monotonic() > until or deadline.cut.wait(min(1.0, deadline.left())) or not deadline.left():
                return Unseen(
                    f"what {sent.instance_id} answered cannot be read from the bucket {sent.ssm.bucket}",
                    "the instance profile needs s3:PutObject there, and driftd s3:GetObject (docs/aws.md)",
                )

    def _fed(self, pieces: Iterable[bytes], errand: Errand) -> Unseen | None:
        lines, counted = Lines(), 0
        for piece in pieces:
            counted += len(piece)
            if counted > self._limit:
                raise WireError(f"it is longer than {self._limit} bytes")
            errand.reader.feed(lines.feed(piece))
            if errand.reader.over and not errand.reader.whole:
                return None  # it is worth nothing already
        lines.finish()
        return None  # whether it is whole, its reader says


def _entered(instance: Instance) -> None:
    """The first of a visit's commands is there."""
    visit = instance.reach.visit
    if visit is not None and visit.trace.entered_at is None:
        visit.entered()


def _failed(sent: Sent, ended: Ended) -> Unseen:
    """A command that did not run to a good end: how, and what was said."""
    if ended.status == "Cancelled":
        return Unseen(f"somebody cancelled the command on {sent.instance_id}", "CloudTrail tells who; look again")
    if ended.details in _NO_DETAILS:
        return Unseen(_NO_DETAILS[ended.details].format(id=sent.instance_id), _AGENT_HINT)
    if NO_PYTHON in ended.said:
        return Unseen(f"{sent.instance_id} has no Python to run the probe with", "install python3-minimal there")
    line = next((one for one in ended.said.splitlines() if one.strip()), "")
    said = f"; it said: {printable(line)[:200]}" if line else ""
    how = (
        f"with status {ended.code}"
        if ended.status == "Failed"
        else f"as {printable(ended.details or ended.status)[:40]}"
    )
    return Unseen(
        f"the probe on {sent.instance_id} ended {how}{said}",
        "look again; if it stays so, see the command in Systems Manager's history",
    )
