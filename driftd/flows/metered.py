"""Metered: a provider whose calls are counted, so that one that throttles or fails is left alone (breaker C9)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from driftd.core.asides import hand_on
from driftd.core.breakers.facts import Calls
from driftd.core.errors import NotFound, Refused, Unavailable
from driftd.core.ports import Provider
from driftd.core.wording import printable

LONGEST = 200
_PORTS = ("inventory", "compute", "traffic", "volumes", "addresses")


class Meter:
    """Counts calls by account and minute until somebody takes the counts. May be used from several threads."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._counted: dict[tuple[str, datetime], Calls] = {}

    def note(self, account: str, *, failed: bool = False, refused: bool = False, why: str = "") -> None:
        """Count one call."""
        minute = self._clock().replace(second=0, microsecond=0)
        self.add([Calls(account, minute, 1, int(failed), int(refused), why)])

    def add(self, calls: Sequence[Calls]) -> None:
        """Count these: of what was taken and could not be kept, say."""
        with self._lock:
            for new in calls:
                key = new.account, new.minute
                self._counted[key] = self._counted.get(key, Calls(*key, 0)) + new

    def take(self) -> Sequence[Calls]:
        """What was counted since the last time."""
        with self._lock:
            counted = [*self._counted.values()]
            self._counted.clear()
        return counted


def metered(provider: Provider, meter: Meter) -> Provider:
    """``provider`` itself, but that ``meter`` counts every call of its ports."""
    return cast("Provider", _Metered(provider, meter))


class _Metered:
    """What the provider has besides its ports (``Foreign``, ``Doorman``, ``Hearing``) is found as it is."""

    def __init__(self, provider: Provider, meter: Meter) -> None:
        self._provider = provider
        ports: Mapping[str, object] = {name: getattr(provider, name) for name in _PORTS}
        for name, port in ports.items():
            setattr(self, name, None if port is None else _Port(port, name, provider.name, meter))
        hand_on(provider, self)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._provider, name)


class _Port:
    def __init__(self, port: object, name: str, account: str, meter: Meter) -> None:
        self._port = port
        self._name = name
        self._account = account
        self._meter = meter

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        return self._counting(name, found) if callable(found) else found

    def _counting(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **named: Any) -> Any:
            try:
                answer = call(*args, **named)
            except Unavailable as error:
                self._meter.note(self._account, failed=True, why=printable(str(error))[:LONGEST])
                raise
            except NotFound:
                self._meter.note(self._account)
                raise
            except Refused as error:
                launch = (self._name, name) == ("compute", "launch")
                self._meter.note(self._account, refused=launch, why=printable(str(error))[:LONGEST] if launch else "")
                raise
            self._meter.note(self._account)
            return answer

        return counted
