"""Growing files: is what a log held at the last look still there, at its beginning or in what it was rotated to?

A *reference* is what a path held when it was last seen well: its mark, else what was baked. The log and what it was
rotated to are a *family*, newest first: ``x``, ``x.1``, ``x.2.gz``, ``x-20260131.gz``. Each reference of a family has
to be found in it: as the beginning of its own file, as a file moved on, as the beginning of a plain copy, or of what a
packed one unpacks to. So it makes no difference how often logrotate ran between two looks, nor how: create or
copytruncate, packed at once or later, numbered or dated.

What logrotate drops at the old end is gone without a trace. As many files may be lost there as rotations are seen to
have happened; where all is gone, as many days must have passed as files are kept. Anything else is a loss: a faint one
(nothing says that it was not logrotate, only more often than it usually runs), or a plain one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from driftd.core import asks
from driftd.core.asks import Ask
from driftd.core.entries import beginning_with
from driftd.core.evidence import Evidence
from driftd.core.marks import Mark
from driftd.probe import wire
from driftd.probe.wire import Entry

OFS = ("growing", "rotated")  # the expectations whose marks are references here
_SUFFIXES = (b".gz", b".bz2", b".xz", b".zst")
_PACKED = rb"(?:\.(?:gz|bz2|xz|zst))?"
# logrotate(8): a number or a date (dateformat) after the name, or before what ``extension`` names.
_ROTATED = re.compile(rb"(/.*?[^/])[.-]([0-9][0-9._T-]{0,18})(\.[a-z]{1,8})??(" + _PACKED + rb")", re.DOTALL)
_DAY = timedelta(days=1)
_CANDIDATES = 64  # files of a family that are asked about for one reference
_NUMBERED = 9999  # a larger number is a date


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a family. ``place`` sorts the newest first."""

    entry: Entry
    place: tuple[int, int]
    packed: bool


@dataclass(frozen=True, slots=True)
class Loss:
    """What of a log is not where it should be. ``faint`` when it may well have been rotated away.

    Where that could not be told, ``unsure`` says why instead, and ``cut`` that the instance may have had a hand in it.
    """

    why: str
    faint: bool = False
    unsure: str = ""
    cut: bool = False


@dataclass(frozen=True, slots=True)
class _Found:
    """Where a reference was found; else ``unsure`` says why that could not be told, or both are nothing."""

    at: Member | None = None
    unsure: str = ""
    cut: bool = False


def base_of(path: bytes, evidence: Evidence) -> bytes:
    """The log that ``path`` is a rotation of; ``path`` itself when there is no log of such a name."""
    name = _ROTATED.fullmatch(path)
    base = name[1] + (name[3] or b"") if name else path
    known = base in evidence.marks or evidence.is_there(base) or evidence.was_baked(base)
    return base if known else path


def family(base: bytes, entries: tuple[Entry, ...]) -> list[Member]:
    """The log and what is named like its rotations, the newest first; regular files only."""
    stem = re.sub(rb"\.[a-z]{1,8}\Z", b"", base)
    found = [
        Member(entry, place, entry.path.endswith(_SUFFIXES))
        for entry in beginning_with(entries, stem)
        if entry.kind == wire.FILE and (place := _place(entry.path, base)) is not None
    ]
    return sorted(found, key=lambda one: one.place)


def _place(path: bytes, base: bytes) -> tuple[int, int] | None:
    if path == base:
        return 0, 0
    name = _ROTATED.fullmatch(path)
    if name is None or name[1] + (name[3] or b"") != base:
        return None
    digits = int(re.sub(rb"[^0-9]", b"", name[2]).ljust(1, b"0"))
    return (1, digits) if digits <= _NUMBERED else (2, -digits)


def references(base: bytes, evidence: Evidence) -> list[Mark]:
    """What the family of ``base`` held when it was last seen well, the newest first: its marks, else what was baked."""
    marked = [
        (place, mark)
        for path, mark in evidence.marks.items()
        if mark.of in OFS and (place := _place(path, base)) is not None
    ]
    if marked:
        return [mark for _, mark in sorted(marked)]
    born = evidence.born or evidence.now
    return [
        Mark(one.entry.path, OFS[0], one.entry.size, one.entry.sha256, born)
        for one in family(base, evidence.baked)
        if one.entry.sha256
    ]


