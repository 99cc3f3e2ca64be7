"""EBS direct APIs as AWS documents them: a snapshot keeps the bytes its volume had, and two of one volume are compared.

https://docs.aws.amazon.com/ebs/latest/userguide/ebs-accessing-snapshot.html
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import hmac
import os
import re
import secrets
import struct
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from common import KNOBS, ApiError, bind, now
from matter import Busy
from moto.core.responses import ActionResult
from moto.ebs.models import ebs_backends
from moto.ebs.responses import EBSResponse
from moto.ec2.models import ec2_backends
from moto.ec2.models.elastic_block_store import EBSBackend, Snapshot
from world import World

BLOCK = 512 * 1024
EMPTY = bytes(BLOCK)
FEWEST, MOST = 100, 10_000
BLOCKS_LAST = dt.timedelta(days=7)  # a block token's life
PAGES_LAST = dt.timedelta(minutes=60)  # a page token's
IMAGE_OF = re.compile(r"Created by CreateImage\((i-[0-9a-f]+)\)")
_SECRET = secrets.token_bytes(32)


class Kept:
    """The bytes of one snapshot: a sparse file without a name, so that nothing is left of it, however we end."""

    def __init__(self, source: Path | None) -> None:
        self.digests: dict[int, bytes] = {}
        self.file = tempfile.TemporaryFile(prefix="driftd-snapshot-")  # noqa: SIM115 - lives as long as its snapshot
        if source is not None:
            with source.open("rb") as image:
                for index in _with_data(image.fileno()):
                    self._keep(index, os.pread(image.fileno(), BLOCK, index * BLOCK))

    def _keep(self, index: int, data: bytes) -> None:
        """Keep one block, unless there is nothing in it: a block that nobody wrote is in no list."""
        if data.rstrip(b"\0"):
            padded = data.ljust(BLOCK, b"\0")
            os.pwrite(self.file.fileno(), padded, index * BLOCK)
            self.digests[index] = hashlib.sha256(padded).digest()

    def read(self, index: int) -> bytes:
        """One block."""
        return os.pread(self.file.fileno(), BLOCK, index * BLOCK)


class Written:
    """The bytes of a snapshot that was written through StartSnapshot and PutSnapshotBlock, which moto keeps."""

    def __init__(self, blocks: dict[int, Any]) -> None:
        self.blocks = blocks
        self.digests = {index: hashlib.sha256(self.read(index)).digest() for index in blocks}

    def read(self, index: int) -> bytes:
        """One block."""
        data = self.blocks[index].block_data
        return (data if isinstance(data, bytes) else bytes(data)).ljust(BLOCK, b"\0")


def _with_data(descriptor: int) -> Iterator[int]:
    """The blocks of a file that may have something in them; holes are jumped over."""
    end, at = os.fstat(descriptor).st_size, 0
    while at < end:
        try:
            at = os.lseek(descriptor, at, os.SEEK_DATA)
        except OSError:  # only a hole is left
            return
        yield at // BLOCK
        at = (at // BLOCK + 1) * BLOCK


class Shots:
    """What is kept for each snapshot at the moment it is taken, and whose descendant it is."""

    def __init__(self, world: World, plain: Callable[..., Snapshot], copy: Callable[..., Snapshot]) -> None:
        self.world, self.plain, self.copy_plain = world, plain, copy

    def take(self, backend: Any, *said: Any, **more: Any) -> Snapshot:
        """A snapshot is of the moment in which it is asked for: later writes are not in it.

        https://docs.aws.amazon.com/ebs/latest/userguide/ebs-creating-snapshot.html
        """
        snapshot = self.plain(backend, *said, **more)
        volume = snapshot.volume
        if snapshot.from_ami:
            made = IMAGE_OF.match(snapshot.description or "")
            volume = _root(backend, made.group(1)) if made else None
        if volume is None or self.world.is_quiet:  # one of the images that moto brings: nobody has its bytes
            snapshot.driftd_lineage = snapshot.id
            return snapshot
        snapshot.driftd_lineage = lineage(backend, volume)
        snapshot.driftd_kept = Kept(self._image(volume, snapshot))
        return snapshot

    def copy(self, backend: Any, *said: Any, **more: Any) -> Snapshot:
        """A copy has the same blocks and is the first of its own line."""
        snapshot = self.copy_plain(backend, *said, **more)
        source_id = more.get("source_snapshot_id") or said[0]
        source_region = more.get("source_region") or said[1]
        source = ec2_backends[backend.account_id][source_region].snapshots[source_id]
        snapshot.driftd_lineage = snapshot.id
        snapshot.driftd_kept = getattr(source, "driftd_kept", None)
        return snapshot

    def _image(self, volume: Any, snapshot: Snapshot) -> Path | None:
        """The file that has the volume's bytes now: a knob's, or that of the matter; a volume may have none."""
        named = KNOBS["block_images"]
        found = named.get(volume.id) or named.get("*")
        if found is None:
            attached = volume.attachment
            of = (
                {"of": attached.instance.id}
                if attached and attached.device == attached.instance.root_device_name
                else {}
            )
            try:
                found = self.world.matter.ask("image", volume=volume.id, id=snapshot.id, **of).get("file")
            except Busy:
                return None
        return Path(found) if found else None


def _root(backend: Any, instance_id: str) -> Any:
    """An instance's root volume."""
    instance = backend.get_instance(instance_id)
    for device, block in instance.get_block_device_mapping:
        if device == instance.root_device_name:
            return backend.volumes.get(block.volume_id)
    return None


