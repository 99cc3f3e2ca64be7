"""What differs between two manifests: entries, their classes, facts. Nothing is judged, and nothing explained."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from driftd.core.difference import Change, Difference
from driftd.core.drift import fields_of, kind_of
from driftd.core.facts import Fact
from driftd.core.manifest import Manifest
from driftd.probe.wire import Entry

_CLOSED = frozenset({"exact", "presence"})


def between(was: Manifest, now: Manifest) -> tuple[Difference, ...]:
    """Every difference, paths by their bytes and then facts by kind and name. A class is a field, ``class``."""
    return (*_entries(was, now), *_facts(was.facts, now.facts))


def closed_between(was: Manifest, now: Manifest) -> tuple[Difference, ...]:
    """Every difference that makes the closed trees two: of entries that are exact or presence on either side.

    None when the closed roots are equal. So a look at the running guest and one at the disk it leaves agree about what
    the image states, though logs were written and identities removed between them.
    """
    if was.closed == now.closed:
        return ()
    sides = (was, {entry.path for entry in was.entries}), (now, {entry.path for entry in now.entries})

    def counts(one: Difference) -> bool:
        words = {made.class_of(one.subject).expect for made, paths in sides if one.subject in paths}
        # Of what is only to be there its kind counts.
        there = words == {"presence"} and one.change is Change.MODIFIED and "kind" not in one.actual
        return bool(words & _CLOSED) and not there

    return tuple(one for one in _entries(was, now) if counts(one))


def _entries(was: Manifest, now: Manifest) -> Iterator[Difference]:
    before = {entry.path: entry for entry in was.entries}
    after = {entry.path: entry for entry in now.entries}
    for path in sorted(before.keys() | after.keys()):
        old, new = before.get(path), after.get(path)
        if old == new and was.class_of(path) == now.class_of(path):
            continue
        yield _one(_kind(old, new), path, _fields(was, old), _fields(now, new))


def _kind(old: Entry | None, new: Entry | None) -> str:
    entry = new or old
    return kind_of(entry) if entry else ""


def _fields(made: Manifest, entry: Entry | None) -> dict[str, str]:
    return {"class": made.class_of(entry.path).word} | fields_of(entry) if entry else {}


def _facts(was: Iterable[Fact], now: Iterable[Fact]) -> Iterator[Difference]:
    """Facts of one kind and name are one subject where there is one of them on both sides; else each stands alone."""
    before, after = _named(was), _named(now)
    for kind, name in sorted(before.keys() | after.keys()):
        old, new = before.get((kind, name), set()), after.get((kind, name), set())
        subject = name.encode("utf-8", "surrogateescape")
        gone, come = sorted(old - new), sorted(new - old)
        if len(gone) == len(come) == 1:
            yield _one(kind, subject, dict(gone[0]), dict(come[0]))
            continue
        for fields in gone:
            yield _one(kind, subject, dict(fields), {}, Change.REMOVED)
        for fields in come:
            yield _one(kind, subject, {}, dict(fields), Change.ADDED)


def _named(facts: Iterable[Fact]) -> dict[tuple[str, str], set[tuple[tuple[str, str], ...]]]:
    found: dict[tuple[str, str], set[tuple[tuple[str, str], ...]]] = {}
    for fact in facts:
        found.setdefault((fact.kind, fact.name), set()).add(fact.fields)
    return found


def _one(
    kind: str, subject: bytes, was: dict[str, str], now: dict[str, str], change: Change = Change.MODIFIED
) -> Difference:
    if was and now:
        names = {name for name in was.keys() | now.keys() if was.get(name) != now.get(name)}
        was, now = ({name: side[name] for name in names if name in side} for side in (was, now))
        return Difference(kind, subject, change, was, now)
    if change is Change.MODIFIED:
        change = Change.ADDED if now else Change.REMOVED
    return Difference(kind, subject, change, was, now)
