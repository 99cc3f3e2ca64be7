"""A daemon that is ended with SIGKILL again and again, and one replacement after the other that must not mind.

    restless = Restless(config, random.Random(7))
    with restless.running():
        for number in range(3):
            replaced(fleet, restless, slot, drift=...)      # by policy; without a drift, by hand
    print(restless.ended, "of", restless.due, "times ended")

A moment is a number of journal lines that the replacement has by then, and a fraction of a second more: so that slow
machines are interrupted in the same steps as quick ones. A seed gives the same moments again.
"""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Protocol

from driftd.core.facts import Instance
from driftd.core.memory import Store
from driftd.core.replacement import TERMINAL, Record
from driftd.edges.stage.running import command
from driftd.wiring.house import WiredHouse

LINES = 26  # of one replacement in the journal, or a few more
LIMIT_S = 600.0
LETTERS = "ghijklmnopqrstuvwxyz"  # no digit of a hexadecimal number, which signatures leave out


def say(text: str) -> None:
    """A line for who runs this by hand (-s)."""
    print(text, flush=True)  # noqa: T201  # shown by -s


class Replacing(Protocol):
    """What the fleets have in common."""

    house: WiredHouse

    def tale(self) -> str:
        """What a failing test should show."""


class Restless:
    """The shipped daemon as a process of its own."""

    def __init__(self, config: Path, luck: random.Random) -> None:
        self._config = config
        self.luck = luck
        self.ended = 0
        self.due = 0  # a replacement that is over sooner than its moment is not interrupted then
        self._log = config.parent / "driftd.log"
        self._said = 0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begin, or begin again."""
        with self._log.open("ab") as log:
            self._said = log.tell()
            self._process = subprocess.Popen(
                command(self._config, "run"), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def interrupt(self) -> None:
        """SIGKILL, then another one after a while."""
        assert self._process is not None
        assert self._process.poll() is None, "it ended by itself"
        self._process.send_signal(signal.SIGKILL)
        assert self._process.wait(timeout=30) == -signal.SIGKILL
        self.ended += 1
        time.sleep(self.luck.uniform(0, 0.3))
        self.start()

    @contextmanager
    def running(self) -> Iterator[None]:
        """From the first start to an orderly end."""
        self.start()
        try:
            yield
        finally:
            assert self._process is not None
            ends = time.monotonic() + LIMIT_S  # before it runs, it does not know yet that SIGTERM is a request
            while self._process.poll() is None and not self._runs() and time.monotonic() < ends:
                time.sleep(0.05)
            self._process.terminate()
            status = self._process.wait(timeout=60)
        assert status == 0

    def _runs(self) -> bool:
        return b"driftd is running" in self._log.read_bytes()[self._said :]


def leave_behind(root: Path, luck: random.Random) -> None:
    """Drift that looks like no other: a file with a name of its own, in the instance's root directory."""
    name = "".join(luck.choices(LETTERS, k=10))
    (root / luck.choice(["etc", "usr/local/bin", "opt/web"]) / name).write_text(f"{name}\n", encoding="utf-8")


def replaced(
    fleet: Replacing, restless: Restless, old: Instance, drift: Callable[[], None] | None = None, *, times: int = 1
) -> Record:
    """One replacement of ``old``, during which the daemon is ended ``times`` times; the record when it is over."""
    moments = sorted(restless.luck.randrange(LINES) + restless.luck.random() / 2 for _ in range(times))
    restless.due += len(moments)
    ends = time.monotonic() + LIMIT_S
    with fleet.house.store() as store:
        if drift is None:
            fleet.house.request_replacement(old.slot, "its time has come")
        else:
            drift()
        while True:
            with store.read() as tx:
                record = next((one for one in tx.replacements() if one.old_id == old.id), None)
                lines = len(tx.journal_lines(record.rid)) if record and moments else 0
            if record is not None and record.state in TERMINAL:
                took = LIMIT_S - (ends - time.monotonic())
                say(f"{record.slot} {record.state} in {took:.1f} s: {_steps(store, record)}")
                return record
            if moments and lines >= int(moments[0]):
                time.sleep(moments.pop(0) % 1)
                restless.interrupt()
            assert time.monotonic() < ends, f"not within {LIMIT_S:g} s; {fleet.tale()}"
            time.sleep(0.1)


def _steps(store: Store, record: Record) -> str:
    """Each state that it went through, and for how many seconds."""
    with store.read() as tx:
        entered = [(str(line.body["to"]), line.at) for line in tx.journal_lines(record.rid) if "to" in line.body]
    return ", ".join(f"{state} {(after - at).total_seconds():.1f}" for (state, at), (_, after) in pairwise(entered))
