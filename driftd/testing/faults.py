"""How the world behind the fake may misbehave at single calls: fail, pretend, come late, come twice, answer crookedly.

A pattern names calls as ``fnmatch`` does: "compute.launch", "traffic.*", "changes" (every call that changes something),
or with its subject: "compute.stop i-0001".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import TypeVar

T = TypeVar("T")
CHANGES = frozenset(
    {
        "compute.launch",
        "compute.stop",
        "compute.start",
        "compute.terminate",
        "compute.tag",
        "traffic.register",
        "traffic.drain",
        "traffic.deregister",
        "volumes.attach",
        "volumes.detach",
        "volumes.snapshot",
        "volumes.delete_snapshot",
        "addresses.associate",
        "addresses.release",
        "hooks.quiesce",
        "hooks.step_down",
        "hooks.serve",
        "hooks.pre_drain",
        "hooks.post_attach",
        "hooks.pre_terminate",
    }
)


class Crash(BaseException):
    """The process died here. Not an ``Exception``, so that no handler of ours can swallow it."""


class Kind(StrEnum):
    """What a fault makes of a call."""

    FAIL = "it raises"
    HOLLOW = "it answers ok and does nothing"
    CLAIM = "it does nothing, and the instance says from then on that it was done"
    LATE = "its effect comes after its answer"
    ECHO = "its effect comes now and once more"


class Distortion(StrEnum):
    """What becomes of the answer of a call that lists things."""

    EMPTY = "nothing at all"
    HALF = "every second one is missing"
    REPEATED = "each one twice"
    STRANGERS = "each one, and another like it that does not exist"
    REVERSED = "in another order"
    STALE = "what the call before this one was answered"


@dataclass(slots=True)
class Fault:
    """One thing that will strike ``times`` calls, after letting ``skip`` of them through. ``seconds`` is how late."""

    pattern: str
    kind: Kind
    times: float
    skip: int = 0
    error: BaseException | None = None
    after_effect: bool = False
    seconds: float = 0.0


@dataclass(slots=True)
class _Crooked:
    pattern: str
    how: Distortion
    times: float
    skip: int


class Faults:
    """What waits to strike. The first that matches a call strikes it, alone."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._crooked: list[_Crooked] = []
        self._answered: dict[str, list[object]] = {}

    def add(self, fault: Fault) -> None:
        """Strike later."""
        self._faults.append(fault)

    def distort(self, pattern: str, how: Distortion, times: float, skip: int) -> None:
        """Answer crookedly later."""
        self._crooked.append(_Crooked(pattern, how, times, skip))

    def clear(self) -> None:
        """Be kind again."""
        self._faults.clear()
        self._crooked.clear()

    def strike(self, name: str, subject: str) -> Fault | None:
        """The fault that strikes this call."""
        for fault in self._faults:
            if not matches(fault.pattern, name, subject):
                continue
            if fault.skip:
                fault.skip -= 1
                continue
            fault.times -= 1
            if fault.times <= 0:
                self._faults.remove(fault)
            return fault
        return None

    def answer(self, name: str, subject: str, truth: list[T], stranger: Callable[[T], T]) -> list[T]:
        """The answer of a call that lists things: the truth, or what a distortion makes of it."""
        how = self._how(name, subject)
        key = f"{name} {subject}"
        given: list[T]
        if how is Distortion.EMPTY:
            given = []
        elif how is Distortion.HALF:
            given = truth[::2]
        elif how is Distortion.REPEATED:
            given = [one for one in truth for _ in range(2)]
        elif how is Distortion.STRANGERS:
            given = [*truth, *map(stranger, truth)]
        elif how is Distortion.REVERSED:
            given = truth[::-1]
        elif how is Distortion.STALE:
            return list(self._answered.get(key, truth))  # type: ignore[arg-type]  # kept by call, so of one type
        else:
            given = truth
        self._answered[key] = list(truth)
        return given

    def _how(self, name: str, subject: str) -> Distortion | None:
        for one in self._crooked:
            if not matches(one.pattern, name, subject):
                continue
            if one.skip:
                one.skip -= 1
                continue
            one.times -= 1
            if one.times <= 0:
                self._crooked.remove(one)
            return one.how
        return None


def matches(pattern: str, name: str, subject: str) -> bool:
    """Does the pattern mean this call?"""
    if pattern == "changes":
        return name in CHANGES
    return fnmatchcase(f"{name} {subject}" if " " in pattern else name, pattern)
