"""Read a tar archive as a stream, strictly: ustar, pax and GNU formats, sparse files among them.

Python's tarfile takes a damaged header for the end of the archive, reads extended headers of any size into memory and
decodes names. Here a header is right or the archive is refused, what is kept is bounded, and names are bytes. Where
formats leave a choice, it is made as in Go's archive/tar, which the container engines read layers with: global pax
headers and the payload of links count for nothing, an empty pax value leaves the header's own.

Formats: pax(1) of POSIX.1-2017 (ustar, extended headers), tar(5) of libarchive, GNU tar's manual (sparse formats).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from driftd.edges.images.errors import ImageError, shown

BLOCK = 512
HEADER_LIMIT = 2 * 1024 * 1024  # bytes of an extended header: a megabyte of attributes and two long names
PIECE = 256 * 1024
RUNS_LIMIT = 1 << 16  # pieces of a sparse file
FILE, HARDLINK, SYMLINK, CHAR, BLOCK_DEVICE, DIRECTORY, FIFO = b"0", b"1", b"2", b"3", b"4", b"5", b"6"
_HEADER_ONLY = (HARDLINK, SYMLINK, CHAR, BLOCK_DEVICE, DIRECTORY, FIFO)
_OLD_FILE, _CONTIGUOUS, _GNU_SPARSE, _LONG_NAME, _LONG_LINK, _PAX, _PAX_GLOBAL = (
    b"\0",
    b"7",
    b"S",
    b"L",
    b"K",
    b"x",
    b"g",
)
_XATTR = b"SCHILY.xattr."
CUT_SHORT = "the archive ends in the middle of a file: it was cut short"
_ZEROS = bytes(BLOCK)
_NOTHING = bytes(PIECE)


class ByteStream(Protocol):
    """Bytes one after the other. ``read`` gives fewer than asked for only at the end; ``skip`` says whether there were
    so many to pass over.
    """

    def read(self, count: int, /) -> bytes: ...

    def skip(self, count: int, /) -> bool: ...


@dataclass(slots=True)
class Member:
    """One member, described. ``size`` is that of the file (not of what is stored of it), ``offset`` where its stored
    bytes begin in the archive, ``stored`` how many there are. ``runs`` are (offset, size) of a sparse file's data.
    """

    name: bytes
    kind: bytes
    mode: int
    uid: int
    gid: int
    size: int
    target: bytes
    rdev: tuple[int, int]
    xattrs: dict[bytes, bytes]
    offset: int = 0
    stored: int = 0
    runs: list[tuple[int, int]] | None = None


@dataclass(slots=True)
class _Ahead:
    """What extended headers say of the member that follows."""

    records: dict[bytes, bytes] = field(default_factory=dict)
    sparse: list[bytes] = field(default_factory=list)  # GNU.sparse.offset and .numbytes of format 0.0, in their order
    name: bytes = b""
    target: bytes = b""
    any: bool = False


class TarReader:
    """Iterates over the members of one archive; the current one's content is read by ``content``, or passed over."""

    def __init__(self, stream: ByteStream, fill: Callable[[int], object] = int) -> None:
        """``fill`` is told how many bytes holes are filled with, and may object: nothing is stored of them."""
        self._stream = stream
        self._fill = fill
        self._at = 0
        self._left = 0  # stored bytes of the current member, its padding included
        self._size = 0

    def __iter__(self) -> Iterator[Member]:
        ahead = _Ahead()
        while True:
            self._skip(self._left)
            header = self._block(end=True)
            if header is None or header == _ZEROS:
                self._end(header, ahead)
                return
            member = _header(header)
            if member.kind in (_PAX, _PAX_GLOBAL, _LONG_NAME, _LONG_LINK):
                self._extend(ahead, member)
                continue
            self._describe(member, ahead, header)
            ahead = _Ahead()
            yield member

    def content(self, member: Member) -> Iterator[bytes]:
        """The file's content in pieces, holes filled; to be called at most once, before the next member."""
        at = 0
        for offset, size in member.runs if member.runs is not None else [(0, member.size)]:
            yield from self._hole(offset - at)
            at = offset
            while at < offset + size:
                piece = self._take(min(PIECE, offset + size - at))
                at += len(piece)
                yield piece
        yield from self._hole(member.size - at)

    def _hole(self, size: int) -> Iterator[bytes]:
        self._fill(size)
        while size > 0:
            yield _NOTHING[: min(size, PIECE)]
            size -= PIECE

    # --- the stream --------------------------------------------------------------------------------------------------

    def _take(self, count: int) -> bytes:
        data = self._stream.read(count)
        self._at += len(data)
        self._left -= len(data)
        if len(data) < count:
            raise ImageError(CUT_SHORT)
        return data

    def _skip(self, count: int) -> None:
        if count > 0 and not self._stream.skip(count):
            raise ImageError(CUT_SHORT)
        self._at += max(0, count)
        self._left = 0

    def _block(self, *, end: bool = False) -> bytes | None:
        data = self._stream.read(BLOCK)
        self._at += len(data)
        if not data and end:
            return None
        if len(data) < BLOCK:
            raise ImageError("the archive ends in the middle of a header: it was cut short")
        return data

    def _end(self, header: bytes | None, ahead: _Ahead) -> None:
        """At the end stand two blocks of zeros; one, or none, where whoever wrote it was sparing."""
        if ahead.any:
            raise ImageError("the archive ends after an extended header: it was cut short")
        if header is not None and self._block(end=True) not in (None, _ZEROS):
            raise ImageError("something follows what should be the end of the archive")

    # --- headers -----------------------------------------------------------------------------------------------------

    def _extend(self, ahead: _Ahead, member: Member) -> None:
        if member.size > HEADER_LIMIT:
            raise ImageError(f"an extended header in the archive has more than {HEADER_LIMIT} bytes")
        data = self._take(member.size)
        self._left = -member.size % BLOCK
        ahead.any |= member.kind != _PAX_GLOBAL
        if member.kind == _PAX:
            ahead.records, ahead.sparse = _records(data)
        elif member.kind == _LONG_NAME:
            ahead.name = data.partition(b"\0")[0]
        elif member.kind == _LONG_LINK:
            ahead.target = data.partition(b"\0")[0]

    def _describe(self, member: Member, ahead: _Ahead, header: bytes) -> None:
        """Merge what went ahead into the member, and find where its data is."""
        records = ahead.records
        member.name = ahead.name or records.get(b"path") or member.name
        member.target = ahead.target or records.get(b"linkpath") or member.target
        member.uid, member.gid = (
            _decimal(records[key]) if records.get(key) else own
            for key, own in ((b"uid", member.uid), (b"gid", member.gid))
        )
        if records.get(b"size"):
            member.size = _decimal(records[b"size"])
        member.xattrs = {key[len(_XATTR) :]: value for key, value in records.items() if key.startswith(_XATTR)}
        if b"\0" in member.name or b"\0" in member.target:
            raise ImageError("a name in the archive has a NUL in it")
        if member.kind == _OLD_FILE:
            member.kind = DIRECTORY if member.name.endswith(b"/") else FILE
        elif member.kind == _CONTIGUOUS:
            member.kind = FILE
        if member.kind in _HEADER_ONLY:
            member.size = 0
        elif member.kind not in (FILE, _GNU_SPARSE):
            kind = shown(member.kind)
            raise ImageError(f"{shown(member.name)} in the archive is of a kind ({kind}) that no image has")
        member.stored = member.size
        self._left = member.stored + -member.stored % BLOCK
        self._sparse(member, ahead, header)
        member.offset = self._at

    def _sparse(self, member: Member, ahead: _Ahead, header: bytes) -> None:
        records = ahead.records
        if member.kind == _GNU_SPARSE:
            left, self._left = self._left, 0
            numbers, member.size, member.kind = self._old_map(header), _number(header[483:495]), FILE
            self._left = left
        elif records.get(b"GNU.sparse.major") == b"1" and records.get(b"GNU.sparse.minor") == b"0":
            numbers = self._map_in_data(member)
            member.size = _decimal(records.get(b"GNU.sparse.realsize", b""))
        elif records.get(b"GNU.sparse.size"):
            numbers = [
                _decimal(one) for one in (ahead.sparse or records.get(b"GNU.sparse.map", b"").split(b",")) if one
            ]
            member.size = _decimal(records[b"GNU.sparse.size"])
        else:
            return
        member.name = ahead.name or records.get(b"GNU.sparse.name") or member.name
        member.runs = list(zip(numbers[::2], numbers[1::2], strict=False))
        at = 0
        for offset, size in member.runs:
            if offset < at:
                raise ImageError(f"the pieces of the sparse file {shown(member.name)} are not in their order")
            at = offset + size
        if len(numbers) % 2 or at > member.size or sum(size for _, size in member.runs) != member.stored:
            raise ImageError(f"the pieces of the sparse file {shown(member.name)} are not what its sizes say")

    def _old_map(self, header: bytes) -> list[int]:
        """GNU's own format: four pieces in the header, more in the blocks that follow it."""
        numbers: list[int] = []
        table, more = header[386:482], header[482]
        while True:
            for at in range(0, len(table), 24):
                if table[at : at + 24].strip(b"\0 "):
                    numbers += _number(table[at : at + 12]), _number(table[at + 12 : at + 24])
            if not more:
                return numbers
            if len(numbers) > 2 * RUNS_LIMIT:
                raise ImageError(f"a sparse file in the archive has more than {RUNS_LIMIT} pieces")
            block = self._block() or b""
            table, more = block[:504], block[504]

    def _map_in_data(self, member: Member) -> list[int]:
        """GNU's pax format 1.0: numbers in decimal, a line each, before the data: how many pieces, then the pieces."""
        text, numbers = b"", [0]
        while len(numbers) < 1 + 2 * numbers[0] or not text:
            if member.stored < BLOCK:
                raise ImageError(f"the map of the sparse file {shown(member.name)} is cut short")
            text = text.rpartition(b"\n")[2] + self._take(BLOCK)
            member.stored -= BLOCK
            lines = text.split(b"\n")[:-1]
            if not lines:
                raise ImageError(f"the map of the sparse file {shown(member.name)} is none")
            found = [_decimal(line) for line in lines if line.strip(b"\0")]
            numbers = found if numbers == [0] else numbers + found
            if numbers[0] > RUNS_LIMIT:
                raise ImageError(f"a sparse file in the archive has more than {RUNS_LIMIT} pieces")
            if not numbers[0]:
                break
        return numbers[1 : 1 + 2 * numbers[0]]


