"""Policy: ordered rules that turn differences into findings, and findings into a verdict. The first match decides.

Whatever no rule speaks of is a finding (core/severity.py says how bad) and asks for a replacement (but a session, which
is observed); a group's ``enforce`` caps that, and caps it to observing until somebody says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING

from driftd.core import acceptance, causes, identity, imagedrift, severity, wording
from driftd.core.causes.board import Books
from driftd.core.classes import NO_CLASSES, Expected
from driftd.core.classrules import rules_for
from driftd.core.difference import Change, Difference, content_aside
from driftd.core.evidence import Evidence
from driftd.core.expect import Expect, Outcome, held, rotations, unmet
from driftd.core.findings import Action, Finding, Judgement, Severity, Unchecked, Verdict, signature
from driftd.core.packs import Pack
from driftd.core.rules import Rule
from driftd.core.showable import Show
from driftd.core.shown import content_only
from driftd.core.wording.explaining import COSMETIC
from driftd.core.wording.transactions import allowed, not_allowed

if TYPE_CHECKING:  # ports names what policy returns
    from driftd.core.manifest import Manifest
    from driftd.core.memory import Suppression

DEFAULT_RULE = "driftd:default"


@dataclass(frozen=True, slots=True)
class Policy:
    """Rules in the order in which they are asked; ``names`` are the documents that they come from.

    ``shows`` are the paths whose contents may be shown, in the same order. ``packs`` is what a policy was read from,
    those that are asked first first. Of the ones that a group's ``auto`` offers only ``for_manifest`` can tell which
    apply, and ``rules``, ``names`` and ``shows`` are without them until then.
    """

    rules: tuple[Rule, ...] = ()
    names: tuple[str, ...] = ()
    shows: tuple[Show, ...] = ()
    packs: tuple[Pack, ...] = ()

    @classmethod
    def of(cls, packs: Sequence[Pack]) -> Policy:
        """The policy of these documents, those that are asked first first; whatever is only offered is left aside."""
        applying = [pack for pack in packs if not pack.offered]
        return cls(
            rules=tuple(rule for pack in applying for rule in pack.rules),
            # In the order in which a group names them: what is asked last first.
            names=tuple(pack.name for pack in reversed(applying)),
            shows=tuple(show for pack in applying for show in pack.shows),
            packs=tuple(packs),
        )

    def for_manifest(self, manifest: Manifest) -> Policy:
        """This policy for one image: with what ``auto`` offers, as far as the image contains what it is for."""
        if not any(pack.offered for pack in self.packs):
            return self
        applying = [pack for pack in self.packs if not pack.offered or pack.when.holds(manifest)]
        return Policy.of([replace(pack, offered=False) for pack in applying])

    def with_answers(self, answers: Pack | None) -> Policy:
        """This policy with what its group was set to do about sessions: asked after the group's own documents."""
        if answers is None:
            return self
        at = next((at for at, pack in enumerate(self.packs) if not pack.own), len(self.packs))
        return Policy.of((*self.packs[:at], answers, *self.packs[at:]))

    def with_overlay(self, overlay: Pack) -> Policy:
        """This policy with what was learnt of one image: asked before the first shipped pack.

        So a group's own document, named after the packs, has the last word over what was learnt, and what was learnt
        of this image has it over what is said of every image.
        """
        if not self.packs:  # rules that were not read from documents
            return replace(self, rules=(*overlay.rules, *self.rules))
        at = next((at for at, pack in enumerate(self.packs) if not pack.own), len(self.packs))
        return Policy.of((*self.packs[:at], overlay, *self.packs[at:]))


def forbidden(difference: Difference) -> str:
    """Why no rule may let this difference pass, as the end of a sentence; "" when one may."""
    if difference.kind == "listener" and difference.actual.get("baked", "yes") != "yes":
        return "its program is not the image's, or hidden"
    return ""


# --- judging ---------------------------------------------------------------------------------------------------------


def judge(
    differences: Sequence[Difference],
    policy: Policy,
    suppressions: Sequence[Suppression],
    now: datetime,
    *,
    group: str = "",
    image: str = "the image",
    strict: bool = False,
    books: Books = causes.NO_BOOKS,
    cosmetic: Collection[bytes] = frozenset(),
    classes: Mapping[bytes, Expected] = NO_CLASSES,
    evidence: Evidence | None = None,
) -> Judgement:
    """One instance's verdict. ``strict`` switches off every rule that lets something pass, and every acceptance.

    ``books`` is what is known of packages that changed, so that their files are found to be theirs. ``cosmetic`` are
    the files whose content is known to say what it said: changed all the same, and no worse than low. ``classes`` are
    the manifest's, asked where no rule of ``policy`` speaks. ``evidence`` is what expectations are held against beside
    the difference itself; without it, what only it could tell counts as kept.

    Raises nothing: a difference that no rule speaks of is judged by what it is.
    """
    rules = [rule for rule in policy.rules if not rule.expired(now) and not (strict and rule.passes)]
    findings: list[Finding] = []
    explained: list[Finding] = []
    ignored = 0
    unchecked: list[Unchecked] = []
    rotated = rotations(differences)

    def outcome(rule: Rule, difference: Difference) -> Outcome:
        expect = rule.expect_of(difference)
        if evidence is None:
            return Outcome(unmet(expect, difference, rule.form, rotated))
        found = held(expect, difference, evidence, rule.form)
        if found.unsure:
            unchecked.append(Unchecked(difference.subject, found.unsure, found.cut))
        return found

    for difference in differences:
        own = () if strict else rules_for(difference, classes)
        finding = _judge_one(difference, chain(rules, own), outcome, cosmetic)
        if finding.action is Action.IGNORE:
            ignored += 1
        elif finding.action is Action.EXPLAIN:
            explained.append(finding)
        else:
            findings.append(finding)
    grouped = causes.assign(findings, books)
    if not strict:
        grouped = acceptance.apply(grouped, acceptance.in_force(suppressions, now), group)
    return replace(_verdict(_ordered(grouped), tuple(explained), ignored, image), unchecked=tuple(unchecked))


