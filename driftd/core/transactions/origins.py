"""Where each difference comes from: which package, and whether what is there is exactly what that one has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from driftd.core.causes.board import plain
from driftd.core.difference import CLAIMED, VERIFIED, Change, Difference, Origin
from driftd.core.expect import PATH_KINDS
from driftd.core.fingerprint import Fingerprint
from driftd.core.transactions import NO_EVIDENCE, Evidence
from driftd.core.transactions import books as told
from driftd.core.transactions.contents import Contents, Member
from driftd.probe import wire
from driftd.probe.wire import Entry


def traced(differences: Sequence[Difference], fingerprint: Fingerprint, evidence: Evidence) -> tuple[Difference, ...]:
    """The differences, each that a transaction explains with its origin."""
    if evidence is NO_EVIDENCE:
        return tuple(differences)
    origins = _Origins(told.changed(differences), fingerprint, evidence)
    return tuple(replace(one, origin=origins.of(one)) for one in differences)


class _Origins:
    """Answers which package explains a difference, and how far that is proven."""

    def __init__(self, packages: Iterable[Difference], fingerprint: Fingerprint, evidence: Evidence) -> None:
        self._evidence = evidence
        self._packages = {told.name_of(one): one for one in packages}
        self._there: dict[bytes, Entry] = {}
        self._owner: dict[bytes, str] = {}
        for name in sorted(self._packages, reverse=True):
            for known in (evidence.books.files.get(name, ()), self._before(name), self._info(name)):
                self._owner.update({plain(path): name for path in known})
        for entry in fingerprint.entries if self._owner else ():
            if plain(entry.path) in self._owner:
                self._there[plain(entry.path)] = entry
        self._now = _plainly(evidence.now)
        self._was = _plainly(evidence.before)

    def _before(self, name: str) -> Iterable[bytes]:
        found = self._evidence.before.get(name)
        return found.members if found else ()

    def _info(self, name: str) -> Iterator[bytes]:
        """Its own files among dpkg's."""
        found = self._evidence.now.get(name)
        for stem in {name.partition(":")[0].encode(), name.encode("utf-8", "surrogateescape")}:
            for control in (b"list", *(found.control if found else ())):
                yield told.INFO + stem + b"." + control

    def of(self, one: Difference) -> Origin | None:
        if one.kind == "package":
            name = told.name_of(one)
            return self._origin(name, VERIFIED if self._whole(name) else CLAIMED)
        if one.kind not in PATH_KINDS:
            return None
        owner = self._owner.get(plain(one.subject))
        if owner is None:
            return None
        return self._origin(owner, VERIFIED if self._verified(owner, one) else CLAIMED)

    def _origin(self, name: str, level: str) -> Origin:
        fact, run = self._packages[name], self._evidence.runs.get(name)
        found = self._evidence.now.get(name)
        return Origin(
            package=name,
            version=fact.actual.get("version", ""),
            was=fact.expected.get("version", ""),
            level=level,
            transaction=run.name if run else "",
            release=found.release if found and level == VERIFIED else "",
            doubt="" if level == VERIFIED else self._evidence.doubts.get(name, ""),
        )

    def _whole(self, name: str) -> bool:
        """Whether every file of it that is there is what the package has, and none of its programs is missing."""
        found = self._evidence.now.get(name)
        if found is None:
            return False
        return all(
            _is(self._there.get(plain(path)), member)
            or path in found.settings
            or (plain(path) not in self._there and not member.mode & 0o111)  # left out on purpose, as documents are
            for path, member in found.members.items()
            if member.kind != wire.DIRECTORY
        )

    def _verified(self, name: str, one: Difference) -> bool:
        found = self._evidence.now.get(name)
        if found is None:
            return False
        path, members = plain(one.subject), self._now[name]
        if one.change is Change.REMOVED:
            return path not in members and path in self._was.get(name, {})
        there = self._there.get(path)
        if path in members:
            return _is(there, members[path])
        return there is not None and _is_control(there, name, found)


def _plainly(packages: Mapping[str, Contents]) -> dict[str, dict[bytes, Member]]:
    return {name: {plain(path): one for path, one in found.members.items()} for name, found in packages.items()}


def _is(there: Entry | None, member: Member) -> bool:
    """Whether what is there is what the package has, in all that a package says."""
    if there is None or there.xattrs or there.flags:
        return False
    same = (there.kind, there.mode, there.uid, there.gid) == (member.kind, member.mode, member.uid, member.gid)
    if member.kind == wire.LINK:
        return (there.kind, there.target) == (member.kind, member.target)
    return same and (member.kind != wire.FILE or (there.sha256 != b"" and there.sha256 == member.sha256))


def _is_control(there: Entry, name: str, found: Contents) -> bool:
    stem, _, control = there.path.removeprefix(told.INFO).rpartition(b".")
    full = name.encode("utf-8", "surrogateescape")
    if there.kind != wire.FILE or stem not in (full, full.partition(b":")[0]) or there.xattrs or there.flags:
        return False
    return (there.uid, there.gid, there.mode & 0o022) == (0, 0, 0) and found.control.get(control) == there.sha256
