"""An OCI image: its files found, its descriptors verified, its layers applied in their order.

Formats: OCI image specification v1.1 (layout, index, manifest, configuration), Docker's image manifest v2 schema 2,
which has the same shape, and what `docker save` writes. A layout is a directory or a tar archive of one.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, Field, ValidationError

from driftd.edges.images.errors import ImageError, shown
from driftd.edges.images.tarball import DIRECTORY, FILE, TarReader
from driftd.edges.images.unpacking import Part

DOCUMENT_LIMIT = 8 * 1024 * 1024  # bytes of an index, a manifest or a configuration
FILES_LIMIT = 100_000  # in an archive
LAYERS_LIMIT = 512  # the engines stop at 127
DEPTH_LIMIT = 4  # of indexes within indexes
CHOICES_LIMIT = 1000  # images in all indexes
_HEX = {"sha256": 64, "sha512": 128}
_CONFIGS = ("application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json")
_LAYERS = ("application/vnd.oci.image.layer.", "application/vnd.docker.image.rootfs.")
_ATTESTATION = "vnd.docker.reference.type"

Digest = Annotated[str, Field(pattern=r"^[a-z0-9]+:[0-9a-f]+$", max_length=200)]
Word = Annotated[str, Field(max_length=200)]


class _Platform(BaseModel):
    os: Word = ""
    architecture: Word = ""
    variant: Word = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part) or "unknown"


class _Descriptor(BaseModel):
    mediaType: Word = ""  # noqa: N815  # the format's names
    digest: Digest
    size: Annotated[int, Field(ge=0)]
    platform: _Platform | None = None
    annotations: dict[str, str] | None = None


class _Index(BaseModel):
    manifests: list[_Descriptor]


class _Manifest(BaseModel):
    config: _Descriptor
    layers: Annotated[list[_Descriptor], Field(max_length=LAYERS_LIMIT)]


class _RootFs(BaseModel):
    diff_ids: Annotated[list[Digest], Field(max_length=LAYERS_LIMIT)]


class _Config(_Platform):
    rootfs: _RootFs


class _Saved(BaseModel):
    """One image in the manifest.json that `docker save` writes."""

    Config: Word
    Layers: Annotated[list[Word], Field(max_length=LAYERS_LIMIT)]


class _SavedList(BaseModel):
    images: list[_Saved]


Document = TypeVar("Document", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Layer:
    """Where a layer's bytes are; ``digest`` is what they are to have (or ""), ``diff_id`` what they unpack to."""

    fd: int
    offset: int
    size: int
    digest: str
    diff_id: str

    def part(self) -> Part:
        """Its bytes, from the beginning."""
        return Part(self.fd, self.offset, self.size, self.digest.partition(":")[0] or "sha256")


class Files:
    """The files of a layout, by the names that it gives them: those of a directory, or of a tar archive of one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._members: dict[bytes, tuple[int, int]] | None = None
        self._fd = _open(path, directory=True)
        if not stat.S_ISDIR(os.fstat(self._fd).st_mode):
            self._members = _members(self._fd)

    def find(self, name: str) -> tuple[int, int, int] | None:
        """Descriptor, offset and size of a file; None when there is none."""
        if self._members is not None:
            found = self._members.get(name.encode())
            return (self._fd, *found) if found else None
        try:
            fd = _open(self._path / name)
        except FileNotFoundError:
            return None
        return fd, 0, os.fstat(fd).st_size

    def document(self, name: str) -> bytes | None:
        """A small file whole; None when there is none."""
        found = self.find(name)
        if found is None:
            return None
        fd, offset, size = found
        if size > DOCUMENT_LIMIT:
            raise ImageError(f"{name} of the image has more than {DOCUMENT_LIMIT} bytes")
        return Part(fd, offset, size).read(size)

    def blob(self, digest: str, size: int, what: str) -> tuple[int, int, int]:
        """Where the blob of that digest is. Raises ImageError when it is missing or has another size."""
        algorithm, _, value = digest.partition(":")
        if _HEX.get(algorithm) != len(value):
            raise ImageError(f"{what} is named by a digest that is not read here: {digest}")
        found = self.find(f"blobs/{algorithm}/{value}")
        if found is None:
            raise ImageError(f"{what} is missing: there is no blob {digest}")
        if found[2] != size:
            raise ImageError(f"{what} has {found[2]} bytes and is to have {size}: blob {digest}")
        return found


def _open(path: Path, *, directory: bool = False) -> int:
    """A descriptor of a regular file, or of a directory; never one of what would wait or answer."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    mode = os.fstat(fd).st_mode
    if stat.S_ISREG(mode) or (directory and stat.S_ISDIR(mode)):
        return fd
    os.close(fd)
    raise ImageError(f"{path.name} is no file that could be part of an image")


def _members(fd: int) -> dict[bytes, tuple[int, int]]:
    """Offset and size of each file in the archive."""
    found: dict[bytes, tuple[int, int]] = {}
    stream = _Seeking(fd)
    head = os.pread(fd, 262, 0)
    if head[257:262] != b"ustar" and head[:1] in (b"\x1f", b"\x28", b"B", b"\xfd"):
        raise ImageError("the archive of the image is packed as a whole", "unpack it first: gunzip, unzstd")
    for member in TarReader(stream):
        if member.kind not in (FILE, DIRECTORY) or member.runs is not None:
            continue  # links of old tools, to layers that the manifest names itself
        name = b"/".join(part for part in member.name.split(b"/") if part not in (b"", b"."))
        found[name] = (member.offset, member.size)
        if len(found) > FILES_LIMIT:
            raise ImageError(f"the archive of the image holds more than {FILES_LIMIT} files")
    return found


