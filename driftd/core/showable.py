"""Showable paths: the few files whose contents a finding may show. Of all others contents never leave the host."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from driftd.core.globs import Glob

# How the text is read, so that two of them can be compared by what they say; "text" is compared line by line.
FORMATS = (
    "crontab",
    "fstab",
    "group",
    "ini",
    "json",
    "keyvalue",
    "passwd",
    "sshd_config",
    "sysctl",
    "text",
    "toml",
    "unit",
    "yaml",
)


@dataclass(frozen=True, slots=True)
class Show:
    """``path`` says which files, ``format`` (of FORMATS) how they are read.

    ``secrets`` are globs over the names of fields whose values are taken out before the text leaves the host.
    """

    path: Glob
    format: str = "text"
    secrets: tuple[Glob, ...] = ()


def show_for(path: bytes, shows: Iterable[Show]) -> Show | None:
    """The first of ``shows`` that speaks of ``path``; None when its content may not be shown."""
    return next((show for show in shows if show.path.matches(path)), None)
