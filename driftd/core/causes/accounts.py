"""Accounts that came or went, with their group, home and keys."""

from __future__ import annotations

from collections.abc import Mapping

from driftd.core.causes.board import ACCOUNT, UNIT, Board, parents, value_of
from driftd.core.difference import Change

_TABLES = frozenset(
    f"/etc/{name}{end}".encode()
    for name in ("passwd", "shadow", "group", "gshadow", "subuid", "subgid")
    for end in ("", "-")
)
# Where a file has the name of the account that it is of.
_OF_ACCOUNTS = frozenset((b"/var/mail", b"/var/spool/mail", b"/var/lib/systemd/linger"))
# Homes that are nobody's own.
_SHARED_HOMES = frozenset((b"", b"/", b"/root", b"/nonexistent", b"/home", b"/var", b"/usr", b"/tmp"))


def is_table(path: bytes) -> bool:
    """Whether every account that comes or goes changes this file."""
    return path in _TABLES


def claim(board: Board) -> None:
    """Claim what came or went with each account."""
    came: dict[tuple[bytes, Change], int] = {}
    for at in board.facts(ACCOUNT):
        if board.found[at].change is not Change.MODIFIED:
            came[board.subject(at), board.found[at].change] = at
    if not came:
        return
    _claim_homes(board, came)
    for at in board.facts():
        one = board.found[at]
        who = (_whose(board, at), one.change)
        if who in came:
            board.claim((at, came[who]), ACCOUNT, who[0])
    for at in board.paths():
        one = board.found[at]
        above, _, name = one.subject.rpartition(b"/")
        if above in _OF_ACCOUNTS and (name, one.change) in came:
            board.claim((at,), ACCOUNT, name)
    first = min(who for who, _ in came)
    board.claim((at for at in board.paths() if is_table(board.subject(at))), ACCOUNT, first)


def _claim_homes(board: Board, came: Mapping[tuple[bytes, Change], int]) -> None:
    """Homes that came or went with their account; one that was there before is not its."""
    there = {(board.subject(at), board.found[at].change) for at in board.paths()}
    homes: dict[tuple[bytes, Change], bytes] = {}
    for (who, change), at in came.items():
        home = value_of(board.found[at], "home").rstrip(b"/")
        if home not in _SHARED_HOMES and (home, change) in there:
            homes.setdefault((home, change), who)
    for at in board.paths():
        path, change = board.subject(at), board.found[at].change
        top = next((one for one in (path, *parents(path)) if (one, change) in homes), None)
        if top is not None:
            board.claim((at,), ACCOUNT, homes[top, change])


def _whose(board: Board, at: int) -> bytes:
    """The account that a fact is of, b"" for none."""
    one = board.found[at]
    if one.kind in (ACCOUNT, "group"):
        return one.subject
    if one.kind == "cron":
        return value_of(one, "user")
    if one.kind == UNIT and one.subject.startswith((b"~", b"linger ")):
        return one.subject.removeprefix(b"linger ").removeprefix(b"~").partition(b"/")[0]
    return one.subject.partition(b" ")[0] if one.kind == "key" else b""
