"""What is promised: each line of the table, with what it must reach and what it aims at."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

NOT_BUILT = "not built yet"
Value = Mapping[str, Any]


@dataclass(frozen=True)
class Line:
    """``least``: the more the better; else the less. A line without ``must`` is reported and promises nothing."""

    key: str
    what: str
    unit: str
    must: float | None = None
    aim: float | None = None
    least: bool = False

    def reaches(self, value: float, bound: float | None) -> bool:
        """Whether ``value`` is within a bound."""
        return bound is not None and (value >= bound if self.least else value <= bound)

    def verdict(self, value: float | None) -> str:
        """In a word or two."""
        if value is None:
            return NOT_BUILT
        if self.must is None:
            return "reported"
        return "aim" if self.reaches(value, self.aim) else "must" if self.reaches(value, self.must) else "**missed**"

    def bound(self, bound: float | None) -> str:
        """A bound as a person reads it."""
        return "" if bound is None else f"{'≥' if self.least else '≤'} {bound:g}{self.suffix}"

    @property
    def suffix(self) -> str:
        """The unit behind a number."""
        return self.unit if self.unit in {"x", ""} else f" {self.unit}"

    def shown(self, value: float | None) -> str:
        """A value as a person reads it."""
        if value is None:
            return "-"
        digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
        return f"{value:,.{digits}f}{self.suffix}"


INIT, CHECK = "`aide --init`", "`aide --check`"
C = "C that lstats, reads and hashes the same files"
OPENSSL = "`find` with `xargs -P2 openssl dgst -sha256`"
ONE = "unchanged instance, "

LINES = (
    Line("init-cpu", f"full look, against {INIT}: times less CPU", "x", 3.5, 4.5, least=True),
    Line("init-wall", f"full look, against {INIT}: times less wall clock", "x", 4, 4.5, least=True),
    Line("check-cpu", f"full look and compare, against {CHECK}: times less CPU", "x", 6, 10, least=True),
    Line("check-wall", f"full look and compare, against {CHECK}: times less wall clock", "x", 8, 10, least=True),
    Line("limit-cpu", f"full look, against {C}: times its CPU", "x", 1.4, 1.1),
    Line("openssl-wall", f"full look, against {OPENSSL}: times less wall clock", "x", 1, 1.3, least=True),
    Line("openssl-cpu", f"full look, against {OPENSSL}: times less CPU", "x", 1, 1.3, least=True),
    Line("stat-cpu", f"{ONE}stat stage, against C that lstats: times its CPU", "x", 1.9, 1.3),
    Line("fresh-bytes", f"{ONE}on a connection of its own: bytes on the wire", "KB", 12, 8),
    Line("kept-bytes", f"{ONE}on a kept connection: bytes on the wire", "KB", 1.5, 1),
    Line("unchanged-cpu", f"{ONE}daemon CPU", "ms", 8, 2),
    Line("facts-cpu", "facts beside it: host CPU", "s"),
    Line("rehash-cpu", "rolling rehash beside it: host CPU", "s"),
    Line("changed-bytes", "changed instance, 10 directories: bytes on the wire", "KB", 200, 20),
    Line("entry-bytes", "full look on the wire, for each entry", "B", 38, 36),
    Line("vector-cpu", "compare, unchanged vector: daemon CPU", "ms", 1, 0.3),
    Line("resent-cpu", "compare, everything resent: daemon CPU", "ms", 25, 15),
    Line("memory", "probe memory, largest process", "MiB", 24, 16),
    Line("sweep-cpu", "sweep of 1,000 unchanged instances: daemon CPU", "s", 10, 3),
    Line("sweep-memory", "sweep of 1,000 unchanged instances: daemon memory", "MB", 300),
    Line("help-wall", "`driftd --help`", "s", 0.15, 0.1),
)


def value(found: Sequence[float] | float | None, note: str = "", part: str = "") -> dict[str, Any]:
    """What was measured of one line, for the file of results: its median, how far the rounds went, and a remark.

    ``part`` says that not the whole was measured, and how much of it was.
    """
    if found is None:
        return {"value": None, "note": note, "part": part}
    rounds = [found] if isinstance(found, int | float) else list(found)
    return {"value": statistics.median(rounds), "low": min(rounds), "high": max(rounds), "note": note, "part": part}


def row(line: Line, found: Value) -> tuple[str, ...]:
    """What, must, aim, measured, spread, how it stands to the must, and the verdict."""
    measured = found["value"]
    spread = ratio = ""
    if measured is not None:
        if found["low"] != found["high"]:
            spread = f"{line.shown(found['low'])} to {line.shown(found['high'])}"
        if line.must:
            ratio = f"{measured / line.must:.2f}"
    return (
        line.what, line.bound(line.must), line.bound(line.aim), line.shown(measured), spread, ratio,
        ", ".join(filter(None, (line.verdict(measured), found["part"]))),
    )  # fmt: skip


HEADS = ("what", "must", "aim", "measured", "spread", "measured / must", "reached")


def rows(values: Mapping[str, Value]) -> list[tuple[str, ...]]:
    """Every line that there is a value of."""
    return [row(line, values[line.key]) for line in LINES if line.key in values]
