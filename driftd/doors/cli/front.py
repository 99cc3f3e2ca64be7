"""The help's first page: the commands by what people come for. Typer's own page would read a Markdown parser first."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text


def front(program, ctx) -> None:  # type: ignore[no-untyped-def]  # Typer's own types are private
    """Print the page of ``program``, which is as wide as the terminal."""
    console = Console()
    usage = Text(program.get_usage(ctx), style="bold")
    usage.stylize("yellow", 0, usage.plain.index(":") + 1)
    console.print(Padding(usage, 1))
    console.print(Padding(Text(program.help), (0, 1, 1, 1)))
    console.print(_panel("Options", _options(program, ctx), ("bold cyan", "bold green", "yellow", "")))
    panels = dict.fromkeys(command.rich_help_panel for command in program.commands.values())
    width = max(map(len, program.commands))
    for panel in panels:
        rows = [
            (Text(name.ljust(width)), Text(command.short_help))
            for name, command in program.commands.items()
            if command.rich_help_panel == panel
        ]
        console.print(_panel(str(panel), rows, ("bold cyan", "")))
    for part in program.epilog.split("\n\n"):
        console.print(Padding(Text(part), (1, 1, 0, 1)))
    console.print()


def _options(program, ctx) -> Iterable[tuple[Text, ...]]:  # type: ignore[no-untyped-def]  # see above
    """Long name, short name, value, meaning."""
    for one in program.get_params(ctx):
        told = Text(one.help)
        if one.envvar:
            told.append(f"\n[env var: {one.envvar}]", style="dim")
        long = [name for name in one.opts if name.startswith("--")]
        short = [name for name in one.opts if name not in long]
        yield Text(", ".join(long)), Text(", ".join(short)), Text("" if one.is_flag else "<path>"), told


def _panel(title: str, rows: Iterable[tuple[Text, ...]], styles: tuple[str, ...]) -> Panel:
    table = Table(box=None, padding=(0, 1), pad_edge=False, show_header=False, expand=True)
    *heads, last = styles
    for style in heads:
        table.add_column(style=style, no_wrap=True)
    table.add_column(style=last, ratio=1)
    for row in rows:
        table.add_row(*row)
    return Panel(table, title=title, title_align="left", border_style="dim")
