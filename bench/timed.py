"""Timed: ports whose time is told apart from driftd's own. Only for measuring; driftd itself has nothing of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Span:
    """One call: its name, by which thread, when it began and ended (seconds since 1970), and that thread's CPU time."""

    name: str
    thread: int
    began: float
    ended: float
    cpu: float


class Watch:
    """Seconds spent inside edges, by thread of control: a call that an edge makes of another counts once."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self._inside = threading.local()

    def around(self, port: object, name: str) -> Any:
        """``port`` itself, but that each call of it is timed. None stays None."""
        return None if port is None else _Timed(port, name, self)

    def timed(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """``call`` itself, timed."""

        def counted(*args: Any, **named: Any) -> Any:
            if getattr(self._inside, "one", False):
                return call(*args, **named)
            self._inside.one, began, used = True, time.time(), time.thread_time()
            try:
                return call(*args, **named)
            finally:
                self._inside.one = False
                self.spans.append(Span(name, threading.get_ident(), began, time.time(), time.thread_time() - used))

        return counted

    def take(self) -> float:
        """Seconds since the last time."""
        spans, self.spans = self.spans, []
        return sum(span.ended - span.began for span in spans)


class _Timed:
    def __init__(self, port: object, name: str, watch: Watch) -> None:
        self._port, self._name, self._watch = port, name, watch

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        return self._watch.timed(f"{self._name}.{name}", found) if callable(found) else found
