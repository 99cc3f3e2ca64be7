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


def columns(heads: Sequence[str], *, long: Sequence[str]) -> Table:
    """The one style of a table with room: short columns stay on one line, ``long`` ones are folded."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for head in heads:
        table.add_column(head, no_wrap=head not in long, overflow="fold")
    return table


def stacked(heads: Sequence[str], rows: Iterable[tuple[Sequence[Text], Sequence[Text]]]) -> Table:
    """A table of a few short columns, and one column more with several lines for all else; empty lines are left out."""
    table = columns(heads, long=heads[-1:])
    for cells, lines in rows:
        table.add_row(*cells, Text("\n").join(line for line in lines if line))
    return table


def symbols(console: Console, wanted: Sequence[str], plain: Sequence[str]) -> Sequence[str]:
    """``wanted`` where the console can show them, else ``plain``."""
    try:
        "".join(wanted).encode(console.encoding)
    except (UnicodeEncodeError, LookupError):
        return plain
    return wanted
