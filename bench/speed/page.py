"""docs/benchmarks.md, made of the file of results that a run wrote, and the table for a terminal."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from bench.speed import table

Results = Mapping[str, Any]

TEXT = """\
# Benchmarks

What looking costs, beside those who do the same or less. This page, its pictures and [benchmarks.json](benchmarks.json)
are written by `make bench`; all sides of a part run side by side in one run. Where a part was not
run so, its remark says how.

{table}

{missed}

## How it is measured

* **The tree** is a Debian root made by `bench/tree` from `bench/tree.packages`: {entries:,} entries, of them {files:,}
  files with {gigabytes:.2f} GB, each file hashed by everybody. The cache is warm. Cold caches are not measured: to
  empty them is to slow down whatever else the machine does.
* **driftd's side** is the program that the daemon streams and a request, on the standard input of
  `{python} -I -S -B -c …`, extended attributes, access lists, capabilities and flags included; its answer goes to a
  file. The daemon's part, where a line has one, runs in the bench's own process.
* **The peers** come from Debian. AIDE hashes with SHA-256 by 2 workers and keeps the attributes that driftd looks at.
  The C programs are `bench/limit/limit.c`, with OpenSSL's SHA-256. All of them run at the probe's own priority (nice
  10).
* **In every run a change is planted**: a byte changed under a restored time, a mode, a new file. A run whose look does
  not have it, or whose comparison names anything else, ends the bench, a peer's as well as driftd's. That driftd and C
  have hashed the same is held against the number of entries, files and bytes and a sum over all digests.
* **Interleaved**: each round runs every side once, in a random order, after a first one over the tree that does not
  count. A ratio is the median of the rounds' ratios (how many is below; of the stat stage and the start-up twice as
  many and one), spread is from the smallest to the largest. CPU is user and system time of all processes together;
  memory is the peak of the largest process. `-` is what there is nothing to measure of yet.
* **On** {machine}. What else ran there is in the loads below (of 1, 5 and 15 minutes). Trust CPU more than wall clock,
  and neither where the load is higher than the number of cores.

{parts}

## What ran

Medians of each side's own rounds; in brackets from the smallest to the largest.

{series}

## How it grows

{grown}

## Where the CPU goes

By Python's profiler and the thread's own clock. It makes many small calls look dearer than they are.

### A full look, by the probe's functions

{full}

### The stat stage, by the probe's functions

{stat}

### The daemon's part of a look in a sweep, by whose code it is

Calls are those of one look. C functions count as Python's or SQLite's, whoever called them.

{sweep}

## Versions

