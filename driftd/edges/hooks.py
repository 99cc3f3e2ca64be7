"""Hooks as commands on the control host: what a group's owner has written to stop, hand over and start its service.

A command is started without a shell, in a session of its own, with a short environment and none of driftd's own. Exit
status 0 means done; anything else, and the last line that it printed, is why not. It is asked to end when its time is
over (TERM to its whole process group, KILL a second later). One that leaves a program behind on purpose may: driftd
waits for the command itself.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from driftd.core.facts import Instance, Unseen
from driftd.core.ports import HookName
from driftd.core.wording.judging import plain

ANSWER_LIMIT = 1 << 20
SAID_LIMIT = 8 << 10  # of what a hook says beside its answer, the end is kept
GRACE_S = 1.0
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
KEPT = ("PATH", "HOME", "USER", "TZ")  # of driftd's own environment; the rest may hold secrets


@dataclass(frozen=True, slots=True)
class _Outcome:
    """How a command ended. ``wrong`` is a clause saying what went wrong, "" when nothing did."""

    wrong: str
    answer: bytes = b""


class CommandHooks:
    """``driftd.core.ports.Hooks``. ``commands`` are argument lists, an empty one is no hook.

    Each has ``timeout_s``, or what ``timeouts_s`` says of it.
    """

    def __init__(
        self,
        commands: Mapping[HookName, Sequence[str]],
        *,
        timeout_s: float = 60.0,
        timeouts_s: Mapping[HookName, float] | None = None,
    ) -> None:
        self._commands = {name: tuple(words) for name, words in commands.items() if words}
        self._timeouts_s = dict.fromkeys(self._commands, timeout_s) | dict(timeouts_s or {})

    def has(self, name: HookName) -> bool:
        """See ``Hooks.has``."""
        return name in self._commands

    def run(self, name: HookName, instance: Instance, group: str, facts: Mapping[str, str]) -> str:
        """See ``Hooks.run``."""
        if not self.has(name):
            return ""
        outcome = self._call(name, instance, group, facts)
        return f"the {name} hook of {group} on {instance.id} {outcome.wrong}" if outcome.wrong else ""

    def ask(self, name: HookName, instance: Instance, group: str) -> bytes | Unseen:
        """See ``Hooks.ask``."""
        if not self.has(name):
            return Unseen(f"{group} has no {name} hook", f"name one: groups.{group}.hooks.{name}")
        outcome = self._call(name, instance, group, {})
        if outcome.wrong:
            return Unseen(f"the {name} hook of {group} on {instance.id} {outcome.wrong}")
        return outcome.answer

    def _call(self, name: HookName, instance: Instance, group: str, facts: Mapping[str, str]) -> _Outcome:
        command = self._commands[name]
        try:
            child = subprocess.Popen(
                command,
                env=_environment(name, instance, group, facts),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            return _Outcome(f"could not be started: {plain(command[0])}: {error.strerror}")
        except ValueError:
            return _Outcome("could not be started: a name or an argument holds a NUL byte")
        with child:
            try:
                return _follow(child, self._timeouts_s[name])
            finally:
                _end(child)


def _follow(child: subprocess.Popen[bytes], timeout_s: float) -> _Outcome:
    """Read until it has ended or its time is over. Bounded: an answer that is too long ends it."""
    deadline = time.monotonic() + timeout_s
    answer, said = bytearray(), bytearray()
    with selectors.DefaultSelector() as selector:
        for stream, into in ((child.stdout, answer), (child.stderr, said)):
            if stream is not None:  # both are pipes
                os.set_blocking(stream.fileno(), False)
                selector.register(stream, selectors.EVENT_READ, into)
        while not _has_ended(child):
            if time.monotonic() >= deadline:
                return _Outcome(f"did not finish within {timeout_s:g} s")
            _read(selector, min(0.02, max(0.0, deadline - time.monotonic())))
            if len(answer) > ANSWER_LIMIT:
                return _Outcome(f"said more than {ANSWER_LIMIT >> 20} MiB")
            del said[:-SAID_LIMIT]
        # What it left behind may go on talking: that is nobody's answer, and no reason to listen for ever.
        while _read(selector, 0.0) and len(answer) <= ANSWER_LIMIT and time.monotonic() < deadline:
            del said[:-SAID_LIMIT]
    if len(answer) > ANSWER_LIMIT:
        return _Outcome(f"said more than {ANSWER_LIMIT >> 20} MiB")
    return _judged(child.wait(), bytes(answer), bytes(said))


def _environment(name: HookName, instance: Instance, group: str, facts: Mapping[str, str]) -> dict[str, str]:
    own = {key: os.environ[key] for key in KEPT if key in os.environ}
    told = {f"DRIFTD_{key.upper()}": value for key, value in facts.items()}
    return {
        "PATH": PATH,
        "LC_ALL": "C.UTF-8",
        **own,
        **told,
        "DRIFTD_HOOK": name.value,
        "DRIFTD_INSTANCE": instance.id,
        "DRIFTD_ADDRESS": instance.address,
        "DRIFTD_GROUP": group,
        "DRIFTD_SLOT": instance.slot,
        "DRIFTD_IMAGE": instance.image,
    }


def _has_ended(child: subprocess.Popen[bytes]) -> bool:
    """It has, and is not reaped yet: until then nobody else can have its number, nor its group's."""
    return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _read(selector: selectors.BaseSelector, wait_s: float) -> bool:
    """Take what is there; false when nothing was."""
    took = False
    if not selector.get_map():
        time.sleep(wait_s)
        return False
    for key, _ in selector.select(wait_s):
        part = os.read(key.fd, 65536)
        if part:
            key.data.extend(part)
            took = True
        else:
            selector.unregister(key.fileobj)
    return took


def _judged(status: int, answer: bytes, said: bytes) -> _Outcome:
    if status == 0:
        return _Outcome("", answer)
    lines = [line for line in (said or answer).decode("utf-8", "replace").splitlines() if line.strip()]
    why = plain(lines[-1]) if lines else "it said nothing"
    how = f"failed with status {status}" if status > 0 else f"was ended by signal {-status}"
    return _Outcome(f"{how}: {why}")


def _end(child: subprocess.Popen[bytes]) -> None:
    """End what has not ended by itself, with all of its group, and reap it."""
    if child.returncode is not None:
        return
    if not _has_ended(child):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGTERM)
        until = time.monotonic() + GRACE_S
        while not _has_ended(child) and time.monotonic() < until:
            time.sleep(0.02)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
    child.wait()