def questions(path: bytes, evidence: Evidence) -> Iterator[Ask]:
    """What has to be asked so that every reference of the family of ``path`` can be found."""
    base = base_of(path, evidence)
    refs, members = references(base, evidence), family(base, evidence.there)
    for ref in refs:
        if _moved(ref, members) is None:
            for one in _candidates(ref, refs, members):
                yield _ask(ref, one)


def loss(path: bytes, evidence: Evidence) -> Loss | None:
    """Whether what ``path`` held is lost, or that this could not be told; None when it is where it should be."""
    base = base_of(path, evidence)
    refs, members = references(base, evidence), family(base, evidence.there)
    at = next((at for at, ref in enumerate(refs) if ref.path == path), None)
    if at is None:
        return None
    found = [_find(ref, refs, members, evidence) for ref in refs]
    if found[at].at is not None:
        return None
    if found[at].unsure:
        return Loss("", unsure=found[at].unsure, cut=found[at].cut)
    return _lost(at, refs, found, members, evidence)


def _moved(ref: Mark, members: Sequence[Member]) -> Member | None:
    """Where exactly this content is, its own path first: that takes no asking."""
    same = [one for one in members if (one.entry.size, one.entry.sha256) == (ref.size, ref.sha256)]
    return min(same, key=lambda one: (one.entry.path != ref.path, one.place), default=None)


def _candidates(ref: Mark, refs: Sequence[Mark], members: Sequence[Member]) -> list[Member]:
    """Which files may begin with it: its own first. One that another reference is of, byte for byte, is known."""
    known = {(other.size, other.sha256) for other in refs if other is not ref and other.size}
    some = [
        one
        for one in members
        if (one.packed or one.entry.size >= ref.size) and (one.entry.size, one.entry.sha256) not in known
    ]
    return sorted(some, key=lambda one: (one.entry.path != ref.path, one.place))[:_CANDIDATES]


def _ask(ref: Mark, one: Member) -> Ask:
    unpack = one.packed and one.entry.path != ref.path
    return Ask(one.entry.path, "unpacked" if unpack else "prefix", b"%d" % ref.size)


def _find(ref: Mark, refs: Sequence[Mark], members: Sequence[Member], evidence: Evidence) -> _Found:
    if moved := _moved(ref, members):
        return _Found(moved)
    if not ref.size and members:
        return _Found(members[0])
    unsure, cut = "", False
    for one in _candidates(ref, refs, members):
        answer = evidence.answer(ask := _ask(ref, one))
        if answer.how:
            unsure = unsure or (f"{answer.how}: {answer.why}" if answer.why else answer.how)
            cut = cut or answer.how in (asks.CUT_SHORT, asks.CHANGED)
        elif ref.sha256 == (answer.prefix if ask.what == "unpacked" else answer.sha256):
            return _Found(one)
    return _Found(None, unsure, cut)


def _lost(
    at: int, refs: Sequence[Mark], found: Sequence[_Found], members: Sequence[Member], evidence: Evidence
) -> Loss | None:
    """None when rotating explains that reference ``at`` is nowhere any more."""
    here = [number for number, one in enumerate(found) if one.at is not None]
    older = members[1:] if members and members[0].place == (0, 0) else list(members)
    if not here:
        gap = evidence.now - refs[0].at
        if older and gap >= len(older) * _DAY:
            return None
        kept = sum(1 for ref in refs if ref.path != refs[0].path)
        faint = len(older) >= max(1, kept) and any(ref.path in evidence.marks for ref in refs)
        return Loss(_words(refs[at], members), faint)
    # One that held nothing is found anywhere, and tells nothing of how far the others were moved on.
    leading = next((number for number in here if refs[number].size), here[0])
    first = found[leading].at
    turned = members.index(first) - leading if first is not None else 0
    lost = len(refs) - here[-1] - 1
    if at < here[-1]:
        return Loss(_words(refs[at], members))
    if turned >= lost:
        return None
    return Loss(f"{lost} rotated files are gone, and it was rotated {turned} times since", faint=turned > 0)


def _words(ref: Mark, members: Sequence[Member]) -> str:
    now = next((one.entry.size for one in members if one.entry.path == ref.path), None)
    if now is None:
        return f"it is gone, and nothing that it was rotated to holds the {ref.size} bytes that it held"
    if now < ref.size:
        return f"it shrank from {ref.size} to {now} bytes, and nothing that it was rotated to holds what it held"
    return f"the {ref.size} bytes that it held are not its beginning any more, nor in what it was rotated to"
