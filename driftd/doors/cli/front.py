"""The help's first page, drawn from overview.py alone: whoever asks what there is does not wait for all of it."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from driftd.doors.cli.overview import ABOUT, EXAMPLE, OPTIONS, OVERVIEW, PANELS, STATUSES


def front() -> None:
    """Print the page, as wide as the terminal."""
    console = Console()
    console.print(Padding(Text.assemble(("Usage:", "bold yellow"), (" driftd [OPTIONS] COMMAND [ARGS]...", "bold")), 1))
    console.print(Padding(Text(ABOUT), (0, 1, 1, 1)))
    console.print(_panel("Options", OPTIONS, ("bold cyan", "bold green", "yellow", "")))
    width = max(len(name) for panel in PANELS for name, _, _ in OVERVIEW[panel])
    for panel in PANELS:
        rows = [(name.ljust(width), short) for name, short, _ in OVERVIEW[panel]]
        console.print(_panel(panel, rows, ("bold cyan", "")))
    for part in (STATUSES, EXAMPLE):
        console.print(Padding(Text(part), (1, 1, 0, 1)))
    console.print(Text())


def _panel(title: str, rows: Iterable[tuple[str, ...]], styles: tuple[str, ...]) -> Panel:
    table = Table(box=None, padding=(0, 1), pad_edge=False, show_header=False, expand=True)
    *heads, last = styles
    for style in heads:
        table.add_column(style=style, no_wrap=True)
    table.add_column(style=last, ratio=1)
    for row in rows:
        table.add_row(*map(Text, row))
    return Panel(table, title=Text(title), title_align="left", border_style="dim")
