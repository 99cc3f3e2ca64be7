"""How long it takes from a change, or a login, on a real server to its finding, with a watch and without one.

    python bench/watch.py [--changes 40] [--logins 20] [--idle 600] [--storm 100000] [--every 20]
        [--every-without 15] [--without 5] [--images DIR]

The demo's servers and the shipped daemon in this process, one run with ``watch: true`` and one without, in which a
change waits for the next look. A change is a file written by the host into the instance, timed from before the write to
the store's ``first_seen``; a login is one `ssh` as root, timed from when its command runs there. Then the cost of
standing still, and a storm of file events after which a last change must be found. Needs what ``driftd demo`` needs.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import re
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from driftd.core.facts import Instance
from driftd.core.watching import Beat
from driftd.doors.daemon import Daemon
from driftd.edges.providers.local import image
from driftd.probe import watchwire
from driftd.wiring.engine import WiredEngine, start
from driftd.wiring.stage import CONFIG, DemoStage

STORM_FILES = 1000


def settings(every: float, *, watch: bool) -> str:
    """The demo's configuration, which changes nothing, with looks ``every`` so many seconds."""
    text = CONFIG.replace("enforce: replace ", "enforce: observe ")
    lines = []
    for line in text.splitlines():
        indent = line[: len(line) - len(line.lstrip())]
        if line.strip().startswith("every:"):
            lines.append(f"{indent}every: {every:g}s")
            lines.append(f"{indent}watch: {str(watch).lower()}")
        else:
            lines.append(line)
    return "\n".join(lines) + "\n"


class Run:
    """One stage with its daemon, in this process."""

    def __init__(self, images: Path, every: float, *, watch: bool) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="dd-"))
        self.stage = DemoStage(self.home, images, settings(every, watch=watch), ports=(0, 0))
        self.stage.image(lambda _: None)
        self.stage.launch()
        self.instance: Instance = min(self.stage.provider.inventory.find("web"), key=lambda one: one.slot)
        self.root = Path(f"/proc/{_first_process(self.instance)}/root")
        self.engine: WiredEngine = start(self.stage.house)
        self.daemon = Daemon(self.engine)
        self.thread = threading.Thread(target=self.daemon.run)
        self.thread.start()
        self.store = self.stage.house.store(read_only=True)
        self.reading = self.store.__enter__()
        self.made = 0

    def close(self) -> None:
        """An orderly end of all of it."""
        self.daemon.asked = True
        self.thread.join()
        self.store.__exit__(None, None, None)
        self.stage.clean()
        shutil.rmtree(self.home, ignore_errors=True)

    def until(self, true: Callable[[], object], what: str, limit_s: float = 180.0) -> float:
        """Seconds until it is true."""
        began = time.monotonic()
        while not true():
            if time.monotonic() > began + limit_s:
                raise SystemExit(f"{what} did not come within {limit_s:g} s")
            time.sleep(0.004)
        return time.monotonic() - began

    def found(self, path: str) -> bool:
        """Whether the store has an open finding of this file."""
        with self.reading.read() as tx:
            return any(row.finding.subject == path.encode() for row in tx.open_findings(self.instance.id))

    def looked(self) -> bool:
        """Whether everybody was looked at, and whether the watches stand that there should be."""
        with self.reading.read() as tx:
            rows = tx.instances("web")
        if len(rows) < 3 or any(row.looked_at is None for row in rows):
            return False
        watched = self.engine._watching.watcher.watched()  # noqa: SLF001  # only a bench asks
        return all(one.greeting is not None for one in watched)

    def change(self) -> float:
        """Seconds from a write on the instance to its finding in the store."""
        self.made += 1
        path = f"/etc/bench-{self.made}"
        (self.root / path[1:]).write_text(f"{self.made}\n")
        return self.until(lambda: self.found(path), path)

    def login(self) -> float:
        """Seconds from when somebody's command runs there to their session in the store."""
        known = self._people()
        key = self.home / "keys" / "somebody"
        child = subprocess.Popen(
            [*person_command(self.instance, key, self.home / "known"), "echo in; sleep 2"], stdout=subprocess.PIPE
        )
        assert child.stdout is not None  # noqa: S101  # a pipe
        try:
            if child.stdout.readline() != b"in\n":
                raise SystemExit("the login failed")
            return self.until(lambda: self._people() > known, "the session")
        finally:
            child.wait()

    def _people(self) -> int:
        with self.reading.read() as tx:
            return sum(1 for row in tx.sessions(self.instance.id) if not row.own)

    def beat(self) -> Beat | None:
        """What the instance's resident probe has cost so far."""
        watched = self.engine._watching.watcher.watched()  # noqa: SLF001  # only a bench asks
        return next((one.beat for one in watched if one.instance == self.instance.id), None)


