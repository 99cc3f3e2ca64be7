"""How cost grows: with the entries of a tree, with what changed in it, with the number of instances."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.speed import measured, ours, peers, planted
from bench.speed.glanced import Kept
from bench.speed.measured import FACTS, Found
from bench.speed.spending import interleaved
from driftd.core import drift
from driftd.core.fingerprint import Extent
from driftd.edges.recollections import RecollectionDirectory

ENTRIES = (1_000, 3_000, 10_000, 30_000)
SETTLED = 2.5  # seconds
CHANGES = (0, 1, 10, 100, 1_000)


def few(found: Found) -> int:
    """A curve needs fewer rounds than a promise."""
    return max(1, found.rounds // 2)


def subtrees(root: Path, sizes: Sequence[int]) -> list[Path]:
    """For each size the directory with the nearest number of entries, each once, and the root at last."""
    counts: dict[str, int] = {}
    for folder, folders, names in os.walk(root, topdown=False):
        below = (counts.get(os.path.join(folder, one), 0) for one in folders)  # noqa: PTH118  # as os.walk has them
        counts[folder] = len(names) + len(folders) + sum(below)
    chosen = [min(counts, key=lambda one: (abs(counts[one] - size), one)) for size in sizes]
    return [Path(one) for one in dict.fromkeys([*chosen, str(root)])]


def by_entries(found: Found) -> None:
    """Host CPU and bytes on the wire, for parts of the tree."""
    points: list[dict[str, Any]] = []
    for root in subtrees(found.bed.root, ENTRIES):
        bed = replace(found.bed, root=root)
        limit = peers.Limit(bed)
        sides = {
            "look": lambda bed=bed: ours.look(bed),
            "stats": lambda bed=bed: ours.stats(bed),
            "C sha256": limit.sha256,
            "C lstat": limit.lstat,
        }
        runs = interleaved(sides, few(found), warm=True)
        entries, _, size, _ = limit.said()
        found.say(f"by entries: {entries}: {runs['look'].median('cpu'):.2f} s CPU")
        points.append(
            {"entries": entries, "bytes": size, "wire": len(ours.answer(bed))}
            | {name: one.median("cpu") for name, one in runs.items()}
        )
    found.growth["entries"] = sorted(points, key=lambda one: one["entries"])


def by_changes(found: Found) -> None:
    """A look at an instance with so many changes since the last: host CPU, the daemon's CPU, bytes both ways."""
    points = []
    with tempfile.TemporaryDirectory() as place:
        image = found.known.tree
        kept = Kept(found.bed.root, image, RecollectionDirectory(Path(place), 1 << 30))
        kept.look(Extent.WHOLE)
        for number in CHANGES:
            rounds = []
            for _ in range(few(found)):
                with planted.many(found.bed.root, number) as paths:
                    rounds.append(kept.look(Extent.CHANGES if number else Extent.SAME))
                if {one.subject for one in drift.compare(found.known, rounds[-1].seen)} != paths:
                    raise SystemExit(f"driftd did not find what was changed in {number} directories, or more")
                if number:
                    time.sleep(SETTLED)  # what changed just now counts as changed
                    kept.look(Extent.CHANGES)
            own, host, size = (
                statistics.median(getattr(one, what) for one in rounds) for what in ("daemon", "host", "size")
            )
            found.say(f"by changes: {number}: {host:.2f} s on the host, {own:.3f} s in the daemon, {size} B")
            points.append({"changes": number, "daemon": own, "host": host, "wire": size})
        kept.end()
    found.growth["changes"] = points


def by_instances(found: Found, most: int) -> None:
    """Sweeps of so many unchanged instances: the daemon's CPU and memory."""
    ours.look(found.bed, FACTS)
    (found.bed.work / "facts.out").write_bytes(ours.answer(found.bed))
    points = []
    for number in sorted({max(1, most // 10**step) for step in range(4)}):
        said = measured.clean(measured.swept(found.bed, number, 0))
        found.say(f"by instances: {said}")
        points.append({"instances": number, "daemon": said["cpu"], "rss": said["rss"]})
    found.growth["instances"] = points
