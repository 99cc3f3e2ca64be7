"""A manifest: what an image contains, as text that a person can read and git can diff (docs/manifest.md).

One manifest has one text and one text is one manifest: ``encode(decode(text)) == text``. Whatever ``encode`` would
not have written, ``decode`` refuses with the line, what is wrong there and why that matters.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from driftd.core import merkle
from driftd.core.errors import BadInput
from driftd.core.facts import Fact
from driftd.core.fingerprint import Fingerprint
from driftd.probe import wire
from driftd.probe.wire import Entry

SCHEMA = "driftd.manifest/2"
KIND_WORDS = {
    wire.FILE: "file",
    wire.DIRECTORY: "directory",
    wire.LINK: "link",
    wire.CHAR: "char",
    wire.BLOCK: "block",
    wire.FIFO: "fifo",
    wire.SOCKET: "socket",
}
_FLAGS = ((wire.IMMUTABLE, b"i"), (wire.APPEND_ONLY, b"a"))
_KINDS = {word.encode(): kind for kind, word in KIND_WORDS.items()}
_COUNTS = ("entries", "bytes", "facts", "unknown", "kinds")
# What is true of one moment only, so that no manifest states it.
_MOMENTARY = ("process",)
_WORD = re.compile(rb"[a-z][a-z0-9_-]{0,31}")
_KEY_ID = re.compile(r"[0-9a-f]{16}")
_YES = {b"yes": True, b"no": False}
_BAKE_AGAIN = "the file was cut or edited: bake it again, or fetch it again from where it is kept"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Manifest:
    """``entries`` are sorted by raw path bytes. ``provisional`` means it was read off a running server.

    ``looked`` are the kinds of facts that were looked for at bake time, found or not; of others it says nothing.
    ``live`` tells whether the bake saw a running machine. ``key_id`` names the key that its keyed digests were made
    with, "" where there are none.

    ``unknown`` are paths whose content or listing could not be read at bake time: of them, and of all below them,
    the manifest says nothing, so nothing there is ever a difference.
    """

    image: str
    entries: tuple[Entry, ...]
    facts: tuple[Fact, ...]
    looked: tuple[str, ...]
    root: bytes
    provisional: bool = False
    unknown: tuple[bytes, ...] = ()
    live: bool = False
    key_id: str = ""


def from_fingerprint(
    fingerprint: Fingerprint, image: str, *, provisional: bool, partial: bool = False, key_id: str = ""
) -> Manifest:
    """What ``fingerprint`` saw, as the statement of what ``image`` contains.

    Raises BadInput when something could not be read, unless the manifest is provisional or ``partial`` says that
    a manifest which is silent about those paths is wanted.
    """
    unknown = tuple(sorted({*fingerprint.unreadable, *fingerprint.covered}))
    if not image or not image.isprintable():
        raise BadInput("an image needs a name of printable characters", "say which with --image NAME")
    if unknown and not provisional and not partial:
        raise BadInput(
            f"{len(unknown)} paths could not be read, {escape(unknown[0]).decode()} the first, "
            "and a manifest must know its whole tree",
            "read it as root and with nothing mounted below",
        )
    looked = tuple(kind for kind in fingerprint.seen_kinds() if kind not in _MOMENTARY)
    return Manifest(
        image=image,
        entries=fingerprint.entries,
        facts=tuple(sorted({fact for fact in fingerprint.facts if fact.kind in looked})),
        looked=looked,
        root=fingerprint.root,
        provisional=provisional,
        unknown=unknown,
        live=fingerprint.live,
        key_id=key_id,
    )


# --- words -----------------------------------------------------------------------------------------------------------

_ESCAPED = re.compile(rb"\\x([0-9a-f]{2})")
_PLAIN = {byte: bytes([byte]) for byte in range(0x21, 0x7F) if byte != 0x5C}


def escape(word: bytes, also: bytes = b"") -> bytes:
    r"""One word of a line: printable ASCII as it is; space, backslash, ``also`` and all else as ``\xHH``.

    An empty word is ``-``, and a word that is only ``-`` is ``\x2d``, so that no two words look the same.
    """
    if not word:
        return b"-"
    if word == b"-":
        return b"\\x2d"
    return b"".join(_PLAIN[byte] if byte in _PLAIN and byte not in also else b"\\x%02x" % byte for byte in word)


def unescape(word: bytes) -> bytes:
    """The word that ``escape`` wrote. The caller compares the way back to know that it was written so."""
    if word == b"-":
        return b""
    return _ESCAPED.sub(lambda match: bytes([int(match.group(1), 16)]), word) if b"\\" in word else word


def _text(value: str) -> bytes:
    return escape(value.encode("utf-8", "surrogateescape"))


def _from_text(word: bytes) -> str:
    return unescape(word).decode("utf-8", "surrogateescape")


# --- lines -----------------------------------------------------------------------------------------------------------


def _entry_line(entry: Entry) -> bytes:
    parts = [escape(entry.path), KIND_WORDS[entry.kind].encode(), b"%04o" % entry.mode, b"%d:%d" % entry[3:5]]
    if entry.kind == wire.FILE:
        parts.append(b"%d" % entry.size)
        parts.append(b"sha256:" + entry.sha256.hex().encode() if entry.sha256 else b"unread")
    elif entry.kind == wire.LINK:
        parts.append(escape(entry.target))
    elif entry.kind in (wire.CHAR, wire.BLOCK):
        parts.append(b"%d,%d" % entry.rdev)
    if entry.flags:
        parts.append(b"flags:" + b"".join(letter for bit, letter in _FLAGS if entry.flags & bit))
    if entry.same:
        parts.append(b"same:" + escape(entry.same, b"="))
    parts.extend(escape(name, b"=") + b"=" + escape(value) for name, value in entry.xattrs)
    return b" ".join(parts)


def _pair(word: bytes, separator: bytes) -> tuple[int, int]:
    first, second = word.split(separator)
    return int(first), int(second)


def _read_entry(line: bytes) -> Entry:
    words = iter(line.split(b" "))
    path = unescape(next(words))
    kind, mode, owner = _KINDS[next(words)], int(next(words), 8), _pair(next(words), b":")
    size, digest, target, rdev = 0, b"", b"", (0, 0)
    if kind == wire.FILE:
        size, word = int(next(words)), next(words)
        digest = b"" if word == b"unread" else bytes.fromhex(word.removeprefix(b"sha256:").decode("ascii"))
    elif kind == wire.LINK:
        target = unescape(next(words))
    elif kind in (wire.CHAR, wire.BLOCK):
        rdev = _pair(next(words), b",")
    flags, same, xattrs = 0, b"", []
    for word in words:
        # No name of an attribute can be taken for these: behind it there is always "=".
        if b"=" not in word and word.startswith(b"flags:"):
            flags = sum(bit for bit, letter in _FLAGS if letter in word[6:])
            continue
        if b"=" not in word and word.startswith(b"same:"):
            same = unescape(word[5:])
            continue
        name, _, value = word.partition(b"=")
        xattrs.append((unescape(name), unescape(value)))
    entry = Entry(path, kind, mode, *owner, size, digest, target, rdev, tuple(xattrs), flags, same)
    if len(digest) not in (0, 32) or xattrs != sorted(dict(xattrs).items()) or not _in_range(entry):
        raise ValueError
    return entry


def _in_range(entry: Entry) -> bool:
    """Whether the wire's canonical encoding, which the root is a digest of, can hold the numbers."""
    words = (entry.uid, entry.gid, *entry.rdev)
    names = [len(name) for name, _ in entry.xattrs]
    return (
        0 <= entry.mode <= 0o7777
        and 0 <= entry.size < 2**64
        and all(0 <= word < 2**32 for word in words)
        and all(length < 2**16 for length in (len(names), *names))
        and (not entry.flags or entry.kind in (wire.FILE, wire.DIRECTORY))
    )


