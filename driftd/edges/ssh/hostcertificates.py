"""Certificates that a server shows in its host key's place, checked against the authorities that known_hosts names.

OpenSSH's PROTOCOL.certkeys and ssh-keygen(1), "CERTIFICATES": a host's certificate, for a name that the server is
reached by, in its time, without options that nobody here knows, signed by an authority of a line ``@cert-authority``.
"""

from __future__ import annotations

import base64
import fnmatch
from collections.abc import Collection
from datetime import UTC, datetime

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    SSHCertificate,
    SSHCertificateType,
    load_ssh_public_identity,
)

from driftd.edges.ssh.keys import fingerprint

_UNREADABLE = "it cannot be read"
SUFFIX = "-cert-v01@openssh.com"
_SHA2 = (b"rsa-sha2-256", b"rsa-sha2-512")


def refused(blob: bytes, host: str, now: float, authorities: Collection[bytes]) -> str:
    """Why the certificate does not say that its key is the host's; "" where it does.

    ``authorities`` are those for this host, in SSH wire form. Of another one's nothing but its key is looked at.
    """
    length = int.from_bytes(blob[:4], "big")
    try:
        found = load_ssh_public_identity(blob[4 : 4 + length] + b" " + base64.b64encode(blob))
        if not isinstance(found, SSHCertificate):
            return _UNREADABLE
        authority = _wire(found)
        if authority not in authorities:
            return f"it is signed by {fingerprint(authority)}, which known_hosts does not have for the host"
        if not _is_strong(found, blob):
            return "it is signed by SHA-1"
        found.verify_cert_signature()
    except InvalidSignature:
        return "its signature is wrong"
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return _UNREADABLE
    return _lacks(found, host, now)


def _is_strong(found: SSHCertificate, blob: bytes) -> bool:
    """Not by SHA-1. A signature of RSA is as long as the key, and its length and its kind stand before it."""
    key = found.signature_key()
    return not isinstance(key, RSAPublicKey) or blob[: -(key.key_size // 8) - 4].endswith(_SHA2)


def _wire(found: SSHCertificate) -> bytes:
    line = found.signature_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return base64.b64decode(line.split()[1])


def _lacks(found: SSHCertificate, host: str, now: float) -> str:
    names = [name.decode("utf-8", "replace") for name in found.valid_principals]
    if found.type is not SSHCertificateType.HOST:
        return "it is a user's"
    if found.critical_options:
        return "it has options that driftd does not know"
    if now < found.valid_after:
        return f"it is good from {_moment(found.valid_after)} on only"
    if now >= found.valid_before:
        return f"it was good until {_moment(found.valid_before)}"
    # Brackets are no character class there, as in known_hosts.
    if not any(fnmatch.fnmatchcase(host, name.lower().replace("[", "[[]")) for name in names):
        return "it is for other names"
    return ""


def _moment(at: int) -> str:
    return datetime.fromtimestamp(min(at, 253402300799), UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
