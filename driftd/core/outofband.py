"""Out of band: what an instance says of itself held against its disk, read from outside without asking it.

Two views of one server may differ for honest reasons. A disk that is copied while the server runs is as after a power
cut: what was written shortly before is not on it yet. And what changes between two looks is not the same in both. So a
path speaks of tampering only where the instance said, both well before its disk was copied and afterwards, that it is
as it was baked, and the disk has something else that policy calls drift; and all that once more, at a second copy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, auto

from driftd.core import drift
from driftd.core.difference import Difference
from driftd.core.entries import at
from driftd.core.expect import PATH_KINDS
from driftd.core.findings import Finding, Judgement, Verdict
from driftd.core.fingerprint import Extent, Fingerprint
from driftd.core.looks import DISK, Look
from driftd.core.manifest import ASPECTS, Manifest
from driftd.core.wording import outofband as words
from driftd.probe import wire

HIDDEN = "hidden"
# Linux writes a changed page out once it is 30 s old, looks for such every 5 s, and ext4 commits its journal every 5 s
# (vm.dirty_expire_centisecs, vm.dirty_writeback_centisecs, ext4's commit=), unless somebody set it otherwise: 40 s.
# Three times that, since a busy disk is late.
SETTLED = timedelta(minutes=2)

Of = tuple[str, bytes]  # what a difference is about: a path whatever is there, or a kind of fact and a name


def about(kind: str, subject: bytes) -> Of:
    """What a difference is about; a file in the place of a link is about the same path."""
    return ("" if kind in PATH_KINDS else kind), subject


class Says:
    """What one whole look at a running instance says of single things: as baked, otherwise, or nothing at all."""

    def __init__(self, manifest: Manifest, seen: Fingerprint) -> None:
        # Of the running system the disk says nothing, so only what is configured is compared.
        compared = drift.compare(manifest, replace(seen, live=False))
        self._unlike = {about(one.kind, one.subject) for one in compared}
        self._seen = seen
        self._blind = {*seen.mounted, *seen.unreadable, *manifest.unknown}
        self._covered = {*seen.covered}
        kept = {one.kind for one in seen.kept}
        self._kinds = {*seen.seen_kinds()} - kept
        self._aspects = tuple(one for one in ASPECTS if one in kept)

    def speaks(self, finding: Finding) -> bool:
        """Whether the look could see what ``finding``, of the disk, is about."""
        if self._seen.extent is not Extent.WHOLE:
            return False  # some of it was remembered, and not seen
        if finding.kind not in PATH_KINDS:
            return finding.kind in self._kinds
        if any(name.startswith(self._aspects) for name in {*finding.expected, *finding.actual}):
            return False
        path = finding.subject
        if path in self._covered or path in self._blind or self._unopened(path):
            return False
        while path != b"/":
            path = wire.parent(path)
            if path in self._covered or path in self._blind:
                return False
        return True

    def as_baked(self, finding: Finding) -> bool:
        """Whether it could be seen and is as the image has it."""
        return self.speaks(finding) and about(finding.kind, finding.subject) not in self._unlike

    def _unopened(self, path: bytes) -> bool:
        there = at(self._seen.entries, path)
        return there is not None and there.kind == wire.FILE and not there.sha256


@dataclass(frozen=True, slots=True)
class Inside:
    """One look at the running instance, from when to when; ``says`` is None where nothing could be seen."""

    began: datetime
    ended: datetime
    says: Says | None = None


@dataclass(frozen=True, slots=True)
class Round:
    """A copy of the disk, of some moment from ``asked`` to ``had``, and the looks before and after it."""

    before: Inside
    asked: datetime
    had: datetime
    after: Inside


class Meaning(Enum):
    """What something that only policy calls drift means, found on a disk."""

    HIDDEN = auto()  # the instance says that it is as baked
    TOLD = auto()  # the instance shows that it is not as baked
    ALONE = auto()  # the instance's looks could not see there
    UNSURE = auto()  # it may be on its way to the disk, or have changed meanwhile


def meaning(finding: Finding, one: Round, settled: timedelta = SETTLED) -> Meaning:
    """What ``finding``, of the disk of that round, means."""
    looks = [look.says for look in (one.before, one.after) if look.says is not None]
    speaking = [says for says in looks if says.speaks(finding)]
    if not speaking:
        return Meaning.ALONE
    if not all(says.as_baked(finding) for says in speaking):
        return Meaning.TOLD
    in_time = one.before.ended + settled <= one.asked <= one.had <= one.after.began
    return Meaning.HIDDEN if len(speaking) == 2 and in_time else Meaning.UNSURE


@dataclass(frozen=True, slots=True)
class Sorted:
    """The findings of one disk by what they mean; those that somebody accepted are in none."""

    hidden: tuple[Finding, ...] = ()
    told: tuple[Finding, ...] = ()
    alone: tuple[Finding, ...] = ()
    unsure: tuple[Finding, ...] = ()


def sort_out(findings: Sequence[Finding], one: Round, settled: timedelta = SETTLED) -> Sorted:
    """What each of them means."""
    by: dict[Meaning, list[Finding]] = {kind: [] for kind in Meaning}
    for finding in findings:
        if not finding.suppressed_by:
            by[meaning(finding, one, settled)].append(finding)
    return Sorted(*(tuple(by[kind]) for kind in (Meaning.HIDDEN, Meaning.TOLD, Meaning.ALONE, Meaning.UNSURE)))


def confirmed(first: Sorted, second: Sorted) -> Sorted:
    """The second round's, where only that is hidden which was hidden in the first round, too.

    What was on the disk for the moment of one copy alone, and gone again before anybody looked, hides from nobody.
    """
    before = {about(one.kind, one.subject) for one in first.hidden}
    hidden = tuple(one for one in second.hidden if about(one.kind, one.subject) in before)
    doubtful = tuple(one for one in second.hidden if one not in hidden)
    return replace(second, hidden=hidden, unsure=(*second.unsure, *doubtful))


def differences(hidden: Sequence[Finding]) -> tuple[Difference, ...]:
    """What policy is asked of: that something is hidden, whatever it is."""
    return tuple(
        Difference(HIDDEN, one.subject, one.change, one.expected, {**one.actual, "hidden": one.kind}) for one in hidden
    )


def told(disk: Look, found: Sorted, judge: Callable[[Sequence[Difference]], Judgement]) -> Look:
    """The look at the disk, with the verdict that both views together have. ``judge`` is the instance's policy.

    TAMPERED where anything is hidden that nobody accepted; DRIFTED where the disk has drift that the instance shows as
    well or cannot see; else what the disk shows otherwise is explained, as what is on its way.
    """
    hidden = judge(differences(found.hidden))
    accepted = tuple(one for one in disk.judgement.findings if one.suppressed_by)
    plain = (*found.told, *found.alone)
    unsure = tuple(replace(one, because=words.ON_ITS_WAY) for one in found.unsure)
    explained = (*disk.judgement.explained, *unsure)
    counted = [one for one in hidden.findings if not one.suppressed_by]
    if counted:
        verdict, reason = Verdict.TAMPERED, words.hidden(counted)
    elif plain:
        verdict, reason = Verdict.DRIFTED, words.drifted(len(found.told), len(found.alone))
    elif disk.judgement.verdict is not Verdict.DRIFTED:
        verdict, reason = disk.judgement.verdict, disk.judgement.reason
    else:
        said = [words.on_its_way(len(unsure))] if unsure or not hidden.findings else []
        verdict, reason = Verdict.EXPLAINED, "; ".join([*([hidden.reason] if hidden.findings else []), *said])
    judgement = replace(
        disk.judgement,
        verdict=verdict,
        reason=reason if reason == disk.judgement.reason else f"{reason}; {words.OF_A_DISK}",
        findings=(*hidden.findings, *plain, *accepted),
        explained=(*explained, *hidden.explained),
        action=max((one.action for one in (*counted, *plain)), key=lambda one: one.rank, default=hidden.action),
    )
    return replace(disk, judgement=judgement, means=DISK, attributions={})


def hidden_alone(disk: Judgement) -> Judgement | None:
    """What the row of an instance is to say of a look at its disk: what is hidden, and nothing else that it shows.

    None where nothing is hidden. What somebody accepted is told, so that it counts as seen, and asks for nothing.
    """
    hidden = tuple(one for one in disk.findings if one.kind == HIDDEN)
    if not hidden:
        return None
    counted = [one for one in hidden if not one.suppressed_by]
    if not counted:
        return Judgement(Verdict.EXPLAINED, disk.reason, hidden)
    action = max((one.action for one in counted), key=lambda one: one.rank)
    return Judgement(Verdict.TAMPERED, words.hidden(counted), hidden, action=action)