def lineage(backend: Any, volume: Any) -> str:
    """What a volume descends from: made from a snapshot it is of that one's line, else it begins its own.

    A root volume that came with an image is of the line of the image's snapshot.
    """
    origin = volume.snapshot_id
    attached = volume.attachment
    if not origin and attached and attached.device == attached.instance.root_device_name:
        image = backend.amis.get(attached.instance.image_id)
        origin = image.ebs_snapshot.id if image else None
    found = backend.snapshots.get(origin)
    return getattr(found, "driftd_lineage", origin) or volume.id


def _mac(what: str, tail: bytes) -> bytes:
    return hmac.new(_SECRET, what.encode() + b"\0" + tail, hashlib.sha256).digest()


def token(what: str, lasts: dt.timedelta, number: int = 0) -> str:
    """A token that is good for one thing and for a while; no two are alike."""
    tail = struct.pack(">dQ", (now() + lasts).timestamp(), number) + secrets.token_bytes(8)
    return base64.b64encode(tail + _mac(what, tail)).decode()


def number_in(given: str, what: str) -> int | None:
    """The number in a token for this; None where it is for something else, or too old."""
    try:
        raw = base64.b64decode(given, validate=True)
        until, number = struct.unpack(">dQ", raw[:16])
    except (binascii.Error, struct.error):
        return None
    good = hmac.compare_digest(raw[24:], _mac(what, raw[:24]))
    return int(number) if good and until > now().timestamp() else None


def wrong(reason: str, message: str, code: str = "ValidationException") -> ApiError:
    """An error of EBS direct: https://docs.aws.amazon.com/ebs/latest/APIReference/API_ListChangedBlocks.html."""
    error = ApiError(code, message)
    error.Reason, error.Message = reason, message
    return error


def _snapshot(self: Any, snapshot_id: str) -> tuple[Snapshot, Kept | Written | None]:
    """A complete snapshot and its bytes."""
    if not re.fullmatch(r"snap-[0-9a-f]+", snapshot_id):
        raise wrong("INVALID_SNAPSHOT_ID", f"The snapshot id {snapshot_id} is not valid.")
    snapshot = ec2_backends[self.current_account][self.region].snapshots.get(snapshot_id)
    if snapshot is None:
        text = f"The snapshot {snapshot_id} does not exist."
        raise wrong("SNAPSHOT_NOT_FOUND", text, "ResourceNotFoundException")
    written = ebs_backends[self.current_account][self.region].snapshots.get(snapshot_id)
    if written is not None:
        return snapshot, Written(written.blocks)
    if snapshot.status != "completed":
        raise wrong("INVALID_SNAPSHOT_ID", f"The snapshot {snapshot_id} is not completed.")
    return snapshot, getattr(snapshot, "driftd_kept", None)


def _digests(kept: Kept | Written | None) -> dict[int, bytes]:
    return kept.digests if kept else {}


