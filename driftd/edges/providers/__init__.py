"""Providers of instances, found by name among the entry points of group ``driftd.providers``: ours and strangers'."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points

from driftd.core.errors import BadInput
from driftd.core.ports import Provider

GROUP = "driftd.providers"


def names() -> list[str]:
    """The names of all installed providers. Imports none of them."""
    return sorted({entry.name for entry in entry_points(group=GROUP)})


def load(name: str, options: Mapping[str, object]) -> Provider:
    """Make the provider ``name``. Only this one is imported.

    ``options`` is ``{"name": the section's name, "settings": the section providers.NAME, "groups": {name: the group's
    section}}``.
    Raises ``BadInput`` when there is none of that name, when it cannot be imported, or when its options are wrong.
    """
    entry = next(iter(entry_points(group=GROUP, name=name)), None)
    if entry is None:
        raise BadInput(
            f"there is no provider {name!r} here; installed are: {', '.join(names())}",
            f"install the package that brings {name!r}, or correct the name",
        )
    try:
        factory = entry.load()
    except ImportError as error:
        raise BadInput(
            f"provider {name!r} ({entry.value}) cannot be imported: {error}", "install what its package needs"
        ) from error
    provider: Provider = factory(options)
    return provider
