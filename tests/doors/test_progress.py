"""Long work shows how far it is: on standard error, on a terminal alone, and gone when it is over."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from driftd.doors.cli import app as frame
from driftd.doors.cli.progress import counting, working

CASES = {
    "bake --root tree --image golden-2026.11 -o made.manifest": "writing made.manifest",
    "policy simulate": "replaying ",
    "journal verify": "checking the journal",
    "store check": "checking the store",
    "store backup -o copy.db": "copying the store to copy.db",
}


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch):
    """Standard error is a terminal, as far as the commands know; what it was sent."""
    err = Console(file=io.StringIO(), force_terminal=True, width=100)
    monkeypatch.setattr(frame, "Console", lambda *, stderr: err)  # there is one for standard error alone
    return err.file


@pytest.fixture
def fleet(tmp_path):
    import planted

    return planted.plant(tmp_path)


@pytest.mark.parametrize("line", CASES)
def test_a_terminal_is_told_what_is_done_and_nothing_of_it_stays(driftd, fleet, terminal, line: str):
    said = driftd(*line.split())
    assert said.status in {0, 1}
    shown = terminal.getvalue()
    assert CASES[line] in shown
    assert "\x1b[2K" in shown, "it is wiped when it is over"
    assert "\x1b" not in said.out


@pytest.mark.parametrize("line", CASES)
def test_a_pipe_is_told_nothing(driftd, fleet, line: str):
    said = driftd(*line.split())
    assert said.status in {0, 1}
    assert CASES[line] not in said.err
    assert "\x1b" not in said.err


@pytest.mark.parametrize("terminal", [True, False])
def test_what_is_done_is_never_obeyed(terminal: bool):
    err = Console(file=io.StringIO(), force_terminal=terminal, width=100)
    with working(err, "\x1b[31mred [bold]x[/]") as say:
        say("\x1b[2Jgone [red]y")
    with counting(err, one=True) as count:
        count("\x1b[2Ja", 0, 2)
        count("[red]b", 2, 2)
    shown = err.file.getvalue()
    assert "\x1b[31mred" not in shown
    assert "\x1b[2J" not in shown
    assert ("[red]" in shown) is terminal
