"""How this deployment writes manifests in other formats, and reads them."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from driftd.core import manifesttext
from driftd.core.errors import BadInput
from driftd.core.manifest import Manifest
from driftd.core.projection import Projection, Taken
from driftd.doors.desks.exports import ExportFormat, ImportFormat
from driftd.edges.documents.files import read
from driftd.edges.documents.names import SIZE_LIMIT
from driftd.edges.documents.refusals import too_large, unread
from driftd.edges.exports import cyclonedx, mtree, mtreeimport, spdx

_EPOCH = "SOURCE_DATE_EPOCH"


class Exporting:
    """Implements ``driftd.doors.desks.exports.ExportDesk``."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock

    def export(self, manifest: Manifest, form: ExportFormat) -> Projection:
        if form is ExportFormat.MTREE:
            return mtree.project(manifest)
        made = {ExportFormat.SPDX: spdx.project, ExportFormat.SPDX3: spdx.project3}.get(form, cyclonedx.project)
        return made(manifest, self._made_at(manifest))

    def _made_at(self, manifest: Manifest) -> datetime:
        """The time that the document states: of reproducible-builds.org's variable, of the signature, or now."""
        given = os.environ.get(_EPOCH, "")
        if given:
            try:
                return datetime.fromtimestamp(int(given), UTC)
            except (ValueError, OverflowError, OSError):
                raise BadInput(f"{_EPOCH}={given[:40]} is no time", "give seconds since 1970, or unset it") from None
        return manifest.seal.signed_at if manifest.seal else self._clock()

    def taken(self, file: Path, form: ImportFormat, image: str, *, partial: bool) -> Taken:
        del form  # there is one
        try:
            data = read(file, SIZE_LIMIT + 1)
        except OSError as error:
            raise unread(file, error) from None
        if len(data) > SIZE_LIMIT:
            raise too_large(file, SIZE_LIMIT, "what is read")
        try:
            taken = mtreeimport.take(data, image, partial=partial)
        except BadInput as error:
            raise BadInput(f"{file}: {error}", error.hint) from None
        manifesttext.proven(taken.manifest)
        return taken
