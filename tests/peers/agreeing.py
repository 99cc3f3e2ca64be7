"""The law between driftd and its peers: what they see, it sees; what only it sees has a reason here."""

from __future__ import annotations

import os
from pathlib import Path

from others import Aide, Mtree, Said
from seeing import recorded, regrouped, seen, words

# What only driftd says of a path that a peer has, too, and why that peer cannot.
BLIND = {
    ("mtree", "xattr"): "has no keyword for extended attributes",
    ("mtree", "acl"): "has no keyword for access lists",
    ("mtree", "flags"): "knows the flags of BSD file systems, not those of Linux",
    ("mtree", "same"): "counts links and does not say of what",
    ("aide", "same"): "counts links and does not say of what",
    ("aide", "rdev"): "has no attribute for the number of a device",
}
# What a peer says that driftd has declared to be no drift.
DECLARED = {
    "other flags": "of the flags that chattr sets only immutable and append-only bind anybody (docs/wire.md)",
}
# One fact, two ways to say it: the kernel keeps the mode's group bits in the access list's mask.
ALSO = {"acl": {"mode"}, "mode": {"acl"}}


class Peers:
    """The three of them, and the tree at ``root``; ``place`` is where they keep what they recorded."""

    def __init__(self, place: Path) -> None:
        self.root = os.fsencode(place) + b"/tree"
        self.mtree, self.aide = Mtree(self.root, place), Aide(self.root, place)

    def record(self) -> None:
        """What is at ``root`` now is what it should be."""
        self.baked = recorded(self.root)
        self.mtree.record()
        self.aide.record()

    def agree(self) -> Said:
        """The law. What driftd says is given back."""
        now = seen(self.root)
        said, groups = words(self.baked, now), regrouped(self.baked, now)
        for name, theirs in (("mtree", self.mtree.compare()), ("aide", self.aide.compare())):
            for path, fields in theirs.items():
                missed = {one for one in fields if not covers(one, path, said, groups)}
                assert not missed, f"{name} sees {missed} of {path!r}; driftd says {said.get(path)}"
            for path, fields in said.items():
                if name == "aide" and path in self.aide.unclear:
                    continue
                told = theirs.get(path, set())
                more = {one for one in fields - told if not ALSO.get(one, set()) & told}
                if "kind" in told or (name == "mtree" and within(path, said, theirs)):
                    continue
                assert {(name, one) for one in more} <= BLIND.keys(), f"only driftd sees {more} of {path!r}"
        return said


def covers(field: str, path: bytes, said: Said, groups: set[bytes]) -> bool:
    """Whether driftd says it as well."""
    mine = said.get(path, set())
    if field == "same":
        # A group that grows or shrinks is told where the name came or went.
        return path in groups or bool(mine & {"kind", "added", "removed"})
    return field in mine or bool(ALSO.get(field, set()) & mine) or "kind" in mine or field in DECLARED


def within(path: bytes, said: Said, theirs: Said) -> bool:
    """Whether ``path`` lies in a directory that came or went as a whole: mtree names that and no more."""
    above = os.path.dirname(path)
    while above != b"/":
        if theirs.get(above, set()) & {"added", "removed", "kind"}:
            return said.get(path, set()) <= {"added", "removed"}
        above = os.path.dirname(above)
    return False