def _first_process(server: Instance) -> int:
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            first = re.search(r"^NSpid:.*\t1$", (process / "status").read_text(), re.MULTILINE)
            if first and (process / "root/etc/hostname").read_text().strip() == server.id:
                return int(process.name)
    raise SystemExit(f"no process of {server.id}")


def person_command(server: Instance, key: Path, known: Path) -> list[str]:
    """How somebody logs in."""
    known.write_text("".join(f"{server.address} {host_key}\n" for host_key in server.reach.host_keys))
    options = ["BatchMode=yes", f"UserKnownHostsFile={known}", "IdentitiesOnly=yes"]
    return ["ssh", "-i", str(key), *(word for one in options for word in ("-o", one)), f"root@{server.address}"]


def spread(seconds: list[float]) -> str:
    """Median, the 99th percentile and the longest, in milliseconds."""
    ordered = sorted(seconds)
    last = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    half = statistics.median(ordered)
    return (
        f"median {1000 * half:.0f} ms, p99 {1000 * last:.0f} ms, longest {1000 * ordered[-1]:.0f} ms, n={len(ordered)}"
    )


def latencies(run: Run, changes: int, logins: int) -> None:
    """Changes and logins, at moments that know nothing of the looks'."""
    moments = random.Random(6)  # noqa: S311  # moments, not secrets
    found = []
    for _ in range(changes):
        time.sleep(moments.uniform(0.2, 1.2))
        found.append(run.change())
    print(f"    change to finding: {spread(found)}", flush=True)
    found = []
    for _ in range(logins):
        time.sleep(moments.uniform(1.5, 2.5))
        found.append(run.login())
    print(f"    login to finding: {spread(found)}", flush=True)


def idle(run: Run, seconds: float) -> None:
    """What standing still costs the instance; looks go on as ever."""
    before, began = run.beat(), time.monotonic()
    time.sleep(seconds)
    after, took = run.beat(), time.monotonic() - began
    if before is None or after is None:
        raise SystemExit("there is no watch")
    share = 100 * (after.cpu_s - before.cpu_s) / took
    print(f"    {took:.0f} s of standing still: {share:.3f} % of a core, {after.rss / 2**20:.1f} MiB", flush=True)


def storm(run: Run, events: int) -> None:
    """Many events on files that nobody asks after, then a change that has to be found."""
    place = run.root / "var/tmp"
    before, began = run.beat(), time.monotonic()
    for number in range(events // 4):  # each is created, written, closed and, later, removed
        name = place / f"storm-{number % STORM_FILES}"
        name.write_text("x")
        name.unlink()
    took = time.monotonic() - began
    (run.root / "etc/bench-after-the-storm").write_text("x\n")
    late = run.until(lambda: run.found("/etc/bench-after-the-storm"), "the change after the storm")
    time.sleep(2 * watchwire.BEAT_S)
    after, over = run.beat(), time.monotonic() - began
    if before is None or after is None:
        raise SystemExit("the watch was lost")
    spent = after.cpu_s - before.cpu_s
    watched = run.engine._watching.watcher.watched()  # noqa: SLF001  # only a bench asks
    counted = next(one.counted for one in watched if one.instance == run.instance.id)
    reasons = ", ".join(f"{why.value} {count}" for why, count in sorted(counted.items()))
    print(
        f"    {events:,} events in {took:.1f} s: the next change found after {1000 * late:.0f} ms; the probe used "
        f"{spent:.2f} s of CPU in {over:.0f} s and holds {after.rss / 2**20:.1f} MiB; looks asked for: {reasons}",
        flush=True,
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--changes", type=int, default=40)
    parser.add_argument("--logins", type=int, default=20)
    parser.add_argument("--idle", type=float, default=600.0)
    parser.add_argument("--storm", type=int, default=100_000)
    parser.add_argument("--every", type=float, default=20.0)
    parser.add_argument("--without", type=int, default=5, help="changes and logins in the run without a watch")
    parser.add_argument("--every-without", type=float, default=15.0, help="seconds between looks in that run")
    parser.add_argument("--images", type=Path, default=image.default_cache())
    words = parser.parse_args()
    for watch in (True, False):
        every = words.every if watch else words.every_without
        run = Run(words.images.resolve(), every, watch=watch)
        try:
            run.until(run.looked, "the first look at everybody")
            print(f"{'with' if watch else 'without'} a watch, looks every {every:g} s", flush=True)
            if watch:
                if words.idle:
                    idle(run, words.idle)
                latencies(run, words.changes, words.logins)
                if words.storm:
                    storm(run, words.storm)
            else:
                latencies(run, words.without, words.without)
        finally:
            run.close()


if __name__ == "__main__":
    main()
