"""The composition root: settings in, everything joined. The only floor that knows every name."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typer
    from rich.console import Console

    from driftd.doors.house import House

INTERRUPTED = 130


def build(config: Path | None) -> House:
    """The house that a configuration describes. Imported late: ``--help`` needs none of it."""
    from driftd import settings  # noqa: PLC0415  # keeps the command line quick
    from driftd.wiring.house import WiredHouse  # noqa: PLC0415  # likewise

    return WiredHouse(settings.find(config), config)


def blank() -> House:
    """A house that no file describes."""
    from driftd import settings  # noqa: PLC0415  # see above
    from driftd.wiring.house import WiredHouse  # noqa: PLC0415  # likewise

    return WiredHouse(settings.Settings(), None)


def names(config: Path | None, kinds: Sequence[str]) -> Sequence[str]:
    """What a shell may complete, read past all else of the store: whoever presses a key does not wait a second."""
    from driftd import settings  # noqa: PLC0415  # see above
    from driftd.edges.store.names import known  # noqa: PLC0415  # likewise

    found = settings.find(config)
    _, separator, path = found.store.partition(":///")
    return known(found.path(path), kinds) if separator and path else ()


def main() -> None:
    """The ``driftd`` command. Every error becomes one sentence, its remedy, and an exit status."""
    try:
        if sys.argv[1:] in (["--help"], ["-h"]):
            from driftd.doors.cli.front import front  # noqa: PLC0415  # see above

            front()
            status = 0
        else:
            status = command()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    sys.exit(status)


def command() -> int:
    """Do what the arguments say; the exit status. Raises BrokenPipeError."""
    import typer  # noqa: PLC0415  # see above

    from driftd.core.errors import BadInput, DriftdError  # noqa: PLC0415  # likewise
    from driftd.doors.cli import program  # noqa: PLC0415  # likewise
    from driftd.doors.cli.app import UNSEEN, USAGE, Context  # noqa: PLC0415  # likewise

    context = Context(build, blank=blank, names=names)
    try:
        status = program.command()(obj=context, standalone_mode=False, prog_name="driftd")
        if status == INTERRUPTED:  # Typer's answer to Ctrl-C
            context.err.print("interrupted")
    except typer.TyperException as error:
        if said := error.format_message():  # empty where help was printed instead
            complain(context.err, said, _help(error))
        return USAGE
    except (typer.Abort, KeyboardInterrupt):
        context.err.print("interrupted")
        return INTERRUPTED
    except BrokenPipeError:  # main's: who reads has gone, and that is no mistake of ours
        raise
    except DriftdError as error:
        complain(context.err, str(error), error.hint)
        return USAGE if isinstance(error, BadInput) else UNSEEN
    except Exception as error:  # the door: a person gets a sentence, not a traceback
        if os.environ.get("DRIFTD_DEBUG"):
            raise
        said = f"a mistake of driftd's own: {type(error).__name__}: {error}"
        complain(context.err, said, "set DRIFTD_DEBUG=1 to see where, and report it")
        return UNSEEN
    return int(status or 0)


def _help(error: typer.TyperException) -> str:
    """The help of the command that was used wrongly."""
    used: typer.Context | None = getattr(error, "ctx", None)
    return f"see: {used.command_path if used else 'driftd'} --help"


def complain(console: Console, sentence: str, hint: str) -> None:
    """One sentence, and what to do next."""
    from rich.text import Text  # noqa: PLC0415  # see above

    from driftd.core.wording import printable  # noqa: PLC0415  # likewise

    console.print(Text.assemble(("driftd: ", "bold red"), printable(sentence)), soft_wrap=True)
    if hint:
        console.print(Text.assemble(("next:   ", "bold"), printable(hint)), soft_wrap=True)