def _header(data: bytes) -> Member:
    """The member as its own header describes it. Raises ImageError when the header is none."""
    said = _number(data[148:156])
    both = data[:148] + b" " * 8 + data[156:]
    # Old tars added the bytes up as numbers with a sign.
    if said != sum(both) and said != sum(both) - 256 * sum(byte > 127 for byte in both):
        raise ImageError("a header in the archive is damaged: its checksum is wrong")
    name, kind, magic = _text(data[:100]), data[156:157], data[257:265]
    major = minor = 0
    if magic[:5] == b"ustar":
        if kind in (CHAR, BLOCK_DEVICE):
            major, minor = _number(data[329:337]), _number(data[337:345])
        if magic != b"ustar  \0":  # GNU's keeps other things where the others keep the beginning of a long name
            prefix = _text(data[345:476] if data[508:] == b"tar\0" else data[345:500])
            name = prefix + b"/" + name if prefix else name
    if max(major, minor) > 0xFFFFFFFF:
        raise ImageError(f"{shown(name)} in the archive is a device with an impossible number")
    return Member(
        name=name,
        kind=kind,
        mode=_number(data[100:108]) & 0o7777,
        uid=_number(data[108:116]),
        gid=_number(data[116:124]),
        size=_number(data[124:136]),
        target=_text(data[157:257]),
        rdev=(major, minor),
        xattrs={},
    )


