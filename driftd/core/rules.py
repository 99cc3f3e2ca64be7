"""Rules: what one speaks of, and which may let nothing pass because it speaks of too much."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from driftd.core import identity
from driftd.core.difference import Change, Difference
from driftd.core.expect import PATH_KINDS, Expect
from driftd.core.facts import FACT_KINDS
from driftd.core.findings import Action, Severity
from driftd.core.globs import Glob, overreach
from driftd.core.interpreted import config, only_config
from driftd.core.templates import PYC, TEMPLATES, Template, of_pattern
from driftd.core.transacted import Transacted

NO_PATHS = frozenset({*FACT_KINDS, "session"})
# Of these a rule that lets them pass must name which: they run, let in, or decide who may. The others only describe.
NAMED_KINDS = NO_PATHS - {"hostkey", "kernel", "sysctl"}
# ... unless it says by a field that they cannot be the image's: a module in the kernel of somebody else.
_LEAST_OF_A_PROGRAM = 4
_NARROWED = {"module": ("image_kernel", "none")}


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

    ``facts`` are names by kind of fact, ``fields`` values of a fact by field. With ``transaction`` it speaks only of
    what a package transaction explains.
    """

    paths: tuple[Glob, ...] = ()
    kinds: frozenset[str] = frozenset()
    changes: frozenset[Change] = frozenset()
    facts: Mapping[str, tuple[Glob, ...]] = field(default_factory=dict)
    fields: Mapping[str, tuple[Glob, ...]] = field(default_factory=dict)
    session: Mapping[str, tuple[Glob | Source, ...]] = field(default_factory=dict)
    transaction: Transacted | None = None

    def covers(self) -> frozenset[str]:
        """The kinds of difference that this can fit at all."""
        named = {kind for kind, given in self.facts.items() if given} | ({"session"} if self.session else set())
        everything = NO_PATHS - {"session"} if self.fields else PATH_KINDS | NO_PATHS
        if self.transaction is not None:
            everything = PATH_KINDS | {"package"}
        # A path's rule speaks of what an instance shares with others only where it says so.
        paths = PATH_KINDS | (self.kinds & {identity.KIND})
        kinds = (paths if self.paths else frozenset()) | named or everything
        return kinds & self.kinds if self.kinds else kinds

    def fits(self, difference: Difference) -> bool:
        """Whether this speaks of ``difference``."""
        if difference.kind not in self.covers() or (self.changes and difference.change not in self.changes):
            return False
        if difference.kind == "session":
            return _fits(self.session, difference.actual)
        if self.transaction is not None and not self.transaction.fits(difference.origin):
            return False
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
    """One rule. ``where`` is "file:line". Either ``expect`` is set, or ``severity`` and ``action`` may be.

    ``template`` and ``pattern`` say of which form a value has to be (templates.py), with ``expect`` template.

    ``evidence`` says what the rule was learnt from, where it was learnt (calibration writes it); it decides nothing.
    """

    pack: str
    id: str
    match: Match
    because: str
    where: str = ""
    expect: Expect | None = None
    template: str = ""
    pattern: str = ""
    severity: Severity | None = None
    action: Action | None = None
    owner: str = ""
    expires: date | None = None
    evidence: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.pack}:{self.id}"

    @property
    def passes(self) -> bool:
        """Whether a difference that it fits may leave the verdict as it was."""
        return self.expect is not None or self.action in (Action.IGNORE, Action.EXPLAIN)

    @property
    def form(self) -> Template | None:
        """The form that a value has to have, by its name or by the rule's own pattern; None where none is expected."""
        return of_pattern(self.pattern) if self.pattern else TEMPLATES.get(self.template)

    def expect_of(self, difference: Difference) -> Expect:
        """What it expects there: of an open directory itself that it is as baked, below it that things come and go."""
        below = any(glob.names[-1:] == (None,) and glob.matches(difference.subject) for glob in self.match.paths)
        if self.expect is Expect.OPEN_DIR and below:
            return Expect.EPHEMERAL
        return self.expect or Expect.EXACT

    @property
    def grows(self) -> bool:
        """Whether what it expects has another content at each look."""
        return self.expect in (Expect.GROWING, Expect.ROTATED)

    @property
    def proves(self) -> bool:
        """Whether it lets nothing pass that is not proven to follow from what was baked, wherever it reaches."""
        return self.expect is Expect.TEMPLATE and self.template == PYC

    @property
    def proven(self) -> bool:
        """Whether it speaks only of what a signed package has, byte by byte."""
        return self.match.transaction is not None and self.match.transaction.proven

    def speaks_of(self, difference: Difference) -> bool:
        """Whether it decides about ``difference``. One that lets pass is silent of config that it does not name."""
        return self.match.fits(difference) and not self.merely_covers(difference)

    def merely_covers(self, difference: Difference) -> bool:
        """Whether it would let config pass that its globs lie over without naming it. It has to fit."""
        if self.proven:
            return False
        if not self.passes or self.proves or difference.kind not in PATH_KINDS:
            return False
        return not self.names(difference.subject) and config(difference.subject)

    def names(self, path: bytes) -> bool:
        """Whether one of its globs that match ``path`` names it."""
        return any(glob.names_paths and glob.matches(path) for glob in self.match.paths)

    def expired(self, now: datetime) -> bool:
        """A rule lasts until the end of the day (UTC) that it names."""
        return self.expires is not None and now.date() > self.expires


def too_broad(rule: Rule) -> str:
    """Why a rule that lets differences pass lets too much pass; "" when it does not."""
    if not rule.passes or rule.proves or rule.proven:
        return ""
    match = rule.match
    if match.covers() & PATH_KINDS and not match.paths:
        return "without a path it would let pass whatever happens in /etc, /usr, /boot and /root"
    why = next((why for glob in match.paths if (why := _too_broad_path(glob))), "")
    if why:
        return why
    for kind in sorted(match.covers() & NAMED_KINDS - {"session"}):
        globs = match.facts.get(kind, ())
        if (not globs or any(not _names_some(kind, glob) for glob in globs)) and not _narrowed(kind, match):
            return f"it would let every {kind} pass"
    if "session" in match.covers() and not match.session:
        return "it would let every session pass"
    return ""


def _too_broad_path(glob: Glob) -> str:
    obeyed = "what is obeyed at the next start, login or boot"
    if why := overreach(glob):
        return f"{glob.text} {why}, where {obeyed} lies"
    return f"{glob.text} speaks of nothing but {obeyed}, and names none of it" if only_config(glob) else ""


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
