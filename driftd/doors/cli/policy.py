"""``driftd policy``: what a policy says, before it bites."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from driftd.core.errors import BadInput
from driftd.core.wording import count, shown
from driftd.doors.cli.app import CLEAN, DRIFTED, UNSEEN, app, of, span
from driftd.doors.cli.lines import say
from driftd.doors.cli.progress import counting, working

if TYPE_CHECKING:
    from driftd.core.trial import Replayed, Simulation
    from driftd.doors.desks.policies import Checked

policy = typer.Typer(help="Read policies before they bite.", no_args_is_help=True)
app.add_typer(policy, name="policy")

SHOWN = 20


class Form(StrEnum):
    """What is printed."""

    TEXT = "text"
    JSON = "json"


Format = Annotated[Form, typer.Option("--format", "-f", help="What is printed.")]
Policies = Annotated[
    list[str] | None,
    typer.Option("--policy", "-p", metavar="NAME", help="Packs and files, in order.", show_default=False),
]


@policy.command()
def check(
    ctx: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Packs or files (default: those of the configuration).", show_default=False),
    ] = None,
    manifest: Annotated[
        list[Path] | None, typer.Option(help="Hold them against this image, too.", show_default=False)
    ] = None,
    unused_for: Annotated[
        str, typer.Option(metavar="7d", help="Tell which rules of your own judged nothing for so long.")
    ] = "",
    form: Format = Form.TEXT,
) -> None:
    """Say what is wrong with policies: what cannot be read, and rules that expired, reach too far or do nothing.

    Exit status: 0 nothing to mend, 1 something to mend, 2 a document that is wrong.
    """
    context = of(ctx)
    history = span(unused_for, "--unused-for") if unused_for else None
    checked = context.house().policy_desk().check(names or [], manifests=manifest or [], history=history)
    if form is Form.JSON:
        typer.echo(json.dumps([_checked_values(one) for one in checked], indent=2))
    else:
        for one in checked:
            _tell_checked(context.out, one)
    raise typer.Exit(DRIFTED if any(one.wrong for one in checked) else CLEAN)


def _tell_checked(out: Console, one: Checked) -> None:
    wrong = sum(remark.wrong for remark in one.remarks)
    said = f"{count(wrong, 'rule')} to mend" if wrong else "nothing wrong"
    _line(out, f"{one.name}: {one.rules} rules, {said}")
    for remark in one.remarks:
        mark = "mend" if remark.wrong else "note"
        about = f"{remark.rule} ({remark.where}): " if remark.rule else ""
        _line(out, f"  {mark}: {about}{remark.said}")
    for note in one.notes:
        _line(out, f"  note: {note}")


def _checked_values(one: Checked) -> dict[str, object]:
    remarks = [
        {"what": r.what, "rule": r.rule, "where": r.where, "said": r.said, "wrong": r.wrong} for r in one.remarks
    ]
    return {"name": one.name, "rules": one.rules, "remarks": remarks, "notes": list(one.notes)}


@policy.command("test")
def hold_cases(
    ctx: typer.Context,
    places: Annotated[list[Path], typer.Argument(metavar="DIR|FILE", help="Cases, and directories of them.")],
    given: Policies = None,
    form: Format = Form.TEXT,
) -> None:
    """Hold recorded cases against a policy. Each file is one case, and its name says which.

    Exit status: 0 each case came out as it says, 1 one did not, 2 a document that is wrong.
    """
    context = of(ctx)
    results = context.house().policy_desk().test(places, given or [])
    failed = [one for one in results if one.wrong]
    if form is Form.JSON:
        typer.echo(json.dumps([{"case": one.case, "wrong": list(one.wrong)} for one in results], indent=2))
    else:
        for one in results:
            _line(context.out, f"{'WRONG' if one.wrong else 'ok':5} {one.case}")
            for sentence in one.wrong[:SHOWN]:
                _line(context.out, f"        {sentence}")
            if len(one.wrong) > SHOWN:
                _line(context.out, f"        and {len(one.wrong) - SHOWN} more")
        _line(context.out, f"{count(len(results), 'case')}, {len(failed)} wrong")
    raise typer.Exit(DRIFTED if failed else CLEAN)


@policy.command()
def record(
    ctx: typer.Context,
    directory: Annotated[Path, typer.Argument(help="Where the cases are kept; made when it is not there.")],
    targets: Annotated[
        list[str] | None, typer.Argument(help="Instances, slots, groups or addresses (default: all).")
    ] = None,
    root: Annotated[Path | None, typer.Option(help="Record this directory as the root of a server.")] = None,
    manifest: Annotated[Path | None, typer.Option(help="The manifest to hold --root against.")] = None,
    given: Policies = None,
    form: Format = Form.TEXT,
) -> None:
    """Look now, and keep what differs, and what came of it, as cases for `driftd policy test`."""
    context = of(ctx)
    desk = context.house().policy_desk()
    if (root is None) != (manifest is None):
        raise BadInput("--root and --manifest go together", "name both, or targets")
    if root is not None and manifest is not None:
        if targets:
            raise BadInput("--root takes no targets", "leave out either")
        with working(context.err, f"looking at {root}"):
            made = [desk.record_root(directory, root, manifest, given or [])]
    elif given:
        raise BadInput("--policy goes with --root", "a group's instances are judged by the group's own policy")
    else:
        with counting(context.err, one=True) as count_to:
            made = list(desk.record(directory, targets or [], count_to))
    if form is Form.JSON:
        kept = [{"instance": name, "file": str(file) if file else None, "said": said} for name, file, said in made]
        typer.echo(json.dumps(kept, indent=2))
    for name, file, said in made if form is Form.TEXT else ():
        _line(context.out, f"{name}: {said}, kept as {file}" if file else f"{name}: not recorded: {said}")
    raise typer.Exit(CLEAN if made and all(file for _, file, _ in made) else UNSEEN)


@policy.command()
def simulate(
    ctx: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="POLICY", help="Packs and files, in order (default: each group's own).", show_default=False
        ),
    ] = None,
    since: Annotated[str, typer.Option(metavar="7d", help="How far back.")] = "7d",
    group: Annotated[str, typer.Option(help="Of this group only.")] = "",
    form: Format = Form.TEXT,
) -> None:
    """Replay a policy over what the store remembers: what it would have alerted, explained, replaced and held.

    Exit status: 0 it would have judged all as it was judged, 1 something otherwise, 2 wrong usage.
    """
    context = of(ctx)
    desk, length = context.house().policy_desk(), span(since, "--since")
    with counting(context.err, one=True) as count_to:
        found = desk.simulate(names or [], length, group, count_to)
    if form is Form.JSON:
        typer.echo(json.dumps(_simulated_values(found), indent=2))
    else:
        _tell_simulated(context.out, found)
    raise typer.Exit(DRIFTED if any(row.differs for row in found.rows) else CLEAN)


def _tell_simulated(out: Console, found: Simulation) -> None:
    said = f"{count(len(found.rows), 'difference')} on {count(found.instances, 'instance')}"
    _line(out, f"{said} since {found.since:%Y-%m-%d %H:%M} UTC")
    kinds = dict.fromkeys((row.was, row.would) for row in found.rows)
    for was, would in sorted(kinds):
        rows = [row for row in found.rows if (row.was, row.would) == (was, would)]
        if was is would:
            _line(out, f"  {len(rows)} as they were: {was}")
            continue
        _line(out, f"  {len(rows)} would be {would} and {'was' if len(rows) == 1 else 'were'} {was}:")
        for row in rows[:SHOWN]:
            _line(out, f"    {row.instance}: {_subject(row)} ({row.was_rule}, would be {row.would_rule or 'nothing'})")
        if len(rows) > SHOWN:
            _line(out, f"    and {len(rows) - SHOWN} more (--format json lists them all)")
    for name, instances in (("asked for then", found.then), ("would be", found.would), ("would be held", found.held)):
        if instances:
            _line(out, f"replacement {name}: {', '.join(instances[:SHOWN])}")
    for note in found.notes:
        _line(out, f"note: {note}")


def _subject(row: Replayed) -> str:
    return f"{row.difference.kind} {shown(row.difference.subject)} {row.difference.change}"


def _simulated_values(found: Simulation) -> dict[str, object]:
    return {
        "since": found.since.isoformat(),
        "instances": found.instances,
        "differences": [
            {
                "instance": row.instance,
                "group": row.group,
                "kind": row.difference.kind,
                "subject": shown(row.difference.subject),
                "change": row.difference.change.value,
                "first_seen": row.first_seen.isoformat(),
                "was": row.was.value,
                "was_rule": row.was_rule,
                "would": row.would.value,
                "would_rule": row.would_rule,
            }
            for row in found.rows
        ],
        "replacement": {"then": list(found.then), "would": list(found.would), "held": list(found.held)},
        "notes": list(found.notes),
    }


@policy.command()
def schema(ctx: typer.Context) -> None:
    """Print the JSON Schema of a policy document, for editors."""
    typer.echo(json.dumps(of(ctx).house().policy_desk().schema(), indent=2, ensure_ascii=False))


def _line(out: Console, text: str) -> None:
    """A line, below which its own rest is folded on a terminal."""
    indent = len(text) - len(text.lstrip())
    say(out, text.lstrip(), indent=indent)
