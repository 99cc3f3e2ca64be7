"""A journal's newest checkpoint on disk, signed where this driftd has a key."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from driftd.core import checkpoint, dsse
from driftd.core.dsse import Envelope, Signature
from driftd.core.errors import BadInput
from driftd.edges.documents.files import open_file, read, write
from driftd.edges.documents.signkeys import PublicKey, load_signing


class CheckpointFile:
    """``core.checkpoint.CheckpointPlace``: one file, replaced whole. ``key`` None: nobody signs."""

    def __init__(self, file: Path, key: Path | None) -> None:
        self.file = file
        self.key = key

    def seal(self, statement: bytes) -> bytes:
        """See ``CheckpointPlace.seal``."""
        if self.key is None:
            return statement + b"\n"
        key = load_signing(self.key)
        signature = Signature(key.id, key.sign(dsse.pae(statement)))
        return dsse.encode(Envelope(statement, (signature,)))

    def read(self) -> bytes | None:
        """See ``CheckpointPlace.read``."""
        return _read(self.file)

    def write(self, text: bytes) -> None:
        """See ``CheckpointPlace.write``. Its directory is made."""
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            write(self.file, text)
        except OSError as error:
            raise BadInput(
                f"{self.file}: the checkpoint cannot be written: {error.strerror}",
                "name a directory where driftd may write under journal: checkpoints",
            ) from None


def load_checkpoint(file: Path) -> bytes:
    """The text of a checkpoint's file. Raises BadInput."""
    found = _read(file)
    if found is None:
        raise BadInput(f"{file}: there is no such file", "make one with: driftd journal checkpoint")
    return found


@contextmanager
def lines_of(file: Path, most: int) -> Iterator[Iterator[bytes]]:
    """The lines of a file, with their line feeds; one longer than ``most`` comes in pieces. Raises BadInput."""
    try:
        with os.fdopen(open_file(file), "rb") as stream:
            yield iter(lambda: stream.readline(most), b"")
    except OSError as error:
        raise BadInput(f"{file}: cannot be read: {error.strerror}", "is this the right file?") from None


def verifiers(keys: list[PublicKey]) -> checkpoint.Verifiers:
    """Public keys, as core asks them."""
    return {key.id: key.verifies for key in keys}


def _read(file: Path) -> bytes | None:
    try:
        return read(file, checkpoint.SIZE_LIMIT + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BadInput(f"{file}: the checkpoint cannot be read: {error.strerror}", "look at that file") from None
