"""The command line's frame: the program, its common options, and the context that each command gets."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from driftd import __version__
from driftd.core.errors import BadInput
from driftd.doors.cli.overview import ABOUT, CONFIG, EXAMPLE, STATUSES

if TYPE_CHECKING:
    from driftd.doors.house import House

CLEAN, DRIFTED, USAGE, UNSEEN = 0, 1, 2, 3

app = typer.Typer(
    name="driftd",
    help=ABOUT,
    epilog=f"{STATUSES}\n\n{EXAMPLE}",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Build = Callable[[Path | None], "House"]
Names = Callable[[Path | None, Sequence[str]], Sequence[str]]


@dataclass
class Context:
    """What every command gets: a house built on first use, and where to print."""

    build: Build
    config: Path | None = None
    blank: Callable[[], House] | None = None
    names: Names = lambda _config, _kinds: ()
    out: Console = field(default_factory=Console)
    err: Console = field(default_factory=lambda: Console(stderr=True))

    def house(self) -> House:
        """The configured house."""
        return self.build(self.config)

    def bare(self) -> House:
        """A house without any configuration, for what needs none and must not fail by a wrong one."""
        return self.blank() if self.blank is not None else self.house()


def of(ctx: typer.Context) -> Context:
    """The context object that wiring put in."""
    found = ctx.find_object(Context)
    if found is None:  # pragma: no cover  # wiring always passes one
        raise RuntimeError("the command line was started without its context")
    return found


def _version(value: bool) -> None:  # typer's callback signature
    if value:
        typer.echo(f"driftd {__version__}")
        raise typer.Exit


@app.callback()
def frame(
    ctx: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            "-c",
            envvar="DRIFTD_CONFIG",
            help=CONFIG,
            show_default=False,
        ),
    ] = None,
    _show: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """See drift on running servers, judge it, replace the server, prove each step."""
    of(ctx).config = config


_SPAN = re.compile(r"(\d+)([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def span(text: str, option: str = "--for") -> timedelta:
    """A length of time such as ``90m``, ``2h`` or ``7d``. Raises BadInput."""
    match = _SPAN.fullmatch(text)
    if match is None or int(match[1]) == 0 or int(match[1]) > 100_000:
        raise BadInput(f"{option} {text!r} is not a length of time", "write it like 90m, 2h or 7d")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})
