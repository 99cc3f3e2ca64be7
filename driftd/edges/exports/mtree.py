"""A manifest as mtree(5), for NetBSD's mtree (Debian's mtree-netbsd), FreeBSD's, and bsdtar: one full path a line.

Keywords: type, mode, uid, gid, size, sha256, link, device (``native,major,minor``), nlink where a file has several
names in the tree, flags (schg and sappnd; no mtree on Linux compares them), tags (``driftd.CLASS``), optional, ignore.

By class: exact entries are held by everything; all others not by size and sha256, and an ephemeral one may be gone; an
open directory that held nothing is not looked into. Of paths that are unknown nothing is checked.

Lost, and counted: extended attributes (access lists and capabilities among them); which names are hard links of which
file (their number is told); facts; size and digest of files that are not exact, and what their class asks of their
content; that something may be added to an open directory which held something, so that mtree tells what is; unknown
paths whose directory is not in the manifest, and what lies below an unknown path.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from driftd.core.classes import EXACT
from driftd.core.manifest import Manifest
from driftd.core.projection import Projection
from driftd.core.wording.exports import lost, told
from driftd.edges.exports.vis import encode
from driftd.probe import wire
from driftd.probe.wire import Entry

TYPES = {
    wire.FILE: b"file",
    wire.DIRECTORY: b"dir",
    wire.LINK: b"link",
    wire.CHAR: b"char",
    wire.BLOCK: b"block",
    wire.FIFO: b"fifo",
    wire.SOCKET: b"socket",
}
FLAGS = ((wire.IMMUTABLE, b"schg"), (wire.APPEND_ONLY, b"sappnd"))
TAG = b"driftd."
SIGNATURE = b"#mtree\n"
_NAME = "mtree"
_NOTHING = b" optional ignore"


def project(manifest: Manifest) -> Projection:
    """``manifest`` as a specification. Entries are written in the order of their paths' bytes."""
    writer = _Writer(manifest)
    return Projection(writer.chunks(), writer.losses())


class _Writer:
    """What has to be known of the whole before a line can be written."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._unknown = frozenset(manifest.unknown)
        self._links = Counter(entry.same for entry in manifest.entries if entry.same)
        self._parents = {wire.parent(entry.path) for entry in manifest.entries if entry.path != b"/"}
        directories = {entry.path for entry in manifest.entries if entry.kind == wire.DIRECTORY}
        bare = self._unknown - {entry.path for entry in manifest.entries}
        self._bare = {path for path in bare if path != b"/" and wire.parent(path) in directories}
        self._homeless = len(bare) - len(self._bare)

    def chunks(self) -> Iterator[bytes]:
        """The file, a line at a time."""
        made = self._manifest
        yield SIGNATURE
        yield b"# driftd: what the image %s contains\n" % encode(made.image.encode("utf-8", "surrogateescape"))
        yield b"# root sha256:%s\n" % made.root.hex().encode()
        if made.provisional:
            yield b"# provisional: read off a running server\n"
        bare = iter([*sorted(self._bare), None])
        waiting = next(bare)
        for entry in made.entries:
            while waiting is not None and waiting < entry.path:
                yield self._unsaid(waiting)
                waiting = next(bare)
            if not self._beneath_unknown(entry.path):
                yield self._line(entry)
        while waiting is not None:
            yield self._unsaid(waiting)
            waiting = next(bare)

    def _beneath_unknown(self, path: bytes) -> bool:
        while self._unknown and path != b"/":
            path = wire.parent(path)
            if path in self._unknown:
                return True
        return False

    def _unsaid(self, path: bytes) -> bytes:
        return b"" if self._beneath_unknown(path) else _name(path) + _NOTHING + b"\n"

    def _line(self, entry: Entry) -> bytes:
        given = self._manifest.class_of(entry.path)
        if entry.path in self._unknown:
            # Its type is left out, too; the root must have one.
            return _name(entry.path) + (b" type=dir" if entry.path == b"/" else b"") + _NOTHING + b"\n"
        words = [_name(entry.path), b"type=" + TYPES[entry.kind]]
        words.append(b"mode=%04o uid=%d gid=%d" % (entry.mode, entry.uid, entry.gid))
        words += self._body(entry, content=given == EXACT)
        if given.expect == "ephemeral":
            words.append(b"optional")
        if given.expect == "open-dir" and entry.path not in self._parents:
            words.append(b"ignore")
        if given != EXACT:
            words.append(b"tags=" + TAG + given.word.replace(":", ".").encode())
        return b" ".join(words) + b"\n"

    def _body(self, entry: Entry, *, content: bool) -> Iterator[bytes]:
        if entry.kind == wire.FILE and content:
            yield b"size=%d" % entry.size
            if entry.sha256:
                yield b"sha256=" + entry.sha256.hex().encode()
        elif entry.kind == wire.LINK:
            yield b"link=" + encode(entry.target)
        elif entry.kind in (wire.CHAR, wire.BLOCK):
            yield b"device=native,%d,%d" % entry.rdev
        if entry.same:
            yield b"nlink=%d" % self._links[entry.same]
        if entry.flags:
            yield b"flags=" + b",".join(word for bit, word in FLAGS if entry.flags & bit)

    def losses(self) -> tuple[str, ...]:
        """A sentence for each thing that the file does not say."""
        made = self._manifest
        attributes = sum(len(entry.xattrs) for entry in made.entries)
        contents = sum(entry.kind == wire.FILE and entry.path in made.classes for entry in made.entries)
        crowded = sum(given.expect == "open-dir" and path in self._parents for path, given in made.classes.items())
        names, groups = sum(self._links.values()), len(self._links)
        beneath = sum(self._beneath_unknown(entry.path) for entry in made.entries)
        counts = (
            (attributes, lost(_NAME, attributes, "extended attribute")),
            (groups, told(_NAME, groups, "file", f"told by the number of names ({names}), not by which they are")),
            (len(made.facts), lost(_NAME, len(made.facts), "fact")),
            (contents, told(_NAME, contents, "file", "told without size and digest: their class lets these differ")),
            (crowded, told(_NAME, crowded, "open directory", "looked into: additions are told", "open directories")),
            (self._homeless, lost(_NAME, self._homeless, "unknown path")),
            (beneath, told(_NAME, beneath, "entry", "left out: they lie below what is unknown", "entries")),
        )
        return tuple(sentence for count, sentence in counts if count)


def _name(path: bytes) -> bytes:
    return b"." if path == b"/" else b"." + encode(path)