def _fact_line(fact: Fact) -> bytes:
    words = [fact.kind.encode(), _text(fact.name)]
    words.extend(field.encode() + b"=" + _text(value) for field, value in fact.fields)
    return b" ".join(words)


def _read_fact(line: bytes) -> Fact:
    kind, name, *rest = line.split(b" ")
    fields = []
    for word in rest:
        field, _, value = word.partition(b"=")
        fields.append((_word(field), _from_text(value)))
    if fields != sorted(dict(fields).items()) or not all(value for _, value in fields):
        raise ValueError
    return Fact(_word(kind), _from_text(name), tuple(fields))


def _word(word: bytes) -> str:
    if not _WORD.fullmatch(word):
        raise ValueError
    return word.decode()


def _unknown_line(path: bytes) -> bytes:
    return b"unknown " + escape(path)


def _read_unknown(line: bytes) -> bytes:
    return unescape(line.split(b" ")[1])


# --- the whole -------------------------------------------------------------------------------------------------------


def encode(manifest: Manifest) -> bytes:
    """The manifest's one text."""
    counts = (
        len(manifest.entries),
        sum(entry.size for entry in manifest.entries),
        len(manifest.facts),
        len(manifest.unknown),
        len(manifest.looked),
    )
    found = Counter(fact.kind for fact in manifest.facts)
    lines = [SCHEMA.encode(), b"image " + _text(manifest.image)]
    lines.append(b"provisional " + _yes(manifest.provisional))
    lines.append(b"live " + _yes(manifest.live))
    lines.append(b"key " + _text(manifest.key_id))
    lines.extend(b"%s %d" % (name.encode(), number) for name, number in zip(_COUNTS, counts, strict=True))
    lines.extend(b"looked %s %d" % (kind.encode(), found[kind]) for kind in manifest.looked)
    lines.append(b"root sha256:" + manifest.root.hex().encode())
    lines.append(b"")
    lines.extend(map(_entry_line, manifest.entries))
    lines.append(b"")
    lines.extend(map(_fact_line, manifest.facts))
    lines.extend(map(_unknown_line, manifest.unknown))
    lines.append(b"")
    body = b"\n".join(lines) + b"\n"
    return body + b"end sha256:" + hashlib.sha256(body).hexdigest().encode() + b"\n"


