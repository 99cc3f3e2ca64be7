"""Running programs and functions in turn, and what each of them cost."""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

NICE = 10  # the probe's own priority: what it is held against runs at the same, so that a busy machine is fair to both


@dataclass(frozen=True)
class Spent:
    """Seconds of wall clock, seconds of CPU (user and system, of all processes), KiB of the largest process's peak."""

    wall: float
    cpu: float
    rss: int = 0


@dataclass(frozen=True)
class Series:
    """What several rounds of one thing cost, in their order."""

    runs: tuple[Spent, ...]

    def values(self, what: str) -> list[float]:
        """One figure (a field of ``Spent``) of every round."""
        return [float(getattr(one, what)) for one in self.runs]

    def median(self, what: str) -> float:
        """Its median."""
        return statistics.median(self.values(what))

    def per(self, other: Series, what: str) -> list[float]:
        """How many times as much ``other`` cost, round by round: both ran within one round, one after the other."""
        return [theirs / ours for ours, theirs in zip(self.values(what), other.values(what), strict=True)]

    def as_json(self) -> list[dict[str, float]]:
        """For the file of results."""
        return [asdict(one) for one in self.runs]


def run(
    spent: Path, words: Sequence[str | Path], *, stdin: Path | None = None, out: Path, nice: int = 0, allowed=(0,)
) -> Spent:
    """Run a program to its end, with ``stdin`` a file and its output in ``out``. SystemExit where it fails.

    ``spent`` is bench/limit/spent.c, built.
    """
    note = out.with_suffix(".spent")
    slower = ["nice", "-n", str(nice)] if nice else []
    with (stdin or Path(os.devnull)).open("rb") as given, out.open("wb") as taken:
        done = subprocess.run(
            [*slower, spent, note, *words], stdin=given, stdout=taken, stderr=subprocess.PIPE, check=False
        )
    if done.returncode not in allowed:
        said = done.stderr.decode(errors="replace").strip()[-500:]
        raise SystemExit(f"{words[0]} ended with {done.returncode}: {said}")
    return read(note)


def read(note: Path) -> Spent:
    """What bench/limit/spent.c wrote."""
    wall, cpu, rss = note.read_text().split()
    return Spent(float(wall), float(cpu), int(rss))


def own(work: Callable[[], object]) -> Spent:
    """What a function cost in this process, all its threads together."""
    cpu, began = time.process_time(), time.perf_counter()
    work()
    return Spent(time.perf_counter() - began, time.process_time() - cpu)


def interleaved(
    sides: Mapping[str, Callable[[], Spent]],
    rounds: int,
    say: Callable[[str], None] = lambda _: None,
    *,
    warm: bool = False,
) -> dict[str, Series]:
    """Every side once a round, each round in another order: what the machine does besides meets all of them alike.

    Unless the cache is ``warm`` already one round before the first is not counted.
    """
    order, chance = list(sides), random.Random(8)  # noqa: S311  # an order, no secret
    found: dict[str, list[Spent]] = {name: [] for name in sides}
    for number in range(int(warm), rounds + 1):
        chance.shuffle(order)
        for name in order:
            one = sides[name]()
            say(f"{'warming' if not number else f'{number}/{rounds}'}: {name}: {one.cpu:.2f} s CPU, {one.wall:.2f} s")
            if number:
                found[name].append(one)
    return {name: Series(tuple(runs)) for name, runs in found.items()}
