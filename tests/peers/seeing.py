"""What driftd sees of a tree, in words that can be held against those of its peers."""

from __future__ import annotations

import io

from asking import read, request
from others import Said

from driftd.core import drift, manifest, manifesttext
from driftd.core.difference import Change
from driftd.core.fingerprint import Fingerprint
from driftd.core.manifest import Manifest
from driftd.probe import look, wire


def seen(root: bytes) -> Fingerprint:
    """A look in this process."""
    asked = wire.read_request(io.BytesIO(request(root, ())))
    return read(b"".join(look.answer(asked)), ())


def recorded(root: bytes) -> Manifest:
    """A manifest of the tree, as the bake writes and the audit reads it."""
    return manifesttext.decode(manifesttext.encode(manifest.from_fingerprint(seen(root), "tree", provisional=False)))


def words(baked: Manifest, now: Fingerprint) -> Said:
    """Differences as ``{path: fields}``; access lists, all other attributes, and hard links in a word each."""
    said: Said = {}
    for one in drift.compare(baked, now):
        if one.change is not Change.MODIFIED:
            said[one.subject] = {str(one.change)}
            continue
        names = {name for name in (*one.expected, *one.actual) if one.expected.get(name) != one.actual.get(name)}
        said[one.subject] = {"kind"} if "kind" in names else {_word(name) for name in names}
    return said


def _word(name: str) -> str:
    if name.startswith("xattr "):
        return "acl" if name.startswith("xattr system.posix_acl_") else "xattr"
    return name


def regrouped(baked: Manifest, now: Fingerprint) -> set[bytes]:
    """Every path of a group of hard links that has not the same members any more."""
    groups = []
    for entries in (baked.entries, now.entries):
        members: dict[bytes, set[bytes]] = {}
        for entry in entries:
            if entry.same:
                members.setdefault(entry.same, set()).add(entry.path)
        groups.append({path: frozenset(group) for group in members.values() for path in group})
    before, after = groups
    return {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
