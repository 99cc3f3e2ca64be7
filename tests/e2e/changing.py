"""A table of changes that a person makes on a server over SSH, and the findings that an audit has to have of each.

A ``Case`` belongs to one kind of fact. All cases of a table are made on one instance, one after the other, and then it
is audited once, end to end: what is found must be what the cases say, all of it and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from textwrap import dedent

from driftd.core.difference import Change
from driftd.core.digestkey import DigestKey
from driftd.core.facts import Instance, Reach, Unseen
from driftd.core.findings import Finding, Severity
from driftd.core.looks import Look
from driftd.core.manifest import Manifest
from driftd.core.ports import Looker
from driftd.edges.local import LocalLooker
from driftd.edges.providers.local.image import ImageInfo
from driftd.flows.audit import Rules, Visits, audit
from driftd.flows.bake import bake

ADDED, REMOVED, MODIFIED = Change.ADDED, Change.REMOVED, Change.MODIFIED
MEDIUM, HIGH, CRITICAL = Severity.MEDIUM, Severity.HIGH, Severity.CRITICAL
KEY = DigestKey(bytes(range(32)))

# What the scripts may use: ``waits TEST``, ``start NAME PROGRAM...`` for one that stays, ``ends NAME``.
SHELL = r"""
umask 022
waits() { for tries in $(seq 1000); do eval "$1" && return; sleep 0.03; done; echo "not: $1" >&2; return 1; }
start() {
    setsid sh -c 'echo $$ >"/run/eve-$0"; exec "$@"' "$@" >/dev/null 2>&1 </dev/null &
    waits "test -s '/run/eve-$1' && ! grep -qx sh /proc/\$(cat '/run/eve-$1')/comm"
}
ends() { kill "$(cat "/run/eve-$1")"; waits "! test -e /proc/$(cat "/run/eve-$1")"; }
"""


@dataclass(frozen=True)
class Told:
    """A finding that is expected: its subject's glob, its least severity, and values that it must say there are now.

    A value is a glob; the name of one that was baked begins with ``was_``.
    """

    kind: str
    subject: str
    change: Change
    severity: Severity = HIGH
    says: dict[str, str] = field(default_factory=dict)

    def fits(self, found: Finding) -> bool:
        subject = found.subject.decode("utf-8", "backslashreplace")
        values = {**found.actual, **{f"was_{name}": value for name, value in found.expected.items()}}
        return (
            (found.kind, found.change) == (self.kind, self.change)
            and fnmatchcase(subject, self.subject)
            and found.severity.rank >= self.severity.rank
            and all(fnmatchcase(values.get(name, ""), glob) for name, glob in self.says.items())
        )


def told(kind: str, subject: str, change: Change = ADDED, severity: Severity = HIGH, **says: str) -> Told:
    return Told(kind, subject, change, severity, says)


def file(subject: str, change: Change = ADDED, severity: Severity = HIGH) -> Told:
    """The entry itself, where the change lies in a file that was baked or is looked at."""
    return Told("file", subject, change, severity)


@dataclass(frozen=True)
class Case:
    """One change: the kind that it is about, what is done, what is found because of it."""

    kind: str
    name: str
    script: str
    finds: tuple[Told, ...]

    @property
    def id(self) -> str:
        return f"{self.kind}-{self.name}"


def case(kind: str, name: str, script: str, *finds: Told) -> Case:
    return Case(kind, name, dedent(script).strip(), finds)


def script(cases: Iterable[Case]) -> str:
    """All of them for one shell, each in a subshell of its own; the first that fails is named."""
    parts = [f"( set -e\n{one.script}\n) || {{ echo 'could not: {one.id}' >&2; exit 1; }}" for one in cases]
    return "\n".join([SHELL, *parts])


def missing(one: Case, findings: Sequence[Finding]) -> list[Told]:
    """What the case wants and nobody found."""
    return [want for want in one.finds if not any(want.fits(found) for found in findings)]


def unasked(cases: Iterable[Case], findings: Iterable[Finding], *besides: Told) -> list[str]:
    """What was found and no case says."""
    wanted = [*besides, *(want for one in cases for want in one.finds)]
    return [shown(found) for found in findings if not any(want.fits(found) for want in wanted)]


def shown(found: Finding) -> str:
    values = f"{dict(found.expected)} -> {dict(found.actual)}"
    return f"{found.severity} {found.kind} {found.subject!r} {found.change}: {values}"


# --- auditing --------------------------------------------------------------------------------------------------------


def baked(image: ImageInfo) -> Manifest:
    """From the image's directory, as ``driftd bake --root`` does it, with digests of secrets."""
    tree = Instance("image", "", image.id, reach=Reach(root=str(image.rootfs)))
    return bake(LocalLooker(), tree, image.id, key=KEY)


@dataclass
class Auditor:
    """An image's manifest and digest key, a looker and rules: all that ``audit`` takes but the instance."""

    manifest: Manifest
    looker: Looker
    rules: Rules

    def for_image(self, _image: str) -> Manifest:
        """``Manifests``, of this one image."""
        return self.manifest

    def known(self, _image: str, key_id: str) -> DigestKey | Unseen:
        """``DigestKeys``, of this one image."""
        return KEY if key_id == KEY.id else Unseen("another key")

    def made(self, image: str) -> DigestKey:
        """See ``known``."""
        raise AssertionError(f"no key of {image} is to be made here")

    def audit(self, instance: Instance, visits: Visits = tuple) -> Look:
        from evading import clock

        return audit(instance, self.looker, self, self.rules, visits, clock, keys=self, deadline_s=300)