{versions}
"""


def grid(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    cells = [list(heads), ["---"] * len(heads), *([*row] for row in rows)]
    return "\n".join("| " + " | ".join(one.replace("|", "\\|") for one in row) + " |" for row in cells)


def promised(results: Results) -> str:
    """The table of promises."""
    return grid(table.HEADS, table.rows(results["values"]))


def printed(values: Mapping[str, table.Value]) -> str:
    """The same for a terminal."""
    rows = [table.HEADS, *table.rows(values)]
    plain = [[cell.replace("`", "").replace("*", "") for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*plain, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in plain)
    return "\n".join(lines)


def missed(results: Results) -> str:
    """What does not reach what it must, what is not built, and remarks."""
    said = []
    for line in table.LINES:
        found = results["values"].get(line.key)
        if found is None:
            continue
        verdict, note = line.verdict(found["value"]), found["note"]
        if verdict == table.NOT_BUILT or "missed" in verdict or note:
            state = {"aim": "", "must": "", "reported": ""}.get(verdict, f"{verdict.strip('*')}. ")
            said.append(f"* {line.what[0].upper()}{line.what[1:]}: {state}{note[:1].upper()}{note[1:]}".rstrip(" :"))
    return "\n".join(said)


def ran(results: Results) -> str:
    """Every side of every part."""
    rows = []
    for part, sides in results["series"].items():
        for name, runs in sides.items():
            peak = statistics.median(one["rss"] for one in runs) / 1024
            figures = (_spread([one[what] for one in runs]) for what in ("cpu", "wall"))
            rows.append((part, name.replace("|", "and"), *figures, f"{peak:.1f}" if peak else ""))
    return grid(("part", "who", "CPU, s", "wall clock, s", "peak memory, MiB"), rows)


def _spread(values: Sequence[float]) -> str:
    if len(values) == 1:
        return f"{values[0]:.3f}"
    return f"{statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def _by_entries(points: Sequence[Mapping[str, float]]) -> str:
    heads = ("entries", "MB", "full look, s CPU", "C, s CPU", "stat stage, s CPU", "C lstat, s CPU", "answer, KB")
    return grid(
        heads,
        [
            (
                f"{one['entries']:,}", f"{one['bytes'] / 1e6:,.0f}", f"{one['look']:.2f}", f"{one['C sha256']:.2f}",
                f"{one['stats']:.2f}", f"{one['C lstat']:.3f}", f"{one['wire'] / 1e3:,.0f}",
            )
            for one in points
        ],
    )  # fmt: skip


def _by_changes(points: Sequence[Mapping[str, float]]) -> str:
    heads = ("changed directories", "host CPU, s", "daemon CPU, s", "answer, KB")
    return grid(
        heads,
        [
            (f"{one['changes']:,}", f"{one['host']:.2f}", f"{one['daemon']:.3f}", f"{one['wire'] / 1e3:,.0f}")
            for one in points
        ],
    )


def _by_instances(points: Sequence[Mapping[str, float]]) -> str:
    heads = ("instances", "daemon CPU, s", "for each, ms", "peak memory, MB")
    return grid(
        heads,
        [
            (
                f"{one['instances']:,}", f"{one['daemon']:.2f}", f"{1000 * one['daemon'] / one['instances']:.1f}",
                f"{one['rss'] * 1024 / 1e6:,.0f}",
            )
            for one in points
        ],
    )  # fmt: skip


CURVES = {
    "entries": ("Host CPU by the number of entries", _by_entries),
    "changes": ("Cost by the number of changed directories", _by_changes),
    "instances": ("Cost of a sweep by the number of instances", _by_instances),
}
NOT_YET = "Not measured yet."


def _grown(name: str, points: Sequence[Mapping[str, float]]) -> str:
    title, rows = CURVES[name]
    if not points:
        return f"{title}: {NOT_YET[0].lower()}{NOT_YET[1:]}"
    return f"![{title}](benchmarks-{name}.png)\n\n{rows(points)}"


def _parts(results: Results) -> str:
    heads = ("part", "measured on", "rounds", "load before", "load after", "remark")
    said = results["parts"].items()
    rows = [
        (
            name,
            one["date"],
            str(one["rounds"]),
            *(", ".join(map(str, one[when])) for when in ("before", "after")),
            one.get("remark", ""),
        )
        for name, one in said
    ]
    return grid(heads, rows)


def _machine(results: Results) -> str:
    one = results["machine"]
    sha = "with" if one["sha"] else "without"
    return (
        f"{one['cpu']} ({one['cores']} cores, {sha} SHA extensions), {one['memory']} GiB of memory, {one['system']}, "
        f"Linux {one['kernel']}, the tree on {one['tree on']}"
    )


def _profiled(rows: Sequence[Mapping[str, Any]]) -> str:
    cells = [(f"`{one['name']}`", f"{one['calls']:,}", f"{one['share']:.1%}") for one in rows]
    return grid(("who", "calls", "share by itself"), cells) if cells else NOT_YET


def written(results: Results) -> str:
    """The page."""
    tree, growth = results["tree"], results["growth"]
    return TEXT.format(
        table=promised(results),
        missed=missed(results),
        entries=tree["entries"],
        files=tree["files"],
        gigabytes=tree["bytes"] / 1e9,
        python=results["python"],
        machine=_machine(results),
        parts=_parts(results),
        series=ran(results),
        grown="\n\n".join(_grown(name, growth.get(name, ())) for name in CURVES),
        **{name: _profiled(results["profile"].get(name, ())) for name in ("full", "stat", "sweep")},
        versions="\n".join(f"* {name}: {version}" for name, version in results["versions"].items()),
    )
