"""A manifest as text that a person can read and git can diff (docs/manifest.md).

One manifest has one text and one text is one manifest: ``encode(decode(text)) == text``. Whatever ``encode`` would
not have written, ``decode`` refuses with the line, what is wrong there and why that matters.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from driftd.core import manifestlines as lines_
from driftd.core import merkle
from driftd.core.classes import EXACT, Expected
from driftd.core.errors import BadInput, Refused
from driftd.core.escaped import escape, escape_text, unescape_text
from driftd.core.facts import Fact
from driftd.core.manifest import ASPECTS, Manifest
from driftd.core.manifestlines import Row
from driftd.probe import wire
from driftd.probe.wire import Entry

SCHEMA = "driftd.manifest/3"
_KEY_ID = re.compile(r"[0-9a-f]{16}")
_YES = {b"yes": True, b"no": False}
_BAKE_AGAIN = "the file was cut or edited: bake it again, or fetch it again from where it is kept"
T = TypeVar("T")


# --- writing ---------------------------------------------------------------------------------------------------------


def encode(manifest: Manifest) -> bytes:
    """The manifest's one text."""
    lines = [SCHEMA.encode(), b"image " + escape_text(manifest.image), b""]
    lines += _tree_lines(manifest)
    lines += _look_lines(manifest)
    body = b"\n".join(lines) + b"\n"
    return body + b"end sha256:" + hashlib.sha256(body).hexdigest().encode() + b"\n"


def tree_part(manifest: Manifest) -> bytes:
    """The part that is the same bytes wherever one tree was read, and by the same policy: from ``root`` on."""
    return b"\n".join(_tree_lines(manifest)) + b"\n"


def class_counts(manifest: Manifest) -> Mapping[str, int]:
    """How many entries there are of each class, by its word; those that no entry is of are left out."""
    found = Counter(given.word for given in manifest.classes.values())
    found[EXACT.word] = len(manifest.entries) - len(manifest.classes)
    return {word: found[word] for word in sorted(found) if found[word]}


def _tree_lines(manifest: Manifest) -> list[bytes]:
    counts = class_counts(manifest)
    lines = [b"root sha256:" + manifest.root.hex().encode(), b"closed sha256:" + manifest.closed.hex().encode()]
    lines.append(b"entries %d" % len(manifest.entries))
    lines.append(b"bytes %d" % sum(entry.size for entry in manifest.entries))
    lines.append(b"classes %d" % len(counts))
    lines += [_count_line(b"class", row) for row in counts.items()]
    lines.append(b"")
    lines += [lines_.entry_line((entry, manifest.class_of(entry.path))) for entry in manifest.entries]
    lines.append(b"")
    return lines


def _look_lines(manifest: Manifest) -> list[bytes]:
    found = Counter(fact.kind for fact in manifest.facts)
    lines = [b"provisional " + _yes(manifest.provisional), b"live " + _yes(manifest.live)]
    lines.append(b"key " + escape_text(manifest.key_id))
    lines.append(b"unshown " + escape_text(",".join(manifest.unshown)))
    lines.append(b"facts %d" % len(manifest.facts))
    lines.append(b"unknown %d" % len(manifest.unknown))
    lines.append(b"kinds %d" % len(manifest.looked))
    lines += [_count_line(b"looked", (kind, found[kind])) for kind in manifest.looked]
    lines.append(b"")
    lines += map(lines_.fact_line, manifest.facts)
    lines += map(lines_.unknown_line, manifest.unknown)
    lines.append(b"")
    return lines


def _yes(given: bool) -> bytes:
    return b"yes" if given else b"no"


def _count_line(name: bytes, row: tuple[str, int]) -> bytes:
    return b"%s %s %d" % (name, row[0].encode(), row[1])


# --- reading ---------------------------------------------------------------------------------------------------------


