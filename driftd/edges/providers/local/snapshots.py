"""Snapshots of one volume: whole copies beside it.

    DIR/volumes/ID/snapshots/SNAPSHOT.json    what it is; written last, so that what has one is whole
    DIR/volumes/ID/snapshots/SNAPSHOT.data    the copy: a disk or a directory

Nobody mounts them; putting one back is a person's work (docs/providers.md).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from driftd.core.ports import Snapshot
from driftd.edges.providers.local import filesystem
from driftd.edges.providers.local.instance import remove_tree
from driftd.edges.providers.local.tools import read_json, write_json


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where the snapshots of one volume are kept; call what changes something with the volume's lock held."""

    volume_id: str
    folder: Path

    def all(self) -> Sequence[Snapshot]:
        """Every whole one, in no order."""
        if not self.folder.is_dir():
            return []
        found = [read_json(path) for path in self.folder.glob("*.json")]
        return [
            Snapshot(one["id"], self.volume_id, one["token"], datetime.fromisoformat(one["at"]), one["filesystem"])
            for one in found
            if one is not None
        ]

    def take(self, disk: Path, token: str) -> Snapshot:
        """Copy ``disk``, which nobody has mounted. What an earlier try left half done goes first."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        for left in self.folder.glob("*.data"):
            if not left.with_suffix(".json").exists():
                remove_tree(left)
        made = Snapshot(
            f"snap-{hashlib.sha256(token.encode()).hexdigest()[:16]}",
            self.volume_id,
            token,
            datetime.now(UTC),
            filesystem.identities([disk])[disk],
        )
        draft = self.folder / f"{made.id}.data"
        try:
            filesystem.copy(disk, draft)
        except BaseException:
            remove_tree(draft)  # half a copy on a full disk is the last thing that is needed there
            raise
        body = {"id": made.id, "token": token, "at": made.at.isoformat(), "filesystem": made.filesystem}
        write_json(self.folder / f"{made.id}.json", body)
        return made

    def remove(self, snapshot_id: str) -> None:
        """Its record first: what is cut off here is swept by the next one that is taken."""
        (self.folder / f"{snapshot_id}.json").unlink(missing_ok=True)
        remove_tree(self.folder / f"{snapshot_id}.data")
