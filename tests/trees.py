"""Trees for tests: small ones by hand, any at all by Hypothesis, and fingerprints and manifests of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import strategies as st

from driftd.core import manifest, merkle
from driftd.core.classes import KINDS_OF, Expected
from driftd.core.facts import Coverage, Fact, Kept, fact
from driftd.core.fingerprint import Fingerprint
from driftd.core.manifest import ASPECTS, Manifest
from driftd.core.seal import Seal
from driftd.probe import wire
from driftd.probe.wire import Entry

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
IMAGE = "golden-1"


KINDS = ("account", "group", "package")


def package(name: str, version: str = "1", arch: str = "all") -> Fact:
    return fact("package", f"{name}:{arch}", version=version, source="dpkg")


def account(name: str, uid: int = 0, **fields: str) -> Fact:
    return fact("account", name, **{"uid": uid, "gid": 0, "home": "/", "shell": "/bin/sh", "password": "set", **fields})


def group(name: str, gid: int, members: str = "") -> Fact:
    return fact("group", name, gid=gid, members=members)


def directory(path: bytes, mode: int = 0o755, uid: int = 0, xattrs=()) -> Entry:
    return Entry(path, wire.DIRECTORY, mode, uid, 0, 0, b"", b"", (0, 0), tuple(xattrs))


def file(path: bytes, content: bytes = b"", mode: int = 0o644, uid: int = 0, xattrs=()) -> Entry:
    digest = hashlib.sha256(content).digest()
    return Entry(path, wire.FILE, mode, uid, 0, len(content), digest, b"", (0, 0), tuple(xattrs))


def link(path: bytes, target: bytes) -> Entry:
    return Entry(path, wire.LINK, 0o777, 0, 0, 0, b"", target, (0, 0), ())


def device(path: bytes, mode: int = 0o666, rdev=(1, 3)) -> Entry:
    return Entry(path, wire.CHAR, mode, 0, 0, 0, b"", b"", rdev, ())


def grown(*entries: Entry) -> tuple[Entry, ...]:
    """The entries with every directory above them, sorted."""
    there = {entry.path: entry for entry in entries}
    for entry in entries:
        path = entry.path
        while path != b"/":
            path = wire.parent(path)
            there.setdefault(path, directory(path))
    there.setdefault(b"/", directory(b"/"))
    return tuple(there[path] for path in sorted(there))


def fingerprint(entries: Iterable[Entry] = (), **fields) -> Fingerprint:
    entries = grown(*entries)
    values = {"facts": (), "sessions": (), "booted_at": NOW, **fields}
    values["facts"] = tuple(sorted(values["facts"]))
    values.setdefault("looked", tuple(sorted({*KINDS, *(one.kind for one in values["facts"])})))
    unreadable, covered = len(values.get("unreadable", ())), len(values.get("covered", ()))
    coverage = Coverage(entries=len(entries), unreadable=unreadable, covered=covered)
    return Fingerprint(entries=entries, coverage=coverage, root=merkle.root(entries), **values)


SEAL = Seal("ab" * 32, 1, NOW, {})


def baked(entries: Iterable[Entry] = (), **fields) -> Manifest:
    """A manifest that somebody vouches for."""
    made = manifest.from_fingerprint(fingerprint(entries, **fields), IMAGE, provisional=False)
    return replace(made, seal=SEAL)


# --- anything at all -------------------------------------------------------------------------------------------------

names = st.binary(min_size=1, max_size=12).filter(lambda n: b"/" not in n and b"\0" not in n and n not in (b".", b".."))
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
ids = st.integers(0, 2**32 - 1)
modes = st.integers(0, 0o7777)
xattrs = st.dictionaries(st.binary(min_size=1, max_size=8), st.binary(max_size=12), max_size=3).map(
    lambda d: tuple(sorted(d.items()))
)


@st.composite
def bodies(draw, path: bytes) -> Entry:
    kind = draw(st.sampled_from(wire.KINDS))
    size, digest, target, rdev = 0, b"", b"", (0, 0)
    if kind == wire.FILE:
        size = draw(st.integers(0, 2**64 - 1))
        digest = draw(st.binary(min_size=32, max_size=32))
    elif kind == wire.LINK:
        target = draw(st.binary(min_size=1, max_size=20))
    elif kind in (wire.CHAR, wire.BLOCK):
        rdev = draw(st.tuples(ids, ids))
    flags = draw(st.integers(0, wire.FLAGS)) if kind in (wire.FILE, wire.DIRECTORY) else 0
    return Entry(path, kind, draw(modes), draw(ids), draw(ids), size, digest, target, rdev, draw(xattrs), flags)


@st.composite
def trees(draw, most: int = 12) -> tuple[Entry, ...]:
    """Any tree: each new entry in the root or in a directory that is there already."""
    entries = {b"/": directory(b"/")}
    for _ in range(draw(st.integers(0, most))):
        above = draw(st.sampled_from([path for path, one in entries.items() if one.kind == wire.DIRECTORY]))
        path = wire.join(above, draw(names))
        if path not in entries:
            entries[path] = draw(bodies(path))
    alike = sorted(path for path, one in entries.items() if one.kind != wire.DIRECTORY)
    links = sorted(draw(st.sets(st.sampled_from(alike), max_size=3))) if alike else []
    if len(links) > 1:
        entries |= {path: entries[path]._replace(same=links[0]) for path in links}
    return tuple(entries[path] for path in sorted(entries))


words = st.tuples(st.sampled_from("abkz"), st.text("az09_-", max_size=5)).map("".join)


@st.composite
def facts(draw) -> Fact:
    """Any fact; now and then of a kind that driftd knows, and not of one that no manifest states."""
    kind = draw(st.one_of(st.sampled_from(KINDS), words).filter(lambda word: word != "process"))
    return fact(kind, draw(texts), **draw(st.dictionaries(words, texts.filter(bool), max_size=4)))


def classes_of(kind: bytes) -> st.SearchStrategy[Expected]:
    """Any class that an entry of this kind may be of."""
    able = sorted(word for word, kinds in KINDS_OF.items() if kind in kinds)
    return st.sampled_from(able).map(lambda word: Expected(word, "hex32" if word == "template" else ""))


@st.composite
def manifests(draw) -> Manifest:
    seen = fingerprint(
        draw(trees(most=6)),
        facts=tuple(draw(st.lists(facts(), max_size=6, unique=True))),
        live=draw(st.booleans()),
        unreadable=tuple(draw(st.lists(names.map(lambda n: b"/" + n), max_size=2))),
        kept=tuple(Kept(kind, "not available", "no tool") for kind in sorted(draw(st.sets(st.sampled_from(ASPECTS))))),
    )
    image = draw(st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=12))
    key_id = draw(st.sampled_from(["", "0123456789abcdef"]))
    made = manifest.from_fingerprint(seen, image, provisional=draw(st.booleans()), partial=True, key_id=key_id)
    chosen = draw(st.lists(st.sampled_from(made.entries), max_size=3, unique_by=lambda entry: entry.path))
    return manifest.classified(made, {one.path: draw(classes_of(one.kind)) for one in chosen})
