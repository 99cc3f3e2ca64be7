"""The certificate that a visit is made with: for one user, one visit and a few minutes, signed by driftd's own CA key.

What it may do stands in it (OpenSSH's PROTOCOL.certkeys): the key id names the visit, so that sshd's log does; the
command is driftd's, whatever is asked for; it counts only from where the connection comes from; and without extensions
there is no terminal and no forwarding. The key in it is made for the visit too and is never written anywhere.
"""

from __future__ import annotations

import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from pathlib import Path

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    SSHCertificateBuilder,
    SSHCertificateType,
    load_ssh_private_key,
)

from driftd.core.visits import KEY_ID
from driftd.edges.ssh.failure import SshError
from driftd.edges.ssh.keys import Identity, fingerprint, made, read_private
from driftd.edges.ssh.options import CertificateOptions

_MAKE_ONE = "make one with `ssh-keygen -t ed25519 -N '' -f FILE` and name its public half in TrustedUserCAKeys"


@dataclass(frozen=True, slots=True)
class Shown:
    """What a certificate says, for a sentence about it."""

    key_id: str
    authority: str
    principals: tuple[str, ...]
    sources: tuple[str, ...]
    since: float
    until: float

    def __str__(self) -> str:
        since, until = (datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S") for at in (self.since, self.until))
        return (
            f"{self.key_id} (signed by {self.authority}; for {', '.join(self.principals)}; from "
            f"{', '.join(self.sources)}; good from {since} to {until} UTC)"
        )

    def covers(self, source: str) -> bool:
        """Whether a connection from ``source`` is one that it counts for."""
        return any(ip_address(source) in ip_network(one) for one in self.sources)


class Authority:
    """driftd's CA key. Its private half reaches no message."""

    def __init__(self, key: Ed25519PrivateKey, options: CertificateOptions) -> None:
        self._key = key
        self._options = options
        self.fingerprint = fingerprint(_blob(key))

    def mint(self, scan: str, user: str, source: str, command: str) -> tuple[Identity, Shown]:
        """A new key in a certificate for the visit ``scan``, whose connection leaves from ``source``."""
        options, now = self._options, int(time.time())
        key = Ed25519PrivateKey.generate()
        shown = Shown(
            KEY_ID + scan,
            self.fingerprint,
            options.principals or (user,),
            options.sources or (source,),
            # The instance's clock may be behind as well as ahead.
            now - int(options.valid_s),
            now + int(options.valid_s),
        )
        builder = (
            SSHCertificateBuilder()
            .public_key(key.public_key())
            .serial(secrets.randbits(63))
            .type(SSHCertificateType.USER)
            .key_id(shown.key_id.encode())
            .valid_principals([name.encode() for name in shown.principals])
            .valid_after(shown.since)
            .valid_before(shown.until)
            .add_critical_option(b"source-address", ",".join(shown.sources).encode())
        )
        if options.forced:
            builder = builder.add_critical_option(b"force-command", command.encode())
        mine = made(key)
        mine.private.load_certificate(builder.sign(self._key).public_bytes().decode())
        return mine, shown


def authority(options: CertificateOptions) -> Authority:
    """The CA key in the file that is named. Raises ``SshError`` when it is none, or when others can read it."""
    path = Path(options.ca).expanduser()
    data = read_private(path, _MAKE_ONE)
    key = None
    # What the parser says may quote the file, so it is dropped, cause and all.
    with suppress(ValueError, TypeError, UnsupportedAlgorithm):
        key = load_ssh_private_key(data, None)
    if not isinstance(key, Ed25519PrivateKey):
        raise SshError(f"{path} is not an Ed25519 private key without a passphrase, in OpenSSH's format", _MAKE_ONE)
    return Authority(key, options)


def _blob(key: Ed25519PrivateKey) -> bytes:
    """The public half in SSH wire form."""
    text = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return bytes(paramiko.pkey.PublicBlob.from_string(text.decode()).key_blob)
