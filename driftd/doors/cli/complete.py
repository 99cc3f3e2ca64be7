"""What a shell completes: names that the store knows. Quick, and never an error."""

from __future__ import annotations

import typer

from driftd.core.errors import DriftdError
from driftd.doors.cli.app import of


def instances(ctx: typer.Context, incomplete: str) -> list[str]:
    """Ids, slots and groups."""
    return _names(ctx, ("instances", "slots", "groups"), incomplete)


def groups(ctx: typer.Context, incomplete: str) -> list[str]:
    """Groups."""
    return _names(ctx, ("groups",), incomplete)


def one_instance(ctx: typer.Context, incomplete: str) -> list[str]:
    """Ids and slots."""
    return _names(ctx, ("instances", "slots"), incomplete)


def replacements(ctx: typer.Context, incomplete: str) -> list[str]:
    """Ids of open replacements, and their slots."""
    return _names(ctx, ("replacements", "replaced"), incomplete)


def subjects(ctx: typer.Context, incomplete: str) -> list[str]:
    """What the journal may be asked about: instances and replacements."""
    return _names(ctx, ("replacements", "instances"), incomplete)


def findings(ctx: typer.Context, incomplete: str) -> list[str]:
    """Numbers and signatures of open findings."""
    return _names(ctx, ("signatures", "numbers"), incomplete)


def explainable(ctx: typer.Context, incomplete: str) -> list[str]:
    """Whatever can be explained."""
    return _names(ctx, ("signatures", "numbers", "instances", "slots"), incomplete)


def _names(ctx: typer.Context, kinds: tuple[str, ...], incomplete: str) -> list[str]:
    try:
        context = of(ctx)
        config = ctx.find_root().params.get("config")
        names = context.names(config, kinds)
        return [name for name in names if name.startswith(incomplete)]
    except (DriftdError, OSError):  # what cannot be completed must not write over what somebody types
        return []
