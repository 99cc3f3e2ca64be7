"""Merge: what was known of an instance's tree and what a glance told of it, as one tree. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from driftd.core.glance.recalled import Directories, Listed, Place, first
from driftd.core.interned import Changes, Interned
from driftd.probe import wire
from driftd.probe.wire import Entry


@dataclass(frozen=True, slots=True)
class Moved:
    """What a glance says may have changed. ``read`` are the names to be read anew, by place; ``gone`` paths that are
    there no more. ``directories`` is what the next look goes by.
    """

    read: Mapping[Place, tuple[bytes, ...]]
    gone: frozenset[bytes]
    directories: Directories


def moved(known: Directories, told: Directories, gone: Collection[bytes]) -> Moved:
    """What changed between ``known`` and the directories ``told`` anew; ``gone`` are digests that are there no more."""
    ended = {place for place, one in known.items() if one.digest in gone and place not in told}
    read: dict[Place, tuple[bytes, ...]] = {}
    missing: set[bytes] = set()
    for place in ended:
        missing.update(_paths(place, known[place].names))
    for place, now in told.items():
        before = known.get(place, _NOTHING)
        at = first(before.names)
        names = tuple(
            name for number, name in enumerate(now.names) if name not in at or before.stat(at[name]) != now.stat(number)
        )
        if names:
            read[place] = names
        missing.update(_paths(place, at.keys() - set(now.names)))
    # A directory that is another file system now has the same paths in another place.
    missing.difference_update(path for place, one in told.items() for path in _paths(place, one.names))
    left = {place: one for place, one in known.items() if place not in ended}
    return Moved(read, frozenset(missing), {**left, **told})


_NOTHING = Listed(b"", (), b"", b"")


def asked(read: Mapping[Place, tuple[bytes, ...]]) -> Iterable[bytes]:
    """The paths of the names that are to be read."""
    return (path for place, names in read.items() for path in _paths(place, names))


def _paths(place: Place, names: Iterable[bytes]) -> list[bytes]:
    directory = place[1]
    return [wire.join(directory, name) if directory else name for name in names]


def merged(
    image: Interned,
    before: Changes,
    gone: Collection[bytes],
    came: Iterable[Entry],
    links: Mapping[bytes, bytes] | None,
) -> Changes:
    """How the tree differs from the image's now: ``before``, without what is ``gone``, with the entries that ``came``.

    ``links`` are all hard links of the tree (path to ``Entry.same``); None where they are those that there were.
    """
    known = _links(image, before)
    same = known if links is None else links
    changes = dict(before)
    for path in gone:
        changes[path] = None
    for entry in came:
        changes[entry.path] = entry._replace(same=same.get(entry.path, b""))
    if links is not None:
        for path in {*known, *links}:
            now = changes[path] if path in changes else image.at(path)
            if now is not None and now.same != same.get(path, b""):
                changes[path] = now._replace(same=same.get(path, b""))
    return {path: entry for path, entry in changes.items() if entry != image.at(path)}


def _links(image: Interned, changes: Changes) -> Mapping[bytes, bytes]:
    found = dict(image.links)
    for path, entry in changes.items():
        if entry is not None and entry.same:
            found[path] = entry.same
        else:
            found.pop(path, None)
    return found
