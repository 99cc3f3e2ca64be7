"""The nouns everything else is said in: instances, what runs on them, and who was there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class InstanceState(StrEnum):
    """Where an instance is in its life, in the words every cloud has."""

    PENDING = "pending"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    TERMINATED = "terminated"


@dataclass(frozen=True, slots=True)
class Reach:
    """How to get to an instance. ``root`` is set for a local tree, the rest for SSH.

    ``host_keys`` are public host keys in known_hosts form ("ssh-ed25519 AAAA…") that the provider vouches for;
    empty means that the operator's known_hosts file decides.
    """

    host: str = ""
    port: int = 22
    user: str = "root"
    key_file: str = ""
    host_keys: tuple[str, ...] = ()
    root: str = ""


@dataclass(frozen=True, slots=True)
class Instance:
    """One running server. ``image`` is the id of the image it was made from, "" where the provider cannot tell."""

    id: str
    group: str
    image: str
    state: InstanceState = InstanceState.RUNNING
    slot: str = ""
    address: str = ""
    launched_at: datetime | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    reach: Reach = Reach()


@dataclass(frozen=True, slots=True, order=True)
class Package:
    """An installed package, by the distribution's own database. ``source`` is "dpkg" for now."""

    name: str
    version: str
    arch: str
    source: str = "dpkg"


@dataclass(frozen=True, slots=True, order=True)
class Account:
    """A row of passwd(5), fieldwise. ``password`` is "locked", "set", "empty" or "unreadable"; never the hash."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str
    password: str


@dataclass(frozen=True, slots=True, order=True)
class Group:
    """A row of group(5); members sorted."""

    name: str
    gid: int
    members: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Session:
    """Evidence that somebody was on the instance.

    ``evidence`` says where it was read: "log", "journal", "wtmp", "process" (several joined by "+").
    ``key`` is the accepted key's fingerprint ("SHA256:…"), ``source`` the peer's address, ``port`` the peer's port.
    ``ancestor`` is true when the session's sshd is an ancestor of the probe itself.
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


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a look covered, counted. ``reasons`` maps "unreadable", "covered", "skipped" reasons to counts."""

    entries: int = 0
    bytes_hashed: int = 0
    unreadable: int = 0
    covered: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unseen:
    """Could not look: never clean, never drifted. ``hint`` is what to do next."""

    reason: str
    hint: str = ""
