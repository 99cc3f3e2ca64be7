"""Scope: of which groups gauges are shown, and the settings that they depend on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from prometheus_client.core import GaugeMetricFamily

from driftd.core.breakers.limits import Thresholds


@dataclass(frozen=True, slots=True)
class Scope:
    """As in ``StoreCollector``. ``full`` is when each group was last seen in full: the store soon forgets a pass."""

    groups: Mapping[str, timedelta] | None
    limits: Thresholds
    epoch: int
    full: dict[str, datetime] = field(default_factory=dict)

    def has(self, group: str) -> bool:
        """Whether anything is shown of it."""
        return self.groups is None or group in self.groups

    def names(self, seen: Iterable[str] = ()) -> list[str]:
        """The configured groups, or those that were seen where none are; sorted, so that scrapes look alike."""
        return sorted(set(seen) if self.groups is None else self.groups)


def by_group(name: str, help_text: str, *more: str) -> GaugeMetricFamily:
    """A gauge with the label ``group``, and ``more``."""
    return GaugeMetricFamily(name, help_text, labels=["group", *more])


def seconds(at: datetime | None) -> float:
    """Seconds since 1970; 0 is never."""
    return at.timestamp() if at is not None else 0.0
