"""The nouns everything else is said in: instances, what runs on them, and who was there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from driftd.core.visits import Announced


class InstanceState(StrEnum):
    """Where an instance is in its life, in the words every cloud has.

    STOPPING is on the way to stopped, from where it can be started again; SHUTTING_DOWN is on the way to terminated.
    """

    PENDING = "pending"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    SHUTTING_DOWN = "shutting-down"
    TERMINATED = "terminated"

    @property
    def ending(self) -> bool:
        """It is gone for good, or on its way there: nothing brings it back."""
        return self in {InstanceState.SHUTTING_DOWN, InstanceState.TERMINATED}

    @property
    def halted(self) -> bool:
        """It does not work, or is about to stop working: stopped, gone, or on the way to either."""
        return self not in {InstanceState.PENDING, InstanceState.RUNNING}


@dataclass(frozen=True, slots=True)
class Admission:
    """A way to have a key let in for a moment (``core.asides.Admitting``). ``by`` is what the provider calls it,
    ``otherwise`` what to see to where the instance then refuses the key.

    ``let_in`` is told the public half ("ssh-ed25519 AAAA…") and raises ``ProviderError``. The same again is no harm.
    """

    by: str
    otherwise: str
    let_in: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Reach:
    """How to get to an instance. ``root`` is set for a local tree, the rest for SSH.

    ``means`` is set where the provider itself looks (``core.asides.Looking``), and is what it calls the way. Others may
    read what is sent by it, so no digest key is.

    ``host_keys`` are public host keys in known_hosts form ("ssh-ed25519 AAAA…") that the provider vouches for;
    empty means that the operator's known_hosts file decides. ``vouching`` is asked for them by whoever is about to
    connect, where a provider would have to ask about each instance by itself. ``visit`` is set for as long as a visit
    lasts: whoever connects tells it of the connection. With an ``admission`` no key is there already: whoever connects
    makes one for the connection, and has it let in.
    """

    host: str = ""
    port: int = 22
    user: str = "root"
    key_file: str = ""
    host_keys: tuple[str, ...] = ()
    root: str = ""
    means: str = ""
    visit: Announced | None = field(default=None, compare=False, repr=False)
    vouching: Callable[[], tuple[str, ...]] | None = field(default=None, compare=False, repr=False)
    admission: Admission | None = field(default=None, compare=False, repr=False)

    def vouched(self) -> tuple[str, ...]:
        """The host keys to connect by. May take as long as a provider's answer, and never raises."""
        return self.host_keys or (self.vouching() if self.vouching is not None else ())


@dataclass(frozen=True, slots=True)
class Instance:
    """One running server. ``image`` is the id of the image it was made from, "" where the provider cannot tell;
    ``zone`` is the failure domain that it is in, which its slot stays in, "" where the provider tells none.
    ``isolated`` says that the provider lets no packet in or out of it (``core.asides.Isolating``).
    """

    id: str
    group: str
    image: str
    state: InstanceState = InstanceState.RUNNING
    slot: str = ""
    address: str = ""
    launched_at: datetime | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    reach: Reach = Reach()
    zone: str = ""
    isolated: bool = False


# The kinds of facts that this driftd knows. A newer probe may bring others; they are compared and told all the same.
FACT_KINDS = (
    "account",
    "at",
    "binfmt",
    "bpf",
    "container",
    "cron",
    "firewall",
    "group",
    "hostkey",
    "kernel",
    "key",
    "listener",
    "module",
    "mount",
    "nss",
    "package",
    "pam",
    "preload",
    "process",
    "sshd",
    "sudo",
    "sysctl",
    "unit",
)


@dataclass(frozen=True, slots=True, order=True)
class Fact:
    """Something about an instance that is no file: a package, an account, a listener (docs/facts.md has the kinds).

    ``fields`` are (name, value), sorted by name, and none of them is empty: nothing and not there are the same.
    Several facts of a kind may have one name. Made by ``fact``.
    """

    kind: str
    name: str
    fields: tuple[tuple[str, str], ...] = ()
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Sets of the same facts are made with each look.
        object.__setattr__(self, "_hash", hash((self.kind, self.name, self.fields)))

    def __hash__(self) -> int:
        return self._hash

    def get(self, field: str, default: str = "") -> str:
        """The value of one field."""
        return next((value for name, value in self.fields if name == field), default)


def by_kind(facts: Iterable[Fact]) -> dict[str, set[Fact]]:
    """The facts of each kind."""
    kinds: dict[str, set[Fact]] = {}
    for one in facts:
        kinds.setdefault(one.kind, set()).add(one)
    return kinds


def fact(kind: str, name: str, /, **fields: str | int) -> Fact:
    """A fact with its fields in order and without those that are empty."""
    return Fact(kind, name, tuple(sorted((key, str(value)) for key, value in fields.items() if value != "")))


CUT_SHORT = "cut short"


@dataclass(frozen=True, slots=True, order=True)
class Kept:
    """Facts of ``kind`` that were kept from the look, in part or whole.

    ``how``: "not available", "not permitted", or CUT_SHORT where there was more than a look takes.
    """

    kind: str
    how: str
    why: str


@dataclass(frozen=True, slots=True)
class Session:
    """Evidence that somebody was on the instance.

    ``evidence`` says where it was read: "log", "journal", "wtmp", "process" (several joined by "+").
    ``key`` is the accepted key's fingerprint ("SHA256:…"), ``source`` the peer's address, ``port`` the peer's port.
    ``ancestor`` is true when the session's sshd is an ancestor of the probe itself.

    ``door`` is the way in: "ssh", "console", "su", "sudo", "exec" (from outside the instance's PID namespace), "cloud",
    or "service" (cron and accounts of services: no person). ``kind`` is what it was for: "interactive", "command",
    "transfer", "forward", "" when unknown. ``number`` is the kernel's own of it, 0 when unknown, in the boot ``boot``
    (as ``Look.boot_id``). ``confidence`` is one of core/confidence.py.
    """

    door: str
    user: str
    source: str
    started_at: datetime
    port: int = 0
    ended_at: datetime | None = None
    key: str = ""
    key_id: str = ""
    tty: str = ""
    pid: int = 0
    live: bool = False
    ancestor: bool = False
    evidence: str = ""
    kind: str = ""
    number: int = 0
    boot: str = ""
    confidence: str = ""


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a look covered, counted. ``reasons`` maps "unreadable", "covered", "skipped" reasons to counts.

    ``facts`` counts what was found of each kind that was looked for, ``kept`` is what was kept from the look, and
    ``unbaked`` are the kinds that were seen and that the manifest says nothing of.
    """

    entries: int = 0
    bytes_hashed: int = 0
    unreadable: int = 0
    covered: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    facts: Mapping[str, int] = field(default_factory=dict)
    kept: tuple[Kept, ...] = ()
    unbaked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unseen:
    """Could not look: never clean, never drifted. ``hint`` is what to do next."""

    reason: str
    hint: str = ""
