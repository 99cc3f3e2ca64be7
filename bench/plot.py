"""Draws how cost grows, from what the last run of the benches wrote: docs/benchmarks-*.png out of docs/benchmarks.json.

python -m bench.plot
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt  # the backend comes first
from matplotlib.axes import Axes

DOCS = Path(__file__).resolve().parent.parent / "docs"
Points = Sequence[Mapping[str, float]]
# Of Okabe and Ito, told apart by everybody; each line has a marker of its own, too.
OURS, OTHER, THIRD = ("#0072B2", "o"), ("#D55E00", "s"), ("#009E73", "^")


def curve(axes: Axes, points: Points, by: str, of: Callable[[Mapping[str, float]], float], name: str, look) -> None:
    """One line."""
    colour, marker = look
    axes.plot([one[by] for one in points], [of(one) for one in points], color=colour, marker=marker, label=name)


def entries(axes: Sequence[Axes], points: Points) -> None:
    """Host CPU by the number of entries: a full look reads bytes, the stat stage counts names."""
    curve(axes[0], points, "entries", lambda one: one["look"], "driftd, full look", OURS)
    curve(axes[0], points, "entries", lambda one: one["C sha256"], "C: lstat, read, SHA-256", OTHER)
    curve(axes[1], points, "entries", lambda one: one["stats"], "driftd, stat stage", OURS)
    curve(axes[1], points, "entries", lambda one: one["C lstat"], "C: lstat", OTHER)
    for one in axes:
        one.set(xlabel="entries", ylabel="host CPU, s", xscale="log", yscale="log")


def changes(axes: Sequence[Axes], points: Points) -> None:
    """What a look costs by the number of directories with a change since the last."""
    curve(axes[0], points, "changes", lambda one: one["host"], "host", OURS)
    curve(axes[0], points, "changes", lambda one: one["daemon"], "daemon", OTHER)
    curve(axes[1], points, "changes", lambda one: one["wire"] / 1e3, "answer", THIRD)
    for one, label in zip(axes, ("CPU, s", "KB on the wire"), strict=True):
        one.set(xlabel="changed directories", ylabel=label)
        one.set_xscale("symlog", linthresh=1)
        one.set_ylim(bottom=0)


def instances(axes: Sequence[Axes], points: Points) -> None:
    """What a sweep of unchanged instances costs the daemon."""
    curve(axes[0], points, "instances", lambda one: one["daemon"], "daemon", OURS)
    curve(axes[1], points, "instances", lambda one: one["rss"] * 1024 / 1e6, "daemon", OURS)
    for one, label in zip(axes, ("CPU, s", "peak memory, MB"), strict=True):
        one.set(xlabel="instances", ylabel=label)
        one.set_ylim(bottom=0)
        one.set_xlim(left=0)
        one.xaxis.get_major_locator().set_params(integer=True)


def drawn(growth: Mapping[str, Points], place: Path) -> None:
    """The three pictures."""
    for name, draw in (("entries", entries), ("changes", changes), ("instances", instances)):
        if not growth.get(name):
            continue
        figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), dpi=100, layout="constrained")
        draw(axes, growth[name])
        for one in axes:
            one.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
            one.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
            one.grid(visible=True, color="#dddddd", linewidth=0.6)
            one.spines[["top", "right"]].set_visible(False)
            one.legend(frameon=False)
        # Without the moment and the version of whoever drew it, the same data is the same file.
        figure.savefig(place / f"benchmarks-{name}.png", metadata={"Software": None})
        plt.close(figure)


def main() -> None:
    """Draw."""
    drawn(json.loads((DOCS / "benchmarks.json").read_text(encoding="utf-8"))["growth"], DOCS)


if __name__ == "__main__":
    main()
