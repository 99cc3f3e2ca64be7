"""The numbers that the rules go by; these are the defaults, and every one may be set (``breakers:``)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Percentages are whole numbers. What each is for stands beside its rule in docs/breakers.md.

    ``alike`` instances of a group, or ``alike_percent`` of it where that is more, may not drift alike within
    ``alike_within`` (or one round of looks, where that takes longer); nor all of a group of up to ``alike_small``, nor
    ``alike_groups`` groups, nor ``alike_fleet_percent`` of the fleet (never fewer than ``alike``). So many
    ``alike_signatures`` at once stop the whole fleet.
    """

    alike: int = 5
    alike_percent: int = 20
    alike_within: timedelta = timedelta(minutes=15)
    alike_small: int = 4
    alike_groups: int = 3
    alike_fleet_percent: int = 10
    alike_signatures: int = 3
    failures: int = 2
    fleet_failures: int = 3
    failures_within: timedelta = timedelta(hours=1)
    probe_after: timedelta = timedelta(minutes=30)
    proven: int = 2
    loops: int = 2
    loops_within: timedelta = timedelta(hours=24)
    loop_slots: int = 2
    ill_percent: int = 33
    ill_zone_percent: int = 55
    well_for: timedelta = timedelta(minutes=15)
    reported_percent: int = 95
    reported_within: timedelta = timedelta(minutes=10)
    full_passes: int = 2
    size_percent: int = 20
    quiet_alerts: timedelta = timedelta(minutes=10)
    observe_first: timedelta = timedelta(hours=24)
    errors_percent: int = 10
    errors_least: int = 3
    errors_within: timedelta = timedelta(minutes=5)
    back_off: timedelta = timedelta(minutes=5)
    back_off_most: timedelta = timedelta(hours=1)
    quiet_foreign: timedelta = timedelta(minutes=5)


DEFAULTS = Thresholds()
