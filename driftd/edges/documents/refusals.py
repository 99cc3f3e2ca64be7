"""Files that cannot be read or written, as a person is told: which one, why, and what to do about it."""

from __future__ import annotations

import errno
from pathlib import Path

from driftd.core.errors import BadInput

_READ = {
    errno.ENOENT: "see that its name is right, and the directory it is in",
    errno.ENOTDIR: "see that its name is right, and the directory it is in",
    errno.EISDIR: "name a file in it",
    errno.EACCES: "let the user that runs driftd read it",
    errno.EPERM: "let the user that runs driftd read it",
}
_WRITE = {
    errno.ENOENT: "make its directory first",
    errno.ENOTDIR: "see that the directory it is in is one",
    errno.EISDIR: "name a file in it",
    errno.EACCES: "let the user that runs driftd write there, or name another place",
    errno.EPERM: "let the user that runs driftd write there, or name another place",
    errno.ENOSPC: "make room on its disk, or name another place",
}
_ELSE = "look at its disk, or name another place"


def unread(file: Path, error: OSError) -> BadInput:
    """``file`` could not be read."""
    return BadInput(f"{file}: cannot be read: {error.strerror}", _READ.get(error.errno or 0, _ELSE))


def unwritten(file: Path, error: OSError, what: str = "cannot be written") -> BadInput:
    """``file`` could not be written."""
    return BadInput(f"{file}: {what}: {error.strerror}", _WRITE.get(error.errno or 0, _ELSE))


def too_large(file: Path, limit: int, what: str) -> BadInput:
    """``file`` is larger than ``what`` may be, in bytes."""
    return BadInput(f"{file} is larger than {what} ({limit} bytes)", "see that it is the right file")
