"""``driftd evidence``: what was kept of instances before they were replaced; shown, fetched, and taken by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from driftd.core.errors import BadInput
from driftd.core.wording import count, printable
from driftd.core.wording import custody as wording
from driftd.doors.cli import lines
from driftd.doors.cli.app import Context, app, of
from driftd.doors.cli.complete import one_instance
from driftd.doors.cli.done import Json, tell
from driftd.doors.cli.files import ready, write
from driftd.doors.cli.progress import working

if TYPE_CHECKING:
    from driftd.doors.desks.custody import EvidenceDesk, Listed, Opened

SCHEMA = "driftd.evidence-list/1"


@app.command()
def evidence(
    ctx: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="ID|INSTANCE",
            help="A bundle, by its id; with --now an instance, by id, slot or address.",
            show_default=False,
            autocompletion=one_instance,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write the bundle to this file, or into this directory."),
    ] = None,
    now: Annotated[bool, typer.Option("--now", help="Take evidence of an instance now, by hand.")] = False,
    reason: Annotated[str, typer.Option(help="With --now: why; it stands in the bundle and in the journal.")] = "",
    as_json: Json = False,
) -> None:
    """Say what evidence is kept; show or fetch a bundle, held against the digest in the journal; or take one now.

    What is edited or gone is refused, whoever did it. Each fetch stands in the journal.
    """
    context = of(ctx)
    if output is not None and not output.is_dir():
        ready(output)
    if now:
        if output is not None:
            raise BadInput("--now takes evidence and writes no file", "fetch it by its id afterwards")
        _take(context, name, reason, as_json=as_json)
        return
    if reason:
        raise BadInput("--reason goes with --now", f"say: driftd evidence {name or 'INSTANCE'} --now --reason WHY")
    if name is None and output is not None:
        raise BadInput(f"nothing says which evidence to write to {output}", "name it by its id: driftd evidence")
    desk = context.house().custody()
    if name is None:
        _list(context, desk.listed(), as_json=as_json)
    elif output is not None:
        _fetch(context, desk, name, output, as_json=as_json)
    elif as_json:
        opened = desk.opened(name)
        typer.echo(json.dumps({**opened.index, "bundle": _held(opened)}, indent=2))
    else:
        _show(context, desk.opened(name))


def _take(context: Context, name: str | None, reason: str, *, as_json: bool) -> None:
    if name is None:
        raise BadInput("nothing says of which instance to take evidence", "name one: driftd status shows them")
    if not reason.strip():
        raise BadInput("taking evidence by hand needs a reason", f"say: driftd evidence {name} --now --reason WHY")
    desk = context.house().custody()
    with working(context.err, f"looking at {name}"):
        kept = desk.taken(name, reason)
    said = wording.made(kept.id, kept.instance_id, kept.holds)
    more = {"evidence": kept.id, "instance": kept.instance_id, "size": kept.size, "sha256": kept.sha256}
    tell(context, "evidence", f"{said}.", as_json=as_json, until=kept.until, **more)


def _fetch(context: Context, desk: EvidenceDesk, name: str, output: Path, *, as_json: bool) -> None:
    kept, data = desk.fetched(name)
    file = output / f"{kept.id}.tar.gz" if output.is_dir() else output
    ready(file)
    write(file, data, private=True)
    said = f"{file} holds the evidence {kept.id} of {kept.instance_id}, as the journal has its digest."
    tell(context, "evidence", said, as_json=as_json, evidence=kept.id, file=str(file), sha256=kept.sha256)


# --- the list --------------------------------------------------------------------------------------------------------


def _list(context: Context, found: Sequence[Listed], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"schema": SCHEMA, "evidence": [_values(one) for one in found]}, indent=2))
        return
    kept = [one for one in found if not one.kept.gone]
    if not kept:
        lines.none(context.out, "No evidence is kept.")
        return
    lines.show(context.out, lines.stacked(("id", "taken (UTC)", "of whom, why, what it holds"), map(_row, kept)))
    size = wording.size(sum(one.kept.size for one in kept))
    lines.total(context.out, f"{count(len(kept), 'bundle')}, {size}")


def _row(one: Listed) -> tuple[Sequence[Text], Sequence[Text]]:
    kept = one.kept
    cells = (Text(kept.id), Text(f"{kept.at:%Y-%m-%d %H:%M}", "dim"))
    whom = f"{kept.instance_id} ({kept.slot or 'no slot'}) in {kept.group}"
    lasts = f"{wording.size(kept.size)}, kept until {kept.until:%Y-%m-%d}"
    said = [Text(printable(whom), "bold"), Text(printable(_occasion(one)))]
    said += [Text(kept.holds, "dim"), Text(lasts, "dim")]
    if not one.there:
        said.append(Text("its file is not there, is another one, or may not be seen by you", "red"))
    return cells, said


def _occasion(one: Listed) -> str:
    kept = one.kept
    return kept.because if kept.by == "driftd" else f"{kept.by}: {kept.because}"


def _values(one: Listed) -> dict[str, Any]:
    kept = one.kept
    return {
        **{name: value for name, value in kept.body().items() if name != "kept"},
        "id": kept.id,
        "gone": kept.gone,
        "there": one.there,
    }


# --- one bundle ------------------------------------------------------------------------------------------------------


def _held(opened: Opened) -> dict[str, Any]:
    return {"size": opened.kept.size, "sha256": opened.kept.sha256}


def _show(context: Context, opened: Opened) -> None:
    kept, index, out = opened.kept, opened.index, context.out
    rows = [
        ("instance", f"{kept.instance_id} ({kept.slot or 'no slot'}) in {kept.group}, from {kept.image}"),
        ("taken", f"{kept.at:%Y-%m-%d %H:%M:%S} UTC by {kept.by}: {kept.because}"),
        ("kept until", f"{kept.until:%Y-%m-%d %H:%M} UTC"),
        ("verdict", f"{index.get('verdict')}: {index.get('reason')}"),
        ("holds", kept.holds),
        ("digest", f"sha256:{kept.sha256}, as the journal has it"),
    ]
    lines.show(out, lines.labelled((label, Text(printable(said))) for label, said in rows))
    files = [one for one in index.get("files", []) if isinstance(one, dict)]
    if files:
        heads = ("change", "size", "content", "file")
        lines.show(out, lines.stacked(heads, map(_file, files), right=("size",)))
    if index.get("files_left_out"):
        lines.total(out, f"{count(int(index['files_left_out']), 'more changed file')} left out")
    lines.total(out, f"to read it: driftd evidence {kept.id} -o . && tar -xzf {kept.id}.tar.gz")


def _file(one: Mapping[str, Any]) -> tuple[Sequence[Text], Sequence[Text]]:
    content = str(one.get("member") or "digest")
    cells = (Text(str(one.get("change")), "dim"), Text(wording.size(int(one.get("size", 0)))), Text(content))
    why = str(one.get("why", ""))
    return cells, [Text(printable(str(one.get("path")))), Text(printable(why), "dim")]
