"""Files that a command writes: replaced whole, or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from driftd.core.errors import BadInput


def write(file: Path, data: bytes) -> None:
    """Replace ``file`` whole or not at all. Raises BadInput, also where something lies that is no file.

    Root can put a file in the place of ``/dev/null``, and the whole machine would miss it.
    """
    if file.exists() and not file.is_file() and not file.is_dir():
        raise BadInput(f"cannot write {file}: it is no regular file", "name a file, which is made or replaced")
    try:
        with tempfile.NamedTemporaryFile(dir=file.parent, prefix=f".{file.name}.", delete=False) as temporary:
            temporary.write(data)
            temporary.flush()
            os.fsync(temporary.fileno())
            Path(temporary.name).chmod(0o644)
        Path(temporary.name).replace(file)
    except OSError as error:
        raise BadInput(f"cannot write {file}: {error.strerror}") from None
