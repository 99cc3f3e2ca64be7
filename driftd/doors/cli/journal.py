"""``driftd journal``: the hash-chained record of every decision and call, and its proof."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from driftd.core.errors import BadInput
from driftd.core.journal import exported
from driftd.core.memory import JournalLine, Tx
from driftd.core.wording import near, printable
from driftd.doors.cli import lines as lists
from driftd.doors.cli.app import CLEAN, DRIFTED, app, of
from driftd.doors.cli.complete import subjects
from driftd.doors.cli.done import Json, tell
from driftd.doors.cli.files import ready, writing
from driftd.doors.cli.lines import none, stacked
from driftd.doors.cli.progress import working

journal = typer.Typer(help="The hash-chained record of every decision and call.", no_args_is_help=True)
app.add_typer(journal, name="journal")

SEE = "see: driftd journal show"
_FIRST = frozenset(("did", "from", "to"))  # what a line is about, before its details


@journal.command()
def verify(
    ctx: typer.Context,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file", help="An export, instead of this store's journal: needs neither store nor configuration."
        ),
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option("--checkpoint", help="With --file: a checkpoint to hold it against.")
    ] = None,
    key: Annotated[
        list[Path] | None, typer.Option("--key", help="With --checkpoint: a public key whose signature counts.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check the whole chain; exit status 1 when it is broken."""
    if file is None:
        if checkpoint is not None or key:
            raise BadInput("a checkpoint is held against an export", "say: driftd journal verify --file EXPORT")
        with working(of(ctx).err, "checking the journal"):
            result = of(ctx).house().keeping().verify()
        typer.echo(json.dumps(result) if as_json else printable(str(result["said"])))
        raise typer.Exit(CLEAN if result["ok"] else DRIFTED)
    with working(of(ctx).err, f"checking {file}"):
        proven = of(ctx).bare().keeping().prove(file, checkpoint, key or ())
    if as_json:
        values = asdict(proven.proof)
        values["accepted"] = [{"line": one.line, "broken": one.seq, "by": one.by} for one in proven.proof.accepted]
        typer.echo(json.dumps({"ok": proven.good, "said": list(proven.said), **values}))
    else:
        for sentence in proven.said:
            typer.echo(printable(sentence))
    raise typer.Exit(CLEAN if proven.good else DRIFTED)


@journal.command()
def show(
    ctx: typer.Context,
    subject: Annotated[
        str | None, typer.Argument(help="Only lines about this replacement or instance.", autocompletion=subjects)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Print the journal, oldest line first."""
    out = of(ctx).out
    with of(ctx).house().store(read_only=True) as store, store.read() as tx:
        lines = tx.journal_lines(subject)
        if subject is not None and not lines:
            raise BadInput(f"no line of the journal is about {subject!r}", near.hint(subject, _subjects(tx), SEE))
    if as_json:
        for line in lines:
            typer.echo(exported(line))
    elif not lines:
        none(out, "The journal is empty.")
    elif out.is_terminal:
        heads = ("line", "when (UTC)", "kind", "about, and what")
        lists.show(out, stacked(heads, map(_row, lines), right=heads[:1]))
    else:
        for line in lines:
            typer.echo(_line(line))


def _line(line: JournalLine) -> str:
    """A line for whoever reads the other end of a pipe."""
    body = json.dumps(dict(line.body), sort_keys=True, ensure_ascii=True, default=str)
    when = f"{line.at:%Y-%m-%d %H:%M:%S}"
    return printable(f"{line.seq:>5} {when} {line.kind:<11} {line.subject} {body} {line.hash[:12]}")


def _row(line: JournalLine) -> tuple[Sequence[Text], Sequence[Text]]:
    """The same for eyes."""
    said = Text(overflow="fold")
    for name, value in sorted(line.body.items(), key=lambda one: one[0] not in _FIRST):
        if value not in (None, "", [], {}):
            plain = value if isinstance(value, str) else json.dumps(value, ensure_ascii=True, default=str)
            said.append("  " if said else "").append(f"{printable(name)} ", "dim").append(printable(plain))
    about = Text.assemble((printable(line.subject), "bold"), (f"  {line.hash[:12]}", "dim"))
    when = Text(f"{line.at:%Y-%m-%d %H:%M:%S}", "dim")
    return (Text(str(line.seq)), when, Text(line.kind)), (about, said)


def _subjects(tx: Tx) -> Sequence[str]:
    """What a line may be about, as people name it."""
    return [*(row.id for row in tx.instances(gone=True)), *(record.rid for record in tx.replacements())]


@journal.command()
def export(
    ctx: typer.Context,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The file (default: standard output).")] = None,
    since: Annotated[int, typer.Option(help="Only what came after this line.", min=0)] = 0,
) -> None:
    """Write the journal as JSON Lines, which anybody can verify: docs/journal.md."""
    context = of(ctx)
    keeping = context.house().keeping()
    ready(output)
    lines = keeping.export(since)
    if output is None:
        for line in lines:
            sys.stdout.buffer.write(line)
        return
    number = -1  # the first is the header
    with writing(output) as stream:
        for line in lines:
            stream.write(line)
            number += 1
    context.out.print(f"{number} lines in {output}", highlight=False, markup=False, soft_wrap=True)


@journal.command()
def checkpoint(
    ctx: typer.Context,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A file of its own (default: where the daemon puts them).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check the whole chain and sign for its last line, so that nobody can cut or rewrite it unseen."""
    context = of(ctx)
    keeping = context.house().keeping()
    ready(output)
    made = keeping.checkpoint(output)
    line = f"line {made.seq} ({made.hash[:16]}): {made.file}"
    fields = {"line": made.seq, "hash": made.hash, "signed": made.signed, "file": str(made.file)}
    tell(context, "checkpoint", line, as_json=as_json, **fields)
    if not made.signed:
        said = "nobody signed it, so it proves nothing to others: name a key under trust: signing_key"
        context.err.print(said, highlight=False, markup=False, soft_wrap=True)


@journal.command("accept-break")
def accept_break(
    ctx: typer.Context,
    reason: Annotated[str, typer.Option(help="Why it may go on; it stands in the journal for ever.")],
    as_json: Json = False,
) -> None:
    """Go on from a broken chain: a line that names the break and seals what lies behind it. Nothing is rewritten."""
    context = of(ctx)
    tell(context, "accept-break", context.house().keeping().accept_break(reason), as_json=as_json)
