"""A manifest from an mtree(5) specification: what ``mtree -c`` and bsdtar write, and what mtree.py wrote.

What is made is provisional: no program of driftd saw the tree. It says nothing of what the file does not say, rather
than something else: extended attributes never; flags where no entry has any (mtree on Linux cannot see them); hard
links unless each file has ``nlink=1`` or its ``inode`` and ``resdevice``; facts never. ``optional`` and ``ignore`` make
a path, or what is below it, unknown; ``nochange`` is presence; a tag of mtree.py is its class.

An entry must say type, mode, uid and gid (of names only root's is known), a file its size and sha256, a link its
target and a device its number. One that does not is refused, or unknown where ``partial`` says so.
"""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace

from driftd.core import classes, merkle
from driftd.core.classes import EXACT, Expected
from driftd.core.errors import BadInput
from driftd.core.escaped import escape
from driftd.core.manifest import Manifest, classified
from driftd.core.projection import Taken
from driftd.core.wording.exports import LACKING_HINT, lacking, silent, unstated
from driftd.edges.exports.mtree import FLAGS, TAG, TYPES
from driftd.edges.exports.mtreelines import Line, entries, refuse
from driftd.edges.exports.vis import decode
from driftd.probe import wire
from driftd.probe.wire import Entry

_KINDS = {word: kind for kind, word in TYPES.items()}
_FLAG_BITS = {word: bit for bit, word in FLAGS} | {b"uchg": wire.IMMUTABLE, b"uappnd": wire.APPEND_ONLY}
_NUMBER = re.compile(rb"[0-9]{1,20}")
_OCTAL = re.compile(rb"[0-7]{1,6}")
_DIGEST = re.compile(rb"(?:0x)?([0-9a-fA-F]{64})")
_DEVICE = re.compile(rb"(?:native|linux),([0-9]{1,10}),([0-9]{1,10})|(0[xX][0-9a-fA-F]{1,16}|[0-9]{1,20})")


def take(data: bytes, image: str, *, partial: bool = False) -> Taken:
    """The manifest of ``image`` as the specification ``data`` states it. Raises BadInput."""
    if not image or not image.isprintable():
        raise BadInput("an image needs a name of printable characters", "say which with --image NAME")
    made = _Made()
    for line in entries(data):
        made.add(line)
    if not made.rows:
        raise BadInput("it has no entries, so it is no specification of a tree", "is this the right file?")
    return made.taken(image, partial=partial)


@dataclass(slots=True)
class _Made:
    """What has been read so far. ``lacking``: keywords that entries miss; ``loose``: paths that it leaves open."""

    rows: dict[bytes, Entry] = field(default_factory=dict)
    given: dict[bytes, Expected] = field(default_factory=dict)
    lacking: dict[bytes, tuple[int, list[str]]] = field(default_factory=dict)
    loose: set[bytes] = field(default_factory=set)
    inodes: dict[tuple[bytes, bytes], list[bytes]] = field(default_factory=lambda: defaultdict(list))
    unlinked: bool = False  # a file of which it is not known whether it has other names
    flagged: bool = False

    def add(self, line: Line) -> None:
        """Take one entry."""
        words, path = line.keywords, line.path
        tagged = _class(line)
        if b"ignore" in words and tagged.expect != "open-dir":
            self.loose.add(path)
        if b"optional" in words and tagged.expect != "ephemeral":
            self.loose.add(path)
        if b"type" not in words and path in self.loose and path != b"/":
            return
        entry, missing = _entry(line)
        # What a class leaves open need not be there.
        if tagged.expect not in ("exact", "open-dir"):
            missing = [one for one in missing if one not in ("size", "sha256")]
        self.rows[path] = entry
        if tagged != EXACT:
            self.given[path] = tagged
        if missing and path not in self.loose:
            self.lacking[path] = (line.number, missing)
        self._links(line, entry)

    def _links(self, line: Line, entry: Entry) -> None:
        words = line.keywords
        self.flagged |= bool(entry.flags)
        if entry.kind == wire.DIRECTORY or words.get(b"nlink") == b"1":
            return
        if b"inode" in words and b"resdevice" in words:
            self.inodes[words[b"resdevice"], words[b"inode"]].append(line.path)
        else:
            self.unlinked = True

    def taken(self, image: str, *, partial: bool) -> Taken:
        """The whole."""
        if self.lacking and not partial:
            path, (number, words) = next(iter(self.lacking.items()))
            what = lacking(len(self.lacking), f"{escape(path).decode()} (line {number})", ", ".join(words))
            raise BadInput(what, LACKING_HINT)
        if not self.unlinked:
            for names in self.inodes.values():
                for path in names if len(names) > 1 else ():
                    self.rows[path] = self.rows[path]._replace(same=min(names))
        rows = tuple(self.rows[path] for path in sorted(self.rows))
        seen = {"flags": self.flagged, "same": not self.unlinked, "xattr": False}
        bare = Manifest(
            image=image,
            entries=rows,
            facts=(),
            looked=(),
            root=merkle.root(rows),
            provisional=True,
            unknown=tuple(sorted(self.loose | self.lacking.keys())),
            unshown=tuple(aspect for aspect, known in seen.items() if not known),
        )
        return Taken(classified(replace(bare, closed=bare.root), self.given), self._losses(bare))

    def _losses(self, made: Manifest) -> tuple[str, ...]:
        names = {"flags": "flags", "same": "hard links", "xattr": "extended attributes"}
        aspects = [names[one] for one in made.unshown]
        said = [unstated(", ".join([*aspects, "facts"]))]
        if self.loose:
            said.append(silent(len(self.loose), "optional or ignored"))
        if self.lacking:
            words = Counter(word for _, missing in self.lacking.values() for word in missing)
            said.append(silent(len(self.lacking), "without " + ", ".join(sorted(words))))
        return tuple(said)


