"""The one style of lists: columns where there is room, else rows below each other; on a pipe a row is a line."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.text import Text

from driftd.doors.cli.lines import columns, fits, labelled, none, say, show, stacked

LONG = "a reason that has quite a number of words, more than fit beside all else in eighty columns"
ID = "i-0123456789abcdef0"


def wide():
    table = columns(("no", "instance", "why"), long=("why",), right=("no",))
    table.add_row("1", Text(ID), Text(LONG))
    return table


def short():
    return stacked(("no", "what"), [((Text("1"),), (Text(ID), Text(""), Text(LONG)))], right=("no",))


def printed(*what, width: int, terminal: bool = True, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.delenv("COLUMNS", raising=False)
    out = Console(file=io.StringIO(), width=width, force_terminal=terminal, color_system=None)
    show(out, *what)
    return out.file.getvalue()


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_nothing_short_is_ever_cut(width: int, monkeypatch: pytest.MonkeyPatch):
    said = printed(wide(), short(), width=width, monkeypatch=monkeypatch)
    assert ID in said
    assert " ".join(said.split()).endswith(LONG[-20:]) or LONG in " ".join(said.split())
    assert max(map(len, said.splitlines())) <= width


def test_columns_are_given_up_where_they_would_be_slivers(monkeypatch: pytest.MonkeyPatch):
    assert fits(wide(), 80)
    assert not fits(wide(), 50)
    assert "instance" in printed(wide(), short(), width=80, monkeypatch=monkeypatch)
    assert "instance" not in printed(wide(), short(), width=50, monkeypatch=monkeypatch)


def test_a_name_two_columns_wide_counts_as_such():
    table = columns(("name",), long=())
    table.add_row(Text("名前" * 20))
    assert not fits(table, 79)
    assert fits(table, 80)


def test_on_a_pipe_a_row_is_a_line_without_blanks_at_its_end(monkeypatch: pytest.MonkeyPatch):
    said = printed(wide(), short(), width=80, terminal=False, monkeypatch=monkeypatch)
    assert said.splitlines() == ["no  instance             why", f" 1  {ID}  {LONG}"]


def test_a_pipe_that_is_told_its_width_is_folded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "50")
    out = Console(file=io.StringIO(), force_terminal=False, color_system=None)
    show(out, wide(), short())
    assert max(map(len, out.file.getvalue().splitlines())) <= 50


@pytest.mark.parametrize("tell", [none, say])
@pytest.mark.parametrize("terminal", [True, False])
def test_a_sentence_obeys_nothing_in_it(tell, terminal: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    out = Console(file=io.StringIO(), width=30, force_terminal=terminal, color_system=None)
    tell(out, "\x1b[2J [bold]x[/] " + LONG)
    said = out.file.getvalue()
    assert said.startswith(r"\x1b[2J [bold]x[/] a")
    assert (said.count("\n") > 1) is terminal


def test_labels_stand_beside_their_values(monkeypatch: pytest.MonkeyPatch):
    rows = [("since", Text("today")), ("", Text("or so"))]
    assert printed(labelled(rows, width=8), width=40, monkeypatch=monkeypatch) == (
        "since     today" + " " * 0 + "\n          or so\n"
    )
    assert printed(labelled(rows, width=8, right=True), width=40, monkeypatch=monkeypatch).startswith("   since  today")
