"""Where settings find secrets that systemd keeps: ``credential:NAME`` in the place of a path (docs/service.md)."""

from __future__ import annotations

import os
from pathlib import Path

from driftd.core.errors import BadInput

CREDENTIAL = "credential:"
# Where systemd puts those of the daemon, for commands that a person runs beside it.
OF_THE_DAEMON = "/run/credentials/driftd.service"
# The unit loads a whole directory under this name, and systemd puts it before each file's own.
PREFIX = "driftd_"


def credential(name: str) -> Path:
    """The file of a credential; whether it is there is seen by whoever reads it. Raises BadInput for an odd name."""
    if not name or name in {".", ".."} or "/" in name or not name.isprintable():
        raise BadInput(f"{name!r} is no credential's name", "write credential: and the name alone, no path")
    directory = Path(os.environ.get("CREDENTIALS_DIRECTORY") or OF_THE_DAEMON)
    return next(filter(_is_there, (directory / name, directory / f"{PREFIX}{name}")), directory / name)


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # not for this user to know
        return False
