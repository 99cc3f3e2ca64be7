"""Signing keys on disk: Ed25519, public ones as PEM (SubjectPublicKeyInfo), private ones as PEM (PKCS #8, mode 0600).

A key's id is the SHA-256 of its public key in DER (SubjectPublicKeyInfo), in hexadecimal digits, as
``openssl pkey -pubin -in FILE -outform DER | sha256sum`` says it. No error says anything of what is in a private key's
file.
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from driftd.core.errors import BadInput
from driftd.edges.documents.refusals import unwritten

_SIZE_LIMIT = 16 * 1024
_MAKE = "make a pair with: driftd manifest keygen FILE"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """Somebody's public key; ``where`` is the file that it was read from."""

    id: str
    where: str
    _key: Ed25519PublicKey = field(repr=False, compare=False)

    def verifies(self, signature: bytes, data: bytes) -> bool:
        """Whether ``signature`` is this key's over ``data``."""
        try:
            self._key.verify(signature, data)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key. It has no text: neither ``repr`` nor an exception shows it."""

    id: str
    _key: Ed25519PrivateKey = field(repr=False, compare=False)

    def sign(self, data: bytes) -> bytes:
        """The 64 bytes of the signature over ``data``."""
        return self._key.sign(data)


def load_public(file: Path) -> PublicKey:
    """The public key in ``file``. Raises BadInput, also when it is a private one: that belongs somewhere else."""
    data = _read(file, private=False)
    if b"PRIVATE KEY" in data:
        raise BadInput(f"{file} holds a private key, and a public one belongs here", "name its .pub file")
    try:
        key = load_pem_public_key(data)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise BadInput(f"{file} does not hold a public key (PEM)", _MAKE) from None
    if not isinstance(key, Ed25519PublicKey):
        raise BadInput(f"{file} holds a public key of another kind than Ed25519", _MAKE)
    return PublicKey(_id(key), str(file), key)


def load_signing(file: Path) -> SigningKey:
    """The private key in ``file``, which only its owner may read. Raises BadInput; says nothing of what is in it."""
    data = _read(file, private=True)
    if b"ENCRYPTED" in data:
        raise BadInput(
            f"{file} holds a private key behind a passphrase, which driftd has nobody to ask for",
            "keep it in a file of mode 0600 without one, or hand it over as a credential",
        )
    try:
        key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # Not a word of what is there: it may be most of a key.
        raise BadInput(f"{file} does not hold a private key (PEM, PKCS #8)", _MAKE) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise BadInput(f"{file} holds a private key of another kind than Ed25519", _MAKE)
    return SigningKey(_id(key.public_key()), key)


def make_keys(file: Path) -> PublicKey:
    """A new pair: the private key in ``file`` (mode 0600), the public one beside it as ``file.pub``.

    Raises BadInput; never writes over a file that is there.
    """
    key = Ed25519PrivateKey.generate()
    public = Path(f"{file}.pub")
    for one in (file, public):
        if one.exists() or one.is_symlink():
            raise BadInput(f"{one} is there already, and no key is written over another", "name another file")
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    _create(file, private, 0o600)
    _create(public, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), 0o644)
    return PublicKey(_id(key.public_key()), str(public), key.public_key())


def _id(key: Ed25519PublicKey) -> str:
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _create(file: Path, data: bytes, mode: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(file, flags, 0o600), "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fchmod(stream.fileno(), mode)
            os.fsync(stream.fileno())
    except OSError as error:
        raise unwritten(file, error, "no key can be written here") from None


def _read(file: Path, *, private: bool) -> bytes:
    """The whole of a small file. A private key that others may read or that somebody else owns is not used."""
    try:
        with os.fdopen(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
            found = os.fstat(stream.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise BadInput(f"{file} is no file", _MAKE)
            if private and file.suffix == ".pub":
                raise BadInput(
                    f"{file} is a public key, and nothing is signed with that", f"name {file.with_suffix('')}"
                )
            if private and found.st_uid not in (os.geteuid(), 0):
                raise BadInput(f"{file} belongs to somebody else, so the key in it is not used", _MAKE)
            # Of root's file (a systemd credential with an ACL) the group's bits may be only its mask.
            if private and found.st_mode & (0o077 if found.st_uid == os.geteuid() else 0o007):
                raise BadInput(f"others may use {file}, so the key in it is not used", f"chmod go= {file}")
            data = stream.read(_SIZE_LIMIT + 1)
    except OSError as error:
        raise BadInput(f"{file}: the key cannot be read: {error.strerror}", _MAKE) from None
    if len(data) > _SIZE_LIMIT:
        raise BadInput(f"{file} is larger than a key", "is this the right file?")
    return data
