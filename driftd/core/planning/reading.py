"""What a plan is made from, as it was read at one moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from driftd.core.facts import Instance
from driftd.core.findings import Verdict
from driftd.core.guards.case import GroupFacts, GroupRules
from driftd.core.guards.order import Urgent
from driftd.core.memory import InstanceRow
from driftd.core.ports import Address, Target, Volume
from driftd.core.replacement import Record
from driftd.core.world import Limits, Manner, Sight


@dataclass(frozen=True, slots=True)
class Past:
    """How long replacements of one variant took that succeeded, from when they were let in."""

    variant: str
    took: timedelta


@dataclass(frozen=True, slots=True)
class GroupReading:
    """One group: its rules, how it stands, and everything in it, by the provider and by the store.

    ``settings`` are those of its settings that a plan rests on, as a person reads them; ``configuration`` and
    ``policy`` are digests of all of them. ``instances`` are the provider's, ``rows`` the store's, ``remembered`` what
    the store's ask for, all by id. ``opened`` are the group's open replacements, ``own`` what slots own.
    ``stopped`` is the sentence of what holds every change, ``impossible`` why a launch would be refused now, ``cannot``
    why the group's provider cannot replace at all (then nothing else was asked of it); "" where nothing does.
    ``refused`` says of an instance who said no to its last replacement, so that drift does not ask for another so soon.
    ``unasked`` are sentences of what is asked only when a replacement's turn comes, ``quorum`` that it has such a
    hook.
    """

    name: str
    rules: GroupRules
    limits: Limits = field(default_factory=Limits)
    manner: Manner = field(default_factory=Manner)
    image: str = ""
    facts: GroupFacts = field(default_factory=GroupFacts)
    instances: Mapping[str, Instance] = field(default_factory=dict)
    rows: Mapping[str, InstanceRow] = field(default_factory=dict)
    remembered: Mapping[str, Sight] = field(default_factory=dict)
    targets: Mapping[str, Target] = field(default_factory=dict)
    volumes: Mapping[str, Volume] = field(default_factory=dict)
    addresses: Mapping[str, Address] = field(default_factory=dict)
    opened: Sequence[Record] = ()
    past: Sequence[Past] = ()
    stopped: str = ""
    impossible: str = ""
    cannot: str = ""
    refused: Mapping[str, str] = field(default_factory=dict)
    unasked: Sequence[str] = ()
    quorum: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)
    configuration: str = ""
    policy: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything that was read. ``store`` is the store's own name; ``history`` are replacements of all groups, over and
    open, as far back as guards remember.
    """

    store: str
    at: datetime
    groups: Mapping[str, GroupReading]
    urgent: Urgent = field(default_factory=Urgent)
    history: Sequence[Record] = ()


@dataclass(frozen=True, slots=True)
class Candidate:
    """One instance that is to be replaced. ``asked_by`` is "drift", "replacement" (one waits already) or "hand"."""

    old: Instance
    why: str
    asked_by: str
    row: InstanceRow | None = None
    waiting: Record | None = None

    @property
    def verdict(self) -> Verdict:
        """That of the last look."""
        return self.row.verdict if self.row is not None else Verdict.UNKNOWN


@dataclass(frozen=True, slots=True)
class Chosen:
    """What was chosen to be replaced, and sentences about what was not."""

    candidates: Sequence[Candidate]
    notes: Sequence[str] = ()
