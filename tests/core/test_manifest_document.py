"""docs/manifest.md: a reader written from its words alone, which recomputes both roots of any manifest."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
from hypothesis import given
from trees import manifests

from driftd.core import manifesttext

TEXT = (Path(__file__).parents[2] / "docs/manifest.md").read_text(encoding="utf-8")
EXAMPLE = re.search(r"```\n(driftd\.manifest.*?)```", TEXT, re.DOTALL)[1].encode()  # type: ignore[index]  # it is there
LETTERS = {"file": "f", "directory": "d", "link": "l", "char": "c", "block": "b", "fifo": "p", "socket": "s"}
FLAGS = {"i": 1, "a": 2}


class Reader:
    """Reads what a stranger needs: the header, the entries with their classes, and what is counted."""

    def __init__(self, data: bytes) -> None:
        self.lines = iter(data.split(b"\n"))
        self.look: list[tuple[bytes, ...]] = []
        schema, image = self.until_empty()
        assert schema == b"driftd.manifest/3"
        self.image = self.word(image.removeprefix(b"image "))
        self.head = [tuple(line.split(b" ")) for line in self.until_empty()]
        entries = [next(self.lines) for _ in range(int(self.field(b"entries")))]
        self.rows = [self.entry(line) for line in entries]
        assert next(self.lines) == b""
        self.look = [tuple(line.split(b" ")) for line in self.until_empty()]
        number = int(self.field(b"facts")) + int(self.field(b"unknown"))
        self.facts = [next(self.lines) for _ in range(number)]
        assert next(self.lines) == b""
        digest = hashlib.sha256(data[: data.rindex(b"\nend ") + 1]).hexdigest()
        assert list(self.lines) == [b"end sha256:" + digest.encode(), b""]
        at = data.index(b"\nroot ") + 1
        self.tree_part = data[at : data.index(b"\n\nprovisional ", at) + 2]

    def until_empty(self) -> list[bytes]:
        return list(iter(lambda: next(self.lines), b""))

    def field(self, name: bytes) -> bytes:
        (found,) = (line[1] for line in [*self.head, *self.look] if line[0] == name)
        return found

    @staticmethod
    def word(given: bytes) -> bytes:
        if given == b"-":
            return b""
        return re.sub(rb"\\x(..)", lambda match: bytes.fromhex(match[1].decode()), given)

    def entry(self, line: bytes) -> dict[str, object]:
        path, kind, given, mode, owner, *rest = line.split(b" ")
        uid, gid = map(int, owner.split(b":"))
        row = {"path": self.word(path), "kind": LETTERS[kind.decode()], "class": given.decode(), "mode": int(mode, 8)}
        row |= {"uid": uid, "gid": gid, "flags": 0, "same": b"", "size": 0, "sha256": b"", "target": b"", "xattrs": []}
        if kind == b"file":
            row["size"], digest, *rest = int(rest[0]), *rest[1:]
            row["sha256"] = b"" if digest == b"unread" else bytes.fromhex(digest.removeprefix(b"sha256:").decode())
        elif kind == b"link":
            row["target"], *rest = self.word(rest[0]), *rest[1:]
        elif kind in (b"char", b"block"):
            row["rdev"], *rest = tuple(map(int, rest[0].split(b","))), *rest[1:]
        for word in rest:
            name, equals, value = word.partition(b"=")
            if equals:
                row["xattrs"].append((self.word(name), self.word(value)))
            elif name.startswith(b"flags:"):
                row["flags"] = sum(FLAGS[letter] for letter in name[6:].decode())
            else:
                row["same"] = self.word(name.removeprefix(b"same:"))
        return row


def number(value: int, size: int) -> bytes:
    return value.to_bytes(size, "big")


def counted(value: bytes, size: int) -> bytes:
    return number(len(value), size) + value


def body(row) -> bytes:
    """By docs/wire.md."""
    data = row["kind"].encode() + number(row["mode"], 2) + number(row["uid"], 4) + number(row["gid"], 4)
    data += number(row["flags"], 1)
    if row["kind"] == "f":
        data += number(row["size"], 8) + counted(row["sha256"], 1)
    if row["kind"] == "l":
        data += counted(row["target"], 4)
    if row["kind"] in "cb":
        data += number(row["rdev"][0], 4) + number(row["rdev"][1], 4)
    data += number(len(row["xattrs"]), 2)
    return data + b"".join(counted(name, 2) + counted(value, 4) for name, value in row["xattrs"])


def held_by(rows, at: bytes):
    """The rows right in the directory ``at``, by name rising."""
    prefix = at.rstrip(b"/") + b"/"
    inside = [row for row in rows if row["path"] != b"/" and row["path"].startswith(prefix)]
    names = {row["path"][len(prefix) :]: row for row in inside}
    return [(name, names[name]) for name in sorted(names) if b"/" not in name]


def root(rows, row) -> bytes:
    """By docs/merkle.md."""
    if row["kind"] != "d":
        return hashlib.sha256(b"driftd-entry/2\0" + body(row) + counted(row["same"], 4)).digest()
    held = [counted(name, 2) + root(rows, one) for name, one in held_by(rows, row["path"])]
    return hashlib.sha256(b"driftd-tree/2\0" + body(row) + b"".join(held)).digest()


def closed(rows, row) -> bytes | None:
    """The same; None for what is no member."""
    exact, presence = row["class"] == "exact", row["class"] == "presence"
    if row["kind"] != "d":
        if exact:
            return root(rows, row)
        return hashlib.sha256(b"driftd-presence/1\0" + row["kind"].encode()).digest() if presence else None
    members = [(name, closed(rows, one)) for name, one in held_by(rows, row["path"])]
    held = b"".join(counted(name, 2) + digest for name, digest in members if digest is not None)
    if exact:
        return hashlib.sha256(b"driftd-tree/2\0" + body(row) + held).digest()
    if presence or held or row["path"] == b"/":
        return hashlib.sha256(b"driftd-presence-tree/1\0" + held).digest()
    return None


def check(data: bytes) -> Reader:
    found = Reader(data)
    assert [row["path"] for row in found.rows] == sorted(row["path"] for row in found.rows)
    assert int(found.field(b"entries")) == len(found.rows)
    assert int(found.field(b"bytes")) == sum(row["size"] for row in found.rows)
    words = [row["class"] for row in found.rows]
    classes = [(word.decode(), int(count)) for name, word, *more in found.head if name == b"class" for count in more]
    assert classes == [(word, words.count(word)) for word in sorted(set(words))]
    for name, computed in (
        (b"root", root(found.rows, found.rows[0])),
        (b"closed", closed(found.rows, found.rows[0])),
    ):
        assert found.field(name) == b"sha256:" + computed.hex().encode(), name
    return found


def test_the_example_of_the_document():
    assert manifesttext.encode(manifesttext.decode(EXAMPLE)) == EXAMPLE
    found = check(EXAMPLE)
    assert found.image == b"golden-1"
    assert [row["class"] for row in found.rows if row["path"] == b"/var/log/boot.log"] == ["growing"]


@given(manifests())
def test_any_manifest(made):
    found = check(manifesttext.encode(made))
    assert found.tree_part == manifesttext.tree_part(made)


@pytest.mark.parametrize("name", [b"root", b"closed"])
def test_this_reader_would_tell(name):
    line = re.search(rb"^" + name + rb" sha256:\w+$", EXAMPLE, re.MULTILINE)[0]
    forged = EXAMPLE.replace(line, line[:-1] + (b"0" if line[-1:] != b"0" else b"1"))
    forged = forged[: forged.rindex(b"end ")]
    with pytest.raises(AssertionError, match=name.decode()):
        check(forged + b"end sha256:" + hashlib.sha256(forged).hexdigest().encode() + b"\n")
