"""The report of a period for a terminal, and without colour for a file. Pure: the period in, what Rich prints out."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from driftd.core.period import Period
from driftd.doors.cli.lines import columns, fits, labelled, stacked
from driftd.doors.report.period.sections import Section, sections, summary, title

_PLAIN_WIDTH = 160
_SHORT = 24  # columns of a first cell beside which there is room for all else


def render(period: Period) -> str:
    """The whole as plain text."""
    console = Console(file=io.StringIO(), width=_PLAIN_WIDTH, color_system=None, force_terminal=False)
    console.print(show(period, _PLAIN_WIDTH))
    lines = str(console.file.getvalue()).splitlines()  # type: ignore[attr-defined]  # it is the StringIO above
    return "\n".join(line.rstrip() for line in lines) + "\n"


def show(period: Period, width: int) -> RenderableType:
    """The whole, for a console so wide. The summary comes last, where a terminal's reader is."""
    return Group(*_parts(period, width))


def _parts(period: Period, width: int) -> Iterator[RenderableType]:
    yield Text(title(period), "bold")
    for section in sections(period):
        yield Text("")
        yield Text(f"{section.title} ({len(section.rows)})" if section.rows else section.title, "bold")
        if section.rows:
            wide = _wide(section)
            yield wide if fits(wide, width) else _narrow(section)
        else:
            yield Text(section.none, "dim")
    yield Text("")
    broken = "bold red"
    yield labelled((what, Text(said, broken if what == "BROKEN" else "")) for what, said in summary(period))


def _wide(section: Section) -> Table:
    made = columns(section.heads, long=(*section.long, "instance"), right=("no", "hits", "drifts", "line"))
    for row in section.rows:
        made.add_row(*map(Text, row))
    return made


def _narrow(section: Section) -> Table:
    first, *others = section.heads
    if max(Text(row[0]).cell_len for row in section.rows) > _SHORT:  # no place is left beside it
        return stacked((first,), (((), (Text(row[0], "bold"), *_below(others, row[1:]))) for row in section.rows))
    return stacked((first, "what"), (((Text(row[0]),), _below(others, row[1:])) for row in section.rows))


def _below(heads: Sequence[str], cells: Sequence[str]) -> Sequence[Text]:
    return [Text.assemble((f"{head} ", "dim"), cell) for head, cell in zip(heads, cells, strict=True) if cell]