def _window(self: Any, indexes: list[int], what: str) -> tuple[list[int], str | None]:
    """The blocks of one page: from StartingBlockIndex on, or where the page before ended; NextToken goes first."""
    size = int(self._get_param("MaxResults") or MOST)
    if not FEWEST <= size <= MOST:
        raise wrong("INVALID_PARAMETER_VALUE", f"MaxResults must be between {FEWEST} and {MOST}.")
    start = int(self._get_param("StartingBlockIndex") or 0)
    given = self._get_param("NextToken")
    if given:
        found = number_in(given, f"page {what}")
        if found is None:
            raise wrong("INVALID_PAGE_TOKEN", "The page token is not valid.")
        start = found
    rest = [one for one in indexes if one >= start]
    following = token(f"page {what}", PAGES_LAST, rest[size]) if len(rest) > size else None
    return rest[:size], following


def _good_for(snapshot_id: str, index: int) -> str:
    return f"block {snapshot_id} {index}"


def _listed(snapshot: Snapshot, key: str, rows: list[dict[str, Any]], following: str | None) -> ActionResult:
    """One page as both lists are answered."""
    answer = {
        key: rows,
        "ExpiryTime": now() + BLOCKS_LAST,
        "VolumeSize": int(snapshot.volume.size),
        "BlockSize": BLOCK,
        "NextToken": following,
    }
    return ActionResult(answer)


def list_snapshot_blocks(self: Any) -> ActionResult:
    """https://docs.aws.amazon.com/ebs/latest/APIReference/API_ListSnapshotBlocks.html."""
    one = self._get_param("SnapshotId")
    snapshot, kept = _snapshot(self, one)
    indexes, following = _window(self, sorted(_digests(kept)), one)
    rows = [{"BlockIndex": index, "BlockToken": token(_good_for(one, index), BLOCKS_LAST)} for index in indexes]
    return _listed(snapshot, "Blocks", rows, following)


def list_changed_blocks(self: Any) -> ActionResult:
    """https://docs.aws.amazon.com/ebs/latest/APIReference/API_ListChangedBlocks.html.

    A block has a token for each snapshot that has it. Without a first snapshot, every block of the second has changed.
    """
    first, second = self._get_param("FirstSnapshotId"), self._get_param("SecondSnapshotId")
    newer, kept = _snapshot(self, second)
    after, before = _digests(kept), {}
    if first:
        older, was = _snapshot(self, first)
        if older.driftd_lineage != newer.driftd_lineage:
            raise wrong("UNRELATED_SNAPSHOTS", f"{first} and {second} are not of the same volume or its descendants.")
        before = _digests(was)
    changed = sorted(index for index in before.keys() | after.keys() if before.get(index) != after.get(index))
    indexes, following = _window(self, changed, f"{first} {second}")
    rows = []
    for index in indexes:
        row: dict[str, Any] = {"BlockIndex": index}
        if index in before:
            row["FirstBlockToken"] = token(_good_for(first, index), BLOCKS_LAST)
        if index in after:
            row["SecondBlockToken"] = token(_good_for(second, index), BLOCKS_LAST)
        rows.append(row)
    return _listed(newer, "ChangedBlocks", rows, following)


def get_snapshot_block(self: Any) -> ActionResult:
    """https://docs.aws.amazon.com/ebs/latest/APIReference/API_GetSnapshotBlock.html: the SHA256 goes over the block."""
    one, index = self._get_param("SnapshotId"), int(self._get_param("BlockIndex"))
    _, kept = _snapshot(self, one)
    if number_in(self._get_param("BlockToken") or "", _good_for(one, index)) is None:
        raise wrong("INVALID_BLOCK_TOKEN", "The block token is not valid.")
    if kept is None or index not in kept.digests:
        raise wrong("INVALID_BLOCK", f"The snapshot {one} has no block {index}.")
    answer = {
        "DataLength": BLOCK,
        "BlockData": kept.read(index),
        "Checksum": base64.b64encode(kept.digests[index]).decode(),
        "ChecksumAlgorithm": "SHA256",
    }
    return ActionResult(answer)


def patch(world: World) -> None:
    """Put it all in the place of what moto has; StartSnapshot, PutSnapshotBlock and CompleteSnapshot stay moto's."""
    bind(world)
    shots = Shots(world, EBSBackend.create_snapshot, EBSBackend.copy_snapshot)
    EBSBackend.create_snapshot = lambda self, *said, **more: shots.take(self, *said, **more)  # noqa: PLW0108 - a bound method would not get the backend
    EBSBackend.copy_snapshot = lambda self, *said, **more: shots.copy(self, *said, **more)  # noqa: PLW0108 - a bound method would not get the backend
    for one in (list_snapshot_blocks, list_changed_blocks, get_snapshot_block):
        setattr(EBSResponse, one.__name__, one)
