"""Files of documents: read with a bound and as nothing but files, written whole or not at all."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from pathlib import Path

_PIECE = 1024 * 1024


def read(file: Path, most: int) -> bytes:
    """The first ``most`` bytes. Raises OSError, also for what is no regular file: it could keep us waiting."""
    parts = []
    with os.fdopen(open_file(file), "rb") as stream:
        # Piece by piece: one read would first make room for as much as there may be, which small machines have not.
        while most and (part := stream.read(min(most, _PIECE))):
            parts.append(part)
            most -= len(part)
    return b"".join(parts)


def digest(file: Path) -> str | None:
    """The SHA-256 in hexadecimal digits; None where there is no such file. Raises OSError as ``read`` does."""
    try:
        with os.fdopen(open_file(file), "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError:
        return None


def open_file(file: Path) -> int:
    """A descriptor to read ``file`` by. Raises OSError, also for what is no regular file."""
    fd = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(0, "it is no regular file")
    return fd


def write(file: Path, data: bytes) -> None:
    """Replace ``file`` whole or not at all. Raises OSError, also where something lies that is no regular file."""
    if file.exists() and not file.is_file():  # root could put a file in the place of a device
        raise OSError(0, "it is no regular file")
    with tempfile.NamedTemporaryFile(dir=file.parent, prefix=f".{file.name[:64]}.", delete=False) as temporary:
        try:
            temporary.write(data)
            temporary.flush()
            os.fsync(temporary.fileno())
            Path(temporary.name).chmod(0o644)
            Path(temporary.name).replace(file)
        except OSError:
            Path(temporary.name).unlink(missing_ok=True)
            raise
