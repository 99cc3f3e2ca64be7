"""Compare: a manifest and a fingerprint in, the differences out. Nothing is judged here (facts: factual.py).

What could not be read, on either side, is unknown and never a difference: a digest that is missing, and everything
below a directory that something is mounted over or that could not be listed. ``hidden`` and ``unread`` count it.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from driftd.core import factual
from driftd.core.difference import Change, Difference
from driftd.core.entries import at, below
from driftd.core.fingerprint import Fingerprint
from driftd.core.manifest import KIND_WORDS, Manifest
from driftd.core.wording import shown
from driftd.probe import wire
from driftd.probe.wire import Entry

_XATTR_SHOWN = 96
# What an entry lacks when facts of this kind were kept from the look (the collector for hosts without Python).
_UNSHOWN = {"xattr": "xattr ", "flags": "flags", "same": "same"}
_FLAGS = ((wire.IMMUTABLE, "immutable"), (wire.APPEND_ONLY, "append-only"))


def compare(manifest: Manifest, fingerprint: Fingerprint, own_key: str = "") -> tuple[Difference, ...]:
    """Every difference: paths by their bytes, then facts by kind and name (``own_key``: see factual.py)."""
    found: list[Difference] = []
    found.extend(_entries(manifest, fingerprint))
    found.extend(factual.compare(manifest, fingerprint, own_key))
    return tuple(found)


# --- paths -----------------------------------------------------------------------------------------------------------


class _Beneath:
    """Answers whether a path lies at or below one of ``roots``."""

    def __init__(self, roots: Iterable[bytes]) -> None:
        self._roots = frozenset(roots)

    def strictly(self, path: bytes) -> bool:
        while self._roots and path != b"/":
            path = wire.parent(path)
            if path in self._roots:
                return True
        return False

    def at_or_below(self, path: bytes) -> bool:
        return path in self._roots or self.strictly(path)


def hidden(manifest: Manifest, fingerprint: Fingerprint) -> tuple[bytes, ...]:
    """Baked paths that nothing can be said of, because something is mounted over them or a directory above them."""
    entries, found = manifest.entries, set[bytes]()
    for root in {*fingerprint.covered, *fingerprint.mounted}:
        found.update(entry.path for entry in below(entries, root))
    for point in fingerprint.mounted:
        baked = at(entries, point)
        if baked is not None and baked.kind != wire.DIRECTORY:
            found.add(point)
    return tuple(sorted(found))


def unread(manifest: Manifest, fingerprint: Fingerprint) -> tuple[bytes, ...]:
    """Baked files that everybody may read and that this look could not: somebody sees to it that nobody does."""
    found = []
    for path in fingerprint.unreadable:
        was, now = at(manifest.entries, path), at(fingerprint.entries, path)
        if was and now and was.sha256 and was.mode & 0o004 and not now.sha256:
            found.append(path)
    return tuple(found)


def _entries(manifest: Manifest, fingerprint: Fingerprint) -> Iterable[Difference]:
    silent = _Beneath(manifest.unknown)
    covered = _Beneath(fingerprint.covered)
    unlisted = _Beneath(fingerprint.unreadable)
    # Who has no tools for them shows none, nor does a format without a place for them: that says nothing of them.
    aspects = {*manifest.unshown, *(one.kind for one in fingerprint.kept)}
    unshown = tuple(_UNSHOWN[one] for one in sorted(aspects & _UNSHOWN.keys()))
    for path, was, now in _unlike(manifest, fingerprint):
        if silent.at_or_below(path) or path in fingerprint.covered:
            continue
        if now is None:
            # What could not even be looked at may well be there.
            if was is not None and not unlisted.at_or_below(path) and not covered.strictly(path):
                yield Difference(kind_of(was), path, Change.REMOVED, fields_of(was), {})
        elif was is None:
            yield Difference(kind_of(now), path, Change.ADDED, {}, fields_of(now))
        else:
            yield from _modified(was, now, unshown)


def _unlike(manifest: Manifest, fingerprint: Fingerprint) -> Iterable[tuple[bytes, Entry | None, Entry | None]]:
    """Every path at which the two have not the same, by its bytes: what was baked there and what is there now."""
    apart = fingerprint.apart
    if apart is not None and apart.base is manifest.entries:
        for path in sorted(apart.changes):
            yield path, at(manifest.entries, path), apart.changes[path]
    elif manifest.entries != fingerprint.entries:
        there = {entry.path: entry for entry in fingerprint.entries}
        baked = {entry.path: entry for entry in manifest.entries}
        for path in sorted(baked.keys() | there.keys()):
            if baked.get(path) != there.get(path):
                yield path, baked.get(path), there.get(path)


def _modified(was: Entry, now: Entry, unshown: tuple[str, ...]) -> Iterable[Difference]:
    """``unshown`` are beginnings of the names of fields that the bake or the look could not see."""
    before, after = fields_of(was), fields_of(now)
    if unshown:
        before = {name: value for name, value in before.items() if not name.startswith(unshown)}
        after = {name: value for name, value in after.items() if not name.startswith(unshown)}
    if was.kind == now.kind:
        names = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
        if was.kind == wire.FILE and not (was.sha256 and now.sha256):
            names.discard("sha256")
            # What could not be opened told nothing of its flags.
            if "flags" not in (after if now.sha256 == b"" else before):
                names.discard("flags")
        if not names:
            return
        if "sha256" in names and now.mode & 0o6111:
            names.add("mode")  # that it can be run matters to what may be expected of its content
        before = {name: value for name, value in before.items() if name in names}
        after = {name: value for name, value in after.items() if name in names}
    yield Difference(kind_of(now), now.path, Change.MODIFIED, before, after)


def kind_of(entry: Entry) -> str:
    """The kind of difference that ``entry`` makes."""
    return "device" if entry.kind in (wire.CHAR, wire.BLOCK) else KIND_WORDS[entry.kind]


def fields_of(entry: Entry) -> dict[str, str]:
    """Everything about an entry but its name, as short texts for a person and for a rule."""
    fields = {
        "kind": KIND_WORDS[entry.kind],
        "mode": f"{entry.mode:04o}",
        "uid": str(entry.uid),
        "gid": str(entry.gid),
    }
    if entry.kind == wire.FILE:
        fields["size"] = str(entry.size)
        fields["sha256"] = entry.sha256.hex() or "unread"
    elif entry.kind == wire.LINK:
        fields["target"] = shown(entry.target)
    elif entry.kind in (wire.CHAR, wire.BLOCK):
        fields["rdev"] = f"{entry.rdev[0]},{entry.rdev[1]}"
    if entry.flags:
        fields["flags"] = ",".join(word for bit, word in _FLAGS if entry.flags & bit)
    if entry.same:
        fields["same"] = shown(entry.same)
    for name, value in entry.xattrs:
        fields["xattr " + shown(name)] = _xattr(name, value)
    return fields


def _xattr(name: bytes, value: bytes) -> str:
    """What the kernel reads (capabilities, ACLs, labels) is shown; what a program keeps there may be a secret."""
    if len(value) > _XATTR_SHOWN or not name.startswith((b"security.", b"system.")):
        return f"{len(value)} bytes, sha256 {sha256(value).hexdigest()}"
    return shown(value)
