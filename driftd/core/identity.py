"""Identity: files that make an instance itself. An image has none of them set, and no two instances have the same.

A copied machine-id gives two servers one DHCP lease and one journal, a copied host key lets one stand in for the other,
a copied seed gives both the same random numbers. So what came with the image, and what another instance has as well, is
told; a replacement from the same image would have it again, so that it asks for nobody's replacement.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from driftd.core.difference import Change, Difference
from driftd.core.entries import beginning_with
from driftd.core.fingerprint import Fingerprint
from driftd.core.globs import path
from driftd.core.manifest import Manifest
from driftd.core.marks import Twin
from driftd.probe import wire
from driftd.probe.wire import Entry

KIND = "identity"
_TEXTS = (
    "/etc/machine-id",
    "/var/lib/dbus/machine-id",
    "/etc/ssh/ssh_host_*_key",
    "/etc/nvme/hostnqn",
    "/etc/nvme/hostid",
    "/etc/iscsi/initiatorname.iscsi",
    "/var/lib/systemd/random-seed",
    "/var/lib/systemd/credential.secret",
    "/etc/ssl/private/ssl-cert-snakeoil.key",
)
PATHS = tuple(path(text) for text in _TEXTS)
_BEGINNINGS = tuple(text.partition("*")[0].encode() for text in _TEXTS)  # each look asks this of every entry
# machine-id(5): what an image holds that is to get its own at the first boot.
_UNSET = frozenset(hashlib.sha256(text).digest() for text in (b"", b"\n", b"uninitialized", b"uninitialized\n"))
_SHOWN = 3
_KEYS = (b"/etc/ssh/", b"/etc/ssl/")


def identities(entries: Sequence[Entry]) -> dict[bytes, bytes]:
    """Identity files that are set, path to digest; ``entries`` are sorted by path."""
    return {
        entry.path: entry.sha256
        for start in _BEGINNINGS
        for entry in beginning_with(entries, start)
        if entry.kind == wire.FILE
        and entry.sha256
        and entry.sha256 not in _UNSET
        and any(glob.matches(entry.path) for glob in PATHS)
    }


def opens(path: bytes) -> bool:
    """Whether whoever has a copy of it can pass for its owner."""
    return path.startswith(_KEYS)


def shared(manifest: Manifest, fingerprint: Fingerprint, twins: Sequence[Twin]) -> tuple[Difference, ...]:
    """What of an instance's identity is not its own: baked, or another instance's as well.

    A directory that holds a tree is no instance. What was baked from a running server is that server's own there.
    """
    if not fingerprint.live:
        return ()
    mine = identities(fingerprint.entries)
    baked = {} if manifest.live else identities(manifest.entries)
    copied = {where for where, digest in mine.items() if baked.get(where) == digest}
    return (
        *(_difference(where, mine[where], "the image") for where in sorted(copied)),
        *doubled({where: digest for where, digest in mine.items() if where not in copied}, twins),
    )


def doubled(identities: Mapping[bytes, bytes], twins: Sequence[Twin]) -> tuple[Difference, ...]:
    """Those of an instance's identity files, path to digest, that others have as well."""
    found = []
    for where, digest in sorted(identities.items()):
        others = sorted({twin.instance_id for twin in twins if twin.path == where})
        more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
        if others:
            found.append(_difference(where, digest, ", ".join(others[:_SHOWN]) + more))
    return tuple(found)


def _difference(where: bytes, digest: bytes, same: str) -> Difference:
    return Difference(KIND, where, Change.MODIFIED, {}, {"sha256": digest.hex(), "same_as": same})


def told(difference: Difference) -> str:
    """Why it matters, as a sentence without its end."""
    same = difference.actual.get("same_as", "")
    if same == "the image":
        return "it was copied from the image, where nothing of an instance's own may be set"
    return f"it is not its own: {same} has the same"


def unclean(manifest: Manifest) -> Mapping[bytes, bytes]:
    """Identity files that are set in an image, path to digest: for whoever bakes one."""
    return identities(manifest.entries)
