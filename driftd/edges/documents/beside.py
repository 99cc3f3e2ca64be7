"""Files beside a manifest, read for its image: once, for as long as file and signature stay the same."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Generic, TypeVar

from driftd.core.facts import Unseen
from driftd.core.manifest import Manifest
from driftd.edges.documents.files import read
from driftd.edges.documents.names import Files, files_beside, files_of

T = TypeVar("T")


class Beside(ABC, Generic[T]):
    """One kind of such files over a directory of manifests; with ``manifest``, the one beside that file."""

    limit: int  # bytes that are read of one
    again: str  # what to do about one that cannot be used

    def __init__(self, directory: Path, manifest: Path | None = None) -> None:
        self._directory = directory
        self._manifest = manifest
        self._known: dict[str, tuple[tuple[int, int, int], str, T | Unseen]] = {}

    def for_manifest(self, manifest: Manifest) -> T | Unseen | None:
        """What lies beside ``manifest``: the same object for as long as the file stays as it is. None: nothing."""
        file = self._file(files_beside(self._manifest) if self._manifest else files_of(self._directory, manifest.image))
        try:
            found = file.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            return Unseen(f"{file} cannot be read: {error.strerror}")
        stamp = (found.st_ino, found.st_size, found.st_mtime_ns)
        statement = manifest.seal.statement if manifest.seal else ""
        known = self._known.get(manifest.image)
        if known is None or known[:2] != (stamp, statement):
            known = (stamp, statement, self._load(file, manifest))
            self._known[manifest.image] = known
        return known[2]

    def _load(self, file: Path, manifest: Manifest) -> T | Unseen:
        try:
            data = read(file, self.limit + 1)
        except OSError as error:
            return Unseen(f"{file} cannot be read: {error.strerror}")
        if len(data) > self.limit:
            return Unseen(f"{file} is larger than a document may be ({self.limit} bytes)", self.again)
        if manifest.seal and (why := manifest.seal.uncovered(self._name(manifest.image), data)):
            return Unseen(f"{file} is refused: {why}", self.again)
        return self._made(file, manifest, data)

    @staticmethod
    @abstractmethod
    def _file(files: Files) -> Path:
        """Which of an image's files."""

    @staticmethod
    @abstractmethod
    def _name(image: str) -> str:
        """What a signature calls it."""

    @abstractmethod
    def _made(self, file: Path, manifest: Manifest, data: bytes) -> T | Unseen:
        """What its bytes say."""
