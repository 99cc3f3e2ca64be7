"""Showing: of what differs, the contents that a pack lists as showable, held against those that bake kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from driftd.core import shown
from driftd.core.asks import Ask
from driftd.core.difference import Difference
from driftd.core.facts import Unseen
from driftd.core.fingerprint import Fingerprint
from driftd.core.manifest import Manifest
from driftd.core.policy import Policy
from driftd.core.ports import Sidecars
from driftd.core.shown import Differ, Exhibit, Shown


@dataclass(frozen=True, slots=True)
class Showing:
    """Where baked texts come from, and who compares them."""

    sidecars: Sidecars
    differ: Differ

    def asks(self, differences: Sequence[Difference], policy: Policy) -> list[Ask]:
        """What to ask of an instance so that it can be shown."""
        return shown.asks(differences, policy.shows)

    def exhibits(
        self, manifest: Manifest, fingerprint: Fingerprint, differences: Sequence[Difference], policy: Policy
    ) -> dict[bytes, Exhibit]:
        """By path, what can be shown of the differences."""
        there = shown.answered(fingerprint.answers, policy.shows)
        baked = self.baked(manifest)
        return {
            one.subject: made
            for one in differences
            if one.kind == "file" and (made := shown.exhibit(one, baked, there, self.differ)) is not None
        }

    def baked(self, manifest: Manifest) -> Mapping[bytes, Shown]:
        """The texts that bake kept; none where there is no sidecar, or one that is not to be trusted."""
        sidecar = self.sidecars.for_manifest(manifest)
        return {} if sidecar is None or isinstance(sidecar, Unseen) else sidecar.files


def cosmetic(exhibits: Mapping[bytes, Exhibit]) -> frozenset[bytes]:
    """The files that say what they said."""
    return frozenset(path for path, made in exhibits.items() if made.comparison.cosmetic)