def _yes(given: bool) -> bytes:
    return b"yes" if given else b"no"


def decode(data: bytes) -> Manifest:
    """The manifest that ``data`` is the text of. Raises BadInput for any other."""
    return _Decoder(data).manifest()


class _Decoder:
    """Goes through the lines once, knowing the number of the line that it is at."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.lines: Iterator[bytes] = iter(data.split(b"\n"))
        self.number = 0

    def manifest(self) -> Manifest:
        first = self._next("the schema")
        if first != SCHEMA.encode():
            name = escape(first[:60]).decode()
            if first.startswith(b"driftd.manifest/"):
                raise self._bad(f"schema {name} is not one that this driftd reads ({SCHEMA})", "upgrade driftd")
            raise self._bad(f"{name} is not the first line of a manifest ({SCHEMA})", "is this the right file?")
        image = self._field("image", self._image)
        provisional, live = (self._field(name, lambda word: _YES[word]) for name in ("provisional", "live"))
        key_id = self._field("key", self._key_id)
        counts = {name: self._field(name, self._number) for name in _COUNTS}
        kinds = dict(self._rows(counts["kinds"], "kinds of facts", self._read_looked, self._looked_line))
        root = self._field("root", self._digest)
        at = self.number
        self._blank()
        entries = self._entries(counts)
        self._blank()
        facts = self._rows(counts["facts"], "fact", _read_fact, _fact_line)
        unknown = self._rows(counts["unknown"], "unknown", _read_unknown, _unknown_line)
        self._blank()
        self._end()
        found = Counter(fact.kind for fact in facts)
        if not found.keys() <= kinds.keys() or any(found[kind] != number for kind, number in kinds.items()):
            raise BadInput(f"line {at}: the facts are not those that the lines above count", _BAKE_AGAIN)
        if _root(entries) != root:
            raise BadInput(f"line {at}: the entries do not have the root that the header says", _BAKE_AGAIN)
        return Manifest(image, entries, facts, tuple(kinds), root, provisional, unknown, live, key_id)

    def _bad(self, what: str, hint: str = _BAKE_AGAIN) -> BadInput:
        return BadInput(f"line {self.number}: {what}", hint)

    def _next(self, awaited: str) -> bytes:
        self.number += 1
        line = next(self.lines, None)
        if line is None:
            raise self._bad(f"the file ends where {awaited} should stand")
        return line

    def _field(self, name: str, read: Callable[[bytes], T]) -> T:
        line = self._next(f'"{name}"')
        word, _, value = line.partition(b" ")
        if word != name.encode():
            raise self._bad(f'"{name}" should stand here')
        try:
            return read(value)
        except (ValueError, KeyError):
            raise self._bad(f'"{name}" has a value that cannot be one') from None

    @staticmethod
    def _image(word: bytes) -> str:
        image = _from_text(word)
        if not image or _text(image) != word:
            raise ValueError
        return image

    @staticmethod
    def _key_id(word: bytes) -> str:
        key_id = _from_text(word)
        if _text(key_id) != word or not (key_id == "" or _KEY_ID.fullmatch(key_id)):
            raise ValueError
        return key_id

    def _read_looked(self, line: bytes) -> tuple[str, int]:
        name, kind, number = line.split(b" ")
        if name != b"looked":
            raise ValueError
        return _word(kind), self._number(number)

    @staticmethod
    def _looked_line(row: tuple[str, int]) -> bytes:
        return b"looked %s %d" % (row[0].encode(), row[1])

    @staticmethod
    def _number(word: bytes) -> int:
        if not word.isdigit() or len(word) > 20 or (word[:1] == b"0" and word != b"0"):
            raise ValueError
        return int(word)

    @staticmethod
    def _digest(word: bytes) -> bytes:
        if not re.fullmatch(rb"sha256:[0-9a-f]{64}", word):
            raise ValueError
        return bytes.fromhex(word[7:].decode())

    def _blank(self) -> None:
        line = self._next("an empty line")
        if line:
            raise self._bad("an empty line should stand here: there are more lines than the header counts")

    def _row(self, what: str, read: Callable[[bytes], T], write: Callable[[T], bytes]) -> T:
        line = self._next(what)
        if not line:
            raise self._bad(f"there are fewer lines of {what} than the header counts")
        try:
            row = read(line)
            again = write(row)
        except (ValueError, KeyError, IndexError, StopIteration, OverflowError):
            raise self._bad(f"this is not a line of {what}") from None
        if again != line:
            raise self._bad(f"this line of {what} is not written the way driftd writes it")
        return row

    def _entries(self, counts: dict[str, int]) -> tuple[Entry, ...]:
        entries: list[Entry] = []
        directories: set[bytes] = set()
        last = b""
        for _ in range(counts["entries"]):
            entry = self._row("an entry", _read_entry, _entry_line)
            self._check_path(entry.path, last, directories)
            if entry.kind == wire.DIRECTORY:
                directories.add(entry.path)
            last = entry.path
            entries.append(entry)
        if bad := _wrong_link(entries):
            raise BadInput(f"{escape(bad).decode()} has no such hard link as its line says", _BAKE_AGAIN)
        if sum(entry.size for entry in entries) != counts["bytes"]:
            raise BadInput("line 5: the sizes of the files do not add up to the header's bytes", _BAKE_AGAIN)
        return tuple(entries)

    def _check_path(self, path: bytes, last: bytes, directories: set[bytes]) -> None:
        if path != b"/" and (path[:1] != b"/" or b"\0" in path or {b"", b".", b".."} & set(path.split(b"/")[1:])):
            raise self._bad("this path is not absolute and plain, so it could lead out of the tree")
        if path == last:
            raise self._bad("this path stands here twice")
        if path < last:
            raise self._bad("this path is not in its place: entries are sorted by their bytes")
        if path != b"/" and wire.parent(path) not in directories:
            raise self._bad("this path's directory is not in the manifest, so it could lead out of the tree")

    def _rows(self, number: int, what: str, read: Callable[[bytes], T], write: Callable[[T], bytes]) -> tuple[T, ...]:
        rows: list[T] = []
        for _ in range(number):
            row: Any = self._row(what, read, write)
            if rows and row <= rows[-1]:
                raise self._bad(f"this {what} stands here twice or is not in its place")
            rows.append(row)
        return tuple(rows)

    def _end(self) -> None:
        body = self.data.rfind(b"\nend ") + 1
        digest = self._field("end", self._digest)
        if self._next("the end of the last line") or next(self.lines, None) is not None:
            raise self._bad("there is something after the end")
        if hashlib.sha256(self.data[:body]).digest() != digest:
            raise BadInput("the file's text does not have the digest that its last line says", _BAKE_AGAIN)


def _wrong_link(entries: list[Entry]) -> bytes | None:
    """A path whose ``same`` is not the smallest of two or more entries that say so and are no directories."""
    groups: dict[bytes, list[Entry]] = {}
    for entry in entries:
        if entry.same:
            groups.setdefault(entry.same, []).append(entry)
    for first, group in groups.items():
        # Entries are sorted, so the smallest comes first.
        if group[0].path != first or len(group) < 2 or any(entry.kind == wire.DIRECTORY for entry in group):
            return group[0].path
    return None


def _root(entries: tuple[Entry, ...]) -> bytes:
    try:
        return merkle.root(entries)
    except ValueError as error:
        raise BadInput(f"line 12: {error}", _BAKE_AGAIN) from None
