"""Progress of what takes long: on standard error, on a terminal alone, and gone when it is over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from driftd.core.wording import printable

Say = Callable[[str], None]
"""What is being done now."""
Count = Callable[[str, int, int], None]
"""(what is being done, how much of it is, of how much)."""

_WHAT = "{task.description}"


@contextmanager
def working(err: Console, what: str) -> Iterator[Say]:
    """A line with the time so far, for what nobody can say how long it takes."""
    columns = (SpinnerColumn(), TextColumn(_WHAT, markup=False), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task(printable(what), total=None)
        yield lambda now: progress.update(task, description=printable(now))


@contextmanager
def counting(err: Console, *, one: bool = False) -> Iterator[Count]:
    """A bar for each thing that is done; ``one`` has a single bar, whose words change."""
    columns = (
        SpinnerColumn(),
        TextColumn(_WHAT, markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:

        def count(what: str, done: int, of: int) -> None:
            key = "" if one else what
            if key not in tasks:
                tasks[key] = progress.add_task(printable(what), total=of)
            progress.update(tasks[key], description=printable(what), completed=done, total=of)

        yield count
