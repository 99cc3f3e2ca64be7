"""Packages that came, went or changed: their files by their own lists, what runs from them, and the books.

Those of one transaction are one cause.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from driftd.core.causes.board import ACCOUNT, PACKAGE, PACKAGES, Board, Claim, plain, value_of

# What every installation, upgrade or removal of any package changes: the books, and what triggers make anew.
_BOOKS = re.compile(
    rb"/var/lib/dpkg/(?:[^/]+|(?:alternatives|triggers|updates|parts)/.*)"
    rb"|/var/(?:lib|cache|log)/apt/.*"
    rb"|/var/cache/(?:debconf|man|fontconfig|ldconfig|dnf|yum)/.*"
    rb"|/var/backups/(?:dpkg\.|apt\.|alternatives)[^/]*"
    rb"|/var/log/(?:dpkg\.log|alternatives\.log|dnf|yum)[^/]*"
    rb"|/var/lib/(?:rpm|dnf|yum)/.*|/usr/lib/sysimage/.*"
    rb"|/var/lib/systemd/deb-systemd-[^/]*/.*"
    rb"|/etc/alternatives/[^/]+|/etc/ld\.so\.cache"
    rb"|/boot/(?:initrd|initramfs)[^/]*|/boot/grub2?/grub\.cfg"
    rb"|(?:/usr)?/lib/modules/[^/]+/modules\.[^/]+"
    rb"|/usr/share/(?:info/dir|mime/.*|applications/mimeinfo\.cache|glib-2\.0/schemas/gschemas\.compiled)"
    rb"|/usr/share/icons/[^/]+/icon-theme\.cache"
    rb"|/usr/lib/(?:.*/)?(?:giomodule|immodules|loaders|gconv-modules)\.cache"
    rb"|/usr/lib/locale/locale-archive|/etc/ssl/certs/ca-certificates\.crt",
    re.DOTALL,
)


def is_book(path: bytes) -> bool:
    """Whether a change there says nothing of which package it was."""
    return _BOOKS.fullmatch(path) is not None


def claim(board: Board) -> None:
    """Claim what came with each package."""
    came = board.facts(PACKAGE)
    if not came:
        return
    labels = _labels(board, came)
    for at in came:
        board.claim((at,), *labels[at])
    _claim_rest(board, came, labels)
    first = min(labels.values())
    board.claim((at for at in board.paths() if is_book(board.subject(at))), *first)


def _claim_rest(board: Board, came: Sequence[int], labels: Mapping[int, Claim]) -> None:
    named = _named(board, came)
    owner: dict[bytes, int] = {}
    for at in came:
        for path in board.books.files.get(_name(board, at), ()):
            owner.setdefault(plain(path), at)
    for at in board.paths():
        path = board.subject(at)
        whose = owner.get(plain(path), owner.get(_source_of(plain(path)), named(path)))
        if whose is not None:
            board.claim((at,), *labels[whose])
    for at in board.paths():  # alternatives, and what enables a unit
        target = plain(value_of(board.found[at], "target"))
        if board.found[at].kind == "link" and target in owner:
            board.claim((at,), *labels[owner[target]])
    for at in board.facts():
        runs = min((owner[path] for path in board.files_of(at) if path in owner), key=board.subject, default=None)
        same = named(b"/usr/share/doc/" + board.subject(at)) if board.found[at].kind in (ACCOUNT, "group") else None
        if (whose := same if runs is None else runs) is not None:
            board.claim((at,), *labels[whose])


def _name(board: Board, at: int) -> str:
    return board.subject(at).decode("utf-8", "surrogateescape")


def _labels(board: Board, came: Sequence[int]) -> dict[int, Claim]:
    """Each package's cause: itself, or all that came with it."""
    together: dict[str, list[int]] = defaultdict(list)
    for at in came:
        name = _name(board, at)
        together[board.books.transactions.get(name, f"\0{name}")].append(at)
    labels: dict[int, Claim] = {}
    for places in together.values():
        names = sorted({board.subject(at) for at in places})
        label = (PACKAGE, names[0]) if len(names) == 1 else (PACKAGES, b" ".join(names))
        labels.update(dict.fromkeys(places, label))
    return labels


def _named(board: Board, came: Sequence[int]) -> Callable[[bytes], int | None]:
    """What the books would say, where they were not read: dpkg's own files of a package, and its documents."""
    names: dict[bytes, int] = {}
    for at in came:
        full = board.subject(at)
        names.setdefault(full, at)
        names.setdefault(full.partition(b":")[0], at)
    info, doc = b"/var/lib/dpkg/info/", b"/usr/share/doc/"

    def whose(path: bytes) -> int | None:
        if path.startswith(info):
            return names.get(path[len(info) :].rpartition(b".")[0])
        return names.get(path[len(doc) :].partition(b"/")[0]) if path.startswith(doc) else None

    return whose


def _source_of(path: bytes) -> bytes:
    """The Python source that compiled code stands for; b"" for what is none."""
    above, _, name = path.rpartition(b"/")
    if not name.endswith(b".pyc") or not above.endswith(b"/__pycache__"):
        return b""
    return above.removesuffix(b"__pycache__") + name.partition(b".")[0] + b".py"
