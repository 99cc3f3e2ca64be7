r"""A manifest as CycloneDX 1.6 in JSON: the image is the operating system, its packages libraries, its entries files.

Every entry is a component of the type file, named by its path, with its SHA-256, and all else that the manifest says
of it as properties: ``driftd:kind``, ``mode``, ``owner``, ``size``, ``class``, ``target``, ``rdev``, ``flags``,
``same``, ``xattr`` (name=value as in docs/manifest.md). A name that is not UTF-8 or holds control characters is shown
with ``\xHH`` for each such byte and ``\\`` for a backslash, and stands in base64 as ``driftd:path``. What is the
manifest's own (root, closed, provisional …) are properties of the metadata.

The library cyclonedx-python-lib checks it in the tests and does not write it: of 5,000 files it makes a document in
36 s, of 88,000 in more than ten minutes; this does in a second or two.

Lost, and counted: facts other than packages; unknown paths; the purl of a package of an unknown system.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from driftd.core.classes import EXACT
from driftd.core.escaped import escape
from driftd.core.manifest import KIND_WORDS, Manifest
from driftd.core.projection import Projection
from driftd.core.wording import shown
from driftd.core.wording.exports import lost, unnamed
from driftd.edges.exports import bill
from driftd.probe import wire
from driftd.probe.wire import Entry

_NAME = "cyclonedx"
_FLAGS = ((wire.IMMUTABLE, "immutable"), (wire.APPEND_ONLY, "append-only"))
_IMAGE = "image"
_INDENT = "  "


def project(manifest: Manifest, made_at: datetime) -> Projection:
    """``manifest`` as a bill of materials; ``made_at`` is the time that it states for itself."""
    packages = list(bill.packages(manifest))
    bare = sum(not one.purl for one in packages)
    facts = len(manifest.facts) - len(packages)
    counts = (
        (facts, lost(_NAME, facts, "fact")),
        (len(manifest.unknown), lost(_NAME, len(manifest.unknown), "unknown path")),
        (bare, unnamed(_NAME, bare)),
    )
    return Projection(_chunks(manifest, packages, made_at), tuple(said for count, said in counts if count))


def _chunks(manifest: Manifest, packages: list[bill.Package], made_at: datetime) -> Iterator[bytes]:
    head = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": bill.document_uuid(manifest).urn,
        "version": 1,
        "metadata": _metadata(manifest, made_at),
        "dependencies": [{"ref": _IMAGE, "dependsOn": [f"package-{at}" for at in range(len(packages))]}],
    }
    yield json.dumps(head, indent=1, ensure_ascii=False)[:-2].encode() + b',\n "components": ['
    before = b"\n"
    for component in _components(manifest, packages):
        yield before + json.dumps(component, ensure_ascii=False, separators=(",", ":")).encode()
        before = b",\n"
    yield b"\n ]\n}\n"


def _metadata(manifest: Manifest, made_at: datetime) -> dict[str, Any]:
    said = {
        "root": manifest.root.hex(),
        "closed": manifest.closed.hex(),
        "provisional": "yes" if manifest.provisional else "no",
        "live": "yes" if manifest.live else "no",
        "unshown": ",".join(manifest.unshown),
    }
    return {
        "timestamp": made_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "tools": {"components": [{"type": "application", "name": bill.TOOL, "version": bill.VERSION}]},
        "component": {"type": "operating-system", "bom-ref": _IMAGE, "name": bill.text(manifest.image)},
        "properties": _properties(said),
    }


def _properties(said: dict[str, str]) -> list[dict[str, str]]:
    return [{"name": f"driftd:{name}", "value": value} for name, value in said.items() if value]


def _components(manifest: Manifest, packages: list[bill.Package]) -> Iterator[dict[str, Any]]:
    for at, one in enumerate(packages):
        library: dict[str, Any] = {"type": "library", "bom-ref": f"package-{at}", "name": one.name}
        if one.version:
            library["version"] = one.version
        if one.purl:
            library["purl"] = one.purl
        if one.more:
            library["properties"] = _properties(dict(one.more))
        yield library
    for at, entry in enumerate(manifest.entries):
        yield _file(at, entry, manifest.class_of(entry.path).word)


def _file(at: int, entry: Entry, given: str) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "file", "bom-ref": f"entry-{at}", "name": shown(entry.path)}
    if entry.sha256:
        found["hashes"] = [{"alg": "SHA-256", "content": entry.sha256.hex()}]
    said = {
        "path": bill.odd(entry.path),
        "kind": KIND_WORDS[entry.kind],
        "class": given if given != EXACT.word else "",
        "mode": f"{entry.mode:04o}",
        "owner": f"{entry.uid}:{entry.gid}",
        "size": str(entry.size) if entry.kind == wire.FILE else "",
        "target": escape(entry.target).decode() if entry.kind == wire.LINK else "",
        "rdev": f"{entry.rdev[0]},{entry.rdev[1]}" if entry.kind in (wire.CHAR, wire.BLOCK) else "",
        "flags": ",".join(word for bit, word in _FLAGS if entry.flags & bit),
        "same": escape(entry.same).decode() if entry.same else "",
    }
    found["properties"] = _properties(said)
    for name, value in entry.xattrs:
        words = f"{escape(name, b'=').decode()}={escape(value).decode()}"
        found["properties"].append({"name": "driftd:xattr", "value": words})
    return found
