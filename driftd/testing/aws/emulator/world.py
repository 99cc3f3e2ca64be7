"""What all patches share: the lock, the clock that can be put forward, the knobs, and what happens by itself."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from matter import Matter, MatterAway

GUARDED = {"ec2", "elb", "elbv2", "autoscaling", "route53"}
BEAT_S = 0.2


@dataclass
class Knobs:
    """What a test may turn while the emulator runs (seconds, but for ``checks``)."""

    settle: float = 0.0  # how long an instance, a volume, an attachment or a snapshot is on its way
    lag: float = 0.0  # how long a new instance is in no listing
    gone: float = 3600.0  # how long a terminated instance is still listed
    checks: int = 1  # equal answers in a row that change what is said of a target's health

    def __post_init__(self) -> None:
        self.more: dict[str, Any] = {}  # those of the modules that turn their own, see common.py

    def turn(self, wanted: dict[str, Any]) -> None:
        """Set what is named; a name that is none of ours raises KeyError."""
        kinds = {one.name: int if one.name == "checks" else float for one in fields(self)}
        values = {name: kinds[name](value) for name, value in wanted.items()}
        for name, value in values.items():
            setattr(self, name, value)


Tick = Callable[[], bool]
Listener = Callable[[str, str, str, dict[str, Any]], None]


@dataclass
class World:
    """One emulator: its knobs, the world behind it, and what has to happen as time goes by."""

    matter: Matter
    knobs: Knobs = field(default_factory=Knobs)
    lock: threading.RLock = field(default_factory=threading.RLock)
    ticks: list[Tick] = field(default_factory=list)
    resets: list[Callable[[], None]] = field(default_factory=list)
    listeners: list[Listener] = field(default_factory=list)
    ahead_s: float = 0.0
    _quiet: int = 0

    def __post_init__(self) -> None:
        self._at_first = asdict(self.knobs)

    def now(self) -> float:
        """Seconds since the epoch, by a clock that /_driftd/clock puts forward."""
        return time.time() + self.ahead_s

    def tick(self) -> None:
        """Let everything happen that is due, and what follows from it."""
        for _ in range(20):
            changed = [one() for one in self.ticks]
            if not any(changed):
                return

    def happened(self, kind: str, account: str, region: str, detail: dict[str, Any]) -> None:
        """Tell who listens (EventBridge, say) that something changed its state."""
        for one in self.listeners:
            one(kind, account, region, detail)

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Records change and the matter is not told: it hears of the whole by another word."""
        self._quiet += 1
        try:
            yield
        finally:
            self._quiet -= 1

    @property
    def is_quiet(self) -> bool:
        """Whether the matter is not to be told right now."""
        return self._quiet > 0

    def ask(self, do: str, **said: Any) -> dict[str, Any]:
        """The matter's answer; nothing where it is not to be told."""
        return {} if self.is_quiet else self.matter.ask(do, **said)

    def reset(self) -> None:
        """As just started; the records themselves are moto's to forget."""
        self.ahead_s = 0.0
        self.knobs.turn(self._at_first)
        for one in self.resets:
            one()

    def beat(self) -> None:
        """What is due happens also while nobody asks: heartbeats of hooks run out, delays pass."""
        while True:
            time.sleep(BEAT_S)
            with self.lock:
                try:
                    self.tick()
                except MatterAway as away:
                    sys.stderr.write(f"emulator: {away}\n")


def method(work: Callable[..., Any]) -> Callable[..., Any]:
    """A function that a class takes for a method of its own: what is called on comes first."""

    def called(*said: Any, **more: Any) -> Any:
        return work(*said, **more)

    return called


def existing(backends: Any) -> list[Any]:
    """The backends of one service that were used so far, over all accounts and regions."""
    return [one for account in list(backends.values()) for one in list(account.values())]
