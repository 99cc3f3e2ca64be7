"""Package transactions: what explains a change, and how far that can be believed.

*Claimed*: the instance's own books agree. Its root writes them, so this only names what happened. *Verified*: a chain
that its root cannot forge. A keyring that was baked into the image and is held on the control host has signed a
repository's release, which has the digest of its index, which has the digest of the package, which has the digests,
modes and owners of its files: and what is there now is exactly that. An older version than was baked is not verified,
whoever signed it, nor is what a package's own scripts made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from driftd.core.causes import NO_BOOKS
from driftd.core.causes.board import Books
from driftd.core.difference import Change, Difference
from driftd.core.facts import Unseen
from driftd.core.fingerprint import Fingerprint
from driftd.core.manifest import Manifest
from driftd.core.transactions import books as told
from driftd.core.transactions.contents import Contents, PackageSource
from driftd.core.transactions.history import Transaction
from driftd.core.transactions.versions import later
from driftd.probe import wire

KEYRINGS = (b"/usr/share/keyrings/", b"/etc/apt/keyrings/", b"/etc/apt/trusted.gpg.d/")


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of the transactions behind one look's differences. ``doubts`` say why something is not verified."""

    books: Books = NO_BOOKS
    runs: Mapping[str, Transaction] = field(default_factory=dict)
    now: Mapping[str, Contents] = field(default_factory=dict)
    before: Mapping[str, Contents] = field(default_factory=dict)
    doubts: Mapping[str, str] = field(default_factory=dict)


NO_EVIDENCE = Evidence()


def gather(
    manifest: Manifest,
    fingerprint: Fingerprint,
    differences: Sequence[Difference],
    source: PackageSource | None = None,
    baked: Callable[[], Mapping[bytes, bytes]] = dict,
) -> Evidence:
    """What the books say, and of that what can be verified. ``baked`` gives the texts that bake kept, by path."""
    packages = told.changed(differences)
    if not packages:
        return NO_EVIDENCE
    books = told.books(packages, fingerprint.answers, baked())
    now: dict[str, Contents] = {}
    before: dict[str, Contents] = {}
    doubts: dict[str, str] = {}
    for one in packages if source is not None else ():
        name, version, was = told.name_of(one), one.actual.get("version", ""), one.expected.get("version", "")
        if one.change is Change.REMOVED or not version or source is None:
            continue
        if was and later(was, version):
            doubts[name] = f"{version} is older than {was}, which was baked"
            continue
        base, _, architecture = name.partition(":")
        found = source.contents(base, version, architecture, keyrings(manifest))
        if isinstance(found, Unseen):
            doubts[name] = found.reason
            continue
        now[name] = found
        old = source.contents(base, was, architecture, keyrings(manifest)) if was else Unseen("")
        if not isinstance(old, Unseen):
            before[name] = old
    files = {
        name: frozenset(path for known in (now, before) if name in known for path in known[name].members)
        | books.files.get(name, frozenset())
        for name in {*now, *books.files}
    }
    whole = Books(files, books.transactions)
    return Evidence(whole, told.transactions(packages, fingerprint.answers), now, before, doubts)


def keyrings(manifest: Manifest) -> frozenset[bytes]:
    """The SHA-256 of the keyrings that were baked and that may not differ."""
    return frozenset(
        entry.sha256
        for entry in manifest.entries
        if entry.kind == wire.FILE
        and entry.sha256
        and (entry.path.startswith(KEYRINGS) or entry.path == b"/etc/apt/trusted.gpg")
        and entry.path not in manifest.classes
    )
