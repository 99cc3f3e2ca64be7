"""A running instance's root disk, read from a snapshot by the EBS direct APIs: no volume is made, nothing is attached.

Of an instance whose image's own snapshot is kept here (``BaseDisks``) only the blocks are read that differ from it:
ListChangedBlocks compares snapshots of one volume and what was made from them ("View information about Amazon EBS
snapshots using EBS direct APIs", Amazon EBS User Guide). Where AWS does not compare them, all blocks are read.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError

from driftd.core.errors import NoCapacity, NotFound, ProviderError, Refused, Unavailable
from driftd.core.wording import printable
from driftd.edges.providers.aws import names
from driftd.edges.providers.aws.basedisks import BaseDisks, copied
from driftd.edges.providers.aws.cloud import Cloud
from driftd.edges.providers.aws.instances import Instances
from driftd.edges.providers.aws.roots import root_volume

BLOCK = 512 * 1024  # bytes; EBS direct knows no other size
SPARE = 1 << 30  # bytes that reading a disk leaves free
AT_ONCE = 8
TRIES = 3  # for a block whose bytes are not what its checksum says, or that broke off
EXPIRE = timedelta(hours=12)  # of a snapshot whose reader was ended
_WAIT_S, _POLL_S, _SLOWEST_S = 3600.0, 1.0, 15.0


@dataclass(frozen=True, slots=True)
class _Listed:
    """Blocks to read, each with its token, "" where there is nothing in it any more; and how large the disk is."""

    blocks: Mapping[int, str]
    size: int


class AwsDisks:
    """Implements ``DiskReading``."""

    def __init__(self, cloud: Cloud, instances: Instances, base: BaseDisks) -> None:
        self._cloud = cloud
        self._instances = instances
        self._base = base
        self.wait_s, self.poll_s = _WAIT_S, _POLL_S

    def read_root(self, instance_id: str, token: str, into: Path, limit: int) -> str:
        """See ``DiskReading.read_root``."""
        if into.exists():
            raise Refused(f"{into} is there already", "name a new file")
        raw, snapshot = self._instances.raw(instance_id), ""
        try:
            snapshot = self._taken(raw, token)
            self._await(snapshot)
            return self._read(snapshot, str(raw.get("ImageId", "")), into, limit)
        except NotFound as error:
            into.unlink(missing_ok=True)
            raise Unavailable(f"what is read of {instance_id} is gone: {error}", "did somebody delete it?") from error
        except BaseException:
            into.unlink(missing_ok=True)
            raise
        finally:
            self._gone(snapshot, token)

    def read_snapshot(self, name: str, into: Path, limit: int) -> str:
        """See ``SnapshotReading.read_snapshot``: ``snap-…``, or the root disk of ``ami-…``."""
        if into.exists():
            raise Refused(f"{into} is there already", "name a new file")
        snapshot = self._snapshot_of(name) if name.startswith("ami-") else name
        if not snapshot:
            raise NotFound(f"there is no image {name} whose root is a snapshot", "is it of this account and region?")
        try:
            listed = self._all(snapshot, limit)
            self._filled(snapshot, listed, into)
        except BaseException:
            into.unlink(missing_ok=True)
            raise
        return f"all {len(listed.blocks)} blocks of {snapshot} were read"

    def tidy_reads(self) -> Sequence[str]:
        """See ``DiskReading.tidy_reads``."""
        now, gone = datetime.now(UTC), []
        for one in self._made():
            if _expires(one) <= now:
                self._delete(one["SnapshotId"])
                gone.append(str(one["SnapshotId"]))
        return gone

    # --- the snapshot ---

    def _taken(self, raw: Mapping[str, Any], token: str) -> str:
        """A snapshot of the root volume as it is now; AWS copies the blocks by itself."""
        tags = {
            names.TAG_DEPLOYMENT: self._cloud.settings.deployment,
            names.TAG_READ: str(raw["InstanceId"]),
            names.TAG_TOKEN: token,
            names.TAG_EXPIRES: (datetime.now(UTC) + EXPIRE).isoformat(timespec="seconds"),
        }
        made = self._cloud.do(
            "ec2",
            "create_snapshot",
            VolumeId=root_volume(raw),
            Description=f"driftd: read from outside, of {raw['InstanceId']}",
            TagSpecifications=names.tagged(["snapshot"], tags),
        )
        return str(made["SnapshotId"])

    def _await(self, snapshot: str) -> None:
        """Until all of it is copied: what is pending cannot be read."""
        until, pause = time.monotonic() + self.wait_s, self.poll_s
        while not self._whole(snapshot):
            if time.monotonic() > until:
                raise Unavailable(f"the snapshot {snapshot} was not whole within {self.wait_s:g} s", "try later")
            time.sleep(pause)
            pause = min(pause * 1.5, _SLOWEST_S)

    def _whole(self, snapshot: str) -> bool:
        found = self._cloud.ask("ec2", "describe_snapshots", SnapshotIds=[snapshot])["Snapshots"]
        if not found:
            raise Unavailable(f"the snapshot {snapshot} is gone", "did somebody delete it?")
        if found[0]["State"] == "error":
            why = printable(str(found[0].get("StateMessage", "")))[:200]
            raise Unavailable(f"the snapshot {snapshot} failed{f': {why}' if why else ''}", "try later")
        return bool(found[0]["State"] == "completed")

    def _gone(self, snapshot: str, token: str) -> None:
        """Delete it; where nobody knows whether it was made, whatever carries the token. What is left is swept."""
        with suppress(ProviderError):
            for one in [snapshot] if snapshot else [str(one["SnapshotId"]) for one in self._made(token)]:
                self._delete(one)

    def _delete(self, snapshot: str) -> None:
        with suppress(NotFound):
            self._cloud.do("ec2", "delete_snapshot", SnapshotId=snapshot)

    def _made(self, token: str = "") -> list[dict[str, Any]]:
        filters = names.owned(self._cloud.settings.deployment, names.TAG_READ)
        filters += names.wanted({names.TAG_TOKEN: token}) if token else []
        return list(self._cloud.pages("ec2", "describe_snapshots", "Snapshots", OwnerIds=["self"], Filters=filters))

    # --- what is in it ---

    def _read(self, snapshot: str, image: str, into: Path, limit: int) -> str:
        base, why = self._based(image, limit) if self._base.kept else ("", "")
        if base:
            try:
                changed = self._changed(base, snapshot, limit)
            except (Refused, NotFound) as error:
                why = f"AWS does not compare it with its image's: {error}"
            else:
                self._filled(snapshot, changed, into, self._base.used(base))
                return f"{len(changed.blocks)} blocks of {snapshot} that differ from its image's {base} were read"
        whole = self._all(snapshot, limit)
        self._filled(snapshot, whole, into)
        return f"all {len(whole.blocks)} blocks of {snapshot} were read{f' ({why})' if why else ''}"

    def _based(self, image: str, limit: int) -> tuple[str, str]:
        """The image's own snapshot, its disk kept here from now on; or why there is none."""
        try:
            base = self._snapshot_of(image)
            if base and not self._base.has(base):
                self._base.keep(base, lambda into: self._filled(base, self._all(base, limit), into))
        except ProviderError as error:
            return "", f"the disk of its image could not be kept: {error}"
        return (base, "") if base and self._base.has(base) else ("", "its image has no disk that could be kept")

    def _snapshot_of(self, image: str) -> str:
        """The snapshot that an AMI's root disk is made from; "" where nobody knows it any more."""
        try:
            found = self._cloud.ask("ec2", "describe_images", ImageIds=[image])["Images"]
        except NotFound:
            return ""
        for one in found:
            for device in one.get("BlockDeviceMappings", ()):
                if device.get("DeviceName") == one.get("RootDeviceName"):
                    return str(device.get("Ebs", {}).get("SnapshotId", ""))
        return ""

    def _all(self, snapshot: str, limit: int) -> _Listed:
        def page(more: dict[str, Any]) -> dict[str, Any]:
            return self._cloud.ask("ebs", "list_snapshot_blocks", SnapshotId=snapshot, **more)

        return _listed(snapshot, limit, page, "Blocks", "BlockToken")

    def _changed(self, base: str, snapshot: str, limit: int) -> _Listed:
        def page(more: dict[str, Any]) -> dict[str, Any]:
            return self._cloud.ask(
                "ebs", "list_changed_blocks", FirstSnapshotId=base, SecondSnapshotId=snapshot, **more
            )

        return _listed(snapshot, limit, page, "ChangedBlocks", "SecondBlockToken")

    def _filled(self, snapshot: str, listed: _Listed, into: Path, base: Path | None = None) -> None:
        """Write the disk: what lies beneath, and these blocks over it."""
        _fits(snapshot, listed, into, base)
        try:
            copied(base, into)
            with into.open("rb+") as disk, ThreadPoolExecutor(AT_ONCE, thread_name_prefix="blocks") as pool:
                os.truncate(disk.fileno(), listed.size)

                def write(row: tuple[int, str]) -> None:
                    index, token = row
                    data = self._block(snapshot, index, token) if token else bytes(BLOCK)
                    os.pwrite(disk.fileno(), data, index * BLOCK)

                # A few at a time: what is read waits in no memory.
                rows = list(listed.blocks.items())
                for start in range(0, len(rows), AT_ONCE * 8):
                    list(pool.map(write, rows[start : start + AT_ONCE * 8]))
        except OSError as error:
            raise Unavailable(
                f"the disk of {snapshot} cannot be written here: {error.strerror}", "see the room"
            ) from error

    def _block(self, snapshot: str, index: int, token: str) -> bytes:
        """One block, its bytes what their checksum says."""
        for _ in range(TRIES):
            answer = self._cloud.ask(
                "ebs", "get_snapshot_block", SnapshotId=snapshot, BlockIndex=index, BlockToken=token
            )
            try:
                data: bytes = answer["BlockData"].read()
                wanted = base64.b64decode(answer.get("Checksum", ""), validate=True)
            except (BotoCoreError, binascii.Error):
                continue  # it broke off on its way
            if len(data) == BLOCK and hashlib.sha256(data).digest() == wanted:
                return data
        raise Unavailable(
            f"block {index} of {snapshot} came {TRIES} times otherwise than its checksum says",
            "try later: nothing that differs from its checksum is taken for the disk",
        )