def _class(line: Line) -> Expected:
    """What mtree.py's tag says, else what the keywords do."""
    tags = [tag for tag in line.keywords.get(b"tags", b"").split(b",") if tag.startswith(TAG)]
    if not tags:
        return Expected("presence") if b"nochange" in line.keywords else EXACT
    word = tags[0].removeprefix(TAG).replace(b".", b":", 1).decode("ascii", "replace")
    try:
        given = classes.parse(word)
    except ValueError:
        raise refuse(line.number, f"{escape(tags[0][:60]).decode()} is no class of driftd's") from None
    if not given.fits(_KINDS.get(line.keywords.get(b"type", b""), b"")):
        raise refuse(line.number, f"nothing of this kind can be {given.word}")
    return given


def _entry(line: Line) -> tuple[Entry, list[str]]:
    """The entry, and the keywords that it should have and has not."""
    words = line.keywords
    kind = _KINDS.get(words.get(b"type", b"dir" if line.path == b"/" else b""))
    if kind is None or (line.path == b"/") > (kind == wire.DIRECTORY):
        raise refuse(line.number, f"{escape(line.path[:60]).decode()} has no type that it can have")
    missing: list[str] = []
    mode = _value(line, b"mode", missing, _OCTAL, 8, 0o7777)
    uid = _owner(line, b"uid", b"uname", missing)
    gid = _owner(line, b"gid", b"gname", missing)
    size, digest, target, rdev = 0, b"", b"", (0, 0)
    if kind == wire.FILE:
        size = _value(line, b"size", missing, _NUMBER, 10, 2**64 - 1)
        digest = _digest(line, missing)
    elif kind == wire.LINK:
        target = _target(line, missing)
    elif kind in (wire.CHAR, wire.BLOCK):
        rdev = _device(line, missing)
    flags = 0
    if kind in (wire.FILE, wire.DIRECTORY):
        flags = sum({_FLAG_BITS.get(word, 0) for word in words.get(b"flags", b"").split(b",")})
    return Entry(line.path, kind, mode, uid, gid, size, digest, target, rdev, (), flags), missing


def _value(line: Line, word: bytes, missing: list[str], form: re.Pattern[bytes], base: int, most: int) -> int:
    given = line.keywords.get(word)
    if given is None:
        missing.append(word.decode())
        return 0
    if not form.fullmatch(given) or int(given, base) > most:
        raise _bad(line, word, given)
    return int(given, base)


def _bad(line: Line, word: bytes, given: bytes) -> BadInput:
    return refuse(line.number, f"{word.decode()}={escape(given[:60]).decode()} is no value that driftd reads")


def _owner(line: Line, number: bytes, name: bytes, missing: list[str]) -> int:
    if number not in line.keywords and line.keywords.get(name) == b"root":
        return 0
    return _value(line, number, missing, _NUMBER, 10, 2**32 - 1)


def _digest(line: Line, missing: list[str]) -> bytes:
    given = line.keywords.get(b"sha256")
    if given is None:
        missing.append("sha256")
        return b""
    match = _DIGEST.fullmatch(given)
    if match is None:
        raise _bad(line, b"sha256", given)
    return bytes.fromhex(match[1].decode())


def _target(line: Line, missing: list[str]) -> bytes:
    given = line.keywords.get(b"link")
    if given is None:
        missing.append("link")
        return b""
    try:
        target = decode(given)
    except ValueError:
        target = b""
    if not target or b"\0" in target or len(target) > wire.PATH_LIMIT:
        raise _bad(line, b"link", given)
    return target


def _device(line: Line, missing: list[str]) -> tuple[int, int]:
    given = line.keywords.get(b"device")
    if given is None:
        missing.append("device")
        return (0, 0)
    match = _DEVICE.fullmatch(given)
    if match is None:
        raise _bad(line, b"device", given)
    if match[3]:
        opaque = int(match[3], 0) if match[3][:1] != b"0" or match[3][:2].lower() == b"0x" else int(match[3], 8)
        if opaque >= 2**64:
            raise _bad(line, b"device", given)
        return os.major(opaque), os.minor(opaque)
    major, minor = int(match[1]), int(match[2])
    if max(major, minor) >= 2**32:
        raise _bad(line, b"device", given)
    return major, minor
