"""Packages of an RPM database that is one SQLite file (rpm 4.16 and later), read without rpm and without SQLite.

rpm itself would do for a running system, but even to ask it writes: SQLite makes or moves the -wal and -shm files
beside the database. Formats: sqlite.org/fileformat2 (table b-trees, overflow pages, write-ahead log), rpm's header:
two counts, index entries of 16 bytes (tag, type, offset, count), data.
"""

import itertools
import os
import struct
from typing import Dict, Iterator, List, NamedTuple, Optional, Set, Tuple

from driftd.probe import inside

PAGES_LIMIT = 300000  # read at most, mostly of 4096 bytes
ROWS_LIMIT = 200000
FRAMES_LIMIT = 200000  # of the write-ahead log
ROW_LIMIT = 4 * 1024 * 1024  # bytes of a row that are looked at
STRING_LIMIT = 4096

_MAGIC = b"SQLite format 3\0"
_LEAF, _INTERIOR = 13, 5
_NAME, _VERSION, _RELEASE, _EPOCH, _ARCH = 1000, 1001, 1002, 1003, 1022
_STRINGS = (6, 9)  # STRING, I18NSTRING
_INT32 = 4

Package = NamedTuple("Package", [("name", bytes), ("version", bytes), ("arch", bytes)])


class DamagedError(Exception):
    """The file is not what its format says."""


def read(place, path):
    # type: (inside.Root, bytes) -> List[Package]
    """Every package in the database at ``path``. Raises OSError and DamagedError."""
    main = place.open(path)
    try:
        try:
            log = place.open(path + b"-wal")  # type: Optional[int]
        except OSError:
            log = None
        try:
            return _packages(_Pages(main, log))
        except (struct.error, IndexError, ValueError, OverflowError) as error:
            raise DamagedError(str(error)) from error
        finally:
            if log is not None:
                os.close(log)
    finally:
        os.close(main)


def _packages(pages):
    # type: (_Pages) -> List[Package]
    for row in _rows(pages, 1):  # the schema: type, name, table, root page, text
        values = row.values()
        if values[:2] == [b"table", b"Packages"]:
            root = int.from_bytes(values[3] if isinstance(values[3], bytes) else b"", "big")
            found = [_package(one) for one in itertools.islice(_rows(pages, root), ROWS_LIMIT + 1)]
            if len(found) > ROWS_LIMIT:
                raise DamagedError("it has too many packages")
            return sorted(found)
    raise DamagedError("it has no table of packages")


class _Pages(object):
    """The pages of a database, as the last transaction left them."""

    def __init__(self, main, log):
        # type: (int, Optional[int]) -> None
        head = os.pread(main, 100, 0)
        if not head.startswith(_MAGIC):
            raise DamagedError("it is no SQLite file")
        (size,) = struct.unpack_from(">H", head, 16)
        self.size = 65536 if size == 1 else size
        self.usable = self.size - head[20]
        if self.size < 512 or self.size & (self.size - 1) or self.usable < 480:
            raise DamagedError("its pages have an impossible size")
        self._main, self._log = main, log
        self._left = PAGES_LIMIT
        self._logged = {} if log is None else self._frames(log)

    def _frames(self, log):
        # type: (int) -> Dict[int, int]
        """Where in the write-ahead log the newest committed version of a page stands."""
        head = os.pread(log, 32, 0)
        if len(head) < 32 or struct.unpack_from(">I", head)[0] & ~1 != 0x377F0682:
            return {}
        if struct.unpack_from(">I", head, 8)[0] != self.size:
            raise DamagedError("its log has pages of another size")
        committed, since = {}, {}  # type: Dict[int, int], Dict[int, int]
        at = 32
        for _ in range(FRAMES_LIMIT):
            frame = os.pread(log, 24, at)
            if len(frame) < 24 or frame[8:16] != head[16:24]:
                return committed  # the end, or what is left of an older log
            number, commit = struct.unpack_from(">II", frame)
            since[number] = at + 24
            if commit:
                committed.update(since)
                since = {}
            at += 24 + self.size
        raise DamagedError("its log is too long")

    def page(self, number):
        # type: (int) -> bytes
        """A page by its number, from 1."""
        self._left -= 1
        if self._left < 0 or number < 1:
            raise DamagedError("it has too many pages, or one that cannot be")
        if number in self._logged and self._log is not None:
            data = os.pread(self._log, self.size, self._logged[number])
        else:
            data = os.pread(self._main, self.size, (number - 1) * self.size)
        if len(data) != self.size:
            raise DamagedError("it ends too early")
        return data