def _text(data: bytes) -> bytes:
    return data.partition(b"\0")[0]


def _number(data: bytes) -> int:
    """A number of a header: octal digits, or GNU's binary form with the highest bit set."""
    if data[0] & 0x80:
        value = int.from_bytes(data, "big") & ~(0x80 << 8 * (len(data) - 1))
        if data[0] & 0x40 or value >= 1 << 63:
            raise ImageError("a header in the archive has a number that cannot be")
        return value
    digits = data.strip(b" \0").partition(b"\0")[0].strip(b" ")
    if digits.strip(b"01234567"):
        raise ImageError("a header in the archive has a number that is none")
    return int(digits or b"0", 8)


def _decimal(text: bytes) -> int:
    if not text.isdigit() or len(text) > 19:
        raise ImageError("an extended header in the archive has a number that is none")
    return int(text)


def _records(data: bytes) -> tuple[dict[bytes, bytes], list[bytes]]:
    """The records of a pax header ("LENGTH KEY=VALUE" and a line feed), and the map of sparse format 0.0."""
    records: dict[bytes, bytes] = {}
    sparse: list[bytes] = []
    at = 0
    while at < len(data):
        space = data.find(b" ", at, at + 20)
        length = _decimal(data[at:space]) if space > 0 else 0
        end = at + length
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if length < space - at + 4 or end > len(data) or data[end - 1 : end] != b"\n" or not equals or not key:
            raise ImageError("an extended header in the archive is damaged")
        if key in (b"GNU.sparse.offset", b"GNU.sparse.numbytes"):
            sparse.append(value)
        records[key] = value
        at = end
    return records, sparse
