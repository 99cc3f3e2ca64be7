"""Unpack a compressed stream piece by piece, within a limit, and digest what went in and what came out."""

from __future__ import annotations

import hashlib
import os
import zlib
from typing import IO, Protocol, cast

from driftd.edges.images.errors import ImageError

PIECE = 256 * 1024
ZSTD_WINDOW = 128 * 1024 * 1024  # bytes; what zstd itself takes without being told otherwise
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_ZSTD_SKIPPED = b"\x2a\x4d\x18"  # from the second byte on; the first is 0x50 to 0x5f
_OTHERS = {b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"\x04\x22\x4d\x18": "lz4"}


class _Readable(Protocol):
    def read(self, count: int, /) -> bytes: ...


class Part:
    """``size`` bytes of an open file from ``offset`` on, as a stream; digests what it gives in ``digest``."""

    def __init__(self, fd: int, offset: int, size: int, algorithm: str = "sha256") -> None:
        self._fd = fd
        self._at = offset
        self._left = size
        self.digest = hashlib.new(algorithm)

    def read(self, count: int, /) -> bytes:
        """The next bytes; fewer than asked for only at the end. Raises ImageError when the file is too short."""
        data = os.pread(self._fd, min(count, self._left), self._at)
        if not data and count and self._left:
            raise ImageError("a file of the image is shorter than it says: it was cut short")
        self._at += len(data)
        self._left -= len(data)
        self.digest.update(data)
        return data

    def peek(self, count: int) -> bytes:
        """The next bytes, which stay to be read."""
        return os.pread(self._fd, min(count, self._left), self._at)


class Budget:
    """How many bytes an image may still unpack to, all its layers together."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.left = limit

    def spend(self, count: int) -> None:
        """Raises ImageError when that is more than is left."""
        self.left -= count
        if self.left < 0:
            raise ImageError(
                f"it unpacks to more than {self.limit / 2**30:g} GiB",
                "if it is really so large, allow more with --unpacked-limit",
            )


class Unpacked:
    """What a part unpacks to, as a stream: gzip (of several members, too), zstd (of several frames), or as it is.

    ``digest`` is the SHA-256 of what was read so far. What it is packed with is seen by its first bytes.
    """

    def __init__(self, part: Part, budget: Budget) -> None:
        self._budget = budget
        self.digest = hashlib.sha256()
        head = part.peek(6)
        for magic, name in _OTHERS.items():
            if head.startswith(magic):
                raise ImageError(f"a layer is packed with {name}, which no image format has", "pack it with gzip")
        if head.startswith(_GZIP):
            self._from: _Readable = _Gzip(part)
        elif head.startswith(_ZSTD) or (head[1:4] == _ZSTD_SKIPPED and head[0] >> 4 == 5):
            self._from = _Zstd(part)
        else:
            self._from = part

    def read(self, count: int, /) -> bytes:
        """The next bytes; fewer than asked for only at the end. Raises ImageError for a stream that is damaged."""
        parts = []
        while count:
            data = self._from.read(min(count, PIECE))
            if not data:
                break
            parts.append(data)
            count -= len(data)
            self._budget.spend(len(data))
            self.digest.update(data)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def skip(self, count: int, /) -> bool:
        """Pass over so many bytes, for the digest; whether they were there."""
        while count:
            got = len(self.read(min(count, PIECE)))
            if not got:
                return False
            count -= got
        return True

    def drain(self) -> None:
        """Read what is left, for the digest."""
        while self.read(PIECE):
            pass


class _Gzip:
    """RFC 1952, by zlib; it checks the CRC of each member."""

    def __init__(self, part: Part) -> None:
        self._part = part
        self._packed = b""
        self._member: zlib._Decompress | None = None
        self._over = False

    def read(self, count: int, /) -> bytes:
        try:
            return self._read(count)
        except zlib.error as error:
            raise ImageError(f"a layer's gzip stream is damaged ({str(error)[:80]})") from None

    def _read(self, count: int) -> bytes:
        while not self._over:
            self._packed = self._packed or self._part.read(PIECE)
            if self._member is None:
                if not self._packed:
                    self._over = True
                    break
                self._member = zlib.decompressobj(zlib.MAX_WBITS | 16)
            at_end = not self._packed
            data = self._member.decompress(self._packed, count)
            if at_end and not data and not self._member.eof:
                raise ImageError("a layer's gzip stream ends too early: it was cut short")
            self._packed = self._member.unconsumed_tail
            if self._member.eof:
                self._packed, self._member = self._member.unused_data, None
            if data:
                return data
        return b""


class _Zstd:
    """RFC 8878, by the library zstandard; it checks each frame's checksum where there is one."""

    def __init__(self, part: Part) -> None:
        try:
            import zstandard  # noqa: PLC0415  # an extra: only layers that are packed so need it
        except ImportError:
            raise ImageError(
                "a layer is packed with zstd, and the Python package zstandard is not installed",
                "install it: pip install 'driftd[zstd]'",
            ) from None
        self._error = zstandard.ZstdError
        self._part = part
        self._reader = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW).stream_reader(
            cast(IO[bytes], part), read_size=PIECE, read_across_frames=True
        )

    def read(self, count: int, /) -> bytes:
        try:
            return self._reader.read(count)
        except self._error as error:
            raise ImageError(f"a layer's zstd stream is damaged ({str(error)[:80]})") from None
