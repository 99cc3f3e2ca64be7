"""The closed tree's root: one digest that says what is there and that nothing else is.

A leaf is SHA-256 over ``L`` and the entry's canonical body (probe/wire.py). A directory is SHA-256 over ``D``, its own
body with its length (u32), and for each child by name: the name's length (u16), the name, the child's digest.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence

from driftd.probe import wire
from driftd.probe.wire import Entry

_WORD = struct.Struct(">I")
_SHORT = struct.Struct(">H")


def root(entries: Sequence[Entry]) -> bytes:
    """The root of a tree whose entries are sorted by their paths' raw bytes; that of an empty tree for none."""
    children: dict[bytes, list[tuple[bytes, bytes]]] = {}
    digest = hashlib.sha256(b"").digest()
    # Backwards, every child comes before its directory.
    for entry in reversed(entries):
        body = wire.encode_body(entry)
        if entry.kind == wire.DIRECTORY:
            parts = [b"D", _WORD.pack(len(body)), body]
            for name, below in sorted(children.pop(entry.path, [])):
                parts.extend((_SHORT.pack(len(name)), name, below))
            digest = hashlib.sha256(b"".join(parts)).digest()
        else:
            digest = hashlib.sha256(b"L" + body).digest()
        if entry.path != b"/":
            children.setdefault(wire.parent(entry.path), []).append((wire.basename(entry.path), digest))
    return digest
