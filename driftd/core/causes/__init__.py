"""Causes: findings that one thing brought about, told as one. Nothing is lost: members stay findings of their own.

``assign`` says of each finding of one look what caused it (``Finding.cause`` and ``Finding.about``, kept with it in the
store); ``gather`` makes the causes out of findings that say so, wherever they come from. Both are pure, whatever the
order of what they are given. Each finding is claimed by one cause at most, the widest first: what something mounted
covers, what came with a package, with an account, a directory that was moved, went or came, a unit, a file with the
facts that are read from it, a change of owner or mode; and what nothing claims stands alone.

A cause's signature is the same on every host where the same happened, whatever else happened there: it is over its
kind, its subject and the signatures of its members, but for those (``by_the_way``) that any other event of that sort
changes as well: the package manager's books, the tables of accounts.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from driftd.core.causes import accounts, packages, trees, units
from driftd.core.causes.board import ACCOUNT, ADDED, PACKAGE, PACKAGES, REMOVED, Board, Books
from driftd.core.difference import Change
from driftd.core.findings import Finding, Severity
from driftd.core.wording import causes as wording
from driftd.core.wording import drifted
from driftd.probe import wire

NO_BOOKS = Books()
ALONE = ("", b"")


@dataclass(frozen=True, slots=True)
class Cause:
    """``members`` are never none, worst first; ``kind`` is "" for a finding on its own.

    ``severity`` is the worst of theirs. ``likeness`` is the same wherever the same thing was done to the same subject,
    even where its members differ a little: what people are told of once.
    """

    kind: str
    subject: bytes
    severity: Severity
    signature: str
    likeness: str
    sentence: str
    members: tuple[Finding, ...]

    @property
    def count(self) -> int:
        return len(self.members)

    @property
    def accepted(self) -> bool:
        """Whether every member was accepted."""
        return all(one.suppressed_by for one in self.members)


def assign(findings: Sequence[Finding], books: Books = NO_BOOKS) -> tuple[Finding, ...]:
    """The findings of one look in the order given, each with its cause. ``books`` is what is known of packages."""
    # Names need not be unique; in one order whatever the given one, the same finding is always the first to be asked.
    order = sorted(
        range(len(findings)), key=lambda at: (findings[at].kind, findings[at].subject, findings[at].signature)
    )
    board = Board([findings[at] for at in order], books)
    trees.claim_mounts(board)
    packages.claim(board)
    accounts.claim(board)
    trees.claim_moved(board)
    trees.claim_trees(board, Change.REMOVED, REMOVED)
    trees.claim_trees(board, Change.ADDED, ADDED)
    units.claim_units(board)
    units.claim_files(board)
    trees.claim_permissions(board)
    trees.claim_moved_files(board)
    made = dict(zip(order, (board.claims.get(at, ALONE) for at in range(len(order))), strict=True))
    return tuple(replace(one, cause=made[at][0], about=made[at][1]) for at, one in enumerate(findings))


def by_the_way(kind: str, finding: Finding) -> bool:
    """Whether any event of this kind changes that, so that it says nothing of which one it was."""
    if kind in (PACKAGE, PACKAGES):
        return packages.is_book(finding.subject)
    return kind == ACCOUNT and accounts.is_table(finding.subject)


def gather(findings: Iterable[Finding]) -> tuple[Cause, ...]:
    """The causes of one instance's findings, worst first, those that were accepted last; each finding is in one."""
    together: dict[tuple[object, ...], list[Finding]] = defaultdict(list)
    for one in findings:
        together[(one.cause, one.about) if one.cause else (one.signature, one.kind, one.subject)].append(one)
    made = [_cause(members[0].cause, members[0].about, members) for members in together.values()]
    return tuple(sorted(made, key=_order))


def _order(cause: Cause) -> tuple[object, ...]:
    return (cause.accepted, -cause.severity.rank, -cause.count, cause.kind, cause.subject, cause.signature)


def reason(findings: Sequence[Finding]) -> str:
    """What a verdict says of these, some of them not accepted: how much of that there is, and what to read first."""
    found = [one for one in gather(findings) if not one.accepted]
    worst = found[0]
    if all(not one.kind for one in found):
        return drifted(len(found), wording.lead(worst.members[0]), worst.severity, worst.members[0].change)
    return wording.drifted(worst.severity, worst.sentence, len(found) - 1)


def _cause(kind: str, about: bytes, found: Iterable[Finding]) -> Cause:
    members = tuple(sorted(found, key=lambda one: (-one.severity.rank, one.kind, one.subject, one.signature)))
    if not kind:
        worst = members[0]
        told = wording.alone(worst.kind, worst.subject, worst.change)
        return Cause("", worst.subject, worst.severity, worst.signature, worst.signature, told, members)
    own = [one.signature for one in members if not by_the_way(kind, one)]
    lead = [one.signature for one in members if one.kind == kind]
    return Cause(
        kind=kind,
        subject=about,
        severity=members[0].severity,
        signature=_digest(kind, about, own or [one.signature for one in members]),
        likeness=_digest(f"like {kind}", about, lead),
        sentence=wording.told(kind, about, members),
        members=members,
    )


def _digest(kind: str, about: bytes, signatures: Iterable[str]) -> str:
    shape = [b"driftd.cause/1", kind.encode(), about, [one.encode() for one in sorted(set(signatures))]]
    return hashlib.sha256(wire.pack(shape)).hexdigest()[:16]
