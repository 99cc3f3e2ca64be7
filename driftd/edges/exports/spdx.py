"""A manifest as SPDX: 2.3 in JSON, which nearly every reader takes, or 3.0.1 in JSON-LD, which can hold the files.

SPDX 2.3 wants a SHA-1 of every file (its section 8.4; spdx-tools refuses a file without), and a manifest has SHA-256
and nothing else. So the 2.3 document says that no files were analysed, and holds the image and its packages. The
3.0.1 document takes any digest: it holds files and directories, too. The namespace is the same for the same manifest.

Lost, and counted: in 2.3 every entry; in 3.0.1 what is neither file nor directory, and mode, owner, class, links and
attributes of what is; in both facts other than packages, and the purl of a package of an unknown system.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from driftd.core.manifest import Manifest
from driftd.core.projection import Projection
from driftd.core.wording import shown
from driftd.core.wording.exports import lost, told, unnamed
from driftd.edges.exports import bill
from driftd.probe import wire

_CONTEXT = "https://spdx.org/rdf/3.0.1/spdx-context.jsonld"


def _namespace(manifest: Manifest) -> str:
    """As SPDX says of those who have no place of their own: spdx.org/spdxdocs, a name and a UUID."""
    return f"https://spdx.org/spdxdocs/{quote(bill.text(manifest.image), safe='')}-{bill.document_uuid(manifest)}"


def _time(made_at: datetime) -> str:
    return made_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _of_root(manifest: Manifest) -> str:
    return f"driftd manifest, root sha256:{manifest.root.hex()}, closed sha256:{manifest.closed.hex()}"


def _said(one: bill.Package) -> str:
    return ", ".join(f"{name}: {value}" for name, value in one.more.items())


def _shared(form: str, manifest: Manifest, packages: list[bill.Package]) -> Iterator[str]:
    facts = len(manifest.facts) - len(packages)
    bare = sum(not one.purl for one in packages)
    if facts:
        yield lost(form, facts, "fact")
    if manifest.unknown:
        yield lost(form, len(manifest.unknown), "unknown path")
    if bare:
        yield unnamed(form, bare)


# --- 2.3 -------------------------------------------------------------------------------------------------------------


def project(manifest: Manifest, made_at: datetime) -> Projection:
    """SPDX 2.3: the image, and the packages that it contains."""
    packages = list(bill.packages(manifest))
    document = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": bill.text(manifest.image),
        "documentNamespace": _namespace(manifest),
        "creationInfo": {"created": _time(made_at), "creators": [f"Tool: {bill.TOOL}-{bill.VERSION}"]},
        "packages": [_image(manifest), *(_package(at, one) for at, one in enumerate(packages))],
        "relationships": [
            _related("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-Image"),
            *(_related("SPDXRef-Image", "CONTAINS", f"SPDXRef-Package-{at}") for at in range(len(packages))),
        ],
    }
    number = len(manifest.entries)
    why = "not in this document: SPDX 2.3 wants a SHA-1 of each file, which no manifest has"
    losses = (told("spdx", number, "entry", why, "entries"), *_shared("spdx", manifest, packages))
    return Projection([json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n"], losses)


def _image(manifest: Manifest) -> dict[str, Any]:
    return {
        "SPDXID": "SPDXRef-Image",
        "name": bill.text(manifest.image),
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "primaryPackagePurpose": "OPERATING-SYSTEM",
        "comment": _of_root(manifest),
    }


def _package(at: int, one: bill.Package) -> dict[str, Any]:
    made: dict[str, Any] = {"SPDXID": f"SPDXRef-Package-{at}", "name": one.name}
    made |= {"downloadLocation": "NOASSERTION", "filesAnalyzed": False}
    if one.version:
        made["versionInfo"] = one.version
    if one.purl:
        reference = {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": one.purl}
        made["externalRefs"] = [reference]
    if one.more:
        made["sourceInfo"] = _said(one)
    return made


def _related(one: str, how: str, other: str) -> dict[str, str]:
    return {"spdxElementId": one, "relationshipType": how, "relatedSpdxElement": other}


# --- 3.0.1 -----------------------------------------------------------------------------------------------------------


def project3(manifest: Manifest, made_at: datetime) -> Projection:
    """SPDX 3.0.1: the image, its packages, its files with their SHA-256, its directories."""
    packages = list(bill.packages(manifest))
    kept = [entry for entry in manifest.entries if entry.kind in (wire.FILE, wire.DIRECTORY)]
    others = len(manifest.entries) - len(kept)
    how = "told by name and digest only, without mode, owner, class, links and attributes"
    losses = [told("spdx3", len(kept), "entry", how, "entries")]
    if others:
        losses.append(told("spdx3", others, "entry", "no file or directory and not in this format", "entries"))
    return Projection(_graph(manifest, packages, made_at), (*losses, *_shared("spdx3", manifest, packages)))


def _graph(manifest: Manifest, packages: list[bill.Package], made_at: datetime) -> Iterator[bytes]:
    space = _namespace(manifest) + "#"
    yield b'{"@context": "%s", "@graph": [\n' % _CONTEXT.encode()
    contained: list[str] = []
    for element in _elements(manifest, packages, made_at, space, contained):
        yield json.dumps(element, ensure_ascii=False, separators=(",", ":")).encode() + b",\n"
    relationship = {
        "type": "Relationship",
        "spdxId": space + "contains",
        "creationInfo": "_:made",
        "from": space + "image",
        "relationshipType": "contains",
        "to": contained,
    }
    yield json.dumps(relationship, ensure_ascii=False, separators=(",", ":")).encode() + b"\n]}\n"


def _elements(
    manifest: Manifest, packages: list[bill.Package], made_at: datetime, space: str, contained: list[str]
) -> Iterator[dict[str, Any]]:
    """Everything but the relationship, for which ``contained`` collects what the image holds."""
    yield {
        "type": "CreationInfo",
        "@id": "_:made",
        "specVersion": "3.0.1",
        "created": _time(made_at),
        "createdBy": [space + "driftd"],
    }
    yield _element("SoftwareAgent", space + "driftd", name=f"{bill.TOOL} {bill.VERSION}")
    name = bill.text(manifest.image)
    roots = {"rootElement": [space + "image"]}
    profiles = {"profileConformance": ["core", "software"]}
    yield _element("SpdxDocument", space + "document", name=name, rootElement=[space + "bill"], **profiles)
    yield _element("software_Sbom", space + "bill", name=name, **roots, **profiles)
    yield _element(
        "software_Package",
        space + "image",
        name=name,
        software_primaryPurpose="operatingSystem",
        comment=_of_root(manifest),
    )
    for at, one in enumerate(packages):
        contained.append(f"{space}package-{at}")
        more = {"software_packageVersion": one.version, "software_packageUrl": one.purl}
        more["software_sourceInfo"] = _said(one)
        yield _element("software_Package", contained[-1], name=one.name, **{k: v for k, v in more.items() if v})
    for at, entry in enumerate(manifest.entries):
        if entry.kind not in (wire.FILE, wire.DIRECTORY):
            continue
        contained.append(f"{space}entry-{at}")
        found: dict[str, Any] = {"software_fileKind": "file" if entry.kind == wire.FILE else "directory"}
        if entry.sha256:
            found["verifiedUsing"] = [{"type": "Hash", "algorithm": "sha256", "hashValue": entry.sha256.hex()}]
        if encoded := bill.odd(entry.path):
            found["comment"] = f"path in base64: {encoded}"
        yield _element("software_File", contained[-1], name=shown(entry.path), **found)


def _element(kind: str, spdx_id: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "spdxId": spdx_id, "creationInfo": "_:made", **fields}
