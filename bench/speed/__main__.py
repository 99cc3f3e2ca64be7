"""Everything in one run: measure, print the table, write docs/benchmarks.json and docs/benchmarks.md.

    python -m bench.speed [--rounds 5] [--sweep 1000] [--only full,stat | --again full,stat | --render] [--tree DIR]

``--only`` measures these parts, prints their lines, and writes nothing: for whoever makes one of them faster.
``--again`` measures these parts and writes them among the results that are there. What can be named: full, check, stat,
beside, compare, wired, sweep, start, by-entries, by-changes, by-instances, profile. ``--render`` measures nothing and
writes the page anew. Needs what ``scripts/setup bench`` installs, root, and the tree of ``bench/tree``.
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
        "by-entries": growth.by_entries,
        "by-changes": growth.by_changes,
        "by-instances": lambda found: growth.by_instances(found, instances),
        "profile": profiled.profile,
    }


def kept(root: Path, rounds: int, instances: int, names: Sequence[str], results: dict[str, Any]) -> dict[str, Any]:
    """These parts measured, ``results`` with what they gave, written after each of them."""
    found = Found.begun(Bed.made(root, place.CACHE), rounds, say)
    entries, files, size, _ = ours.total(found.clean)
    results |= {
        "machine": machine.described(root),
        "versions": machine.versions(),
        "python": ours.python(),
        "tree": {"entries": entries, "files": files, "bytes": size},
    }
    for name in names:
        before = machine.load()
        parts(instances)[name](found)
        about = {"date": machine.today(), "rounds": rounds, "before": before, "after": machine.load()}
        results.setdefault("parts", {})[name] = about
        results.setdefault("values", {}).update(found.values)
        results.setdefault("growth", {}).update(found.growth)
        series = {part: {who: one.as_json() for who, one in some.items()} for part, some in found.series.items()}
        results.setdefault("series", {}).update(series)
        results["profile"] = found.profile or results.get("profile", {})
        RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        render()
    return results


def render() -> None:
    """The page, from the results."""
    PAGE.write_text(page.written(json.loads(RESULTS.read_text(encoding="utf-8"))), encoding="utf-8")


def arguments(words: Sequence[str] | None) -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tree", type=Path, help="look at this directory instead of bench/tree's")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sweep", type=int, default=1000, metavar="N", help="instances in the sweep")
    parser.add_argument("--only", default="", help="parts, by commas; print and write nothing")
    parser.add_argument("--again", default="", help="parts, by commas; write them among the results that are there")
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
    if asked.again:
        names, results = asked.again.split(","), json.loads(RESULTS.read_text(encoding="utf-8"))
    else:
        names, results = list(parts(asked.sweep)), {}
    results = kept(root, asked.rounds, asked.sweep, names, results)
    print(page.printed(results["values"]))


if __name__ == "__main__":
    main()
