"""Rows that stay readable where a terminal has no room for all columns: what is long goes below, not into a sliver."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

ROOM = 120


def narrow(console: Console) -> bool:
    """Whether columns would be slivers here."""
    return console.width < ROOM


def stacked(heads: Sequence[str], rows: Iterable[tuple[Sequence[Text], Sequence[Text]]]) -> Table:
    """A table of a few short columns, and one column more with several lines for all else; empty lines are left out."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for at, head in enumerate(heads):
        last = at == len(heads) - 1
        table.add_column(head, no_wrap=not last, overflow="fold")
    for cells, lines in rows:
        table.add_row(*cells, Text("\n").join(line for line in lines if line))
    return table
