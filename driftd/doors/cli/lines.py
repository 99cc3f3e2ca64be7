"""The one style of what a command lists: rows below dim heads, labels beside values, a sentence where there is none.

Rows stay readable where a terminal has no room for all columns: what is long goes below, not into a sliver. Whoever
reads the other end of a pipe gets a row on one line, however long.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Sequence

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from driftd.core.wording import printable

LEGIBLE = 36  # columns that each long column needs, or it is a sliver
_GAP = 2
_UNFOLDED = 100_000  # columns of a pipe, which has no width


def columns(heads: Sequence[str], *, long: Sequence[str], right: Sequence[str] = ()) -> Table:
    """An empty table with room: short columns stay on one line, ``long`` ones are folded, ``right`` holds numbers."""
    table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, header_style="dim")
    for head in heads:
        table.add_column(
            head, no_wrap=head not in long, overflow="fold", justify="right" if head in right else "default"
        )
    return table


def stacked(
    heads: Sequence[str], rows: Iterable[tuple[Sequence[Text], Sequence[Text]]], *, right: Sequence[str] = ()
) -> Table:
    """A table of a few short columns, and one column more with several lines for all else; empty lines are left out."""
    table = columns(heads, long=heads[-1:], right=right)
    for cells, lines in rows:
        table.add_row(*cells, Text("\n").join(line for line in lines if line))
    return table


def labelled(
    rows: Iterable[tuple[str, Text]] = (), *, width: int | None = None, right: bool = False, style: str = "dim"
) -> Table:
    """Labels, so wide at least as ``width``, each beside its value. An empty label goes on with the one before.

    ``right`` moves them next to their values.
    """
    table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, show_header=False)
    table.add_column(style=style, no_wrap=True, min_width=width, justify="right" if right else "default")
    table.add_column(overflow="fold")
    for label, value in rows:
        table.add_row(label, value)
    return table


def fits(table: Table, width: int) -> bool:
    """Whether every short column can be whole in so many columns, and every long one legible."""
    taken = _GAP * (len(table.columns) - 1)
    for column in table.columns:
        widest = max((_width(cell) for cell in (column.header, *column.cells)), default=0)
        taken += widest if column.no_wrap else min(widest, LEGIBLE)
    return taken <= width


def _width(cell: RenderableType) -> int:
    text = cell if isinstance(cell, Text) else Text(str(cell))
    return max((line.cell_len for line in text.split()), default=0)


def show(out: Console, wide: RenderableType, short: Table | None = None) -> None:
    """Print ``wide``, or ``short`` where the terminal has no room for it; on a pipe a row is a line."""
    if _piped(out):
        unfolded = Console(file=io.StringIO(), width=_UNFOLDED, color_system=None, force_terminal=False)
        unfolded.print(wide, highlight=False)
        for line in str(unfolded.file.getvalue()).rstrip("\n").split("\n"):  # type: ignore[attr-defined]  # StringIO
            out.print(line.rstrip(), highlight=False, markup=False, soft_wrap=True)
        return
    roomy = short is None or not isinstance(wide, Table) or fits(wide, out.width)
    out.print(wide if roomy or short is None else short, highlight=False)


def _piped(out: Console) -> bool:
    """Whether a program reads what is printed, and nobody told how wide it is to be."""
    return not out.is_terminal and not os.environ.get("COLUMNS")


def say(out: Console, sentence: str, style: str = "", *, indent: int = 0) -> None:
    """A sentence, from wherever it came: wrapped between its words on a terminal, a line on a pipe."""
    said = Text(printable(sentence), style)
    if _piped(out):
        out.print(Text(" " * indent) + said, soft_wrap=True)
    else:
        out.print(Padding(said, (0, 0, 0, indent), expand=False))


def none(out: Console, sentence: str) -> None:
    """What is said in place of rows."""
    say(out, sentence)


def notices(out: Console, said: Sequence[Text]) -> None:
    """What has to be known before the rows are read, above them."""
    for one in said:
        out.print(one, soft_wrap=_piped(out))
    if said:
        out.print()


def total(out: Console, sentence: str) -> None:
    """What the rows amount to, below them."""
    say(out, sentence, "dim")


def symbols(console: Console, wanted: Sequence[str], plain: Sequence[str]) -> Sequence[str]:
    """``wanted`` where the console can show them, else ``plain``."""
    try:
        "".join(wanted).encode(console.encoding)
    except (UnicodeEncodeError, LookupError):
        return plain
    return wanted
