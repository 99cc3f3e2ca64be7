"""One daemon's day on a fleet that tests share: its configuration, what it says, and what the provider says."""

import contextlib
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from daemons import run_daemon, wait_for_end

from driftd import wiring
from driftd.core.facts import Instance
from driftd.core.memory import Store, Tx
from driftd.core.replacement import TERMINAL, State
from driftd.edges.store import open_store
from driftd.settings import load
from driftd.wiring.house import WiredHouse


class Day:
    """One daemon's day on the shared fleet, with a configuration of its own."""

    def __init__(self, fleet, changes: dict[str, str]) -> None:
        self.fleet = fleet
        self.original = fleet.stage.config.read_text()
        self.log = fleet.stage.config.parent / "driftd.log"
        self.log.unlink(missing_ok=True)
        self.pid = 0
        self._kept: Store | None = None
        self.change(changes)

    def change(self, changes: dict[str, str]) -> None:
        changes = {"enforce: replace": "enforce: observe", **changes}
        text = self.original
        for old, new in changes.items():
            assert old in text, old
            text = text.replace(old, new)
        self.fleet.stage.config.write_text(text)
        self.look_away()
        self.house = WiredHouse(load(self.fleet.stage.config), self.fleet.stage.config)

    def look_away(self) -> None:
        """Close the store that this process reads again and again: a fork must not inherit it."""
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.close()

    @contextlib.contextmanager
    def reading(self) -> Iterator[Tx]:
        """What the store says now. It is opened once: that costs more than what a test asks of it."""
        if self._kept is None:
            self._kept = open_store(self.house.store_url)
        with self._kept.read() as tx:
            yield tx

    def start(self) -> None:
        self.look_away()
        self.pid = run_daemon(self.fleet.stage.config)

    def stop(self, limit_s: float = 10.0) -> None:
        self.look_away()
        if self.pid:
            pid, self.pid = self.pid, 0
            os.kill(pid, signal.SIGTERM)
            assert wait_for_end(pid, limit_s) == 0, self.said()

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """One command in this process: a new interpreter would be slower than what some tests have to stop."""
        out, err, status = io.StringIO(), io.StringIO(), 0
        argv, sys.argv = sys.argv, ["driftd", "--config", str(self.fleet.stage.config), *words]
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                wiring.main()
        except SystemExit as ended:
            status = int(ended.code or 0)
        finally:
            sys.argv = argv
        return subprocess.CompletedProcess(words, status, out.getvalue(), err.getvalue())

    def replace(self, slot: str = "web/2", why: str = "a bad day") -> str:
        with self.house.store():
            return self.house.request_replacement(slot, why)

    def record(self, rid: str):
        with self.reading() as tx:
            return tx.replacement(rid)

    def rows(self):
        with self.reading() as tx:
            return {row.id: row for row in tx.instances()}

    def wait(self, what, limit_s: float = 60.0):
        ends = time.monotonic() + limit_s
        while not (value := what()):
            assert time.monotonic() < ends, f"not within {limit_s} s; {self.fleet.tale()}"
            time.sleep(0.03)
        return value

    def until(self, rid: str, *states: State):
        return self.wait(lambda: (r := self.record(rid)).state in states and r)

    def over(self, rid: str):
        return self.until(rid, *TERMINAL)

    def succeeds(self, rid: str) -> None:
        assert self.over(rid).state is State.SUCCEEDED, self.fleet.tale()

    def world(self) -> tuple[dict[str, str], dict[str, str]]:
        """What there is and how the load balancer uses it, asked of the provider."""
        provider = self.house.provider("web")
        instances = {i.id: i.state.value for i in provider.inventory.find("web")}
        return instances, {t.instance_id: t.state.value for t in provider.traffic.targets("web")}

    def still(self, seconds: float = 1.0) -> None:
        """Nothing is launched, ended, or moved in or out of traffic."""
        before = self.world()
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            assert self.world() == before, self.fleet.tale()
            time.sleep(0.05)


@contextlib.contextmanager
def loaded(fleet) -> Iterator[None]:
    """Steady load meanwhile, of which not one request fails."""
    fleet.stage.start_load()
    fleet.wait(lambda: fleet.stage.scene().requests > 20)
    try:
        yield
    finally:
        requests, failed, _, failures = fleet.stage.stop_load()
    assert (failed, failures) == (0, ())
    assert requests > 50


def inside(fleet, instance: Instance) -> Path:
    """The instance's root directory, without logging in."""
    home = fleet.stage.config.parent / "fleet" / "instances" / instance.id / "init"
    pid = int(home.read_text().splitlines()[1].split(" ", 1)[0])
    return Path(f"/proc/{pid}/root")


def drift(day, slot: str = "web/1") -> str:
    """Somebody changes a file there; who it is."""
    victim = day.fleet.instances()[slot]
    with (inside(day.fleet, victim) / "etc/motd").open("a") as motd:
        motd.write("hello\n")
    return victim.id


def listeners(root: Path) -> list[int]:
    """The processes of an instance that are its sshd's: the listener, and who serves a connection."""
    return [pid for pid, words in processes(root) if b"sshd" in words[0]]


def probes(root: Path) -> list[int]:
    """The processes of an instance that are a look."""
    return [pid for pid, words in processes(root) if b"python" in words[0] and b"-c" in words]


def processes(root: Path) -> Iterator[tuple[int, list[bytes]]]:
    """The processes of an instance, each with its words."""
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else [b""]
            if words != [b""] and (entry / "root").samefile(root):
                yield int(entry.name), words
