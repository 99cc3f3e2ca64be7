"""Images for tests, made by other means than those that read them: tarfile, gzip, mke2fs, sfdisk, qemu-img."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import struct
import subprocess
import tarfile
import zlib
from collections.abc import Iterable
from pathlib import Path

from driftd.core.facts import Instance, Reach, Unseen
from driftd.core.fingerprint import Fingerprint
from driftd.edges.images.looker import UNPACKED_LIMIT, ImageLooker
from driftd.edges.images.program import DISK, OCI, Spec
from driftd.edges.local import LocalLooker, converse
from driftd.probe import wire
from driftd.probe.wire import Entry

MEDIA = "application/vnd.oci.image."
ANYTHING = Instance("image", "", "image")
MIB = 1024 * 1024


# --- looking ---------------------------------------------------------------------------------------------------------


def oci(path: Path, platform: str = "", limit: int = UNPACKED_LIMIT, **more) -> Fingerprint | Unseen:
    looker = ImageLooker(Spec(OCI, str(path), "", limit, platform), converse)
    return looker.look(ANYTHING, deadline_s=120, **more)


def disk(path: Path, limit: int = UNPACKED_LIMIT, partition=None, replay=False, **more) -> Fingerprint | Unseen:
    looker = ImageLooker(Spec(DISK, str(path), "", limit, "", partition, replay), converse)
    return looker.look(ANYTHING, deadline_s=120, **more)


def directory(path: Path | bytes, **more) -> Fingerprint | Unseen:
    return LocalLooker().look(Instance("tree", "", "", reach=Reach(root=os.fsdecode(path))), deadline_s=120, **more)


def seen(answer: Fingerprint | Unseen) -> dict[bytes, Entry]:
    assert isinstance(answer, Fingerprint), answer
    return {entry.path: entry for entry in answer.entries}


def refused(answer: Fingerprint | Unseen) -> str:
    """Why it was not seen: one sentence, and a hint with it."""
    assert isinstance(answer, Unseen), "it was taken for a whole one"
    assert answer.hint
    assert "\n" not in answer.reason
    assert len(answer.reason) < 400
    return answer.reason


# --- layers ----------------------------------------------------------------------------------------------------------


def member(name: str, content: bytes | None = None, **more) -> tuple[tarfile.TarInfo, bytes]:
    """A member of a layer: a file when there is content, else a directory, or what ``type`` says."""
    one = tarfile.TarInfo(name)
    one.type = tarfile.REGTYPE if content is not None else tarfile.DIRTYPE
    one.mode = 0o644 if content is not None else 0o755
    one.size = len(content or b"")
    for key, value in more.items():
        setattr(one, key, value)
    return one, content or b""


def link(name: str, target: str, **more) -> tuple[tarfile.TarInfo, bytes]:
    return member(name, type=tarfile.SYMTYPE, linkname=target, **more)


def hard(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    return member(name, type=tarfile.LNKTYPE, linkname=target)


def archive(members: Iterable[tuple[tarfile.TarInfo, bytes]], form: int = tarfile.PAX_FORMAT) -> bytes:
    into = io.BytesIO()
    with tarfile.open(fileobj=into, mode="w", format=form, errors="surrogateescape") as tar:
        for one, content in members:
            tar.addfile(one, io.BytesIO(content))
    return into.getvalue()


def packed(root: Path | bytes) -> bytes:
    """A directory as one layer, with its attributes, as the engines write it; sockets are left out."""
    root = os.fsdecode(root)

    def attributes(one: tarfile.TarInfo) -> tarfile.TarInfo:
        path = os.path.join(root, one.name)
        for name in os.listxattr(path, follow_symlinks=False):
            value = os.getxattr(path, name, follow_symlinks=False)
            one.pax_headers[f"SCHILY.xattr.{name}"] = value.decode("utf-8", "surrogateescape")
        return one

    into = io.BytesIO()
    with tarfile.open(fileobj=into, mode="w", format=tarfile.PAX_FORMAT, errors="surrogateescape") as tar:
        tar.add(root, arcname=".", filter=attributes)
    return into.getvalue()


# --- layouts ---------------------------------------------------------------------------------------------------------


class Layout:
    """An image layout in a directory, written file by file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "blobs/sha256").mkdir(parents=True)
        (path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')

    def blob(self, data: bytes, kind: str, **more) -> dict:
        digest = hashlib.sha256(data).hexdigest()
        (self.path / "blobs/sha256" / digest).write_bytes(data)
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data), **more}

    def document(self, value: dict, kind: str, **more) -> dict:
        return self.blob(json.dumps(value).encode(), kind, **more)

    def image(self, layers: Iterable[bytes], pack=gzip.compress, platform=("linux", "amd64"), **more) -> dict:
        """The descriptor of an image of these layers."""
        layers = list(layers)
        ids = [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]
        config = {"os": platform[0], "architecture": platform[1], "rootfs": {"type": "layers", "diff_ids": ids}}
        manifest = {
            "schemaVersion": 2,
            "config": self.document(config, MEDIA + "config.v1+json"),
            "layers": [self.blob(pack(layer), MEDIA + "layer.v1.tar+gzip") for layer in layers],
        }
        return self.document(manifest, MEDIA + "manifest.v1+json", **more)

    def index(self, *manifests: dict) -> Path:
        (self.path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": manifests}))
        return self.path


def layout(path: Path, *layers: bytes, pack=gzip.compress) -> Path:
    """A layout of one image."""
    made = Layout(path)
    return made.index(made.image(layers, pack))


# --- disks -----------------------------------------------------------------------------------------------------------


def run(*words: object, status: int = 0, **more) -> bytes:
    done = subprocess.run([str(word) for word in words], capture_output=True, check=False, **more)
    assert done.returncode == status, done.stderr.decode(errors="replace")
    return done.stdout


def file_system(path: Path, tree: Path | bytes, size: int = 32 * MIB, kind: str = "ext4", *options: str) -> Path:
    """A file system that holds a tree, and nothing else: lost+found is taken out."""
    with path.open("wb") as stream:
        stream.truncate(size)
    run("mke2fs", "-q", "-F", "-t", kind, *options, "-d", os.fsdecode(tree), path)
    run("debugfs", "-w", "-R", "rmdir /lost+found", path)
    return path


def put(disk: Path, offset: int, content: Path) -> None:
    """Write a file into a disk image."""
    with disk.open("r+b") as stream, content.open("rb") as source:
        stream.seek(offset)
        while piece := source.read(MIB):
            stream.write(piece)


def partitioned(path: Path, size: int, table: str, contents: dict[int, Path]) -> Path:
    """A disk with a partition table (of sfdisk's script) and file systems at offsets."""
    with path.open("wb") as stream:
        stream.truncate(size)
    run("sfdisk", "--quiet", path, input=table.encode())
    for offset, content in contents.items():
        put(path, offset, content)
    return path


def large_sectors(path: Path, content: Path) -> Path:
    """A disk with sectors of 4096 bytes and one partition at 1 MiB; by hand: sfdisk asks the device for its sectors."""
    sector, sectors = 4096, (content.stat().st_size + 4 * MIB) // 4096
    first, last = MIB // sector, MIB // sector + content.stat().st_size // sector - 1
    entry = bytes.fromhex("af3dc60f838472478e793d69d8477de4") + os.urandom(16) + struct.pack("<QQQ", first, last, 0)
    entries = entry.ljust(128, b"\0").ljust(128 * 128, b"\0")

    def header(at: int, other: int, table: int) -> bytes:
        rest = struct.pack("<QQQQ16sQIII", at, other, 6, sectors - 6, b"d" * 16, table, 128, 128, zlib.crc32(entries))
        blank = b"EFI PART" + struct.pack("<III", 0x10000, 92, 0) + bytes(4) + rest
        return blank[:16] + struct.pack("<I", zlib.crc32(blank)) + blank[20:]

    with path.open("wb") as stream:
        stream.truncate(sectors * sector)
        stream.seek(446)
        stream.write(struct.pack("<B3sB3sII", 0, b"\0\2\0", 0xEE, b"\xff\xff\xff", 1, sectors - 1))
        stream.seek(510)
        stream.write(b"\x55\xaa")
        stream.seek(sector)
        stream.write(header(1, sectors - 1, 2))
        stream.seek(2 * sector)
        stream.write(entries)
        stream.seek((sectors - 5) * sector)
        stream.write(entries)
        stream.seek((sectors - 1) * sector)
        stream.write(header(sectors - 1, 1, sectors - 5))
    put(path, MIB, content)
    return path


def without(entries: dict[bytes, Entry], *, flags: bool = True, sockets: bool = True) -> dict[bytes, Entry]:
    """What a format that has no flags or sockets can carry of a tree."""
    kept = {path: entry for path, entry in entries.items() if not (sockets and entry.kind == wire.SOCKET)}
    return {path: entry._replace(flags=0) for path, entry in kept.items()} if flags else kept
