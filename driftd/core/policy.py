"""Policy: ordered rules that turn differences into findings, and findings into a verdict. The first match decides.

Whatever no rule speaks of is a finding (core/severity.py says how bad) and asks for a replacement; a group's
``enforce`` caps that, and caps it to observing until somebody says otherwise.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import TYPE_CHECKING

from driftd.core import severity, wording
from driftd.core.difference import Change, Difference
from driftd.core.expect import PATH_KINDS, Expect, rotations, unmet
from driftd.core.facts import FACT_KINDS
from driftd.core.findings import Action, Finding, Judgement, Severity, Verdict, signature
from driftd.core.globs import Glob, overreach

if TYPE_CHECKING:  # ports names what policy returns
    from driftd.core.memory import Suppression

NO_PATHS = frozenset({*FACT_KINDS, "session"})
# Of these a rule that lets them pass must name which: they run, let in, or decide who may. The others only describe.
NAMED_KINDS = NO_PATHS - {"hostkey", "kernel", "sysctl"}
# ... unless it says by a field that they cannot be the image's: a module in the kernel of somebody else.
_LEAST_OF_A_PROGRAM = 4
_NARROWED = {"module": ("image_kernel", "none")}
SESSION_FIELDS = ("door", "user", "source", "key", "key_id", "evidence")
DEFAULT_RULE = "driftd:default"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a session comes from: one address or a network, else a glob over the name."""

    network: ipaddress.IPv4Network | ipaddress.IPv6Network | None
    glob: Glob

    def matches(self, subject: bytes) -> bool:
        if self.network is None:
            return self.glob.matches(subject)
        try:
            address = ipaddress.ip_address(subject.decode("ascii"))
        except ValueError:
            return False
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        return (mapped or address) in self.network


@dataclass(frozen=True, slots=True)
class Match:
    """What a rule speaks of: everything that is given must fit, and of several values any one. Empty means any.

    ``facts`` are names by kind of fact, ``fields`` values of a fact by field.
    """

    paths: tuple[Glob, ...] = ()
    kinds: frozenset[str] = frozenset()
    changes: frozenset[Change] = frozenset()
    facts: Mapping[str, tuple[Glob, ...]] = field(default_factory=dict)
    fields: Mapping[str, tuple[Glob, ...]] = field(default_factory=dict)
    session: Mapping[str, tuple[Glob | Source, ...]] = field(default_factory=dict)

    def covers(self) -> frozenset[str]:
        """The kinds of difference that this can fit at all."""
        named = {kind for kind, given in self.facts.items() if given} | ({"session"} if self.session else set())
        everything = NO_PATHS - {"session"} if self.fields else PATH_KINDS | NO_PATHS
        kinds = (PATH_KINDS if self.paths else frozenset()) | named or everything
        return kinds & self.kinds if self.kinds else kinds

    def fits(self, difference: Difference) -> bool:
        """Whether this speaks of ``difference``."""
        if difference.kind not in self.covers() or (self.changes and difference.change not in self.changes):
            return False
        if difference.kind == "session":
            return _fits(self.session, difference.actual)
        if self.fields and not _fits(self.fields, {**difference.expected, **difference.actual}):
            return False
        wanted = self.facts.get(difference.kind, () if difference.kind in NO_PATHS else self.paths)
        subject = difference.subject
        if difference.kind == "package":
            subject = subject.partition(b":")[0]
        return not wanted or any(glob.matches(subject) for glob in wanted)


