"""A repository's release: verified with gpgv, and only what was signed is read; and the indexes that it vouches for."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import lzma
import re
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

RELEASE_LIMIT = 32 * 1024 * 1024
INDEX_LIMIT = 1024 * 1024 * 1024
_GPGV_S = 30
_WEAK = frozenset(("1", "2", "3"))  # RFC 4880, 9.4: MD5, SHA-1, RIPEMD-160
_ARMOUR = re.compile(rb"-----BEGIN PGP PUBLIC KEY BLOCK-----.*?\n\r?\n(.*?)\n=", re.DOTALL)
_FIELD = re.compile(rb"^(Package|Version|Architecture|SHA256|Size): *([^\n]*)", re.MULTILINE)
_DIGEST = re.compile(rb"^ ([0-9a-f]{64}) +(\d+) +(\S+)$", re.MULTILINE)
_SECTION = re.compile(rb"^SHA256:\s*\n((?: [^\n]*\n?)*)", re.MULTILINE)
_ABOUT = re.compile(rb"^(Origin|Suite|Codename): *([^\n]*)", re.MULTILINE)


class UnverifiedError(ValueError):
    """It could not be verified; ``str()`` says why."""


@dataclass(frozen=True, slots=True)
class Release:
    """One verified release: the SHA-256 of the indexes that it names, and what it is called for people."""

    indexes: frozenset[str]
    name: str


def verify(release: Path, keyring: bytes) -> Release:
    """The release in ``release`` (InRelease, or Release with Release.gpg beside it), signed by a key of ``keyring``.

    As apt does it: one good signature with a digest that is not weak, and no bad one. Raises UnverifiedError.
    """
    with tempfile.TemporaryDirectory(prefix="driftd-gpgv-") as scratch:
        place = Path(scratch)
        (place / "keyring.gpg").write_bytes(dearmoured(keyring))
        (place / "release").write_bytes(_bytes(release))
        files = ["release"]
        if not release.name.endswith("InRelease"):
            (place / "release.gpg").write_bytes(_bytes(release.with_name(release.name + ".gpg")))
            files = ["release.gpg", "release"]
        command = ["gpgv", "--homedir", scratch, "--keyring", "./keyring.gpg", "--status-fd", "2"]
        more = ["--output", "text", *files] if len(files) == 1 else files
        try:
            done = subprocess.run([*command, *more], cwd=place, capture_output=True, timeout=_GPGV_S, check=False)
        except FileNotFoundError:
            raise UnverifiedError("gpgv is not installed on this host") from None
        except subprocess.TimeoutExpired:
            raise UnverifiedError("gpgv did not end in time") from None
        signer = _signer(done.stderr.decode("utf-8", "replace"))
        text = (place / ("text" if len(files) == 1 else "release")).read_bytes() if signer else b""
    if not text:
        raise UnverifiedError(f"{release.name} has no good signature by this keyring")
    section = _SECTION.search(text)
    digests = frozenset(found[0].decode() for found in _DIGEST.findall(section[1] if section else b""))
    about = {key.decode(): value.decode("utf-8", "replace").strip() for key, value in _ABOUT.findall(text)}
    called = " ".join(part for part in (about.get("Origin"), about.get("Codename") or about.get("Suite")) if part)
    return Release(digests, f"{called or 'an archive'} (key {signer[-16:]})")


def _signer(status: str) -> str:
    """The fingerprint of who made a good signature, "" when nobody did or any signature is bad."""
    good, signer = False, ""
    for line in status.splitlines():
        words = line.split()
        if len(words) < 3 or words[0] != "[GNUPG:]":
            continue
        if words[1] == "BADSIG":
            return ""
        if words[1] in ("GOODSIG", "EXPSIG", "EXPKEYSIG", "REVKEYSIG", "ERRSIG"):
            good = words[1] == "GOODSIG"
        if words[1] == "VALIDSIG" and good and len(words) > 9 and words[9] not in _WEAK:
            signer = words[2]
    return signer


def dearmoured(keyring: bytes) -> bytes:
    """A keyring as gpgv takes it. Raises UnverifiedError."""
    if not keyring.lstrip().startswith(b"-----BEGIN"):
        return keyring
    try:
        return b"".join(base64.b64decode(b"".join(part.split())) for part in _ARMOUR.findall(keyring))
    except ValueError:
        raise UnverifiedError("a keyring is damaged") from None


def _bytes(file: Path) -> bytes:
    with file.open("rb") as opened:
        data = opened.read(RELEASE_LIMIT + 1)
    if len(data) > RELEASE_LIMIT:
        raise UnverifiedError(f"{file.name} is larger than a release is")
    return data


Key = tuple[str, str, str]


def index_of(file: Path) -> tuple[str, dict[Key, str]]:
    """The SHA-256 of an index as it lies there, and of each package (name, version, architecture) the SHA-256.

    Raises UnverifiedError where it cannot be read.
    """
    with file.open("rb") as opened:
        packed = opened.read(INDEX_LIMIT + 1)
    text = packed
    try:
        if file.suffix in (".gz", ".xz"):
            with _opened(file.suffix, packed) as inner:
                text = inner.read(INDEX_LIMIT + 1)
    except (OSError, EOFError, lzma.LZMAError):
        raise UnverifiedError(f"{file.name} is damaged") from None
    if max(len(packed), len(text)) > INDEX_LIMIT:
        raise UnverifiedError(f"{file.name} is larger than an index is")
    return hashlib.sha256(packed).hexdigest(), dict(_packages(text))


def _opened(end: str, packed: bytes) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(io.BytesIO(packed)) if end == ".gz" else lzma.open(io.BytesIO(packed)))


def _packages(text: bytes) -> Iterator[tuple[Key, str]]:
    for stanza in text.split(b"\n\n"):
        fields = {key: value.strip().decode("utf-8", "replace") for key, value in _FIELD.findall(stanza)}
        digest = fields.get(b"SHA256", "")
        if len(digest) == 64:
            yield (fields.get(b"Package", ""), fields.get(b"Version", ""), fields.get(b"Architecture", "")), digest
