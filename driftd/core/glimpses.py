"""What a glimpse is held against: of a manifest, the part that the glimpse shows something of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from driftd.core.asking import Speaking, asks_for
from driftd.core.difference import Difference
from driftd.core.entries import at, below
from driftd.core.evidence import Evidence
from driftd.core.expect import Expect
from driftd.core.facts import Kept
from driftd.core.fingerprint import Fingerprint
from driftd.core.manifest import Manifest
from driftd.core.watching import Glimpse
from driftd.probe import wire

# Which names are links of one file only a whole look sees.
_ALONE = Kept("same", "not available", "a glimpse sees single names")
# What grows is written to all the time; whether it only grew, a whole look asks.
_GROWS = (Expect.GROWING, Expect.ROTATED)


def part(manifest: Manifest, glimpse: Glimpse) -> tuple[Manifest, Fingerprint] | None:
    """The manifest as far as ``glimpse`` shows, and what it shows; None when it shows no tree."""
    seen = glimpse.seen
    if seen is None:
        return None
    baked = manifest.entries
    wanted = {entry.path: was for entry in seen.entries if (was := at(baked, entry.path)) is not None}
    for directory, names in glimpse.listed.items():
        for entry in below(baked, directory):
            child = entry.path[len(directory.rstrip(b"/")) + 1 :].partition(b"/")[0]
            if child not in names:
                wanted[entry.path] = entry
    entries = tuple(wanted[path] for path in sorted(wanted))
    classes = {path: found for path in wanted if (found := manifest.classes.get(path)) is not None}
    return (
        replace(manifest, entries=entries, facts=(), looked=(), classes=classes),
        replace(seen, facts=(), looked=(), kept=(*seen.kept, _ALONE)),
    )


def contains(manifest: Manifest, program: bytes) -> bool:
    """Whether the image has a file of this name."""
    found = at(manifest.entries, program)
    return found is not None and found.kind == wire.FILE


@dataclass(frozen=True, slots=True)
class Sorted:
    """Differences that can be judged as they are, and whether there are some that cannot."""

    plain: tuple[Difference, ...]
    unsure: bool


def sort_out(found: Sequence[Difference], speaking: Speaking, evidence: Evidence) -> Sorted:
    """Leave aside what more would have to be asked about, or known of packages."""
    booked = any(rule.match.transaction is not None for rule in speaking.rules)
    plain: list[Difference] = []
    unsure = False
    for one in found:
        rule = speaking.of(one)
        grows = rule is not None and rule.expect is not None and rule.expect_of(one) in _GROWS
        if grows:
            continue
        if (booked and one.kind != "session") or asks_for([one], speaking, evidence):
            unsure = True
        else:
            plain.append(one)
    return Sorted(tuple(plain), unsure)
