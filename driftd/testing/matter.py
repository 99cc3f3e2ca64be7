"""What the world behind the fake provider is made of: a clock that is held, servers, targets, and what happened."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from driftd.core.facts import Instance, InstanceState
from driftd.core.ports import LaunchRequest

NEVER = datetime.max.replace(tzinfo=UTC)


class FakeClock:
    """A clock that moves only when told. Call it for the time."""

    def __init__(self, start: datetime = datetime(2030, 1, 1, tzinfo=UTC)) -> None:
        self.now = start

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> datetime:
        """Move on and return the new time."""
        self.now += timedelta(seconds=seconds)
        return self.now


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that really happened in the fake's world, and how its group stood right after it.

    ``call`` is the call that did it ("compute.launch"), or one of:

    - "lost": connections were cut; "vanished": the instance is gone by nobody's call;
    - "stopped": a server does not run any more; "gone": it is ended, and what it held is free;
    - "mounted", "unmounted": a server (``detail``) may write to a volume (``subject``) from now on, or no more;
    - "two writers": it may, and another one may, too; "torn": a volume was taken from a server that was writing to it.

    ``by`` is who did it: "driftd", or "human" inside ``World.by_hand``. ``existing`` counts the group's instances that
    are not gone, ``in_service`` those which get new work. A volume's and an address's group is that of the server
    concerned; ``detail`` names that server. A move of an address is a release from the one and an association to the
    other.
    """

    at: datetime
    call: str
    subject: str
    detail: str = ""
    group: str = ""
    existing: int = 0
    in_service: int = 0
    by: str = "driftd"


@dataclass(slots=True)
class Server:
    """One server, as it is and as it will become. ``claims`` is what it says it is, where that is a lie.

    ``stopping`` is set from the call that stops it until it has stopped; ``mounted`` are the volumes that it may write
    to; ``quiesced`` says that its service was told to let go of them.
    """

    instance: Instance
    request: LaunchRequest
    born: datetime
    visible_at: datetime
    ready_at: datetime
    healthy: bool = True
    stopped: bool = False
    stopping: bool = False
    gone_at: datetime | None = None
    claims: InstanceState | None = None
    quiesced: bool = False
    mounted: set[str] = field(default_factory=set)
    disk: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Backend:
    """One target: when it was registered, when it was drained (None: in service)."""

    since: datetime
    drained_at: datetime | None = None


def later(moment: datetime, seconds: float) -> datetime:
    """So many seconds after it; far beyond every test when they are infinite."""
    return NEVER if math.isinf(seconds) else moment + timedelta(seconds=seconds)