class _Row(object):
    """One row, of which only as much is read as is asked for."""

    def __init__(self, pages, size, local, overflow):
        # type: (_Pages, int, bytes, int) -> None
        self._pages = pages
        self._size = size
        self._data = bytearray(local)
        self._next = overflow

    def upto(self, end):
        # type: (int) -> bytearray
        """The row, as far as ``end`` at least."""
        if end > min(self._size, ROW_LIMIT):
            raise DamagedError("a row is shorter than it says, or too long")
        while len(self._data) < end:
            page = self._pages.page(self._next)
            (self._next,) = struct.unpack_from(">I", page)
            self._data += page[4 : self._pages.usable]
        return self._data

    def columns(self):
        # type: () -> List[Tuple[int, int, int]]
        """Serial type, beginning and end of each column."""
        length, at = _varint(self._data, 0)
        head = self.upto(length)
        places, begin = [], length
        while at < length:
            serial, at = _varint(head, at)
            size = (0, 1, 2, 3, 4, 6, 8, 8, 0, 0)[serial] if serial < 10 else (serial - 12) // 2
            places.append((serial, begin, begin + size))
            begin += size
        return places

    def values(self):
        # type: () -> List[bytes]
        """The bytes of each column."""
        return [bytes(self.upto(end)[begin:end]) for _, begin, end in self.columns()]


def _varint(data, at):
    # type: (bytearray, int) -> Tuple[int, int]
    value = 0
    for step in range(8):
        byte = data[at + step]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + step + 1
    return value << 8 | data[at + 8], at + 9


def _rows(pages, root):
    # type: (_Pages, int) -> Iterator[_Row]
    """The rows of the table whose b-tree begins at page ``root``."""
    todo, seen = [root], set()  # type: List[int], Set[int]
    while todo:
        number = todo.pop()
        if number in seen:
            raise DamagedError("its pages lead in a circle")
        seen.add(number)
        page = bytearray(pages.page(number))
        at = 100 if number == 1 else 0
        kind, cells = page[at], struct.unpack_from(">H", page, at + 3)[0]
        if kind not in (_LEAF, _INTERIOR):
            raise DamagedError("a page is none of a table")
        first = at + (8 if kind == _LEAF else 12)
        pointers = struct.unpack_from(">%dH" % cells, page, first)
        if kind == _INTERIOR:
            todo.extend(struct.unpack_from(">I", page, pointer)[0] for pointer in pointers)
            todo.append(struct.unpack_from(">I", page, at + 8)[0])
            continue
        for pointer in pointers:
            yield _cell(pages, page, pointer)


def _cell(pages, page, at):
    # type: (_Pages, bytearray, int) -> _Row
    size, at = _varint(page, at)
    _, at = _varint(page, at)
    most, least = pages.usable - 35, (pages.usable - 12) * 32 // 255 - 23
    if size <= most:
        return _Row(pages, size, bytes(page[at : at + size]), 0)
    local = least + (size - least) % (pages.usable - 4)
    local = local if local <= most else least
    return _Row(pages, size, bytes(page[at : at + local]), struct.unpack_from(">I", page, at + local)[0])


def _package(row):
    # type: (_Row) -> Package
    _, begin, _ = row.columns()[-1]
    count, size = struct.unpack_from(">II", row.upto(begin + 8), begin)
    if count > 65535:
        raise DamagedError("a package has too many tags")
    data = begin + 8 + 16 * count
    found = {}  # type: Dict[int, bytes]
    for tag, kind, offset, _ in struct.iter_unpack(">4I", bytes(row.upto(data)[begin + 8 : data])):
        if offset >= size:
            continue
        if tag == _EPOCH and kind == _INT32:
            (epoch,) = struct.unpack_from(">I", row.upto(data + offset + 4), data + offset)
            found[tag] = b"%d:" % epoch
        elif tag in (_NAME, _VERSION, _RELEASE, _ARCH) and kind in _STRINGS:
            found[tag] = _string(row, data + offset, data + size)
    version = found.get(_EPOCH, b"") + found.get(_VERSION, b"") + b"-" + found.get(_RELEASE, b"")
    return Package(found.get(_NAME, b""), version, found.get(_ARCH, b""))


def _string(row, at, end):
    # type: (_Row, int, int) -> bytes
    """What stands at ``at``, up to a NUL before ``end``."""
    stop, length = min(end, at + STRING_LIMIT), 64
    while True:
        there = min(at + length, stop)
        nul = row.upto(there).find(b"\0", at, there)
        if nul >= 0:
            return bytes(row.upto(there)[at:nul])
        if there == stop:
            raise DamagedError("a text has no end")
        length *= 4
