"""A manifest: what an image contains. core/manifesttext.py writes it as text and reads it back (docs/manifest.md)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace

from driftd.core import merkle
from driftd.core.classes import EXACT, NO_CLASSES, Expected
from driftd.core.errors import BadInput
from driftd.core.escaped import escape
from driftd.core.facts import Fact, by_kind
from driftd.core.fingerprint import Fingerprint
from driftd.core.interned import Interned
from driftd.core.seal import Seal
from driftd.probe import wire
from driftd.probe.wire import Entry

KIND_WORDS = {
    wire.FILE: "file",
    wire.DIRECTORY: "directory",
    wire.LINK: "link",
    wire.CHAR: "char",
    wire.BLOCK: "block",
    wire.FIFO: "fifo",
    wire.SOCKET: "socket",
}
# What is true of one moment only, so that no manifest states it.
_MOMENTARY = ("process",)
# What some who read a tree cannot see of its entries: hosts without the tools for it, formats without a place for it.
ASPECTS = ("flags", "same", "xattr")


@dataclass(frozen=True, slots=True)
class Manifest:
    """``entries`` are sorted by raw path bytes. ``provisional`` means it was read off a running server.

    ``looked`` are the kinds of facts that were looked for at bake time, found or not; of others it says nothing.
    ``live`` tells whether the bake saw a running machine. ``key_id`` names the key that its keyed digests were made
    with, "" where there are none.

    ``unknown`` are paths whose content or listing could not be read at bake time: of them, and of all below them,
    the manifest says nothing, so nothing there is ever a difference. ``unshown`` are those of ``ASPECTS`` that whoever
    made it could not see of any entry: of them it says nothing, either.

    ``classes`` has the class of each entry that is not exact. ``seal`` says who vouches for it; it is no part of the
    text, and of two manifests alike whoever vouches for them. ``tree`` is what looks at its instances are held against,
    ``kinds`` are its facts by their kinds, and ``packages`` the names of its packages without an architecture.
    """

    image: str
    entries: tuple[Entry, ...]
    facts: tuple[Fact, ...]
    looked: tuple[str, ...]
    root: bytes
    provisional: bool = False
    unknown: tuple[bytes, ...] = ()
    live: bool = False
    key_id: str = ""
    classes: Mapping[bytes, Expected] = field(default_factory=lambda: NO_CLASSES)
    closed: bytes = b""
    unshown: tuple[str, ...] = ()
    seal: Seal | None = field(default=None, compare=False)
    tree: Interned = field(init=False, repr=False, compare=False)
    kinds: Mapping[str, AbstractSet[Fact]] = field(init=False, repr=False, compare=False)
    packages: frozenset[bytes] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        kinds = by_kind(self.facts)
        object.__setattr__(self, "tree", Interned(self.entries))
        object.__setattr__(self, "kinds", kinds)
        object.__setattr__(self, "packages", frozenset(_packages(kinds.get("package", ()))))

    def class_of(self, path: bytes) -> Expected:
        """What the manifest says of how an instance may differ at ``path``; exact for what it does not name."""
        return self.classes.get(path, EXACT)

    @property
    def enforceable(self) -> bool:
        """Whether something may be replaced because of it: somebody vouches for it, and for what it was read off."""
        return self.seal is not None and not self.doubtful

    @property
    def doubtful(self) -> bool:
        """Whether it was read off a running server and no signer vouched for that server."""
        return self.provisional and (self.seal is None or self.seal.provisional)


def from_fingerprint(
    fingerprint: Fingerprint, image: str, *, provisional: bool, partial: bool = False, key_id: str = ""
) -> Manifest:
    """What ``fingerprint`` saw, as the statement of what ``image`` contains; every entry of it exact.

    Raises BadInput when something could not be read, unless the manifest is provisional or ``partial`` says that
    a manifest which is silent about those paths is wanted.
    """
    unknown = tuple(sorted({*fingerprint.unreadable, *fingerprint.covered}))
    if not image or not image.isprintable():
        raise BadInput("an image needs a name of printable characters", "say which with --image NAME")
    if unknown and not provisional and not partial:
        raise BadInput(
            f"{len(unknown)} paths could not be read, {escape(unknown[0]).decode()} the first, "
            "and a manifest must know its whole tree",
            "read it as root and with nothing mounted below",
        )
    looked = tuple(kind for kind in fingerprint.seen_kinds() if kind not in _MOMENTARY)
    return Manifest(
        image=image,
        entries=fingerprint.entries,
        facts=tuple(sorted({fact for fact in fingerprint.facts if fact.kind in looked})),
        looked=looked,
        root=fingerprint.root,
        provisional=provisional,
        unknown=unknown,
        live=fingerprint.live,
        key_id=key_id,
        closed=fingerprint.root,
        unshown=tuple(sorted({one.kind for one in fingerprint.kept} & set(ASPECTS))),
    )


def classified(manifest: Manifest, classes: Mapping[bytes, Expected]) -> Manifest:
    """``manifest`` with these classes. Raises ValueError for one of a path that is not there, or that cannot be it."""
    kinds = {entry.path: entry.kind for entry in manifest.entries if entry.path in classes}
    for path, given in classes.items():
        if path not in kinds or not given.fits(kinds[path]):
            raise ValueError(f"{path!r} cannot be {given.word}")
    kept = {path: given for path, given in sorted(classes.items()) if given != EXACT}
    return replace(manifest, classes=kept, closed=merkle.roots(manifest.entries, kept)[1])


def _packages(facts: Iterable[Fact]) -> Iterator[bytes]:
    """Those of the system's own manager: what pip installed may have the name of something else."""
    for one in facts:
        if one.get("source") != "pip":
            yield one.name.encode("utf-8", "surrogateescape").partition(b":")[0]
