"""What a .deb holds: an ar archive of three members, of which control and data are compressed tars (deb(5)).

Read only once its digest is known to be the right one; bounded all the same. Nothing is unpacked to disk.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import tarfile
from collections.abc import Iterator
from typing import IO, Any, cast

from driftd.core.transactions.contents import Contents, Member
from driftd.probe import wire

SIZE_LIMIT = 2 * 1024**3  # bytes of a package, and eight times that of what it unpacks to
MEMBERS_LIMIT = 500_000
_CONTROL_LIMIT = 16 * 1024 * 1024
_AR = b"!<arch>\n"
_READ = 1 << 20
_KINDS = {
    tarfile.REGTYPE: wire.FILE,
    tarfile.AREGTYPE: wire.FILE,
    tarfile.DIRTYPE: wire.DIRECTORY,
    tarfile.SYMTYPE: wire.LINK,
    tarfile.LNKTYPE: wire.FILE,
}


class BadPackageError(ValueError):
    """The file is no package that can be read; ``str()`` says why."""


class _Bounded(io.RawIOBase):
    """A stream that ends in an error where it is longer than ``limit``."""

    def __init__(self, inner: IO[bytes], limit: int) -> None:
        self._inner = inner
        self._left = limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._inner.read(min(len(buffer), _READ))
        self._left -= len(data)
        if self._left < 0:
            raise BadPackageError("it unpacks to more than it may")
        buffer[: len(data)] = data
        return len(data)


class _Slice(io.RawIOBase):
    """``size`` bytes of ``file`` from where it stands."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file = file
        self._left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(min(len(buffer), self._left))
        self._left -= len(data)
        buffer[: len(data)] = data
        return len(data)


def read(file: IO[bytes], release: str) -> Contents:
    """The contents of the package in ``file``. Raises BadPackageError."""
    try:
        return _read(file, release)
    except (tarfile.TarError, lzma.LZMAError, EOFError, OSError, ValueError) as error:
        if isinstance(error, BadPackageError):
            raise
        raise BadPackageError(f"it is damaged ({error})") from None


def _read(file: IO[bytes], release: str) -> Contents:
    end = file.seek(0, io.SEEK_END)
    file.seek(0)
    if file.read(len(_AR)) != _AR:
        raise BadPackageError("it is no .deb")
    control: dict[bytes, bytes] = {}
    members: dict[bytes, Member] | None = None
    settings: frozenset[bytes] = frozenset()
    while header := file.read(60):
        name, size = header[:16].strip().rstrip(b"/"), header[48:58].strip()
        if len(header) != 60 or header[58:] != b"`\n" or not size.isdigit() or int(size) > SIZE_LIMIT:
            raise BadPackageError("it is damaged (a header is none)")
        after = file.tell() + int(size) + int(size) % 2
        if after > end + 1:
            raise BadPackageError("it was cut short")
        if name.startswith(b"control.tar"):
            control, settings = _control(_unpacked(name, _Slice(file, int(size)), _CONTROL_LIMIT))
        elif name.startswith(b"data.tar"):
            members = _data(_unpacked(name, _Slice(file, int(size)), 8 * SIZE_LIMIT))
        file.seek(after)
    if members is None or not control:
        raise BadPackageError("it has no control or no data")
    listed = b"".join((path or b"/.") + b"\n" for path in members)
    members.pop(b"", None)
    return Contents(members, {**control, b"list": hashlib.sha256(listed).digest()}, settings, release)


def _unpacked(name: bytes, stream: _Slice, limit: int) -> tarfile.TarFile:
    end = name.rpartition(b".tar")[2]
    opened: Any
    if end == b".xz":
        opened = lzma.LZMAFile(cast("IO[bytes]", stream))  # noqa: SIM115  # it lives as long as the stream that is given
    elif end == b".gz":
        opened = gzip.GzipFile(fileobj=cast("IO[bytes]", stream))
    elif end == b".zst":
        try:
            import zstandard  # noqa: PLC0415  # an extra: only Ubuntu's packages need it
        except ImportError:
            raise BadPackageError("it is packed with zstd, and the Python package zstandard is not there") from None
        opened = zstandard.ZstdDecompressor().stream_reader(cast("IO[bytes]", stream))
    elif end == b"":
        opened = stream
    else:
        raise BadPackageError(f"it is packed in a way that is not known ({end!r})")
    return tarfile.open(fileobj=cast("IO[bytes]", io.BufferedReader(_Bounded(opened, limit), _READ)), mode="r|")


def _each(tar: tarfile.TarFile) -> Iterator[tuple[bytes, tarfile.TarInfo]]:
    """Each member by its absolute path, b"" for the root itself."""
    for number, info in enumerate(tar):
        name = info.name.encode("utf-8", "surrogateescape")
        path = b"/" + name.removeprefix(b".").strip(b"/")
        if number > MEMBERS_LIMIT or b".." in path.split(b"/") or b"\0" in path:
            raise BadPackageError("its list of files is none that a package has")
        yield (b"" if path == b"/" else path), info


def _control(tar: tarfile.TarFile) -> tuple[dict[bytes, bytes], frozenset[bytes]]:
    found: dict[bytes, bytes] = {}
    settings: frozenset[bytes] = frozenset()
    for path, info in _each(tar):
        taken = tar.extractfile(info) if info.isreg() else None
        if taken is None:
            continue
        text = taken.read()
        found[path[1:]] = hashlib.sha256(text).digest()
        if path == b"/conffiles":
            settings = frozenset(line.split()[-1] for line in text.splitlines() if line.strip())
    return found, settings


def _data(tar: tarfile.TarFile) -> dict[bytes, Member]:
    members: dict[bytes, Member] = {}
    for path, info in _each(tar):
        kind = _KINDS.get(info.type)
        if kind is None:
            raise BadPackageError(f"a member of it is of a kind that packages do not have ({path!r})")
        digest, target = b"", b""
        if info.islnk():
            other = members.get(b"/" + info.linkname.encode("utf-8", "surrogateescape").removeprefix(b".").strip(b"/"))
            if other is None or other.kind != wire.FILE:
                raise BadPackageError(f"a hard link in it leads nowhere ({path!r})")
            members[path] = other
            continue
        if kind == wire.FILE:
            digest = _digest(tar, info)
        elif kind == wire.LINK:
            target = info.linkname.encode("utf-8", "surrogateescape")
        members[path] = Member(kind, info.mode & 0o7777, info.uid, info.gid, digest, target)
    return members


def _digest(tar: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    digest = hashlib.sha256()
    taken = tar.extractfile(info)
    while taken is not None and (data := taken.read(_READ)):
        digest.update(data)
    return digest.digest()