def _listed(
    snapshot: str, limit: int, page: Callable[[dict[str, Any]], dict[str, Any]], key: str, token: str
) -> _Listed:
    """All pages of a list of blocks. Raises ``Refused`` for one that cannot be."""
    blocks: dict[int, str] = {}
    size = 0
    for answer in _pages(page):
        size = int(answer.get("VolumeSize", 0)) << 30
        if size > limit:
            raise Refused(f"the disk of {snapshot} has {size >> 30} GiB, and {limit >> 30} are allowed", "allow more")
        if int(answer.get("BlockSize", BLOCK)) != BLOCK:
            raise Refused(f"the blocks of {snapshot} have {answer['BlockSize']} bytes, and {BLOCK} are known")
        for one in answer.get(key, ()):
            index = int(one["BlockIndex"])
            if not 0 <= index * BLOCK < size:
                raise Refused(f"block {index} of {snapshot} lies beyond its end")
            blocks[index] = str(one.get(token, ""))
    if not size:
        raise Refused(f"AWS does not say how large {snapshot} is")
    return _Listed(blocks, size)


def _pages(page: Callable[[dict[str, Any]], dict[str, Any]]) -> Iterator[dict[str, Any]]:
    more: dict[str, Any] = {}
    while True:
        answer = page(more)
        yield answer
        if not answer.get("NextToken") or answer["NextToken"] == more.get("NextToken"):
            return
        more = {"NextToken": answer["NextToken"]}


def _fits(snapshot: str, listed: _Listed, into: Path, base: Path | None) -> None:
    wanted = len(listed.blocks) * BLOCK + (base.stat().st_blocks * 512 if base is not None else 0)
    free = shutil.disk_usage(into.parent).free
    if free < wanted + SPARE:
        raise NoCapacity(
            f"the disk of {snapshot} takes {wanted >> 20} MiB and {SPARE >> 20} spare, and {into.parent} has "
            f"{free >> 20}",
            "make room there",
        )


def _expires(raw: Mapping[str, Any]) -> datetime:
    """When it may be deleted; what nobody can read counts from when it was made."""
    said = names.tags_of(raw.get("Tags", ())).get(names.TAG_EXPIRES, "")
    with suppress(ValueError):
        at = datetime.fromisoformat(said)
        if at.tzinfo is not None:
            return at
    made: datetime = raw["StartTime"]
    return made + EXPIRE
