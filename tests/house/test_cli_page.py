"""The page of commands and the manual page say what the commands are, and each command can be read by a program."""

import re
import shlex
import subprocess

import pytest
import typer
from cli_page import MANUAL, PAGE, WHOLE, commands, manual, options, render, value

from driftd.doors.cli.overview import EXAMPLES, OPTIONS, OVERVIEW

TEXT = PAGE.read_text(encoding="utf-8")
AGAIN = "PYTHONPATH=tests/house python -m cli_page writes it anew"
# Each with its reason.
WITHOUT_JSON = {
    "demo": "it tells a story; --json takes a file",
    "run": "it runs until it is stopped; its log is JSON where nobody watches",
    "init": "it writes a file for people",
    "motd": "it is text for a login",
    "journal export": "it is JSON Lines as it is",
    "policy schema": "it is JSON as it is",
    "manifest export": "it has formats of its own",
}


def test_the_page_is_made_from_the_commands():
    assert render(TEXT) == TEXT, AGAIN


def test_the_manual_page_is_made_from_the_commands():
    assert MANUAL.read_text(encoding="utf-8") == manual(), AGAIN


@pytest.mark.parametrize(("path", "command"), [*commands()], ids=lambda one: one if isinstance(one, str) else "")
def test_every_command_can_be_read_by_a_program_or_says_why_not(path: str, command):
    flags = {name: one for one in options(command) for name in one.opts}
    json = "--json" in flags and getattr(flags["--json"], "is_flag", False)
    formats = "--format" in flags and "json" in value(flags["--format"]).split("|")
    assert (json or formats) != (path in WITHOUT_JSON), path


@pytest.mark.parametrize("name", sorted({path.split()[-1] for path, _ in commands()}))
def test_every_command_stands_in_the_table_of_json_or_beside_it(name: str):
    assert f"{name}`" in TEXT.partition("<!-- made by")[0], name


@pytest.mark.parametrize("path", [path for path, _ in commands()])
def test_every_option_and_argument_says_what_it_is(path: str):
    command = dict(commands())[path]
    for one in command.params:
        assert getattr(one, "help", None) or one.name in {"old", "new"}, f"driftd {path}: {one.name}"


@pytest.mark.parametrize("path", sorted(EXAMPLES))
def test_every_example_is_what_its_command_takes(path: str):
    words = shlex.split(EXAMPLES[path].partition(" > ")[0])
    assert words[: len(path.split()) + 1] == ["driftd", *path.split()]
    command, rest = WHOLE, words[1:]
    while hasattr(command, "commands"):
        command, rest = command.commands[rest[0]], rest[1:]
    command.make_context("driftd", rest)  # raises for what it does not take


def test_every_command_is_in_the_overview_in_one_line():
    rows = {path: few for its in OVERVIEW.values() for path, few, _ in its}
    groups = {path.split()[0] for path, _ in commands() if " " in path}
    assert set(rows) == {path for path, _ in commands()} | groups
    for path, few in rows.items():
        assert few[-1] in ".?", path
        assert len(few) <= 62, f"driftd {path}: longer than a line of 80 columns"


def test_the_manual_page_is_clean():
    done = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "warning", MANUAL], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stdout
    shown = subprocess.run(
        ["mandoc", "-T", "ascii", "-O", "width=78", MANUAL], capture_output=True, text=True, check=True
    )
    plain = re.sub(".\b", "", shown.stdout)
    assert "driftd journal accept-break --reason TEXT" in plain
    assert "--format table|json|html|markdown" in plain
    assert max(map(len, plain.splitlines())) <= 80


def test_the_first_page_shows_the_options_that_there_are():
    told = [(long, short, meaning.removesuffix(" [env var: DRIFTD_CONFIG]")) for long, short, _, meaning in OPTIONS]
    params = WHOLE.get_params(typer.Context(WHOLE, **WHOLE.context_settings))
    names = [sorted(one.opts, key=len, reverse=True) for one in params]
    assert told == [(long, "".join(short), one.help) for one, (long, *short) in zip(params, names, strict=True)]
