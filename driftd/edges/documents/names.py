"""How the files of an image are called."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

MANIFEST, ENVELOPE, OVERLAY, SIDECAR = ".manifest", ".manifest.dsse.json", ".overlay.yaml", ".sidecar"
SIZE_LIMIT = 1024 * 1024 * 1024  # bytes of a manifest
_NAME_LIMIT = 200


def file_name(image: str, suffix: str) -> str:
    """The image's id with everything but letters, digits and ``_.-~`` as ``%HH``, and ``suffix``.

    An id too long for a file name is cut, and told apart by its digest.
    """
    name = quote(image, safe="", errors="surrogateescape")
    if len(name) > _NAME_LIMIT:
        digest = hashlib.sha256(image.encode("utf-8", "surrogateescape")).hexdigest()
        name = f"{name[: _NAME_LIMIT - 65]}.{digest}"
    return name + suffix


@dataclass(frozen=True, slots=True)
class Files:
    """The files of one image, beside each other. Not all of them need be there."""

    manifest: Path
    envelope: Path
    overlay: Path
    sidecar: Path

    @property
    def all(self) -> tuple[Path, ...]:
        """Each of them."""
        return (self.manifest, self.envelope, self.overlay, self.sidecar)

    def signed(self, image: str) -> dict[str, Path]:
        """Those that a signature covers, by the names that it gives them: those of ``image``, wherever they lie."""
        pairs = ((MANIFEST, self.manifest), (OVERLAY, self.overlay), (SIDECAR, self.sidecar))
        return {file_name(image, suffix): file for suffix, file in pairs}


def files_of(directory: Path, image: str) -> Files:
    """The files of ``image`` in a directory of manifests."""
    return files_beside(directory / file_name(image, MANIFEST))


def files_beside(manifest: Path) -> Files:
    """The files that belong to a manifest, by its own file's name, which need not end in ``.manifest``."""
    stem = manifest.name.removesuffix(MANIFEST)
    return Files(
        manifest,
        manifest.with_name(stem + ENVELOPE),
        manifest.with_name(stem + OVERLAY),
        manifest.with_name(stem + SIDECAR),
    )
