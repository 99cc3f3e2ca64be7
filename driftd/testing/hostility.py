"""What may strike the calls to the fake: knobs that tests turn, and the way that every call takes through them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TypeVar

from driftd.core.errors import Throttled
from driftd.core.facts import InstanceState
from driftd.testing.faults import Distortion, Fault, Faults, Kind, matches
from driftd.testing.matter import FakeClock, Server, later

T = TypeVar("T")
CLAIMS = {
    "compute.stop": InstanceState.STOPPED,
    "compute.start": InstanceState.RUNNING,
    "compute.terminate": InstanceState.TERMINATED,
}


class Hostility:
    """The part of ``World`` that every call goes through. ``servers`` and ``calls`` are the world's.

    Patterns are those of testing/faults.py; the first fault that matches a call strikes it, alone.
    """

    def __init__(self, clock: Callable[[], datetime] | None) -> None:
        self.clock = clock or FakeClock()
        self.calls: list[str] = []
        self.servers: dict[str, Server] = {}
        self._faults = Faults()
        self._throttled: list[tuple[str, datetime, float]] = []
        self._hand = "driftd"
        self._lock = threading.RLock()

    def settle(self) -> None:
        """What is due comes true: the world's to say."""
        raise NotImplementedError

    def at(self, seconds: float, effect: Callable[[], object]) -> None:
        """Let something come true in so many seconds: the world's to do."""
        raise NotImplementedError

    # --- knobs ---

    def fail_next(
        self, pattern: str, error: BaseException, *, after_effect: bool = False, times: float = 1, skip: int = 0
    ) -> None:
        """Raise ``error`` from the next ``times`` calls that match, after letting ``skip`` of them through.

        With ``after_effect`` the call has its effect and then raises: the answer got lost. ``Crash()`` as error stands
        for the death of driftd at this very point. testing/faults.py says what a pattern is.
        """
        self._faults.add(Fault(pattern, Kind.FAIL, times, skip, error, after_effect))

    def pretend_next(self, pattern: str, *, claim: bool = False, times: float = 1, skip: int = 0) -> None:
        """The call answers "ok" and does nothing. With ``claim`` the instance says from then on that it was done:
        stopped or terminated, and it is not.
        """
        self._faults.add(Fault(pattern, Kind.CLAIM if claim else Kind.HOLLOW, times, skip))

    def delay_next(self, pattern: str, seconds: float, *, times: float = 1, skip: int = 0) -> None:
        """The call's effect comes ``seconds`` after its answer; infinite: it sticks."""
        self._faults.add(Fault(pattern, Kind.LATE, times, skip, seconds=seconds))

    def echo_next(self, pattern: str, seconds: float, *, times: float = 1, skip: int = 0) -> None:
        """The call has its effect, and has it again ``seconds`` later: the network sent it twice."""
        self._faults.add(Fault(pattern, Kind.ECHO, times, skip, seconds=seconds))

    def throttle(self, pattern: str, seconds: float, *, retry_after_s: float = 0.0) -> None:
        """Refuse every matching call for so long, as asked too often."""
        self._throttled.append((pattern, later(self.clock(), seconds), retry_after_s))

    def distort(self, pattern: str, how: Distortion, *, times: float = 1, skip: int = 0) -> None:
        """Answer the next ``times`` matching lists crookedly; infinite: until ``clear_faults``."""
        self._faults.distort(pattern, how, times, skip)

    def clear_faults(self) -> None:
        """Be kind again. What is due already still comes; what an instance claims, it goes on claiming."""
        self._faults.clear()
        self._throttled.clear()

    @contextmanager
    def by_hand(self) -> Iterator[None]:
        """What is called inside the block, a person does, at the provider: no fault strikes it."""
        with self._lock:
            faults, throttled, hand = self._faults, self._throttled, self._hand
            self._faults, self._throttled, self._hand = Faults(), [], "human"
            try:
                yield
            finally:
                self._faults, self._throttled, self._hand = faults, throttled, hand

    # --- calls ---

    @contextmanager
    def call(self, name: str, subject: str = "") -> Iterator[Fault | None]:
        """Around every call: count it, let what is due come true, and let a fault strike before or after its effect."""
        with self._lock:
            self.settle()
            self.calls.append(name)
            for pattern, until, retry_after_s in self._throttled:
                if matches(pattern, name, subject) and self.clock() < until:
                    raise Throttled(f"{name} is asked too often", "ask again later", retry_after_s=retry_after_s)
            fault = self._faults.strike(name, subject)
            error = fault.error if fault is not None and fault.kind is Kind.FAIL else None
            if error is not None and fault is not None and not fault.after_effect:
                raise error
            yield fault
            if error is not None:
                raise error

    def change(self, name: str, subject: str, effect: Callable[[], T], pretended: Callable[[], T]) -> T:
        """A call that changes something, as a fault has it; ``pretended`` is the answer when nothing was done (yet)."""
        with self.call(name, subject) as fault:
            if fault is None or fault.kind is Kind.FAIL:
                return effect()
            if fault.kind is Kind.ECHO:
                self.at(fault.seconds, effect)
                return effect()
            if fault.kind is Kind.LATE:
                self.at(fault.seconds, effect)
            elif fault.kind is Kind.CLAIM and subject in self.servers and name in CLAIMS:
                self.servers[subject].claims = CLAIMS[name]
            return pretended()

    def listed(self, name: str, subject: str, truth: Callable[[], list[T]], stranger: Callable[[T], T]) -> list[T]:
        """A call that lists things; ``stranger`` makes another of one, that does not exist."""
        with self.call(name, subject):
            return self._faults.answer(name, subject, truth(), stranger)
