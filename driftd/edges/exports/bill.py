"""What bills of materials have in common: packages with their purls, a name for the document, names as text.

A purl (github.com/package-url/purl-spec) of a deb, rpm or apk names the system that the package was built for. A
manifest holds no contents, /etc/os-release's neither, so the system is known by the packages that only it has; where
it is not known, or two are, such a package has no purl.
"""

from __future__ import annotations

import base64
import hashlib
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from driftd import __version__
from driftd.core.errors import BadInput
from driftd.core.facts import Fact
from driftd.core.manifest import Manifest
from driftd.core.manifestlines import fact_line
from driftd.core.packs import systems
from driftd.core.wording import shown

TOOL = "driftd"
VERSION = __version__
_TYPES: Mapping[str, str] = {"dpkg": "deb", "rpm": "rpm", "apk": "apk", "pip": "pypi"}
# How purls call the systems of core/packs.py.
_VENDORS: Mapping[str, str] = {
    "almalinux": "almalinux",
    "amazon-linux-2023": "amzn",
    "centos-stream": "centos",
    "debian": "debian",
    "fedora": "fedora",
    "oracle-linux": "oracle",
    "rhel": "redhat",
    "rocky-linux": "rocky",
    "ubuntu": "ubuntu",
}


@dataclass(frozen=True, slots=True)
class Package:
    """``purl`` is "" where it cannot be known. ``more`` are the fact's fields that the name, version and purl lack."""

    name: str
    version: str
    purl: str
    more: Mapping[str, str]


def packages(manifest: Manifest) -> Iterator[Package]:
    """Every package in the manifest's order. Raises BadInput where the library for purls is not installed."""
    try:
        from packageurl import PackageURL  # noqa: PLC0415  # an extra
    except ImportError:
        raise BadInput(
            "bills of materials need the library packageurl-python", "install it: pip install 'driftd[sbom]'"
        ) from None
    vendor = _vendor(manifest)
    for fact in manifest.facts:
        if fact.kind != "package":
            continue
        name, arch = _named(fact)
        version, form = text(fact.get("version")), _TYPES.get(fact.get("source"), "")
        purl = ""
        if name and (form == "pypi" or (form and vendor)):
            qualifiers = {"arch": arch} if arch else {}
            space = vendor if form != "pypi" else None
            purl = PackageURL(form, space, name, version or None, qualifiers).to_string()
        more = {key: text(value) for key, value in fact.fields if key != "version"}
        yield Package(name, version, purl, {"architecture": arch, **more} if arch else more)


def _named(fact: Fact) -> tuple[str, str]:
    """The name and the architecture; pip's packages have none."""
    if fact.get("source") == "pip":
        return text(fact.name), ""
    name, _, arch = text(fact.name).partition(":")
    return name, arch


def _vendor(manifest: Manifest) -> str:
    known = systems(manifest)
    if len(known) == 1:
        return _VENDORS[next(iter(known))]
    alpine = any(
        fact.kind == "package" and fact.name.partition(":")[0] == "alpine-baselayout" for fact in manifest.facts
    )
    return "alpine" if alpine and not known else ""


def document_uuid(manifest: Manifest) -> uuid.UUID:
    """The same for the same image, tree, classes and facts, whenever and wherever it is made."""
    digest = hashlib.sha256(manifest.image.encode("utf-8", "surrogateescape") + b"\0" + manifest.root + manifest.closed)
    for fact in manifest.facts:
        digest.update(fact_line(fact) + b"\n")
    return uuid.uuid5(uuid.NAMESPACE_URL, "driftd:" + digest.hexdigest())


def text(value: str) -> str:
    r"""Text of a fact as JSON can hold it: what is no UTF-8, and control characters, as ``\xHH``."""
    return shown(value.encode("utf-8", "surrogateescape"))


def odd(path: bytes) -> str:
    """The path in base64 where the shown name is not the path itself, else ""."""
    return "" if shown(path).encode() == path else base64.b64encode(path).decode()
