"""Files that a command writes: replaced whole, or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from driftd.core.errors import BadInput


def write(file: Path, data: bytes) -> None:
    """Replace ``file`` whole or not at all. Raises BadInput, also where something lies that is no file.

    Root can put a file in the place of ``/dev/null``, and the whole machine would miss it.
    """
    with writing(file) as stream:
        stream.write(data)


@contextmanager
def writing(file: Path) -> Iterator[IO[bytes]]:
    """A stream whose bytes take the place of ``file`` once the block ends well. Raises BadInput as ``write`` does."""
    if file.exists() and not file.is_file() and not file.is_dir():
        raise BadInput(f"cannot write {file}: it is no regular file", "name a file, which is made or replaced")
    made = None
    try:
        with tempfile.NamedTemporaryFile(dir=file.parent, prefix=f".{file.name}.", delete=False) as temporary:
            made = Path(temporary.name)
            yield temporary
            temporary.flush()
            os.fsync(temporary.fileno())
            made.chmod(0o644)
        made.replace(file)
        made = None
    except OSError as error:
        raise BadInput(f"cannot write {file}: {error.strerror}") from None
    finally:
        if made is not None:
            made.unlink(missing_ok=True)
