"""What the README and the docs say must be so."""

import re
from functools import cache
from pathlib import Path

import pytest
import typer

from driftd import settings
from driftd.doors.cli import program

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands() -> set[str]:
    """Every command as a person types it: "audit", "journal verify"."""
    found = {(command.name or command.callback.__name__) for command in program.whole().registered_commands}
    for group in program.whole().registered_groups:
        inner = {(command.name or command.callback.__name__) for command in group.typer_instance.registered_commands}
        found |= {f"{group.name} {name}" for name in inner}
    return found


def code(page: Path) -> str:
    """What stands in code: fenced blocks and `inline`."""
    text = page.read_text()
    return "\n".join(re.findall(r"```(?:sh)?\n(.*?)```", text, re.DOTALL) + re.findall(r"`([^`\n]+)`", text))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_is_written_down_exists(page: Path):
    known = commands()
    first = {name.split()[0] for name in known} | {"--install-completion", "--config", "--version", "--help"}
    for word in re.findall(r"^\s*(?:\.venv/bin/)?driftd ([a-z-]+)", code(page), re.MULTILINE):
        assert word in first, f"{page.name}: driftd {word}"


def test_every_command_stands_in_the_readme():
    text = (ROOT / "README.md").read_text()
    for name in commands():
        assert re.search(rf"`[^`]*\b{name}\b|, `{name}`", text), f"driftd {name} is not in the README"


@cache
def reasoned() -> set[str]:
    """Commands that end with a usage error where no reason is given."""
    found, whole = set(), typer.main.get_command(program.whole())
    for name in commands():
        command = whole
        for word in name.split():
            command = command.commands[word]
        if any("--reason" in one.opts and one.required for one in command.params):
            found.add(name)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_command_that_needs_a_reason_is_written_with_one(page: Path):
    assert "replace" in reasoned()
    for name in reasoned():
        for line in re.findall(rf"^\s*(?:\.venv/bin/)?driftd {name} ([^-#].*)$", code(page), re.MULTILINE):
            assert "--reason" in line, f"{page.name}: driftd {name} {line}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path):
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_configuration_in_the_readme_loads(tmp_path: Path):
    (example,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (tmp_path / "driftd.yaml").write_text(example)
    loaded = settings.load(tmp_path / "driftd.yaml")
    assert loaded.group("web").enforce is settings.Enforce.OBSERVE


def test_every_page_is_reached_from_the_readme():
    text = (ROOT / "README.md").read_text()
    for page in PAGES[1:]:
        assert f"docs/{page.name}" in text, page.name
