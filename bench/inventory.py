"""What reading the inventory of a large fleet on AWS costs: API calls and driftd's CPU, on the emulator of AWS.

    python bench/inventory.py [--instances 3000] [--groups 10]

The daemon's own discovery (``Sweeper.discover``) of each group, with a real SQLite store: cold, which is a new
process's first pass, and warm, the pass after it; with host keys from known_hosts and from consoles. CPU is this
process's: the emulator is another one, and how long it takes is its own matter. "Inventory" is the provider's part.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "aws"))

from emulated import REGION, Cloud, Emulator

from driftd.core.facts import Instance
from driftd.core.guards.case import GroupRules
from driftd.core.looks import Look
from driftd.edges.providers.aws.provider import AwsProvider, create
from driftd.edges.store import open_store
from driftd.edges.store.queue import SqlQueue
from driftd.flows.groups import Group
from driftd.flows.sweep import Sweeper

MOST_AT_ONCE = 250
MOMENT_S = 2.5  # after which the same group is read anew


class Bench:
    """A fleet on the emulator."""

    def __init__(self, instances: int, groups: int) -> None:
        self.emulator = Emulator()
        self.names = [f"g{number}" for number in range(groups)]
        cloud = Cloud(self.emulator)
        zones = [*cloud.subnets.values()]
        for number, name in enumerate(self.names):
            left = instances // groups
            while left > 0:
                count = min(left, MOST_AT_ONCE)
                tags = [{"Key": "role", "Value": name}, {"Key": "team", "Value": "web"}]
                spec = [{"ResourceType": "instance", "Tags": tags}]
                cloud.run(count, SubnetId=zones[number % len(zones)], TagSpecifications=spec)
                left -= count

    def provider(self, host_keys: str) -> AwsProvider:
        """A new process's."""
        settings = {"region": REGION, "endpoint": self.emulator.url, "host_keys": host_keys}
        groups = {name: {"select": {"tag:role": name}} for name in self.names}
        return create({"settings": settings, "groups": groups})

    def passed(self, what: str, work: Callable[[str], object]) -> None:
        """One pass over all groups, and a line about it."""
        self.emulator.forget_calls()
        wall, cpu = time.perf_counter(), time.process_time()
        for name in self.names:
            work(name)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        calls = self.emulator.calls()
        said = ", ".join(f"{number} {name}" for name, number in sorted(calls.items())) or "none"
        print(f"{what:<46} {sum(calls.values()):>5} calls  {cpu:6.2f} s CPU  {wall:6.1f} s wall  ({said})", flush=True)


def measured(bench: Bench, host_keys: str, home: Path) -> None:
    """Cold and warm, of the provider alone and with all that the daemon does with it."""
    provider = bench.provider(host_keys)
    bench.passed(f"{host_keys}: inventory, cold", provider.inventory.find)
    time.sleep(MOMENT_S)
    bench.passed(f"{host_keys}: inventory, warm", provider.inventory.find)
    provider.close()
    provider = bench.provider(host_keys)
    with closing(open_store(f"sqlite:///{home / host_keys}.db")) as store:
        groups = {name: Group(name, provider, GroupRules(name)) for name in bench.names}
        sweeper = Sweeper(store, groups, never, SqlQueue(store), clock=lambda: datetime.now(UTC))
        bench.passed(f"{host_keys}: discovery, cold", sweeper.discover)
        for turn in ("warm", "warm again"):
            time.sleep(MOMENT_S)
            bench.passed(f"{host_keys}: discovery, {turn}", sweeper.discover)
        print(f"{host_keys}: {len(sweeper.known())} instances known")
        sweeper.close()
    provider.close()


def never(instance: Instance) -> Look:
    """Nobody is looked at here."""
    raise AssertionError(instance.id)


def main() -> None:
    """Run it."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--instances", type=int, default=3000)
    options.add_argument("--groups", type=int, default=10)
    chosen = options.parse_args()
    os.environ.update(AWS_ACCESS_KEY_ID="driftd", AWS_SECRET_ACCESS_KEY="not-secret")  # noqa: S106  # the emulator takes any
    bench = Bench(chosen.instances, chosen.groups)
    try:
        print(f"{chosen.instances} instances in {chosen.groups} groups")
        with tempfile.TemporaryDirectory() as home:
            for host_keys in ("known_hosts", "console"):
                measured(bench, host_keys, Path(home))
    finally:
        bench.emulator.close()


if __name__ == "__main__":
    main()
