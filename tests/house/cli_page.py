"""docs/cli.md's commands and man/driftd.1, made from the command line's own help. Run as a module, this writes them."""

import inspect
import re
import typing
from collections.abc import Iterator
from enum import Enum
from pathlib import Path

import typer

from driftd.doors.cli import overview, program
from driftd.doors.cli.overview import EXAMPLES

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "cli.md"
MANUAL = ROOT / "man" / "driftd.1"
WHOLE = typer.main.get_command(program.whole())


def commands(command=WHOLE, path: str = "") -> Iterator[tuple[str, object]]:
    """("audit", its command), ("journal verify", …), in the help's order."""
    for name, inner in command.commands.items():
        whole = f"{path} {name}".strip()
        if hasattr(inner, "commands"):
            yield from commands(inner, whole)
        else:
            yield whole, inner


def arguments(command) -> list:
    return [one for one in command.params if one.param_type_name == "argument"]


def options(command) -> list:
    # What every program has, and what only installs completion, is told once.
    return [
        one
        for one in command.params
        if one.param_type_name == "option" and not {"--help", "--install-completion", "--show-completion"} & {*one.opts}
    ]


def value(one) -> str:
    """What an option takes, as its help shows it; "" for a flag."""
    if getattr(one, "is_flag", False) or getattr(one, "count", False):
        return ""
    if one.metavar:
        return one.metavar
    kind = kind_of(one)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "|".join(str(choice.value) for choice in kind)
    return {int: "N", Path: "PATH"}.get(kind, "TEXT")


def kind_of(one) -> object:
    """The type of one value."""
    kind = one.type_descriptor.annotation
    return typing.get_args(kind)[0] if typing.get_args(kind) else kind


def words(one) -> str:
    """``-f, --format table|json``."""
    names = [*sorted(one.opts, key=len), *one.secondary_opts]
    return " ".join(filter(None, (", ".join(names), value(one))))


def default(one) -> str:
    given = one.default
    if callable(given) or given in (None, "", False, True, ()) or "default" in (one.help or ""):
        return ""
    return str(getattr(given, "value", given))


def told(one) -> str:
    """What its help says, with what is usual or needed."""
    said = " ".join((one.help or "").split())
    if usual := default(one):
        said += f" (default: {usual})"
    return said + (" (needed)" if one.required and one.param_type_name == "option" else "")


def usage(path: str, command) -> str:
    parts = [f"driftd {path}"]
    parts += [f"{' '.join(one.opts[-1:])} {value(one)}" for one in options(command) if one.required]
    if any(not one.required for one in options(command)):
        parts.append("[OPTIONS]")
    for one in arguments(command):
        name = (one.metavar or one.name).strip("[]").upper() + ("..." if one.nargs == -1 else "")
        parts.append(name if one.required else f"[{name}]")
    return " ".join(parts)


def paragraphs(command) -> list[str]:
    text = inspect.cleandoc(command.help or "")
    return [" ".join(part.split()) for part in text.split("\n\n") if part.strip()]


# --- Markdown --------------------------------------------------------------------------------------------------------


def cell(text: str) -> str:
    return text.replace("|", "\\|")


def section(path: str, command) -> Iterator[str]:
    yield f"### driftd {path}"
    yield ""
    yield f"`{usage(path, command)}`"
    for part in paragraphs(command):
        yield ""
        yield part
    yield ""
    yield f"Example: `{EXAMPLES[path]}`"
    rows = [((one.metavar or one.name).upper(), told(one)) for one in arguments(command)]
    rows += [(words(one), told(one)) for one in options(command)]
    if rows:
        yield ""
        yield "| | |"
        yield "| --- | --- |"
        for name, said in rows:
            yield f"| `{cell(name)}` | {cell(said)} |"
    yield ""


def page() -> str:
    return "\n".join(line for path, command in commands() for line in section(path, command)).rstrip("\n")


