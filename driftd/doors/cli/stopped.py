"""What stops every change, as ``driftd status`` says it first and loudly: a broken journal, a store that seems old."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from rich.text import Text

from driftd.core.memory import InstanceRow
from driftd.core.outlook import Outlook
from driftd.core.wording import printable
from driftd.doors.desks.keeping import Stopped


def banner(stopped: Sequence[Stopped]) -> Iterator[Text]:
    """Two lines for each."""
    for one in stopped:
        yield Text(printable(f"NOTHING IS CHANGED: {one.why}"), "bold red")
        yield Text(printable(f"next: {one.hint}"), "red")


def therefore(
    lines: Sequence[tuple[InstanceRow, Outlook]], stopped: Sequence[Stopped]
) -> list[tuple[InstanceRow, Outlook]]:
    """``lines`` where what stops everything is the reason for all that is not replaced."""
    if not stopped:
        return list(lines)
    return [(row, replace(ahead, why_not=stopped[0].why) if ahead.why_not else ahead) for row, ahead in lines]
