"""The report of a period as Markdown: tables in which nothing from an instance is markup, a link or a mention."""

from __future__ import annotations

from collections.abc import Iterator

from driftd.core.period import Period
from driftd.doors.report.markdown import words
from driftd.doors.report.period.sections import Section, sections, summary, title


def render(period: Period) -> str:
    """The whole report as text with a line feed at its end."""
    lines = [f"# {title(period)}", ""]
    lines += [f"- **{what}**: {words(said)}" for what, said in summary(period)]
    for section in sections(period):
        lines += ["", f"## {section.title}", "", *_table(section)]
    return "\n".join(lines) + "\n"


def _table(section: Section) -> Iterator[str]:
    if not section.rows:
        yield section.none
        return
    yield f"| {' | '.join(section.heads)} |"
    yield f"|{' --- |' * len(section.heads)}"
    for row in section.rows:
        yield f"| {' | '.join(_cell(cell) for cell in row)} |"


def _cell(text: str) -> str:
    """A pipe ends a cell, even within a code span, unless a backslash stands before it."""
    return words(text).replace("|", "\\|") if text else ""
