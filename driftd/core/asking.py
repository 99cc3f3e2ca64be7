"""What to ask a look about single files, and what to remember of them: both from the differences and the rules.

Only what needs evidence is asked, and only of files that a rule would explain; a clean instance is asked nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import chain

from driftd.core import growth
from driftd.core.asks import Ask
from driftd.core.classes import NO_CLASSES, Expected
from driftd.core.classrules import rules_for
from driftd.core.difference import Change, Difference
from driftd.core.evidence import Evidence, state
from driftd.core.expect import PATH_KINDS, Expect, questions
from driftd.core.findings import Judgement
from driftd.core.marks import UNSET, Mark
from driftd.core.rules import Rule
from driftd.core.templates import TEMPLATES
from driftd.probe.wire import FILE, Entry

MARKS_LIMIT = 10_000  # of one instance; what is beyond is held against the image alone
_GROWS = (Expect.GROWING, Expect.ROTATED)


@dataclass(frozen=True, slots=True)
class Speaking:
    """Which rule decides about a difference: the first of these that speaks of it, else the manifest's class."""

    rules: Sequence[Rule]
    classes: Mapping[bytes, Expected] = field(default_factory=lambda: NO_CLASSES)

    def of(self, difference: Difference) -> Rule | None:
        """The rule; None where none speaks."""
        every = chain(self.rules, rules_for(difference, self.classes))
        return next((rule for rule in every if rule.speaks_of(difference)), None)


def asks_for(differences: Iterable[Difference], speaking: Speaking, evidence: Evidence) -> list[Ask]:
    """All that has to be asked so that ``differences`` can be judged; each once."""
    found: dict[Ask, None] = {}
    for one in differences:
        rule = speaking.of(one)
        if rule is not None and rule.expect is not None:
            found.update(dict.fromkeys(questions(rule.expect_of(one), one, evidence, rule.form)))
    return list(found)


def departed(differences: Iterable[Difference], evidence: Evidence) -> tuple[Difference, ...]:
    """What earlier looks saw and the image says nothing of: gone since, or as it was baked again."""
    known = {one.subject for one in differences if one.kind in PATH_KINDS}
    found = []
    for path, mark in sorted(evidence.marks.items()):
        if path in known or evidence.blind_at(path):
            continue
        entry = evidence.is_there(path)
        was = {"size": str(mark.size)}
        if mark.of in growth.OFS:
            if growth.loss(path, evidence) is None:
                continue
        elif entry is not None and state(entry) == mark.sha256:
            continue
        if entry is None:
            found.append(Difference("file", path, Change.REMOVED, was))
        else:
            now = {"size": str(entry.size), "sha256": entry.sha256.hex()}
            found.append(Difference("file", path, Change.MODIFIED, was, now))
    return tuple(found)


def remember(
    differences: Iterable[Difference], judgement: Judgement, speaking: Speaking, evidence: Evidence
) -> tuple[Mark, ...]:
    """The marks after this look. What kept to its expectation, or was accepted by a person, is the next reference."""
    marks = dict(evidence.marks)
    accepted = (one for one in judgement.findings if one.suppressed_by)
    unsure = {one.path for one in judgement.unchecked}
    kept = {one.subject for one in chain(judgement.explained, accepted) if one.kind in PATH_KINDS} - unsure
    fresh: dict[bytes, bool] = {}
    for one in differences:
        path = one.subject
        rule = speaking.of(one) if one.kind in PATH_KINDS else None
        of = _of(rule)
        before = marks.get(path)
        if path not in kept:
            if of in growth.OFS and before is None and (baked := _mark(of, evidence.was_baked(path), None, evidence)):
                marks[path] = baked
        elif of or (before is not None and before.of not in growth.OFS):
            marks.pop(path, None)
            if of and (made := _mark(of, evidence.is_there(path), evidence.mark(path, of), evidence)):
                marks[path] = made
                fresh[path] = of in growth.OFS
    _as_baked({one.subject for one in differences}, marks, speaking, evidence)
    broken = unsure | {one.subject for one in judgement.findings if one.kind in PATH_KINDS} - kept
    for path in [path for path, grows in fresh.items() if grows]:
        _family(growth.base_of(path, evidence), marks, fresh.keys() | broken, evidence)
    return tuple(marks[path] for path in sorted(marks)[:MARKS_LIMIT])


def _as_baked(differing: AbstractSet[bytes], marks: dict[bytes, Mark], speaking: Speaking, evidence: Evidence) -> None:
    """What may be set at the first boot and was not, long after it, is set: to what was baked."""
    if evidence.born is None or evidence.now - evidence.born < UNSET:
        return
    for path, given in speaking.classes.items():
        template = TEMPLATES.get(given.template)
        once = given.expect == Expect.FIRSTBOOT or (template is not None and template.once)
        if once and path not in differing and path not in marks and not evidence.blind_at(path):
            entry = evidence.is_there(path)
            if entry is not None and entry == evidence.was_baked(path) and entry.kind == FILE:
                marks.update({path: made} if (made := _mark(given.expect, entry, None, evidence)) else {})


def _of(rule: Rule | None) -> str:
    """The expectation that a mark is the reference of; "" for those that need none."""
    if rule is None or rule.expect is None:
        return ""
    if rule.expect in _GROWS or rule.expect is Expect.FIRSTBOOT:
        return rule.expect.value
    return rule.expect.value if rule.form is not None and rule.form.once else ""


def _mark(of: str, entry: Entry | None, before: Mark | None, evidence: Evidence) -> Mark | None:
    if entry is None:
        return None
    if of in growth.OFS:
        # One that is written while it is read has no digest: what was seen before is still its beginning.
        return Mark(entry.path, of, entry.size, entry.sha256, evidence.now) if entry.sha256 else before
    if not entry.sha256:
        return before
    now = state(entry)
    if before is not None and before.sha256 == now:
        return before
    return Mark(entry.path, of, entry.size, now, before.at if before else evidence.now)


def _family(base: bytes, marks: dict[bytes, Mark], known: AbstractSet[bytes], evidence: Evidence) -> None:
    """What a log was rotated to is remembered with it, whatever rule speaks of that: it shows whether logrotate ran."""
    there = {one.entry.path: one.entry for one in growth.family(base, evidence.there)}
    for mark in growth.references(base, evidence):
        if mark.path not in known and mark.path not in there:
            marks.pop(mark.path, None)
    for path in there.keys() - known:
        if made := _mark(Expect.ROTATED.value, there[path], marks.get(path), evidence):
            marks[path] = made
