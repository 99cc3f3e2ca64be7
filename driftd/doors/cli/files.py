"""Files that a command writes: replaced whole, or not at all."""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from driftd.core.errors import BadInput


def write(file: Path, data: bytes, *, private: bool = False) -> None:
    """Replace ``file`` whole or not at all. Raises BadInput, also where something lies that is no file.

    ``private``: for its owner's eyes alone. Root can put a file in the place of ``/dev/null``, and the whole machine
    would miss it.
    """
    with writing(file, private=private) as stream:
        stream.write(data)


def ready(file: Path | None) -> None:
    """Look whether ``file`` could be written, before what takes long is done for nothing. Raises BadInput."""
    if file is None:
        return
    if file.is_dir():
        raise BadInput(f"cannot write {file}: it is a directory", "name a file, which is made or replaced")
    if file.exists() and not file.is_file():
        raise BadInput(f"cannot write {file}: it is no regular file", "name a file, which is made or replaced")
    if not file.parent.is_dir():
        said = f"cannot write {file}: the directory {file.parent} does not exist"
        raise BadInput(said, f"make it: mkdir -p {shlex.quote(str(file.parent))}")
    if not os.access(file.parent, os.W_OK | os.X_OK):
        raise BadInput(f"cannot write {file}: no right to write in {file.parent}", "name a file in another directory")


@contextmanager
def writing(file: Path, *, private: bool = False) -> Iterator[IO[bytes]]:
    """A stream whose bytes take the place of ``file`` once the block ends well. Raises BadInput as ``write`` does."""
    ready(file)
    made = None
    try:
        with tempfile.NamedTemporaryFile(dir=file.parent, prefix=f".{file.name}.", delete=False) as temporary:
            made = Path(temporary.name)
            yield temporary
            temporary.flush()
            os.fsync(temporary.fileno())
            made.chmod(0o600 if private else 0o644)
        made.replace(file)
        made = None
    except OSError as error:
        raise BadInput(f"cannot write {file}: {error.strerror}", "name a file on another disk or directory") from None
    finally:
        if made is not None:
            made.unlink(missing_ok=True)
