"""The lines of a manifest's text, each written and read back: entries with their classes, facts, unknown paths.

Reading raises ValueError, KeyError, IndexError, StopIteration or OverflowError for what is no such line; the caller
writes what was read again and compares, so that one entry has one line (manifesttext.py).
"""

from __future__ import annotations

import re

from driftd.core import classes
from driftd.core.classes import Expected
from driftd.core.escaped import escape, escape_text, unescape, unescape_text
from driftd.core.facts import Fact
from driftd.core.manifest import KIND_WORDS
from driftd.probe import wire
from driftd.probe.wire import Entry

Row = tuple[Entry, Expected]
_FLAGS = ((wire.IMMUTABLE, b"i"), (wire.APPEND_ONLY, b"a"))
_KINDS = {word.encode(): kind for kind, word in KIND_WORDS.items()}
_WORD = re.compile(rb"[a-z][a-z0-9_-]{0,31}")
_CLASSES: dict[bytes, Expected] = {}  # there are few of them, a great many times


def entry_line(row: Row) -> bytes:
    """One entry and its class."""
    entry, given = row
    parts = [escape(entry.path), KIND_WORDS[entry.kind].encode(), given.word.encode()]
    parts += [b"%04o" % entry.mode, b"%d:%d" % entry[3:5]]
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


def read_entry(line: bytes) -> Row:
    """The entry and the class of one line."""
    words = iter(line.split(b" "))
    path = unescape(next(words))
    kind, given = _KINDS[next(words)], read_class(next(words))
    mode, owner = int(next(words), 8), _pair(next(words), b":")
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
    return entry, given


def read_class(word: bytes) -> Expected:
    """The class of that word. What was read once is the same object again."""
    found = _CLASSES.get(word)
    if found is None:
        found = classes.parse(word.decode("ascii"))
        if len(_CLASSES) < 4096:  # a hostile text has as many as it likes
            _CLASSES[word] = found
    return found


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


def fact_line(fact: Fact) -> bytes:
    """One fact."""
    words = [fact.kind.encode(), escape_text(fact.name)]
    words.extend(field.encode() + b"=" + escape_text(value) for field, value in fact.fields)
    return b" ".join(words)


def read_fact(line: bytes) -> Fact:
    """The fact of one line."""
    kind, name, *rest = line.split(b" ")
    fields = []
    for word in rest:
        field, _, value = word.partition(b"=")
        fields.append((read_word(field), unescape_text(value)))
    if fields != sorted(dict(fields).items()) or not all(value for _, value in fields):
        raise ValueError
    return Fact(read_word(kind), unescape_text(name), tuple(fields))


def read_word(word: bytes) -> str:
    """A kind of facts, or a field's name."""
    if not _WORD.fullmatch(word):
        raise ValueError
    return word.decode()


def unknown_line(path: bytes) -> bytes:
    """One path that could not be read at bake time."""
    return b"unknown " + escape(path)


def read_unknown(line: bytes) -> bytes:
    """The path of one such line."""
    return unescape(line.split(b" ")[1])
