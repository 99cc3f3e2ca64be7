"""driftd's own key: an Ed25519 private key from a file, or held by the SSH agent. Its bytes reach no message."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    SSHCertificate,
    SSHCertificateType,
    load_ssh_public_identity,
)

from driftd.edges.ssh.failure import HOSTILE, SshError, quoted
from driftd.edges.ssh.options import SshOptions

KEY_FILE_LIMIT = 64 * 1024
ED25519 = "ssh-ed25519"
_MAKE_ONE = "make one with `ssh-keygen -t ed25519 -N '' -f FILE` and add its public half to authorized_keys"


@dataclass(frozen=True, slots=True)
class Identity:
    """The key that a visit is made with. ``blob`` is its public half; ``private`` signs and is never shown.

    ``certificate`` says of the one that stood beside the key's file what it is, where there was one.
    """

    blob: bytes
    private: paramiko.PKey
    certificate: str = ""

    @property
    def fingerprint(self) -> str:
        """In the form in which sshd logs it: "SHA256:…"."""
        return fingerprint(self.blob)

    @property
    def line(self) -> str:
        """The public half as it stands in ``authorized_keys``: "ssh-ed25519 AAAA…"."""
        return f"{ED25519} {base64.b64encode(self.blob).decode()}"

    def __repr__(self) -> str:
        return f"Identity({self.fingerprint})"


def fingerprint(blob: bytes) -> str:
    """The SHA-256 fingerprint of a public key in SSH wire form, as ``ssh-keygen -l`` prints it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).rstrip(b"=").decode()


def fresh() -> Identity:
    """A new key, in memory alone."""
    return made(Ed25519PrivateKey.generate())


def made(key: Ed25519PrivateKey) -> Identity:
    """``key`` as what a visit is made with."""
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
    private = paramiko.Ed25519Key.from_private_key(io.StringIO(pem))
    return Identity(private.asbytes(), private)


@contextmanager
def identity(key_file: str, options: SshOptions) -> Iterator[Identity]:
    """The one key to use, for as long as the block lasts (an agent's key needs the agent's connection).

    A file decides when one is named. If it has a passphrase or is a ``.pub``, the agent must hold its private half.
    Without a file the agent must hold exactly one Ed25519 key, so that it is plain which one driftd's visits show.
    """
    name = key_file or options.key_file
    if not name:
        with _agent_identity(None, "", options) as found:
            yield found
        return
    path = Path(name).expanduser()
    loaded = _load(path)
    if isinstance(loaded, Identity):
        yield loaded
        return
    with _agent_identity(loaded, str(path), options) as found:
        yield found


def _load(path: Path) -> Identity | bytes:
    """The private key in ``path``, or the public blob of one that only the agent can use."""
    data = read_private(path)
    public = _public_half(data)
    if public is not None:
        return public
    try:
        text = data.decode("ascii")
        key = paramiko.Ed25519Key.from_private_key(io.StringIO(text))
    except paramiko.PasswordRequiredException:
        return _public_of_encrypted(path, data)
    except HOSTILE:
        key = None
    if key is None:  # what the parser says may quote the file, so it is dropped, cause and all
        raise SshError(f"{path} is not an Ed25519 private key in OpenSSH's format", _MAKE_ONE)
    blob = key.asbytes()
    return Identity(blob, key, _certified(path, key, blob))


def _certified(path: Path, key: paramiko.PKey, blob: bytes) -> str:
    """Have ``key`` shown in the certificate that stands beside it (FILE-cert.pub, as for ssh), and say what that is.

    One that is over, or not yet good, is left out, as ssh does after the server refused it.
    """
    beside = path.with_name(f"{path.name}-cert.pub")
    try:
        text = beside.read_bytes()[:KEY_FILE_LIMIT]
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise SshError(
            f"the certificate {beside} cannot be read: {error.strerror}", "let driftd's user read it"
        ) from None
    found = None
    with suppress(ValueError, TypeError, UnsupportedAlgorithm):
        found = load_ssh_public_identity(text)
    if not isinstance(found, SSHCertificate) or found.type is not SSHCertificateType.USER:
        raise SshError(f"{beside} is not a user's certificate in OpenSSH's format", "sign the key anew, or remove it")
    if blob != _wire(found.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)):
        raise SshError(f"the certificate {beside} is another key's", f"sign {path}.pub anew, or remove it")
    said = f"{quoted(found.key_id)} of {beside}"
    if not found.valid_after <= time.time() < found.valid_before:
        return f"{said}, which is not good now"
    key.load_certificate(text.decode("ascii"))
    return said


