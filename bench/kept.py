"""What it is worth to keep a connection between looks: daemon CPU, bytes and memory, kept and connecting anew.

    python -m bench.kept [--looks 40] [--connections 50] [--idle 60] [--root DIR]

Looks at an unchanged tree over a real sshd on loopback, as the daemon has them (a glance, facts beside it), each by a
connection of its own and all by one that is kept, in turn; then so many kept connections are left alone, keepalives and
all. What connecting saves against what keeping costs is how far apart looks may be for keeping to pay. As root.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from bench.visits import server
from driftd.core.facts import Instance, Reach, Unseen
from driftd.core.fingerprint import Extent, Fingerprint
from driftd.core.interned import Interned
from driftd.core.visits import Announced
from driftd.edges.recollections import RecollectionDirectory
from driftd.edges.ssh.looker import LookStats, SshLooker


def memory(pid: int | str = "self") -> float:
    """MiB of a process's own, shared pages in proportion (proc(5), smaps_rollup)."""
    rows = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(r"^Pss:\s+(\d+)", rows, re.MULTILINE)[1]) / 1024


def served(port: int) -> tuple[float, float]:
    """MiB of the probes and of sshd's processes that serve this port's connections, each of them together."""
    said = subprocess.run(["ps", "-e", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    rows = [(int(pid), int(above), words) for pid, above, words in (row.split(None, 2) for row in said.splitlines())]
    listening = subprocess.run(["ss", "-Htlnp", f"sport = :{port}"], capture_output=True, text=True, check=True).stdout
    below, probes, others = {int(re.search(r"pid=(\d+)", listening)[1])}, 0.0, 0.0
    for pid, above, words in sorted(rows):
        if above in below:
            below.add(pid)
            probes += memory(pid) if "python" in words else 0.0
            others += 0.0 if "python" in words else memory(pid)
    return probes, others


def fingerprint(seen: Fingerprint | Unseen) -> Fingerprint:
    """What was seen. SystemExit where nothing was."""
    if isinstance(seen, Unseen):
        raise SystemExit(f"driftd could not look: {seen.reason}")
    return seen


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--looks", type=int, default=40)
    parser.add_argument("--connections", type=int, default=50)
    parser.add_argument("--idle", type=float, default=60.0)
    parser.add_argument("--root", type=Path, default=Path("/usr/share/doc"))
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as home, server(Path(home)) as (port, ours, _):
        reach, stats = Reach("127.0.0.1", port, "root"), [LookStats()]
        options = replace(ours, root=str(words.root))
        tree = Interned(
            fingerprint(SshLooker(options).look(Instance("i", "", "", reach=reach), deadline_s=600)).entries
        )
        recollections = RecollectionDirectory(Path(home, "looks"), 1 << 34)
        worth = {"anew": 0.0, "kept": 600.0}
        lookers = {
            name: SshLooker(options, lambda _, one: stats.append(one), recollections, worth=lambda _, s=seconds: s)
            for name, seconds in worth.items()
        }

        def look(name: str, number: int, extent: Extent = Extent.SAME) -> tuple[float, int]:
            instance = Instance(f"{name}-{number}", "", "", reach=reach)
            began = time.process_time()
            visit = lookers[name].standing(instance) or Announced(os.urandom(8).hex(), lambda: datetime.now(UTC))
            there = replace(instance, reach=replace(reach, visit=visit))
            seen = fingerprint(lookers[name].look(there, deadline_s=600, image=tree))
            if seen.extent is not extent:
                raise SystemExit(f"a look cost otherwise than it should: {seen.extent}")
            return time.process_time() - began, stats[-1].sent + stats[-1].received

        for name in worth:
            look(name, 0, Extent.WHOLE)
        spent: dict[str, list[tuple[float, int]]] = {name: [] for name in worth}
        for _ in range(words.looks):
            for name, each in spent.items():
                each.append(look(name, 0))
        cost = {name: statistics.median(cpu for cpu, _ in each) for name, each in spent.items()}
        size = {name: statistics.median(count for _, count in each) for name, each in spent.items()}
        for name in worth:
            print(f"{name}: {1000 * cost[name]:6.2f} ms of the daemon's CPU, {size[name] / 1000:7.2f} KB  a look")
        before = memory()
        for number in range(1, words.connections + 1):
            look("kept", number, Extent.WHOLE)
        own = (memory() - before) / words.connections
        probes, others = served(port)
        time.sleep(1.0)
        began = time.process_time()
        time.sleep(words.idle)
        idle = (time.process_time() - began) / (words.connections + 1) / words.idle * 60
        print(f"kept and idle: {1000 * idle:.3f} ms of the daemon's CPU a minute, {own:.2f} MiB of its memory; there "
              f"{probes / (words.connections + 1):.1f} MiB the probe's and "
              f"{others / (words.connections + 1):.1f} MiB sshd's")  # fmt: skip
        print(f"by CPU keeping pays where looks are less than {(cost['anew'] - cost['kept']) / idle:.0f} min apart")
        for looker in lookers.values():
            looker.stop()


if __name__ == "__main__":
    main()
