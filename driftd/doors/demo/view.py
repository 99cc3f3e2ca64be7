"""Two ways to watch the demo: a live picture on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.panel import Panel
from rich.text import Text

from driftd.doors.cli.lines import columns
from driftd.doors.cli.styles import VERDICT_STYLES
from driftd.doors.demo.stage import Scene

_STYLES = {str(verdict): style for verdict, style in VERDICT_STYLES.items()}


class View(Protocol):
    """How the story reaches a person."""

    def chapter(self, text: str) -> None: ...

    def tell(self, text: str) -> None: ...

    def show(self, scene: Scene) -> None: ...


class Plain:
    """One line for each thing that happens, with the seconds since the start."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._start = time.monotonic()
        self._said: set[str] = set()

    def _line(self, text: str, style: str = "") -> None:
        stamp = Text(f"{time.monotonic() - self._start:6.1f}s  ", style="dim")
        self._console.print(stamp + Text(text, style=style), soft_wrap=True, highlight=False)

    def chapter(self, text: str) -> None:
        self._line(f"== {text}", "bold")

    def tell(self, text: str) -> None:
        for line in text.splitlines():
            self._line(f"   {line}")

    def show(self, scene: Scene) -> None:
        for _, text in scene.messages:
            if text not in self._said:
                self._said.add(text)
                self._line(f"driftd: {text}", "cyan")


class Picture(Plain):
    """The fleet, the load and the replacement, redrawn in place; what was said scrolls by above it."""

    def __init__(self, console: Console, live: Live) -> None:
        super().__init__(console)
        self._live = live

    def show(self, scene: Scene) -> None:
        super().show(scene)
        self._live.update(picture(scene), refresh=True)


def picture(scene: Scene) -> RenderableType:
    """One frame of the live view."""
    last = "what happens next"
    fleet = columns(("slot", "instance", "address", "verdict", last), long=(last,))
    for server in scene.servers:
        verdict = Text(server.verdict, _STYLES.get(server.verdict, ""))
        fleet.add_row(Text(server.slot), Text(server.id), Text(server.address), verdict, Text(server.note, "dim"))
    failed = Text(str(scene.failed), "green" if scene.failed == 0 else "bold red")
    load = Text.assemble("requests ", (f"{scene.requests:,}", "bold"), "   failed ", failed)
    parts: list[RenderableType] = [Panel(fleet, title="fleet", title_align="left"), Padding(load, (0, 2))]
    if scene.replacement:
        steps = columns(("", "step", "took", "why"), long=("why",), right=("took",))
        for step in scene.steps:
            steps.add_row(Text("✓", "green"), Text(step.state), Text(f"{step.seconds:.1f} s"), Text(step.why, "dim"))
        steps.add_row(Text("▸", "cyan"), Text(scene.replacement, "bold"), "", Text(scene.replacement_note, "dim"))
        parts.append(Panel(steps, title="replacement", title_align="left"))
    return Group(*parts)


@contextmanager
def watching(console: Console) -> Iterator[View]:
    """The view that suits where the output goes."""
    if not console.is_terminal:
        yield Plain(console)
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield Picture(console, live)