_WORSE = (Verdict.CLEAN, Verdict.EXPLAINED, Verdict.UNKNOWN, Verdict.DRIFTED, Verdict.TAMPERED)


def joined(judgement: Judgement, more: Judgement) -> Judgement:
    """One judgement of what two say of the same instance: the findings of both, the reason of the worse one first."""
    both = sorted((judgement, more), key=lambda one: -_WORSE.index(one.verdict))
    return replace(
        judgement,
        verdict=both[0].verdict,
        reason="; ".join(one.reason for one in both),
        findings=_ordered((*judgement.findings, *more.findings)),
        explained=(*judgement.explained, *more.explained),
        action=max(judgement.action, more.action, key=lambda one: one.rank),
        ignored=judgement.ignored + more.ignored,
    )


def _ordered(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Worst first, and what was accepted last."""
    return tuple(sorted(findings, key=lambda one: (bool(one.suppressed_by), -one.severity.rank, one.kind, one.subject)))


def _judge_one(
    difference: Difference,
    rules: Iterable[Rule],
    outcome: Callable[[Rule, Difference], Outcome],
    cosmetic: Collection[bytes],
) -> Finding:
    level, because = severity.base(difference)
    if difference.subject in cosmetic and content_only(difference):
        level, because = Severity.LOW, f"{because}; {COSMETIC}"
    covering = ""
    for rule in rules:
        if not rule.match.fits(difference):
            continue
        if rule.merely_covers(difference):
            covering = covering or rule.name
            continue
        why = forbidden(difference) if rule.passes else ""
        if why:
            said = f"expected ({rule.because.rstrip('.')}), but {why}"
            return _finding(difference, level, Action.REPLACE, rule.name, said)
        if rule.expect is None:
            action = rule.action or Action.REPLACE
            level = rule.severity or (Severity.INFO if rule.passes else level)
            said = allowed(rule.because, difference.origin) if rule.match.transaction else rule.because
            return _finding(difference, level, action, rule.name, said)
        found = outcome(rule, difference)
        if not found.why:
            said = f"{rule.because} (Not checked: {found.unsure}.)" if found.unsure else rule.because
            return _finding(difference, Severity.INFO, Action.EXPLAIN, rule.name, said)
        said = f"expected to be {_as_words(rule)}, but {found.why}"
        action = Action.ALERT if found.faint else Action.REPLACE
        # What grows has another digest at each look, and is one finding all the same.
        return _finding(difference, level, action, rule.name, said, content_aside(difference) if rule.grows else None)
    if covering:
        because += f"; {covering} lies over it, and what is obeyed later takes a rule that names it"
    if difference.origin is not None:
        because += f"; {not_allowed(difference.origin)}"
    return _finding(difference, level, _default(difference), DEFAULT_RULE, because)


def _default(difference: Difference) -> Action:
    """What is done about what no rule speaks of."""
    if difference.kind == identity.KIND:
        return Action.ALERT  # another instance from the same image would be no better
    if difference.kind in imagedrift.KINDS:
        return Action.ALERT  # that is what rollouts are for
    if difference.kind == "session" and difference.change is Change.ADDED:
        return Action.OBSERVE  # to answer who logs in by a replacement is for people to choose
    return Action.REPLACE


def _as_words(rule: Rule) -> str:
    words = {
        Expect.EXACT: "as it was baked",
        Expect.PRESENCE: "there",
        Expect.FIRSTBOOT: "set at the first boot",
        Expect.VARIABLE: "of varying content",
        Expect.GROWING: "growing",
        Expect.ROTATED: "a rotated log",
        Expect.EPHEMERAL: "coming and going",
        Expect.OPEN_DIR: "an open directory",
        Expect.ABSENT: "absent",
        Expect.TEMPLATE: f"a value of the form {rule.template or rule.pattern}",
    }
    return words[rule.expect] if rule.expect else ""


def _finding(
    difference: Difference, level: Severity, action: Action, rule: str, because: str, shape: Difference | None = None
) -> Finding:
    """``shape`` is what its signature is made of, where that is not all of the difference."""
    return Finding(
        kind=difference.kind,
        subject=difference.subject,
        change=difference.change,
        severity=level,
        action=action,
        signature=signature(shape or difference),
        rule=rule,
        because=because,
        expected=difference.expected,
        actual=difference.actual,
    )


def _verdict(findings: tuple[Finding, ...], explained: tuple[Finding, ...], ignored: int, image: str) -> Judgement:
    counted = [one for one in findings if not one.suppressed_by]
    if counted:
        verdict, reason = Verdict.DRIFTED, causes.reason(findings)
    elif findings:
        verdict, reason = (
            Verdict.EXPLAINED,
            wording.accepted(len(findings), sorted({one.suppressed_by for one in findings})),
        )
    elif explained or ignored:
        verdict, reason = Verdict.EXPLAINED, wording.explained(len(explained) + ignored)
    else:
        verdict, reason = Verdict.CLEAN, wording.clean(image)
    action = max((one.action for one in counted), key=lambda one: one.rank, default=Action.IGNORE)
    return Judgement(verdict, reason, findings, explained, action, ignored)
