"""Manifests on disk: one file an image, found by the image's id, read once and shared by all who ask."""

from __future__ import annotations

import os
import tempfile
import threading
from pathlib import Path

from driftd.core import manifesttext, wording
from driftd.core.errors import BadInput
from driftd.core.facts import Unseen
from driftd.core.manifest import Manifest
from driftd.edges.documents.names import file_name

SUFFIX = ".manifest"
SIZE_LIMIT = 1024 * 1024 * 1024
_Stamp = tuple[int, int, int]


def load_manifest(file: Path) -> Manifest:
    """The manifest in ``file``. Raises BadInput with file, line and reason."""
    return _parse(_read(file), file)


class ManifestDirectory:
    """``Manifests`` over a directory. A file is read again when its inode, size or time of change is another."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._known: dict[str, tuple[_Stamp, Manifest | Unseen]] = {}
        self._lock = threading.Lock()

    def path_for(self, image: str) -> Path:
        """The file of ``image``, called after its id."""
        return self._directory / file_name(image, SUFFIX)

    def for_image(self, image: str) -> Manifest | Unseen:
        """See ``Manifests.for_image``: the same object for as long as the file stays as it is."""
        file = self.path_for(image)
        with self._lock:
            try:
                found = file.stat()
            except FileNotFoundError:
                self._known.pop(image, None)
                return Unseen(wording.no_manifest(image), wording.bake_hint(image, str(file)))
            except OSError as error:
                return Unseen(f"the manifest of {image} cannot be read: {error.strerror} ({file})")
            stamp = (found.st_ino, found.st_size, found.st_mtime_ns)
            known = self._known.get(image)
            if known is None or known[0] != stamp:
                known = (stamp, self._load(file, image))
                self._known[image] = known
            return known[1]

    def put(self, made: Manifest) -> Path:
        """Write ``made`` where ``for_image`` finds it, whole or not at all. Raises BadInput when the disk refuses."""
        file = self.path_for(made.image)
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            _write(file, manifesttext.encode(made))
        except OSError as error:
            raise BadInput(f"{file}: cannot be written: {error.strerror}") from None
        return file

    @staticmethod
    def _load(file: Path, image: str) -> Manifest | Unseen:
        try:
            found = load_manifest(file)
        except BadInput as error:
            return Unseen(str(error), error.hint)
        if found.image != image:
            return Unseen(wording.other_manifest(str(file), found.image, image), wording.bake_hint(image, str(file)))
        return found


def _read(file: Path) -> bytes:
    try:
        if file.stat().st_size > SIZE_LIMIT:
            raise BadInput(f"{file} is larger than a manifest may be ({SIZE_LIMIT} bytes)")
        return file.read_bytes()
    except OSError as error:
        raise BadInput(f"{file}: cannot be read: {error.strerror}") from None


def _parse(data: bytes, file: Path) -> Manifest:
    try:
        return manifesttext.decode(data)
    except BadInput as error:
        raise BadInput(wording.damaged_manifest(str(file), str(error)), error.hint) from None


def _write(file: Path, data: bytes) -> None:
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
