"""What the rules are asked about: everything that flows/trip.py gathered at one moment. Units: see each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from driftd.core.replacement import Record


@dataclass(frozen=True, slots=True)
class Sighting:
    """One part of a drift's signature on one instance: since when, and until when it was seen (None: still)."""

    instance_id: str
    signature: str
    group: str
    slot: str
    short: str
    first_at: datetime
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Pass:
    """One reading of a group's inventory. ``size`` counts its slots, so that a newcomer beside its old one adds none.

    ``reported`` of the ``expected`` could be looked at within the time that looks may take. ``unseen`` says why the
    inventory could not be read ("" when it could). ``known`` is how many slots the store had before.
    """

    group: str
    at: datetime
    size: int
    known: int = 0
    expected: int = 0
    reported: int = 0
    unseen: str = ""


@dataclass(frozen=True, slots=True)
class Calls:
    """What was asked of one provider account in one minute. ``refused`` counts launches refused for good."""

    account: str
    minute: datetime
    calls: int
    failed: int = 0
    refused: int = 0
    why: str = ""

    def __add__(self, more: Calls) -> Calls:
        """Both counts of the same account and minute."""
        return Calls(
            self.account,
            self.minute,
            self.calls + more.calls,
            self.failed + more.failed,
            self.refused + more.refused,
            more.why or self.why,
        )


@dataclass(frozen=True, slots=True)
class Version:
    """A version or digest that decides what counts as drift, and since when it is this one.

    ``scope`` is where it counts: the fleet, a group, an image.
    """

    what: str
    scope: str
    value: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """How one group stands. ``every`` is how often its instances are looked at; ``slots`` are those that exist.

    ``ready`` are the slots that the load balancer calls healthy; None where nobody can be asked. ``zones`` maps slots
    to their zone, where it is told. ``expected`` and ``reported`` are as in ``Pass``. ``image`` is what it is replaced
    by.
    """

    slots: frozenset[str]
    every: timedelta = timedelta(minutes=5)
    ready: frozenset[str] | None = None
    zones: Mapping[str, str] = field(default_factory=dict)
    expected: int = 0
    reported: int = 0
    image: str = ""


@dataclass(frozen=True, slots=True)
class Leftover:
    """Something that driftd left and that is not cleaned up yet."""

    name: str
    why: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Reached:
    """A pace limit that is reached; ``until`` is when it no longer is."""

    why: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """Of each group by name, where it is one group's. ``records`` are replacements: open ones and those of late.

    ``alerts`` and ``foreign`` are sentences, "" where all is quiet; a group that nobody asks about is left out.
    ``jitter`` is between -1 and 1, the same for the same moment.
    """

    groups: Mapping[str, Standing] = field(default_factory=dict)
    sightings: Sequence[Sighting] = ()
    records: Sequence[Record] = ()
    passes: Sequence[Pass] = ()
    calls: Sequence[Calls] = ()
    versions: Sequence[Version] = ()
    alerts: Mapping[str, str] = field(default_factory=dict)
    foreign: Mapping[str, str] = field(default_factory=dict)
    leftovers: Mapping[str, Sequence[Leftover]] = field(default_factory=dict)
    paced: Mapping[str, Reached] = field(default_factory=dict)
    jitter: float = 0.0

    @property
    def size(self) -> int:
        """Slots of the whole fleet."""
        return sum(len(one.slots) for one in self.groups.values())
