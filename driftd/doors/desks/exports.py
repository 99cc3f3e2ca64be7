"""What the doors may ask about manifests in other formats: written as them, and made from them."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from driftd.core.manifest import Manifest
    from driftd.core.projection import Projection, Taken


class ExportFormat(StrEnum):
    """What a manifest can be written as."""

    MTREE = "mtree"
    SPDX = "spdx"
    SPDX3 = "spdx3"
    CYCLONEDX = "cyclonedx"


class ImportFormat(StrEnum):
    """What a manifest can be made from."""

    MTREE = "mtree"


class ExportDesk(Protocol):
    """Every method raises DriftdError with a sentence."""

    def export(self, manifest: Manifest, form: ExportFormat) -> Projection:
        """``manifest`` in that format, with what the format has no place for."""
        ...

    def taken(self, file: Path, form: ImportFormat, image: str, *, partial: bool) -> Taken:
        """The provisional manifest of ``image`` that ``file`` states; ``partial`` allows for entries that say less."""
        ...
