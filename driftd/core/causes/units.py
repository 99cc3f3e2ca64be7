"""Units with their files, links and programs; and files with the facts that are read from them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from driftd.core.causes.board import FILE, UNIT, Board, plain
from driftd.core.difference import Change


def claim_units(board: Board) -> None:
    """Claim each unit's file, links and drop-ins, and a program of its name."""
    came = board.facts(UNIT)
    if not came:
        return
    places: dict[bytes, list[int]] = defaultdict(list)
    for at in board.paths():
        for key in _unit_keys(board.subject(at)):
            places[key].append(at)
    running: dict[tuple[bytes, Change], list[int]] = defaultdict(list)
    for at in board.facts():
        if board.found[at].kind in ("process", "listener"):
            for path in board.files_of(at):
                running[path.rpartition(b"/")[2], board.found[at].change].append(at)
    for unit in came:
        name = board.subject(unit).rpartition(b"/")[2]
        stem = name.rpartition(b".")[0].partition(b"@")[0]
        mine = list(running[stem, board.found[unit].change])
        for key in (name, *board.files_of(unit), *(path for at in mine for path in board.files_of(at))):
            mine += places.get(key, [])
        if mine := [at for at in mine if at not in board.claims]:
            board.claim((unit, *mine), UNIT, board.subject(unit))


def claim_files(board: Board) -> None:
    """Claim a file together with the facts that are read from it or run it."""
    there = {plain(board.subject(at)): at for at in board.paths()}
    for at in board.facts():
        path = min((path for path in board.files_of(at) if path in there), default=None)
        if path is not None:
            board.claim((there[path], at), FILE, board.subject(there[path]))


def _unit_keys(path: bytes) -> Iterator[bytes]:
    """What a path can be found by: itself, and where units are, the unit that it is of (a link, a drop-in)."""
    yield plain(path)
    parts = path.split(b"/")
    if b"systemd" in parts:
        yield parts[-1]
        yield from (part[:-2] for part in parts[-2:] if part.endswith(b".d"))
