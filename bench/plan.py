"""How long a plan takes: 1,000 instances, 500 of them drifted, on the fake provider and a real SQLite store.

python -m bench.plan [GROUPS]     as many groups of equal size; 10 by default

Read, planned and written as a document, each timed by itself, wall clock and CPU; the best of three.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from driftd.core.findings import Action, Verdict
from driftd.core.guards.case import GroupRules
from driftd.core.memory import InstanceRow
from driftd.core.planning.choosing import choose
from driftd.core.planning.document import as_document
from driftd.core.planning.plan import plan
from driftd.core.ports import LaunchRequest
from driftd.core.world import TAG_SLOT
from driftd.edges.store import open_store
from driftd.flows.groups import Group
from driftd.flows.planning import Origin, read
from driftd.flows.stops import no_pause
from driftd.testing import FakeClock, FakeProvider

INSTANCES = 1000
TIMES = 3


def fleet(groups: int) -> tuple[FakeProvider, FakeClock]:
    """Everybody in service, in three zones; every tenth slot owns a volume and an address."""
    clock = FakeClock()
    each = INSTANCES // groups
    slots = [f"g{number}/{place}" for number in range(groups) for place in range(each)]
    owning = slots[::10]
    provider = FakeProvider(
        clock,
        volumes={f"vol-{slot}": slot for slot in owning},
        addresses={f"198.51.{n // 250}.{n % 250}": slot for n, slot in enumerate(owning)},
    )
    things = dict(zip(owning, zip(provider.volume_table, provider.address_table, strict=True), strict=True))
    for number, slot in enumerate(slots):
        group = slot.partition("/")[0]
        provider.zones[slot] = "abc"[number % 3]
        made = provider.compute.launch(LaunchRequest(group, slot, "golden", slot, {TAG_SLOT: slot}))
        provider.traffic.register(group, made)
        if slot in things:
            provider.volumes.attach(things[slot][0], made.id)
            provider.addresses.associate(things[slot][1], made.id)
    clock.advance(60)
    return provider, clock


def rows(provider: FakeProvider, now: datetime) -> list[InstanceRow]:
    """What the store knows: every second one drifted."""
    found = []
    for number, server in enumerate(provider.servers.values()):
        one = provider.view(server)
        row = InstanceRow(
            one.id, one.group, one.slot, one.image, one.address, "running", Verdict.CLEAN, "as baked", "ab" * 32,
            now, now, now, zone=one.zone,
        )  # fmt: skip
        drifted = replace(row, verdict=Verdict.DRIFTED, action=Action.REPLACE, reason="2 findings, worst: high")
        found.append(drifted if number % 2 else row)
    return found


def timed(what: Callable[[], object]) -> tuple[object, float, float]:
    """What it gave, and its wall clock and CPU time in seconds: the best of ``TIMES``."""
    took = []
    for _ in range(TIMES):
        wall, cpu = time.perf_counter(), time.process_time()
        made = what()
        took.append((made, time.perf_counter() - wall, time.process_time() - cpu))
    return min(took, key=lambda one: one[2])


def main() -> None:
    """Print what was measured."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    provider, clock = fleet(number)
    names = [f"g{n}" for n in range(number)]
    rules = GroupRules("", enforce=Action.REPLACE)
    groups = {name: Group(name, provider, replace(rules, name=name)) for name in names}
    origins = dict.fromkeys(names, Origin("", "", {}))
    with tempfile.TemporaryDirectory() as home:
        store = open_store(f"sqlite:///{Path(home) / 'driftd.db'}")
        with store.write() as tx:
            for row in rows(provider, clock().astimezone(UTC)):
                tx.put_instance(row)
        reading, read_wall, read_cpu = timed(lambda: read(store, groups, origins, clock(), no_pause))
        chosen = choose(reading, [], everything=False, reason="")
        made, plan_wall, plan_cpu = timed(lambda: plan(reading, chosen))
        document, doc_wall, doc_cpu = timed(lambda: as_document(made, by="bench", version="0"))
        store.close()
    print(f"{INSTANCES} instances in {number} groups, {len(made.items)} to be replaced")
    print(f"  read      {read_wall:6.3f} s wall  {read_cpu:6.3f} s CPU")
    print(f"  plan      {plan_wall:6.3f} s wall  {plan_cpu:6.3f} s CPU")
    print(f"  document  {doc_wall:6.3f} s wall  {doc_cpu:6.3f} s CPU, {len(repr(document)) / 1e6:.1f} MB")
    print(f"  together  {read_wall + plan_wall + doc_wall:6.3f} s wall  {read_cpu + plan_cpu + doc_cpu:6.3f} s CPU")
    print(f"  waves     {max(len(group.waves) for group in made.groups)} in the group with most")


if __name__ == "__main__":
    main()
