"""The board on which findings find together: one look's findings, and what has been claimed so far.

Each is claimed by one cause at most. A claim never depends on what lies outside of what it claims, so that the same
event is grouped alike on every host.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from driftd.core.difference import Change
from driftd.core.expect import PATH_KINDS
from driftd.core.findings import Finding

MOUNT, PACKAGE, PACKAGES, ACCOUNT, UNIT = "mount", "package", "packages", "account", "unit"
REMOVED, ADDED, MOVED, FILE_MOVED = "tree-removed", "tree-added", "tree-moved", "file-moved"
PERMISSIONS, FILE = "permissions", "file"

Claim = tuple[str, bytes]

_MERGED = (b"/bin/", b"/sbin/", b"/lib/", b"/lib32/", b"/lib64/", b"/libx32/")


@dataclass(frozen=True, slots=True)
class Books:
    """What is known of the packages that changed: by a fact's name ("nginx:amd64"), the paths that its lists name, and
    the transaction that brought it (any text; the same for those that came together).
    """

    files: Mapping[str, frozenset[bytes]] = field(default_factory=dict)
    transactions: Mapping[str, str] = field(default_factory=dict)


def plain(path: bytes) -> bytes:
    """A path as it is where /bin and /lib lead into /usr: package lists and entries may have either."""
    return b"/usr" + path if path.startswith(_MERGED) else path


def parents(path: bytes) -> Iterator[bytes]:
    """Those above ``path``, the nearest first, without the root directory."""
    while (path := path.rpartition(b"/")[0]) != b"":
        yield path


def value_of(finding: Finding, name: str) -> bytes:
    """A field: what is there now, else what was; b"" for neither."""
    return (finding.actual.get(name) or finding.expected.get(name) or "").encode("utf-8", "surrogateescape")


class Board:
    """``paths`` and ``facts`` are places in ``found``; sessions are neither: who was there is never a by-product."""

    def __init__(self, findings: Sequence[Finding], books: Books) -> None:
        self.found = findings
        self.books = books
        self.claims: dict[int, Claim] = {}
        self._paths = [at for at, one in enumerate(findings) if one.kind in PATH_KINDS]
        self._facts = [at for at, one in enumerate(findings) if one.kind not in PATH_KINDS and one.kind != "session"]

    def paths(self, change: Change | None = None) -> list[int]:
        """Those that nobody has claimed."""
        return [at for at in self._paths if at not in self.claims and change in (None, self.found[at].change)]

    def facts(self, *kinds: str) -> list[int]:
        """Those that nobody has claimed (of these kinds), by name."""
        chosen = [at for at in self._facts if at not in self.claims and (not kinds or self.found[at].kind in kinds)]
        return sorted(chosen, key=self.subject)

    def claim(self, places: Iterable[int], kind: str, about: bytes) -> None:
        """What is claimed already stays where it is."""
        for at in places:
            self.claims.setdefault(at, (kind, about))

    def subject(self, at: int) -> bytes:
        return self.found[at].subject

    def files_of(self, at: int) -> set[bytes]:
        """The files that a fact is read from or runs."""
        one = self.found[at]
        named = {value_of(one, name) for name in ("file", "fragment", "live_fragment", "program", "configured")}
        if one.kind == "unit":
            named |= {base + one.subject for base in (b"/etc/systemd/system/", b"/usr/lib/systemd/system/")}
        if one.kind in ("process", "preload"):
            named.add(one.subject)
        if one.kind == "pam":
            named.add(b"/etc/pam.d/" + one.subject.partition(b"/")[0])
        return {plain(path) for path in named if path.startswith(b"/")}