def proven(manifest: Manifest) -> Manifest:
    """``manifest``, once it has been written and read back as it was. Raises Refused for one that no text can hold."""
    if decode(encode(manifest)) != manifest:
        raise Refused(
            f"the manifest of {manifest.image} does not read back as it was written", "please report this as a bug"
        )
    return manifest


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
        self._schema()
        image = self._field("image", self._image)
        self._blank()
        entries, classes, (root, closed) = self._tree()
        provisional, live = (self._field(name, lambda word: _YES[word]) for name in ("provisional", "live"))
        key_id = self._field("key", self._key_id)
        unshown = self._field("unshown", self._unshown)
        counts = {name: self._field(name, self._number) for name in ("facts", "unknown", "kinds")}
        kinds = self._counted(counts["kinds"], b"looked", "kinds of facts", lines_.read_word)
        at = self.number
        self._blank()
        facts = self._rows(counts["facts"], "fact", lines_.read_fact, lines_.fact_line)
        unknown = self._rows(counts["unknown"], "unknown", lines_.read_unknown, lines_.unknown_line)
        self._blank()
        self._end()
        self._agree(at, kinds, facts)
        return Manifest(
            image, entries, facts, tuple(kinds), root, provisional, unknown, live, key_id, classes, closed, unshown
        )  # fmt: skip

    def _schema(self) -> None:
        first = self._next("the schema")
        if first == SCHEMA.encode():
            return
        name = escape(first[:60]).decode()
        if first.startswith(b"driftd.manifest/"):
            hint = "bake it again with this driftd, or read it with the one that wrote it"
            raise self._bad(f"schema {name} is not the one that this driftd reads ({SCHEMA})", hint)
        raise self._bad(f"{name} is not the first line of a manifest ({SCHEMA})", "is this the right file?")

    def _tree(self) -> tuple[tuple[Entry, ...], dict[bytes, Expected], tuple[bytes, bytes]]:
        """The entries, their classes and both roots, seen to be those of the entries."""
        at = self.number + 1
        roots = (self._field("root", self._digest), self._field("closed", self._digest))
        counts = {name: self._field(name, self._number) for name in ("entries", "bytes", "classes")}
        numbers = self._counted(counts["classes"], b"class", "classes", lambda word: lines_.read_class(word).word)
        self._blank()
        rows = self._entries(counts["entries"])
        entries = tuple(entry for entry, _ in rows)
        classes = {entry.path: given for entry, given in rows if given != EXACT}
        self._blank()
        if bad := _wrong_link(entries):
            raise BadInput(f"line {at}: {escape(bad).decode()} has no such hard link as its line says", _BAKE_AGAIN)
        if sum(entry.size for entry in entries) != counts["bytes"]:
            raise BadInput(f"line {at}: the sizes of the files do not add up to the header's bytes", _BAKE_AGAIN)
        if Counter(given.word for _, given in rows) != numbers or 0 in numbers.values():
            raise BadInput(f"line {at}: the entries are not of the classes that the header counts", _BAKE_AGAIN)
        if (found := _roots(at, entries, classes)) != roots:
            which = "root" if found[0] != roots[0] else "closed root"
            raise BadInput(f"line {at}: the entries do not have the {which} that the header says", _BAKE_AGAIN)
        return entries, classes, roots

    @staticmethod
    def _agree(at: int, kinds: Mapping[str, int], facts: tuple[Fact, ...]) -> None:
        found = Counter(fact.kind for fact in facts)
        if not found.keys() <= kinds.keys() or any(found[kind] != number for kind, number in kinds.items()):
            raise BadInput(f"line {at}: the facts are not those that the lines above count", _BAKE_AGAIN)

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
        image = unescape_text(word)
        if not image or escape_text(image) != word:
            raise ValueError
        return image

    @staticmethod
    def _key_id(word: bytes) -> str:
        key_id = unescape_text(word)
        if escape_text(key_id) != word or not (key_id == "" or _KEY_ID.fullmatch(key_id)):
            raise ValueError
        return key_id

    @staticmethod
    def _unshown(word: bytes) -> tuple[str, ...]:
        aspects = tuple(unescape_text(word).split(",")) if word != b"-" else ()
        if list(aspects) != sorted(set(aspects)) or not set(aspects) <= set(ASPECTS):
            raise ValueError
        return aspects

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

    def _counted(self, number: int, name: bytes, what: str, word: Callable[[bytes], str]) -> dict[str, int]:
        """Lines of a name, a word and a number; the words rise."""

        def read(line: bytes) -> tuple[str, int]:
            first, given, count = line.split(b" ")
            if first != name:
                raise ValueError
            return word(given), self._number(count)

        found = dict(self._rows(number, what, read, lambda row: _count_line(name, row)))
        if len(found) != number:
            raise self._bad(f"a line of {what} stands here twice")
        return found

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

    def _entries(self, number: int) -> list[Row]:
        rows: list[Row] = []
        directories: set[bytes] = set()
        last = b""
        for _ in range(number):
            row = self._row("an entry", lines_.read_entry, lines_.entry_line)
            entry, given = row
            self._check_path(entry.path, last, directories)
            if not given.fits(entry.kind):
                raise self._bad(f"nothing of this kind can be {given.word}")
            if entry.kind == wire.DIRECTORY:
                directories.add(entry.path)
            last = entry.path
            rows.append(row)
        return rows

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


def _wrong_link(entries: tuple[Entry, ...]) -> bytes | None:
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


def _roots(at: int, entries: tuple[Entry, ...], classes: Mapping[bytes, Expected]) -> tuple[bytes, bytes]:
    try:
        return merkle.roots(entries, classes)
    except ValueError as error:
        raise BadInput(f"line {at}: {error}", _BAKE_AGAIN) from None
