r"""The lines of an mtree(5) specification, whoever wrote it: each entry with its path and its keywords.

Read are NetBSD's and FreeBSD's form (names without a slash below the directory that was named last, ``..`` for up,
``/set`` and ``/unset``), full paths (``./etc/passwd``, as bsdtar and ``mtree -C`` write), and both in one file as
NetBSD's mtree(8) tells it. A line goes on behind a ``\`` at its end; ``#`` begins a comment. A name is what vis(3)
says (vis.py); glob characters in it are themselves. What is hostile is refused with its line: paths that lead out of
the tree, that stand twice or lie in no directory, escapes that are none, and more of anything than a tree has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from driftd.core.errors import BadInput
from driftd.core.escaped import escape
from driftd.edges.exports.vis import decode
from driftd.probe import wire

LINE_LIMIT = 1024 * 1024  # bytes, with all that goes on
ENTRIES_LIMIT = 5_000_000
PATHS_LIMIT = 1024 * 1024 * 1024  # bytes of all paths in full: short names in deep directories are long paths
# Keywords of NetBSD's and FreeBSD's mtree and of libarchive.
_FLAGS = frozenset({b"ignore", b"nochange", b"optional"})
_VALUES = frozenset(
    b"cksum contents device flags gid gname inode link md5 md5digest mode nlink resdevice ripemd160digest rmd160 "
    b"rmd160digest sha1 sha1digest sha256 sha256digest sha384 sha384digest sha512 sha512digest size tags time type "
    b"uid uname".split()
)
_ALSO = {b"sha256digest": b"sha256"}
_COMMENT = re.compile(rb"(?<!\\)((?:\\\\)*)#")
_HINT = "write it again with mtree -c, or with bsdtar --format=mtree"

Keywords = dict[bytes, bytes]


class Line(NamedTuple):
    """One entry: where it stands, its absolute path, and its keywords with those that ``/set`` gave it."""

    number: int
    path: bytes
    keywords: Mapping[bytes, bytes]


def refuse(number: int, what: str, hint: str = _HINT) -> BadInput:
    """The error that says what is wrong in which line."""
    return BadInput(f"line {number}: {what}", hint)


def entries(data: bytes) -> Iterator[Line]:
    """Every entry in the order of the file, each once. Raises BadInput."""
    reader = _Reader()
    for number, line in _joined(data):
        found = reader.take(number, line)
        if found is not None:
            yield found


def _joined(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Lines with those that they go on in, without comments; and the number of the first."""
    parts: list[bytes] = []
    begun, length, number = 0, 0, 0
    for number, part in enumerate(data.split(b"\n"), 1):
        begun, length = begun or number, length + len(part)
        if length > LINE_LIMIT:
            raise refuse(begun, f"it is longer than {LINE_LIMIT} bytes")
        slashes = len(part) - len(part.rstrip(b"\\"))
        if slashes % 2 and not (parts or [part])[0].lstrip().startswith(b"#"):
            parts += [part[:-1], b" "]
            continue
        whole = b"".join([*parts, part])
        if b"#" in whole and (comment := _COMMENT.search(whole)):
            whole = whole[: comment.end() - 1]
        if whole := whole.strip():
            yield begun, whole
        parts, begun, length = [], 0, 0
    if begun:
        raise refuse(number, "the file ends in the middle of a line", "it was cut off: write it again")


class _Reader:
    """Knows the directory that names without a slash are in, what ``/set`` said, and what has been seen."""

    def __init__(self) -> None:
        self._here: bytes | None = None
        self._set: Keywords = {}
        self._spent = 0
        self._seen: dict[bytes, bool] = {}  # path → whether it is a directory

    def take(self, number: int, line: bytes) -> Line | None:
        """The entry in this line; None where it holds none."""
        first, *words = line.split()
        if first.startswith(b"/"):
            self._command(number, first, words)
            return None
        if first == b"..":
            if self._here is None:
                raise refuse(number, '".." leads out of the tree')
            # FreeBSD's mtree ends with one that leaves the root.
            self._here = wire.parent(self._here) if self._here != b"/" else None
            return None
        keywords = {**self._set, **_keywords(number, words)}
        path = self._path(number, first)
        if path in self._seen:
            raise refuse(number, f"{escape(path).decode()} stands here twice")
        if len(self._seen) >= ENTRIES_LIMIT:
            raise refuse(number, f"there are more than {ENTRIES_LIMIT} entries")
        self._spent += len(path)
        if self._spent > PATHS_LIMIT:
            raise refuse(number, f"the paths are longer than {PATHS_LIMIT} bytes together")
        directory = keywords.get(b"type") == b"dir" or (path == b"/" and b"type" not in keywords)
        self._seen[path] = directory
        if directory:
            self._here = path
        elif b"/" in first:
            self._here = wire.parent(path)
        return Line(number, path, keywords)

    def _command(self, number: int, command: bytes, words: list[bytes]) -> None:
        if command == b"/set":
            self._set |= _keywords(number, words)
        elif command == b"/unset":
            gone = list(self._set) if b"all" in words else [_ALSO.get(word, word) for word in words]
            for word in gone:
                self._set.pop(word, None)
        else:
            raise refuse(number, f"{escape(command[:60]).decode()} is no command and no path within a tree")

    def _path(self, number: int, word: bytes) -> bytes:
        try:
            name = decode(word)
        except ValueError as error:
            raise refuse(
                number, f"the name {escape(word[:60]).decode()} is not as vis(3) writes one: {error}"
            ) from None
        if name == b".":
            return b"/"
        full = b"/" in name
        parts = name.split(b"/")
        if full and parts[0] == b".":
            parts = parts[1:]
        if b"\0" in name or {b"", b".", b".."} & set(parts):
            raise refuse(
                number, f"the path {escape(name[:60]).decode()} is not plain, so it could lead out of the tree"
            )
        if b"/" not in self._seen:
            raise refuse(number, 'the first entry is not the root, "."')
        if not full and self._here is None:
            raise refuse(number, f"{escape(name[:60]).decode()} stands behind the last '..', so it is out of the tree")
        path = b"/" + b"/".join(parts) if full else wire.join(self._here or b"/", name)
        if len(path) > wire.PATH_LIMIT:
            raise refuse(number, f"its path is longer than {wire.PATH_LIMIT} bytes")
        if not self._seen.get(wire.parent(path)):
            raise refuse(number, f"{escape(path[:60]).decode()} is in no directory that stands before it")
        return path


def _keywords(number: int, words: list[bytes]) -> Keywords:
    found: Keywords = {}
    for word in words:
        name, equals, value = word.partition(b"=")
        if equals and name in _VALUES and value:
            found[_ALSO.get(name, name)] = value
        elif not equals and name in _FLAGS:
            found[name] = b""
        else:
            raise refuse(number, f"{escape(word[:60]).decode()} is no keyword of mtree's with its value")
    return found
