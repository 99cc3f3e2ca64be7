"""Everything in one run: measure, print the table, write docs/benchmarks.json and docs/benchmarks.md.

    python -m bench.speed [--rounds 5] [--sweep 8] [--only full,stat] [--tree DIR]

``--only`` measures these parts, prints their lines, and writes nothing: for whoever makes one of them faster. What can
be named: full, check, stat, beside, compare, wired, sweep, start. ``--render`` measures nothing and writes the page
anew from the results that are there. Needs what ``scripts/setup bench`` installs, root, and the tree of ``bench/tree``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.speed import growth, machine, measured, ours, page, place, profiled
from bench.speed.measured import Found
from bench.speed.peers import Bed

DOCS = place.ROOT / "docs"
RESULTS = DOCS / "benchmarks.json"
PAGE = DOCS / "benchmarks.md"


def say(line: str) -> None:
    """Progress, on standard error."""
    print(line, file=sys.stderr, flush=True)


def parts(instances: int) -> dict[str, Callable[[Found], None]]:
    """All that is measured, by name."""
    return {
        "full": measured.full,
        "check": measured.check,
        "stat": measured.stat,
        "beside": measured.beside,
        "compare": measured.compare,
        "wired": measured.wired,
        "sweep": lambda found: measured.sweep(found, instances),
        "start": measured.start,
    }


def doubling(most: int) -> list[int]:
    """Numbers of instances up to ``most``, from few to many."""
    return sorted({max(1, most // 2**step) for step in range(4)})


def whole(root: Path, rounds: int, instances: int) -> dict[str, Any]:
    """One run of everything, as the file of results has it."""
    before = machine.load()
    found = Found.begun(Bed.made(root, place.CACHE), rounds, say)
    for part in parts(instances).values():
        part(found)
    entries, files, size, _ = ours.total(found.clean)
    few = max(1, rounds // 2)
    grown = {
        "entries": growth.by_entries(found, few),
        "changes": growth.by_changes(found, few),
        "instances": growth.by_instances(found, doubling(instances)),
    }
    return {
        "date": machine.today(),
        "rounds": rounds,
        "machine": machine.described(root),
        "versions": machine.versions(),
        "python": ours.python(),
        "load": {"before": before, "after": machine.load()},
        "tree": {"entries": entries, "files": files, "bytes": size},
        "values": found.values,
        "series": {part: {who: one.as_json() for who, one in some.items()} for part, some in found.series.items()},
        "growth": grown,
        "profile": profiled.profiled(root),
    }


def render() -> None:
    """The page, from the results."""
    PAGE.write_text(page.written(json.loads(RESULTS.read_text(encoding="utf-8"))), encoding="utf-8")


def arguments(words: Sequence[str] | None) -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tree", type=Path, help="look at this directory instead of bench/tree's")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sweep", type=int, default=8, metavar="N", help="instances in the sweep")
    parser.add_argument("--only", default="", help="parts, by commas; print and write nothing")
    parser.add_argument("--render", action="store_true", help="write the page from the results that are there")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    asked = arguments(words)
    if asked.render:
        render()
        return
    if os.geteuid() != 0:
        raise SystemExit("only root may read all of the tree and start an sshd; run it as root")
    root = asked.tree.resolve() if asked.tree else place.tree()
    if asked.only:
        found = Found.begun(Bed.made(root, place.CACHE), asked.rounds, say)
        for name in asked.only.split(","):
            parts(asked.sweep)[name](found)
        print(page.printed(found.values))
        return
    results = whole(root, asked.rounds, asked.sweep)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    render()
    print(page.printed(results["values"]))


if __name__ == "__main__":
    main()
