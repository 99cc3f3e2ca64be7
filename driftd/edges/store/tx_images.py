"""The part of a transaction about images: the newest manifest that was seen of each."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import bindparam, select

from driftd.core.seal import SeenManifest
from driftd.edges.store.statements import Statements, values_of
from driftd.edges.store.tables import MANIFEST

_MANIFESTS = select(MANIFEST).order_by(MANIFEST.c.image)
_MANIFEST = select(MANIFEST).where(MANIFEST.c.image == bindparam("image"))


class ImagesPart(Statements):
    """``Tx`` for manifests."""

    def manifest_seen(self, image: str) -> SeenManifest | None:
        row = self.one(_MANIFEST, image=image)
        return SeenManifest(**row) if row else None

    def manifests_seen(self) -> Sequence[SeenManifest]:
        """By image."""
        return [SeenManifest(**row) for row in self.rows(_MANIFESTS)]

    def see_manifest(self, seen: SeenManifest) -> None:
        """Remember it, unless a newer one is remembered."""
        known = self.manifest_seen(seen.image)
        if known is None or known.sequence < seen.sequence:
            self.put(MANIFEST, values_of(seen))
