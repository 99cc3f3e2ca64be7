"""``driftd manifest``: manifests looked at, compared, signed and verified."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from driftd.core.errors import BadInput
from driftd.core.wording import count, printable
from driftd.core.wording import trust as wording
from driftd.doors.cli import lines as lists
from driftd.doors.cli.app import CLEAN, DRIFTED, app, of
from driftd.doors.cli.done import Json, tell

if TYPE_CHECKING:
    from driftd.core.manifest import Manifest
    from driftd.doors.desks.trust import Standing
    from driftd.probe.wire import Entry

manifest = typer.Typer(help="Look at manifests, compare, sign and verify them.", no_args_is_help=True)
app.add_typer(manifest, name="manifest")

Name = Annotated[str, typer.Argument(metavar="FILE|IMAGE", help="A manifest's file, or an image that has one.")]
Keys = Annotated[
    list[Path] | None,
    typer.Option("--key", metavar="PUB", help="Trust this public key instead of the configured ones."),
]


class Form(StrEnum):
    """What is printed."""

    TEXT = "text"
    JSON = "json"


Format = Annotated[Form, typer.Option("--format", "-f", help="What is printed.")]


@manifest.command()
def show(
    ctx: typer.Context,
    name: Name,
    paths: Annotated[
        list[str] | None, typer.Argument(help="List what lies at and below these paths.", show_default=False)
    ] = None,
    given: Annotated[str, typer.Option("--class", help="List what is of this class, such as growing.")] = "",
    key: Keys = None,
    form: Format = Form.TEXT,
) -> None:
    """Sum a manifest up: what it holds, of which classes, and who vouches for it. Or list some of its entries."""
    from driftd.doors.report import manifests  # noqa: PLC0415  # costs --help a quarter of a second

    context = of(ctx)
    desk = context.house().trust()
    standing = desk.read(desk.find(name), key or [])
    if form is Form.JSON:
        typer.echo(json.dumps(manifests.as_json(standing), indent=2))
    elif paths or given:
        chosen = _chosen(standing.manifest, paths or [], given)
        lists.show(context.out, manifests.entries(standing.manifest, chosen))
        context.err.print(count(len(chosen), "entry", "entries"), highlight=False)
    else:
        context.out.print(manifests.summary(standing), highlight=False)
        if standing.hint:
            context.err.print(f"next:   {printable(standing.hint)}", highlight=False, markup=False, soft_wrap=True)


def _chosen(made: Manifest, paths: list[str], given: str) -> list[Entry]:
    wanted = [path.rstrip("/").encode("utf-8", "surrogateescape") for path in paths]
    chosen = [
        entry
        for entry in made.entries
        if (not given or made.class_of(entry.path).word == given or made.class_of(entry.path).expect == given)
        and (not wanted or any(entry.path == path or entry.path.startswith(path + b"/") for path in wanted))
    ]
    if not chosen:
        raise BadInput("no entry of the manifest is that", "leave out the paths and --class to see what there is")
    return chosen


@manifest.command()
def diff(
    ctx: typer.Context,
    old: Name,
    new: Name,
    closed: Annotated[
        bool, typer.Option("--closed", help="Compare the closed trees only: what is exact or presence, and no facts.")
    ] = False,
    form: Format = Form.TEXT,
) -> None:
    """Show what differs between two manifests: entries, classes, facts. Exit status 0 when nothing does, else 1."""
    from driftd.core import manifestdiff  # noqa: PLC0415  # costs --help a quarter of a second
    from driftd.doors.report import manifests  # noqa: PLC0415  # costs --help a quarter of a second

    context = of(ctx)
    desk = context.house().trust()
    was, now = (desk.read(desk.find(name)).manifest for name in (old, new))
    found = (manifestdiff.closed_between if closed else manifestdiff.between)(was, now)
    if form is Form.JSON:
        typer.echo(json.dumps([manifests.difference_json(one) for one in found], indent=2))
    elif found:
        lists.show(context.out, manifests.differences(found))
    said = "nothing differs"
    if found:
        number = {change: sum(1 for one in found if one.change is change) for change in manifests.SIGNS}
        said = ", ".join(f"{number[change]:,} {change}" for change in manifests.SIGNS if number[change])
    context.err.print(said, highlight=False)
    raise typer.Exit(DRIFTED if found else CLEAN)


@manifest.command()
def verify(ctx: typer.Context, name: Name, key: Keys = None, form: Format = Form.TEXT) -> None:
    """Verify a manifest and the files beside it. Exit status 0 when a trusted key signed them, else 1."""
    from driftd.doors.report import manifests  # noqa: PLC0415  # costs --help a quarter of a second

    context = of(ctx)
    desk = context.house().trust()
    standing = desk.read(desk.find(name), key or [])
    if form is Form.JSON:
        typer.echo(json.dumps(manifests.as_json(standing), indent=2))
        raise typer.Exit(DRIFTED if standing.manifest.seal is None else CLEAN)
    if standing.manifest.seal is None:
        _complain(ctx, standing)
        raise typer.Exit(DRIFTED)
    context.out.print(manifests.verified(standing), highlight=False)


def _complain(ctx: typer.Context, standing: Standing) -> None:
    context = of(ctx)
    for style, word, text in (("bold red", "driftd: ", standing.said), ("bold", "next:   ", standing.hint)):
        if text:
            context.err.print(word, style=style, end="", highlight=False)
            context.err.print(printable(text), highlight=False, markup=False, soft_wrap=True)


@manifest.command()
def sign(
    ctx: typer.Context,
    name: Name,
    key: Annotated[
        list[Path] | None,
        typer.Option("--key", metavar="KEY", help="Sign with this private key (default: the configured one)."),
    ] = None,
    sequence: Annotated[
        int | None, typer.Option(min=1, help="Count it as this one of its image (default: one more than the last).")
    ] = None,
    add: Annotated[
        bool, typer.Option("--add", help="Add a signature to what is signed already: the next key, in a rotation.")
    ] = False,
    vouch: Annotated[
        bool,
        typer.Option("--vouch", help="Vouch for the server that a provisional manifest was read off: it was pristine."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Sign a manifest and everything of its image beside it, so that servers may be replaced because of it."""
    context = of(ctx)
    desk = context.house().trust()
    made = desk.sign(desk.find(name), key or [], sequence=sequence or 0, add=add, vouch=vouch)
    said = wording.signed(str(made.file), made.keys, made.sequence)
    if as_json:
        fields = {"keys": list(made.keys), "sequence": made.sequence, "subjects": dict(made.subjects)}
        tell(context, "sign", said, as_json=True, file=str(made.file), provisional=made.provisional, **fields)
        return
    context.out.print(said, highlight=False, markup=False)
    for subject, digest in sorted(made.subjects.items()):
        context.out.print(f"  {digest[:16]}  {printable(subject)}", highlight=False, markup=False)
    if made.provisional:
        context.err.print(wording.STILL_PROVISIONAL, highlight=False, markup=False, soft_wrap=True)


@manifest.command()
def keygen(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="Where the private key goes; the public one goes to FILE.pub.")],
    as_json: Json = False,
) -> None:
    """Make a pair of keys to sign with (Ed25519)."""
    context = of(ctx)
    made = context.house().trust().keygen(file)
    if as_json:
        said = f"{made.private} and {made.public} are made"
        tell(context, "keygen", said, as_json=True, private=made.private, public=made.public, key=made.id)
        return
    for line in (
        f"{made.private}: the private key, for whoever bakes; nobody else may read it",
        f"{made.public}: the public key {wording.short(made.id)}, for every driftd that is to trust it:",
        f"  trust: {{manifest_keys: [{made.public}]}}",
    ):
        context.out.print(line, highlight=False, markup=False, soft_wrap=True)