def _fits(wanted: Mapping[str, tuple[Glob | Source, ...]], fields: Mapping[str, str]) -> bool:
    """Whether each field that is asked for fits one of its globs; one that is not there is empty."""
    return all(
        any(one.matches(fields.get(name, "").encode("utf-8", "surrogateescape")) for one in globs)
        for name, globs in wanted.items()
    )


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. ``where`` is "file:line". Either ``expect`` is set, or ``severity`` and ``action`` may be."""

    pack: str
    id: str
    match: Match
    because: str
    where: str = ""
    expect: Expect | None = None
    template: str = ""
    severity: Severity | None = None
    action: Action | None = None
    owner: str = ""
    expires: date | None = None

    @property
    def name(self) -> str:
        return f"{self.pack}:{self.id}"

    @property
    def passes(self) -> bool:
        """Whether a difference that it fits may leave the verdict as it was."""
        return self.expect is not None or self.action in (Action.IGNORE, Action.EXPLAIN)

    def expired(self, now: datetime) -> bool:
        """A rule lasts until the end of the day (UTC) that it names."""
        return self.expires is not None and now.date() > self.expires


@dataclass(frozen=True, slots=True)
class Policy:
    """Rules in the order in which they are asked; ``names`` are the documents that they come from."""

    rules: tuple[Rule, ...] = ()
    names: tuple[str, ...] = ()


def too_broad(rule: Rule) -> str:
    """Why a rule that lets differences pass lets too much pass; "" when it does not."""
    if not rule.passes:
        return ""
    match = rule.match
    if match.covers() & PATH_KINDS and not match.paths:
        return "without a path it would let pass whatever happens in /etc, /usr, /boot and /root"
    for glob in match.paths:
        why = overreach(glob)
        if why:
            return f"{glob.text} {why}, where what is obeyed at the next start, login or boot lies"
    for kind in sorted(match.covers() & NAMED_KINDS - {"session"}):
        globs = match.facts.get(kind, ())
        if (not globs or any(not _names_some(kind, glob) for glob in globs)) and not _narrowed(kind, match):
            return f"it would let every {kind} pass"
    if "session" in match.covers() and not match.session:
        return "it would let every session pass"
    return ""


def _names_some(kind: str, glob: Glob) -> bool:
    """Whether it says which ones: keys one by one, programs by the beginning of their path."""
    (name,) = glob.names
    if kind == "key":
        return name is not None and not name.wild
    if kind in ("process", "preload") and name is not None and name.wild:
        return len(name.literal) >= _LEAST_OF_A_PROGRAM
    return bool(glob.text.strip("*?"))


def _narrowed(kind: str, match: Match) -> bool:
    field_name, value = _NARROWED.get(kind, ("", ""))
    globs = match.fields.get(field_name, ())
    return bool(globs) and all(glob.text == value for glob in globs)


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
) -> Judgement:
    """One instance's verdict. ``strict`` switches off every rule that lets something pass, and every acceptance.

    Raises nothing: a difference that no rule speaks of is judged by what it is.
    """
    rules = [rule for rule in policy.rules if not rule.expired(now) and not (strict and rule.passes)]
    accepted = {} if strict else _accepted(suppressions, group, now)
    findings: list[Finding] = []
    explained: list[Finding] = []
    ignored = 0
    rotated = rotations(differences)
    for difference in differences:
        finding = _judge_one(difference, rules, rotated)
        if finding.action is Action.IGNORE:
            ignored += 1
        elif finding.action is Action.EXPLAIN:
            explained.append(finding)
        else:
            findings.append(_suppressed(finding, accepted))
    findings.sort(key=lambda one: (bool(one.suppressed_by), -one.severity.rank, one.kind, one.subject))
    return _verdict(tuple(findings), tuple(explained), ignored, image)


def _judge_one(difference: Difference, rules: Iterable[Rule], rotated: Mapping[bytes, int]) -> Finding:
    level, because = severity.base(difference)
    for rule in rules:
        if not rule.match.fits(difference):
            continue
        why = forbidden(difference) if rule.passes else ""
        if why:
            said = f"expected ({rule.because.rstrip('.')}), but {why}"
            return _finding(difference, level, Action.REPLACE, rule.name, said)
        if rule.expect is None:
            action = rule.action or Action.REPLACE
            level = rule.severity or (Severity.INFO if rule.passes else level)
            return _finding(difference, level, action, rule.name, rule.because)
        why = unmet(rule.expect, difference, rule.template, rotated)
        if not why:
            return _finding(difference, Severity.INFO, Action.EXPLAIN, rule.name, rule.because)
        said = f"expected to be {_as_words(rule)}, but {why}"
        return _finding(difference, level, Action.REPLACE, rule.name, said)
    return _finding(difference, level, Action.REPLACE, DEFAULT_RULE, because)


def _as_words(rule: Rule) -> str:
    words = {
        Expect.FIRSTBOOT: "set at the first boot",
        Expect.GROWING: "growing",
        Expect.EPHEMERAL: "coming and going",
        Expect.TEMPLATE: f"a value of the form {rule.template}",
    }
    return words[rule.expect] if rule.expect else ""


def _finding(difference: Difference, level: Severity, action: Action, rule: str, because: str) -> Finding:
    return Finding(
        kind=difference.kind,
        subject=difference.subject,
        change=difference.change,
        severity=level,
        action=action,
        signature=signature(difference),
        rule=rule,
        because=because,
        expected=difference.expected,
        actual=difference.actual,
    )


def _accepted(suppressions: Sequence[Suppression], group: str, now: datetime) -> dict[str, Suppression]:
    """By signature, those that hold in ``group`` now; of several, the one that lasts longest."""
    holding = [one for one in suppressions if one.group in ("", group) and one.expires_at > now]
    return {one.signature: one for one in sorted(holding, key=lambda one: one.expires_at)}


def _suppressed(finding: Finding, accepted: Mapping[str, Suppression]) -> Finding:
    by = accepted.get(finding.signature)
    if by is None:
        return finding
    said = wording.suppressed(by.owner, f"{by.expires_at:%Y-%m-%d %H:%M} UTC", by.reason)
    return replace(finding, suppressed_by=said)


def _verdict(findings: tuple[Finding, ...], explained: tuple[Finding, ...], ignored: int, image: str) -> Judgement:
    counted = [one for one in findings if not one.suppressed_by]
    if counted:
        worst = counted[0]
        name = wording.shown(worst.subject)
        if worst.kind not in PATH_KINDS:
            name = f"{worst.kind} {name}"
        verdict = Verdict.DRIFTED
        reason = wording.drifted(len(counted), name, worst.severity, worst.change)
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