class _Seeking:
    """A file from its beginning, as a stream that need not read what is passed over."""

    def __init__(self, fd: int) -> None:
        self._at = 0
        self._fd = fd
        self._size = os.fstat(fd).st_size

    def read(self, count: int, /) -> bytes:
        data = os.pread(self._fd, count, self._at)
        self._at += len(data)
        return data

    def skip(self, count: int, /) -> bool:
        self._at += count
        return self._at <= self._size


def layers(path: Path, platform: str) -> list[Layer]:
    """The layers of the one image at ``path`` that is for ``platform`` ("": the only one), the lowest first.

    Everything that leads to them is verified by its digest. Raises ImageError.
    """
    files = Files(path)
    index = files.document("index.json")
    if index is None:
        saved = files.document("manifest.json")
        if saved is None:
            raise ImageError("there is neither an index.json nor a manifest.json in it: it is no image", "is it one?")
        return _saved_layers(files, saved, platform)
    chosen = _chosen([*_choices(files, _read(_Index, index, "index.json"), 0)], platform)
    manifest, config = chosen.manifest, chosen.config
    if len(config.rootfs.diff_ids) != len(manifest.layers):
        raise ImageError("the image's configuration counts other layers than its manifest")
    made = []
    for number, (one, diff_id) in enumerate(zip(manifest.layers, config.rootfs.diff_ids, strict=True), 1):
        if one.mediaType and (not one.mediaType.startswith(_LAYERS) or one.mediaType.endswith("+encrypted")):
            raise ImageError(f"layer {number} is of a type that is not read here: {one.mediaType}")
        made.append(Layer(*files.blob(one.digest, one.size, f"layer {number}"), one.digest, diff_id))
    return made


@dataclass(frozen=True, slots=True)
class _Choice:
    digest: str
    platform: str
    manifest: _Manifest
    config: _Config


def _choices(files: Files, index: _Index, depth: int) -> Iterator[_Choice]:
    """Every image that an index leads to; what is signed of one, or says something about one, is none."""
    if depth > DEPTH_LIMIT or len(index.manifests) > CHOICES_LIMIT:
        raise ImageError(f"its index leads to more than {CHOICES_LIMIT} images, or deeper than {DEPTH_LIMIT} indexes")
    for descriptor in index.manifests:
        if _ATTESTATION in (descriptor.annotations or {}):
            continue
        data = _verified(files, descriptor, "a manifest")
        if b'"manifests"' in data and "manifest.v" not in descriptor.mediaType:
            yield from _choices(files, _read(_Index, data, "an index"), depth + 1)
            continue
        manifest = _read(_Manifest, data, "a manifest")
        if manifest.config.mediaType not in _CONFIGS:
            continue
        config = _read(_Config, _verified(files, manifest.config, "a configuration"), "a configuration")
        platform = str(descriptor.platform or config)
        yield _Choice(descriptor.digest, platform, manifest, config)


def _chosen(choices: list[_Choice], platform: str) -> _Choice:
    found = {one.digest: one for one in choices if not platform or f"{one.platform}/".startswith(f"{platform}/")}
    if len(found) == 1:
        return next(iter(found.values()))
    there = ", ".join(sorted({one.platform for one in choices})) or "none"
    if not found:
        said = f"no image for {platform}" if platform else "no image"
        raise ImageError(f"it holds {said}; there are: {shown(there.encode())}", "choose one of them with --platform")
    if len({one.platform for one in found.values()}) > 1:
        raise ImageError(f"it holds images for several platforms: {shown(there.encode())}", "choose with --platform")
    raise ImageError(
        f"it holds {len(found)} images for {shown(there.encode())}",
        "copy one of them out: skopeo copy oci:DIR:TAG oci:NEW",
    )


def _verified(files: Files, descriptor: _Descriptor, what: str) -> bytes:
    """The document of a descriptor, its digest verified."""
    fd, offset, size = files.blob(descriptor.digest, descriptor.size, what)
    if size > DOCUMENT_LIMIT:
        raise ImageError(f"{what} of the image has more than {DOCUMENT_LIMIT} bytes")
    algorithm, _, value = descriptor.digest.partition(":")
    part = Part(fd, offset, size, algorithm)
    data = part.read(size)
    if len(data) != size or part.digest.hexdigest() != value:
        raise ImageError(f"{what} does not have the digest that names it: {descriptor.digest}")
    return data


def _read(kind: type[Document], data: bytes, what: str) -> Document:
    try:
        return kind.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise ImageError(f"{what} of the image cannot be read: {shown(where.encode())}: {first['msg'][:100]}") from None


def _saved_layers(files: Files, saved: bytes, platform: str) -> list[Layer]:
    """The layers of the one image in an archive of `docker save`: verified by what they unpack to."""
    images = _read(_SavedList, b'{"images":' + saved + b"}", "manifest.json").images
    if len(images) != 1:
        raise ImageError(f"it holds {len(images)} images", "save one of them alone")
    image = images[0]
    document = files.document(image.Config)
    if document is None:
        raise ImageError("its configuration is missing")
    config = _read(_Config, document, "its configuration")
    if platform and not f"{config}/".startswith(f"{platform}/"):
        raise ImageError(f"it holds no image for {platform}; there is: {shown(str(config).encode())}")
    if len(config.rootfs.diff_ids) != len(image.Layers):
        raise ImageError("the image's configuration counts other layers than manifest.json")
    made = []
    for number, (name, diff_id) in enumerate(zip(image.Layers, config.rootfs.diff_ids, strict=True), 1):
        found = files.find(name)
        if found is None:
            raise ImageError(f"layer {number} is missing: there is no {shown(name.encode())}")
        made.append(Layer(*found, "", diff_id))
    return made
