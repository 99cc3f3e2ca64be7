"""Sidecars on disk, beside the manifests: read once, and only what the manifest's signature covers, if it has one."""

from __future__ import annotations

from pathlib import Path

from driftd.core import sidecar
from driftd.core.errors import BadInput
from driftd.core.facts import Unseen
from driftd.core.manifest import Manifest
from driftd.core.sidecar import Sidecar
from driftd.edges.documents.beside import Beside
from driftd.edges.documents.names import SIDECAR, Files, file_name


class SidecarDirectory(Beside[Sidecar]):
    """``Sidecars`` over a directory of manifests; with ``manifest``, the one beside that file."""

    limit = 2 * sidecar.TOTAL_LIMIT
    again = "bake the image again, or remove the sidecar: then nothing of what files said is shown"

    @staticmethod
    def _file(files: Files) -> Path:
        return files.sidecar

    @staticmethod
    def _name(image: str) -> str:
        return file_name(image, SIDECAR)

    def _made(self, file: Path, manifest: Manifest, data: bytes) -> Sidecar | Unseen:
        try:
            made = sidecar.decode(data)
        except BadInput as error:
            return Unseen(f"{file} is not used: {error}", self.again)
        if made.image != manifest.image:
            return Unseen(f"{file} is not used: it is of another image", self.again)
        return made
