"""Copies of instances' root volumes: what of each differs from its image, file by file, while the instance runs on.

    DIR/roots/INSTANCE/SNAPSHOT.json    what it is; written last
    DIR/roots/INSTANCE/SNAPSHOT.data    the instance's upper directory, as overlayfs has it: laid over the image it is
                                        the root (docs/evidence.md)

Files that are written meanwhile may be torn, as on a server that is copied while it runs. They outlive the instance.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from driftd.core.errors import NoCapacity
from driftd.core.ports import Snapshot
from driftd.edges.providers.local.deployment import Deployment
from driftd.edges.providers.local.instance import Home
from driftd.edges.providers.local.snapshots import Shelf
from driftd.edges.providers.local.tools import run

SPARE_MB = 1024  # of disk that a copy leaves: an instance must not be able to fill its host by being examined


class LocalRoots:
    """``driftd.core.asides.RootCopying`` of a deployment of namespaces."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment

    def copy(self, instance_id: str, token: str) -> Snapshot:
        """See ``RootCopying.copy_root``."""
        shelf = self._shelf(instance_id)
        if known := self._known(shelf, token):
            return known
        home = Home(self._deployment, instance_id)
        with home.busy():
            if known := self._known(shelf, token):
                return known
            _refuse_what_has_no_room(home.path / "upper", self._deployment.root)
            shelf.folder.parent.mkdir(mode=0o700, exist_ok=True)
            return shelf.take(home.path / "upper", token)

    def all(self) -> Sequence[Snapshot]:
        """See ``RootCopying.root_copies``."""
        if not self._deployment.roots.is_dir():
            return []
        return [one for folder in sorted(self._deployment.roots.iterdir()) for one in self._shelf(folder.name).all()]

    def delete(self, copy_id: str) -> None:
        """See ``RootCopying.delete_root_copy``."""
        for one in self.all():
            if one.id == copy_id:
                self._shelf(one.volume_id).remove(copy_id)

    def _shelf(self, instance_id: str) -> Shelf:
        return Shelf(instance_id, self._deployment.roots / Path(instance_id).name)

    @staticmethod
    def _known(shelf: Shelf, token: str) -> Snapshot | None:
        return next((one for one in shelf.all() if one.token == token), None)


def _refuse_what_has_no_room(path: Path, root: Path) -> None:
    wanted = int(run("du", "-s", "--block-size=1M", "--", path, timeout_s=120).split()[0])
    free = shutil.disk_usage(root).free >> 20
    if free < wanted + SPARE_MB:
        raise NoCapacity(
            f"the disk of {root} has {free} MiB left, a copy of the root volume wants {wanted} and {SPARE_MB} spare",
            "make room there",
        )
