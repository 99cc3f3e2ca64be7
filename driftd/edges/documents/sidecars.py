"""Sidecars on disk, beside the manifests: read once, and only what the manifest's signature covers, if it has one."""

from __future__ import annotations

from pathlib import Path

from driftd.core import sidecar
from driftd.core.errors import BadInput
from driftd.core.facts import Unseen
from driftd.core.manifest import Manifest
from driftd.core.sidecar import Sidecar
from driftd.edges.documents.files import read
from driftd.edges.documents.names import SIDECAR, file_name, files_beside, files_of

SIZE_LIMIT = 2 * sidecar.TOTAL_LIMIT
_AGAIN = "bake the image again, or remove the sidecar: then nothing of what files said is shown"


class SidecarDirectory:
    """``Sidecars`` over a directory of manifests; with ``manifest``, the one beside that file."""

    def __init__(self, directory: Path, manifest: Path | None = None) -> None:
        self._directory = directory
        self._manifest = manifest
        self._known: dict[str, tuple[tuple[int, int, int], str, Sidecar | Unseen]] = {}

    def for_manifest(self, manifest: Manifest) -> Sidecar | Unseen | None:
        """See ``Sidecars.for_manifest``: the same object for as long as the file stays as it is."""
        files = files_beside(self._manifest) if self._manifest else files_of(self._directory, manifest.image)
        try:
            found = files.sidecar.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            return Unseen(f"{files.sidecar} cannot be read: {error.strerror}")
        stamp = (found.st_ino, found.st_size, found.st_mtime_ns)
        statement = manifest.seal.statement if manifest.seal else ""
        known = self._known.get(manifest.image)
        if known is None or known[:2] != (stamp, statement):
            known = (stamp, statement, _load(files.sidecar, manifest))
            self._known[manifest.image] = known
        return known[2]


def _load(file: Path, manifest: Manifest) -> Sidecar | Unseen:
    try:
        data = read(file, SIZE_LIMIT + 1)
    except OSError as error:
        return Unseen(f"{file} cannot be read: {error.strerror}")
    if manifest.seal and (why := manifest.seal.uncovered(file_name(manifest.image, SIDECAR), data)):
        return Unseen(f"{file} is not used: {why}", _AGAIN)
    try:
        made = sidecar.decode(data)
    except BadInput as error:
        return Unseen(f"{file} is not used: {error}", _AGAIN)
    if made.image != manifest.image:
        return Unseen(f"{file} is not used: it is of another image", _AGAIN)
    return made
