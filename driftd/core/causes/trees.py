"""Whole trees: what lies under a mount, directories that went, came or moved, and changes of owner or mode."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from driftd.core.causes.board import FILE_MOVED, MOUNT, MOVED, PERMISSIONS, Board, parents, value_of
from driftd.core.difference import Change

_AGREED = frozenset(("mode", "uid", "gid"))
_SHA256 = 64


def claim_mounts(board: Board) -> None:
    """Claim what lies beneath each new mount."""
    points = {board.subject(at): at for at in board.facts("mount") if board.found[at].change is Change.ADDED}
    points.pop(b"/", None)
    for at in board.paths():
        for above in (board.subject(at), *parents(board.subject(at))):
            if above in points:
                board.claim((at, points[above]), MOUNT, above)
                break


def _roots(board: Board, change: Change) -> dict[bytes, list[int]]:
    """The topmost directories that came or went, with all that did with them; not a directory by itself."""
    went = [at for at in board.paths() if board.found[at].change is change]
    tops = {board.subject(at) for at in went if board.found[at].kind == "directory"}
    trees: dict[bytes, list[int]] = defaultdict(list)
    for at in went:
        path = board.subject(at)
        above = [one for one in (path, *parents(path)) if one in tops]
        if above:
            trees[above[-1]].append(at)
    return {top: places for top, places in trees.items() if len(places) > 1}


def claim_trees(board: Board, change: Change, kind: str) -> None:
    """Claim what went or came with each directory, and the facts that are read from there or run it."""
    trees = _roots(board, change)
    for top, places in trees.items():
        board.claim(places, kind, top)
    for at in board.facts():
        for path in sorted(board.files_of(at)):
            above = next((one for one in (path, *parents(path)) if one in trees), None)
            if above is not None and board.found[at].change is not _opposite(change):
                board.claim((at,), kind, above)
                break


def claim_moved(board: Board) -> None:
    """Claim directories that went in one place and came in another, with the same content."""
    for went, came in _alike(board, _roots(board, Change.REMOVED), _roots(board, Change.ADDED)):
        board.claim((*went[1], *came[1]), MOVED, went[0])


def claim_moved_files(board: Board) -> None:
    """The same of files."""
    sides: list[dict[bytes, list[int]]] = [{}, {}]
    for at in board.paths():
        one = board.found[at]
        if one.kind == "file" and one.change is not Change.MODIFIED:
            sides[one.change is Change.ADDED][one.subject] = [at]
    for went, came in _alike(board, sides[0], sides[1]):
        board.claim((*went[1], *came[1]), FILE_MOVED, went[0])


def _alike(
    board: Board, went: Mapping[bytes, list[int]], came: Mapping[bytes, list[int]]
) -> Iterator[tuple[tuple[bytes, list[int]], tuple[bytes, list[int]]]]:
    """What went in one place and came in another: where there are two of either, nobody can tell which is which."""
    shapes: dict[object, tuple[list[bytes], list[bytes]]] = defaultdict(lambda: ([], []))
    for side, trees in enumerate((went, came)):
        for top, places in trees.items():
            if found := _shape(board, top, places):
                shapes[found][side].append(top)
    for gone, new in shapes.values():
        if len(gone) == len(new) == 1:
            yield (gone[0], went[gone[0]]), (new[0], came[new[0]])


def _shape(board: Board, top: bytes, places: list[int]) -> tuple[tuple[bytes, ...], ...]:
    """What is in it, told from where it lies; nothing for what holds no content that could be recognised."""
    rows = []
    content = False
    for at in places:
        one = board.found[at]
        digest, size = value_of(one, "sha256"), value_of(one, "size")
        content = content or (len(digest) == _SHA256 and size not in (b"0", b""))
        rows.append((one.subject[len(top) :], one.kind.encode(), digest, value_of(one, "target")))
    return tuple(sorted(rows)) if content else ()


def _opposite(change: Change) -> Change:
    return Change.ADDED if change is Change.REMOVED else Change.REMOVED


def claim_permissions(board: Board) -> None:
    """Claim a directory and what lies below it, where all that changed is the same: owner, group or mode."""
    kinds: dict[bytes, tuple[object, ...]] = {}
    places: dict[bytes, int] = {}
    for at in board.paths():
        one = board.found[at]
        names = frozenset((*one.expected, *one.actual))
        if one.change is Change.MODIFIED and names and names <= _AGREED:
            kinds[one.subject] = (names, one.actual.get("uid"), one.actual.get("gid"))
            places[one.subject] = at
    trees: dict[bytes, list[int]] = defaultdict(list)
    for path, place in places.items():
        top = path
        for above in parents(path):
            if kinds.get(above) != kinds[path] or board.found[places[above]].kind != "directory":
                break
            top = above
        trees[top].append(place)
    for top, members in trees.items():
        if len(members) > 1:
            board.claim(members, PERMISSIONS, top)
