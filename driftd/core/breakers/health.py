"""C4, ill health: where too many do not serve, nothing is taken away. Hysteresis keeps it from flapping."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime

from driftd.core.breakers.breaker import FLEET, Breaker, Known, of_group, of_zone
from driftd.core.breakers.facts import Facts
from driftd.core.breakers.limits import Thresholds
from driftd.core.breakers.settling import until_calm
from driftd.core.replacement import TERMINAL, WAITING
from driftd.core.wording import lasting, listed

RULE = "C4"


def rule(known: Known, facts: Facts, now: datetime, limits: Thresholds) -> Iterator[Breaker]:
    """Slots that driftd is replacing right now are not counted as ill: it took them out itself."""
    numbers = _numbers(facts)
    bad: dict[str, str] = {}
    most = {scope: limits.ill_percent if scope.startswith("group:") else limits.ill_zone_percent for scope in numbers}
    for scope, (ill, size) in numbers.items():
        # In whole percent: one of three is 33 %.
        if size and 100 * ill // size > most[scope]:
            bad[scope] = (
                f"{ill} of {size} in {scope.partition(':')[2]} are not ready, and more than {most[scope]} % stop it"
            )
    zones = [scope for scope in numbers if scope.startswith("zone:")]
    if len(zones) > 1 and all(scope in bad for scope in zones):
        names = listed([scope.removeprefix("zone:") for scope in sorted(zones)])
        bad[FLEET] = (
            f"all {len(zones)} zones are ill ({names}), more than {limits.ill_zone_percent} % of each not ready"
        )

    there = {of_group(group) for group in facts.groups}
    there |= {of_zone(zone) for standing in facts.groups.values() for zone in standing.zones.values()}

    def well(scope: str) -> bool:
        if scope == FLEET:
            return all(map(well, zones))
        if scope not in numbers:  # nobody is there any more, or nobody could be asked about those who are
            return scope not in there
        ill, size = numbers[scope]
        return 2 * 100 * ill < most[scope] * size

    closes_by = f"less than half of that, for {lasting(limits.well_for)}"
    yield from until_calm(RULE, known, bad, well, limits.well_for, now, closes_by)


def _numbers(facts: Facts) -> dict[str, tuple[int, int]]:
    """How many are not ready, of how many, by group and zone. A group that nobody could be asked about is left out."""
    busy = {(one.group, one.slot) for one in facts.records if one.state not in TERMINAL | WAITING}
    made: dict[str, tuple[int, int]] = {}
    zones: dict[str, list[bool]] = defaultdict(list)
    for group, standing in sorted(facts.groups.items()):
        if standing.ready is None:
            continue
        ill = {slot for slot in standing.slots - standing.ready if (group, slot) not in busy}
        made[of_group(group)] = (len(ill), len(standing.slots))
        for slot in standing.slots:
            if zone := standing.zones.get(slot, ""):
                zones[of_zone(zone)].append(slot in ill)
    return made | {zone: (sum(slots), len(slots)) for zone, slots in zones.items()}
