"""``driftd bake``: the manifest of an image."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from driftd.doors.cli import done
from driftd.doors.cli.app import app, of
from driftd.doors.cli.done import Json
from driftd.doors.cli.files import ready
from driftd.doors.cli.lines import say
from driftd.doors.cli.progress import working
from driftd.doors.desks.baking import AUTO, Source

PROVISIONAL = ", provisional: nothing is replaced because of it until it is signed with --vouch"


@app.command()
def bake(
    ctx: typer.Context,
    *,
    image: Annotated[str, typer.Option(help="The image's id, as instances name it.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the manifest goes.")],
    root: Annotated[Path | None, typer.Option(help="Read this root directory.")] = None,
    host: Annotated[
        str,
        typer.Option(
            help="Read this pristine running server over SSH: a target, or [USER@]HOST[:PORT]. Marked provisional."
        ),
    ] = "",
    oci: Annotated[
        Path | None, typer.Option(help="Read this OCI image: an image layout, as a directory or archive.")
    ] = None,
    disk: Annotated[Path | None, typer.Option(help="Read this disk image, raw or qcow2.")] = None,
    snapshot: Annotated[
        str, typer.Option(help="Read this snapshot, or this image's, from the provider: snap-… or ami-… on AWS.")
    ] = "",
    platform: Annotated[
        str, typer.Option(help="With --oci: which of its images, as OS/ARCHITECTURE, or OS/ARCHITECTURE/VARIANT.")
    ] = "",
    partition: Annotated[
        int | None,
        typer.Option(min=1, help="With --disk and --snapshot: the partition that holds the root file system."),
    ] = None,
    replay_journal: Annotated[
        bool,
        typer.Option(
            "--replay-journal", help="With --disk and --snapshot: play a dirty journal back, onto a private copy."
        ),
    ] = False,
    unpacked_limit: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="GIB", help="With --oci, --disk and --snapshot: the most that the image may unpack to."
        ),
    ] = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(help="Policy packs or files that class its entries (default: auto).", show_default=False),
    ] = None,
    sign_with: Annotated[
        Path | None,
        typer.Option(metavar="KEY", help="Sign it with this private key (default: the configured one, if any)."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write the canonical manifest of an image: the same tree gives the same bytes."""
    context = of(ctx)
    limit = unpacked_limit << 30 if unpacked_limit else None
    source = Source(root, host, oci, disk, platform, partition, replay_journal, limit, snapshot)
    desk = context.house().baking()
    ready(output)
    with working(context.err, "baking") as tell:
        made = desk.bake(source, image, output, policy=policy or AUTO, sign_with=sign_with, tell=tell)
    lines = made.text.count(b"\n")
    said = f"{output}: {image}, {lines} lines{PROVISIONAL if made.provisional else ''}"
    if as_json:
        fields = {"lines": lines, "provisional": made.provisional, "notes": list(made.notes)}
        done.tell(context, "bake", said, as_json=True, file=str(output), image=image, **fields)
        return
    for sentence in (said, *made.notes):
        say(context.err, sentence)
