"""Visits of driftd's own: what its own end of a connection proves, and how it is told and kept.

A visit is announced in the store before anybody connects, by an id that nobody can guess, and told the connection's
own port *before* the login: a session that no visit has the port of is not driftd's, whatever key it came with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

KEY_ID = "driftd:"
"""What a certificate's key id begins with; the visit's scan id follows."""
COMMANDS = "commands"
"""In the place of an address: the provider carried commands there. No address is called so."""


class Parted(StrEnum):
    """How a visit's connection ended, as driftd's end saw it."""

    OPEN = ""  # it lasts, or it broke off, or driftd did
    REFUSED = "refused"  # the far end said no to the login: nobody got in
    ORDERLY = "orderly"  # the far end had answered to its end: what it then closed was that session


@dataclass(frozen=True, slots=True)
class Way:
    """The connection of one visit: driftd's own address and port, the user, and the fingerprint of the key shown.

    ``certified`` when the key was shown in a certificate whose key id names the visit. ``pushed`` when the key was made
    for the visit, and the provider had it let in. Where there is no connection, since the provider carries commands
    there, ``source`` is ``COMMANDS`` and ``key`` their names (``by_commands``).
    """

    source: str
    port: int
    user: str
    key: str
    certified: bool = False
    pushed: bool = False

    @classmethod
    def by_commands(cls, names: Sequence[str]) -> Way:
        """The way of a visit by these commands, each by the name that the provider gave it."""
        return cls(COMMANDS, 0, "", " ".join(names))

    @property
    def commands(self) -> tuple[str, ...]:
        """The provider's names of what was sent; none where it was a connection."""
        return tuple(self.key.split()) if self.source == COMMANDS else ()


@dataclass(frozen=True, slots=True)
class Trace:
    """What is known of a visit beside when it was opened and closed. All times are the daemon's clock's.

    ``way`` and ``came_at`` are known from before the login; None when nothing ever connected. ``entered_at`` is when
    the login succeeded, ``parted_at`` when it is known how the connection ended.
    """

    scan: str
    way: Way | None = None
    came_at: datetime | None = None
    entered_at: datetime | None = None
    parted_at: datetime | None = None
    parted: Parted = Parted.OPEN

    @property
    def key_id(self) -> str:
        """What a certificate that was made for this visit is called."""
        return KEY_ID + self.scan


class Announced:
    """A visit under way, as the edge that makes it tells of it: one connection, each of the calls at most once.

    ``keep`` is told the trace when the connection stands and before anybody logs in, so that it is in the store by
    then; what it raises ends the visit. Not thread-safe: one visit is one thread's.
    """

    def __init__(
        self, scan: str, clock: Callable[[], datetime], keep: Callable[[Trace], None] = lambda _trace: None
    ) -> None:
        self.trace = Trace(scan)
        self._clock = clock
        self._keep = keep

    def came(self, way: Way) -> None:
        """The connection stands; the login comes next."""
        self.trace = replace(self.trace, way=way, came_at=self._clock())
        self._keep(self.trace)

    def sent(self, name: str) -> None:
        """The provider has taken a command, and calls it ``name``. The one call that may come again: for the next one.

        Only the provider can say the name, so that the store has it as soon as anybody can, and not before.
        """
        known = self.trace.way.commands if self.trace.way is not None else ()
        at = self.trace.came_at or self._clock()
        self.trace = replace(self.trace, way=Way.by_commands([*known, name]), came_at=at)
        self._keep(self.trace)

    def entered(self) -> None:
        """The login succeeded."""
        self.trace = replace(self.trace, entered_at=self._clock())

    def parts(self, how: Parted) -> None:
        """It is known how the connection ended, or will end at once."""
        self.trace = replace(self.trace, parted_at=self._clock(), parted=how)


@dataclass(frozen=True, slots=True)
class VisitRow:
    """A visit that the store has. ``trace`` is None for one of a driftd that did not keep any."""

    key: str
    opened_at: datetime
    closed_at: datetime | None = None
    trace: Trace | None = None


@dataclass(frozen=True, slots=True)
class Looked:
    """How often somebody of driftd was on an instance in a time, first and last, and the longest time between two."""

    times: int
    first: datetime
    last: datetime
    gap: timedelta = timedelta(0)
    gap_from: datetime | None = None


class VisitTx(Protocol):
    """The part of a transaction about driftd's own visits."""

    def open_visit(self, instance_id: str, key: str, now: datetime, scan: str = "") -> int:
        """``key`` is the fingerprint that is to be shown. Without a ``scan`` id there is no trace to keep."""
        ...

    def trace_visit(self, visit_id: int, trace: Trace) -> None:
        """Keep what became known of it."""
        ...

    def close_visit(self, visit_id: int, now: datetime) -> None:
        """A second time changes nothing."""
        ...

    def visits(self, instance_id: str) -> Sequence[VisitRow]:
        """Newest first."""
        ...

    def looked(self, since: datetime, until: datetime) -> Mapping[str, Looked]:
        """By instance, the visits that were begun in that time and got in; of older driftds, all visits."""
        ...
