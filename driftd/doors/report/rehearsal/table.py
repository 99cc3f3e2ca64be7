"""A rehearsal on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from driftd.core.rehearsal import Played, Rehearsed
from driftd.core.wording import printable
from driftd.core.wording import rehearsing as said

SHOWN = 3  # violated seeds told in full
LINES = 30  # of a time line
SPENT = 8


def table(found: Rehearsed, *, timeline: bool) -> Iterator[RenderableType]:
    """Everything, part by part. ``timeline`` tells the whole time line of what was violated."""
    for note in found.notes:
        yield Text(printable(note), "dim")
    if not found.seeds:
        yield Text(said.result(held=True, seeds=0, violated=0), "bold")
        return
    yield _invariants(found)
    yield from _led_to(found)
    yield from _mishaps(found)
    for one in found.broken[:SHOWN]:
        yield from _violation(one, found.again, None if timeline else LINES)
    if timeline and found.held and found.shown is not None:
        yield from _timeline(found.shown.timeline)
    yield Text("")
    verdict = said.result(found.held, found.seeds, len(found.broken))
    yield Text(verdict, "bold green" if found.held else "bold red")


def _table(*columns: str) -> Table:
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, name in enumerate(columns):
        made.add_column(name, justify="right" if number == 0 and name in {"seeds", "share"} else "left")
    return made


def _invariants(found: Rehearsed) -> Table:
    made = _table("seeds", "", "what must always be true")
    for row in found.rows:
        if row.violated:
            mark, style = f"violated in {len(row.violated)}", "bold red"
        elif row.tested:
            mark, style = "held", "green"
        else:
            mark, style = "not met", "dim"
        made.add_row(str(row.tested), Text(mark, style), Text(row.sentence, style if row.violated else ""))
    return made


def _led_to(found: Rehearsed) -> Iterator[RenderableType]:
    yield Text("What your settings led to", "bold")
    yield Text(f"  {said.replaced(len(found.replaced), found.middle, found.worst)}")
    others = ", ".join(f"{count} {name}" for name, count in found.outcomes.most_common() if name != "succeeded")
    if others:
        yield Text(f"  otherwise: {others}")
    shares = found.shares()
    made = _table("share", "of the time that replacements took")
    for what, share in shares[:SPENT]:
        made.add_row(said.percent(share), said.spent(what))
    if rest := sum(share for _, share in shares[SPENT:]):
        made.add_row(said.percent(rest), "all else")
    yield made


def _mishaps(found: Rehearsed) -> Iterator[RenderableType]:
    total = sum(found.mishaps.values())
    yield Text(f"{total} mishaps were played over {said.span(found.lasted)} of simulated time", "bold")
    words = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in found.mishaps.most_common())
    yield Padding(Text(words), (0, 0, 0, 2))


def _timeline(lines: Sequence[str]) -> Iterator[RenderableType]:
    for line in lines:
        yield Text(f"  {printable(line)}", "yellow" if "! " in line else "dim")


def _violation(one: Played, again: str, most: int | None) -> Iterator[RenderableType]:
    yield Text("")
    yield Text(f"Seed {one.seed}", "bold red")
    for broken in one.broken:
        yield Text(f"  {printable(broken)}", "red")
    lines: Sequence[str] = one.timeline
    if most is not None and len(lines) > most:
        yield Text(f"  … {len(lines) - most} lines before", "dim")
        lines = lines[-most:]
    yield from _timeline(lines)
    yield Text(f"  play it again: {said.again(again, one.seed)}", "bold")