def _wire(line: bytes) -> bytes:
    """A public key in SSH wire form."""
    return base64.b64decode(line.split()[1])


def read_private(path: Path, hint: str = _MAKE_ONE) -> bytes:
    """What a private key file holds. Raises ``SshError`` when it cannot be read, or when others can read it."""
    try:
        # Not blocking, so that a pipe in the key's place cannot hold the look up.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise SshError(f"the key file {path} does not exist", hint) from None
    except OSError as error:
        raise SshError(
            f"the key file {path} cannot be read: {error.strerror}",
            "let the user that runs driftd read it, nobody else",
        ) from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise SshError(f"the key file {path} is not a regular file", hint)
        data = os.read(descriptor, KEY_FILE_LIMIT + 1)
    finally:
        os.close(descriptor)
    if len(data) > KEY_FILE_LIMIT:
        raise SshError(f"the key file {path} is too long to be a key", hint)
    # As ssh does: another owner's file (a systemd credential with an ACL) may show group bits that are only its mask.
    forbidden = 0o077 if status.st_uid == os.geteuid() else 0o007
    if status.st_mode & forbidden and _public_half(data) is None:
        raise SshError(
            f"the key file {path} can be read by others (mode {stat.S_IMODE(status.st_mode):04o})", f"chmod 600 {path}"
        )
    return data


def _public_half(data: bytes) -> bytes | None:
    """The blob of an Ed25519 ``.pub`` file, or None when ``data`` is not one."""
    fields = data.split(None, 2)
    if len(fields) < 2 or fields[0] != ED25519.encode():
        return None
    try:
        return base64.b64decode(fields[1], validate=True)
    except ValueError:
        return None


def _public_of_encrypted(path: Path, data: bytes) -> bytes:
    """The public half, which openssh-key-v1 keeps in the clear before the encrypted part (PROTOCOL.key)."""
    try:
        body = base64.b64decode(b"".join(data.strip().split(b"\n")[1:-1]))
        message = paramiko.Message(body)
        message.get_bytes(len(b"openssh-key-v1\x00"))
        for _ in ("cipher", "kdf", "kdf options"):
            message.get_binary()
        message.get_int()
        return bytes(message.get_binary())
    except HOSTILE:
        raise SshError(f"{path} is not an Ed25519 private key in OpenSSH's format", _MAKE_ONE) from None


@contextmanager
def _agent_identity(wanted: bytes | None, path: str, options: SshOptions) -> Iterator[Identity]:
    agent = _agent(options)
    try:
        held = [key for key in agent.get_keys() if key.get_name() == ED25519] if agent is not None else []
        if wanted is not None:
            held = [key for key in held if key.asbytes() == wanted]
        if len(held) != 1:
            raise _not_held(len(held), path, agent=agent is not None)
        yield Identity(held[0].asbytes(), held[0])
    finally:
        if agent is not None:
            agent.close()


def _agent(options: SshOptions) -> paramiko.Agent | None:
    if not options.agent or not os.environ.get("SSH_AUTH_SOCK"):
        return None
    try:
        return paramiko.Agent()
    except HOSTILE as error:
        raise SshError(
            f"the SSH agent does not answer: {quoted(str(error))}",
            "start it again, or name a key file without a passphrase",
        ) from None


def _not_held(count: int, path: str, *, agent: bool) -> SshError:
    if path:
        why = "the SSH agent does not hold it" if agent else "there is no SSH agent"
        return SshError(
            f"the private key of {path} cannot be used: it has a passphrase or is a public key, and {why}",
            f"ssh-add {path.removesuffix('.pub')}, or give driftd a key of its own without a passphrase",
        )
    if not agent:
        return SshError("there is no key to log in with: no key file is configured and no SSH agent runs", _MAKE_ONE)
    if not count:
        return SshError("the SSH agent holds no Ed25519 key and no key file is configured", _MAKE_ONE)
    return SshError(
        f"the SSH agent holds {count} Ed25519 keys and it is not said which one is driftd's",
        "name the public half (a .pub file) as the key in the configuration",
    )
