"""What a flow needs to know of one configured group: its provider, its rules and its limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from driftd.core.calibration.marks import marked
from driftd.core.canary import Canary
from driftd.core.custody.terms import Terms
from driftd.core.facts import Instance
from driftd.core.guards.case import GroupRules
from driftd.core.matchers import Matcher
from driftd.core.ports import Alerts, Health, Hooks, Judge, Provider
from driftd.core.quarantine import quarantined
from driftd.core.world import Limits, Manner


def is_member(instance: Instance) -> bool:
    """Whether it is one of its group at all: not launched to learn from, and not in quarantine."""
    return not marked(instance) and not quarantined(instance)


@dataclass(frozen=True, slots=True)
class Group:
    """One group, joined with the edges that serve it. ``image`` "" means: the image that the instance has now.

    ``block_on`` are lists of label matchers: an alert that matches all of one list speaks against any change.
    ``alerts`` and ``judge`` are who is asked about alerts and metrics, if anybody; ``canary`` is how the first of its
    kind is watched, None where none goes first; ``hooks`` is what its owner has
    written to stop, hand over and start its service. Snapshots that replacements took are deleted when they are older
    than ``keep_snapshots``; None keeps them. ``evidence`` says how much is kept of an
    old one, where ``manner`` asks. ``watch`` keeps a resident probe on each instance;
    ``disks_every`` is how often each one's disk is looked at from outside, None for never.
    """

    name: str
    provider: Provider
    rules: GroupRules
    limits: Limits = field(default_factory=Limits)
    image: str = ""
    health: Health | None = None
    every: timedelta = timedelta(minutes=5)
    watch: bool = False
    block_on: tuple[tuple[Matcher, ...], ...] = ()
    alerts: Alerts | None = None
    judge: Judge | None = None
    canary: Canary | None = None
    hooks: Hooks | None = None
    keep_snapshots: timedelta | None = timedelta(days=30)
    manner: Manner = field(default_factory=Manner)
    evidence: Terms = field(default_factory=Terms)
    disks_every: timedelta | None = None

    def members(self) -> Sequence[Instance]:
        """Everybody in the group: all that its inventory finds, but for what was launched to learn from, and what is
        in quarantine.
        """
        return [instance for instance in self.provider.inventory.find(self.name) if is_member(instance)]

    def targets(self) -> set[str]:
        """The instances that its load balancer knows; nobody without one."""
        traffic = self.provider.traffic
        return {target.instance_id for target in traffic.targets(self.name)} if traffic else set()

    def cannot_replace(self) -> str:
        """Why this group's provider cannot carry out a replacement; "" when it can."""
        missing = [
            name
            for name, port in (("launch instances", self.provider.compute), ("drain them", self.provider.traffic))
            if port is None
        ]
        return f"provider {self.provider.name} cannot {' or '.join(missing)}" if missing else ""