def render(text: str) -> str:
    """``text`` of docs/cli.md with its commands as they are in the code."""
    return re.sub(
        r"(<!-- made by.*?-->\n).*?(<!-- end -->)", lambda m: f"{m[1]}\n{page()}\n\n{m[2]}", text, flags=re.DOTALL
    )


# --- the manual page -------------------------------------------------------------------------------------------------


def roff(text: str) -> str:
    """Text that roff takes for nothing but text: hyphens that can be copied, no requests, ASCII alone."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("`", "")
    text = (
        text.replace("…", "...").replace("'", "\\(aq").replace('"', "\\(dq").replace("^", "\\(ha").replace("~", "\\(ti")
    )
    text = "".join(char if char.isascii() else f"\\[u{ord(char):04X}]" for char in text)
    return f"\\&{text}" if text.startswith(".") else text


def manual() -> str:
    made = [
        ".\\\" Made from the command line's own help: PYTHONPATH=tests/house python -m cli_page",
        '.TH DRIFTD 1 "2026-11-22" "driftd" "User Commands"',
        ".SH NAME",
        "driftd \\- see drift on running servers, judge it, replace the server, prove each step",
        ".SH SYNOPSIS",
        ".B driftd",
        "[\\fB\\-\\-config\\fR \\fIFILE\\fR] \\fICOMMAND\\fR [\\fIOPTIONS\\fR] [\\fIARGUMENTS\\fR]",
        ".SH DESCRIPTION",
        roff(
            "driftd fingerprints running servers against the manifest of the image that they were made from, notices "
            "logins and changes, and replaces servers that drifted. It only observes until a group says otherwise. "
            "driftd init writes a first configuration, and driftd doctor says what is wrong with the one there is."
        ),
        ".SH OPTIONS",
    ]
    for one in options(WHOLE):
        made += [".TP", f"\\fB{roff(words(one))}\\fR", roff(told(one))]
    made += [".TP", "\\fB\\-\\-install\\-completion\\fR", "Install completion for the current shell."]
    made += [".TP", "\\fB\\-h, \\-\\-help\\fR", "Say what a command does and takes; each command has it."]
    made.append(".SH COMMANDS")
    for path, command in commands():
        made += [".SS", roff(usage(path, command))]
        first, *more = paragraphs(command)
        made.append(roff(first))
        made += [line for part in more for line in (".PP", roff(part))]
        made += [".PP", f"Example: {roff(EXAMPLES[path])}"]
        for one in arguments(command):
            if one.help:
                made += [".TP", f"\\fI{roff((one.metavar or one.name).upper())}\\fR", roff(told(one))]
        for one in options(command):
            made += [".TP", f"\\fB{roff(words(one))}\\fR", roff(told(one))]
    made += [
        ".SH EXIT STATUS",
        roff(overview.STATUSES.partition(": ")[2]),
        "Of commands that do something: 0 done, 2 wrong usage, 3 it could not be done.",
        "130 when it was interrupted.",
        ".SH ENVIRONMENT",
        ".TP",
        ".B DRIFTD_CONFIG",
        "The configuration, where \\-\\-config does not name one.",
        ".TP",
        ".B DRIFTD_...",
        "Any setting, over what the file says: DRIFTD_STORE, DRIFTD_METRICS__LISTEN.",
        ".TP",
        ".B NO_COLOR",
        "Set to anything, nothing is coloured.",
        ".TP",
        ".B DRIFTD_DEBUG",
        "Set to anything, a mistake of driftd\\(aqs own shows where it was made.",
        ".SH FILES",
        ".TP",
        ".I ./driftd.yaml, /etc/driftd/driftd.yaml",
        "The configuration; the first that is there counts.",
        ".SH SEE ALSO",
        ".BR ssh (1),",
        ".BR systemd (1)",
    ]
    return "\n".join(made) + "\n"


if __name__ == "__main__":
    PAGE.write_text(render(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    MANUAL.parent.mkdir(exist_ok=True)
    MANUAL.write_text(manual(), encoding="utf-8")
