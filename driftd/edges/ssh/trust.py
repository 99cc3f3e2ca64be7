"""``driftd trust``: which host keys a server presents, and how they get into known_hosts when a person says so."""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from paramiko.ssh_exception import IncompatiblePeer

from driftd.core.errors import BadInput
from driftd.edges.ssh.connect import handshake
from driftd.edges.ssh.failure import SshError
from driftd.edges.ssh.hostkeys import HostKey, known, lookup_name, place
from driftd.edges.ssh.tcp import Deadline

_FAMILIES = (
    ("ssh-ed25519",),
    ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"),
    ("rsa-sha2-512", "rsa-sha2-256"),
)


def scan_host_keys(host: str, port: int = 22, timeout: float = 10.0) -> list[HostKey]:
    """Every host key that the server presents (Ed25519, ECDSA, RSA), one connection each, nobody logged in.

    It shows what answers at that address, not whose it is: a person compares the fingerprints. ``timeout`` is seconds
    in total. Raises ``SshError`` when nothing could be fetched.
    """
    deadline = Deadline(timeout)
    found: list[HostKey] = []
    for family in _FAMILIES:
        try:
            with handshake(host, port, family, deadline, timeout) as (_transport, key, _socket):
                found.append(key)
        except SshError as failure:
            # Not having a key of this kind is no failure; anything else is, whichever kind was asked for.
            if not isinstance(failure.__cause__, IncompatiblePeer):
                raise
    if not found:
        raise SshError(
            f"{place(host, port)} presented no host key of a kind that driftd knows",
            "give the server an Ed25519 host key: ssh-keygen -A",
        )
    return found


def record_host_keys(path: Path, host: str, port: int, keys: Sequence[HostKey]) -> list[HostKey]:
    """Append ``keys`` to the known_hosts file at ``path`` and return those that were new.

    Atomic: readers see the file before or after. Raises ``BadInput`` when the file knows the host by another key, or
    revokes one of these: replacing a key is a person's decision, made by removing the old one first.
    """
    path = Path(os.path.realpath(path.expanduser()))
    name = lookup_name(host, port)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(path.parent):
            have = known(host, port, [path])
            _refuse_replacing(path, place(host, port), name, have.keys, have.revoked, keys)
            new = [key for key in keys if key not in have.keys]
            if new:
                _append(path, "".join(f"{name} {key.line}\n" for key in new))
            return new
    except OSError as error:
        raise BadInput(
            f"the host keys of {place(host, port)} could not be recorded in {path}: {error.strerror}",
            "check that the directory can be written to",
        ) from error


def _refuse_replacing(
    path: Path, where: str, name: str, have: Sequence[HostKey], revoked: Sequence[HostKey], keys: Sequence[HostKey]
) -> None:
    for key in keys:
        if key in revoked:
            raise BadInput(f"{path} revokes the key {key.fingerprint} of {where}", "do not trust this server")
        others = [old for old in have if old.type == key.type]
        if others and key not in others:
            raise BadInput(
                f"{path} knows {where} by the {key.type} key {others[0].fingerprint}, and the server presented "
                f"{key.fingerprint}: somebody may be posing as it",
                f"if the server was rebuilt on purpose: ssh-keygen -R '{name}' -f {path}, then trust it again",
            )
    if have and not set(have) & set(keys):
        raise BadInput(
            f"{path} knows {where} by {have[0].fingerprint} ({have[0].type}), and the server presents other keys",
            f"if the server was rebuilt on purpose: ssh-keygen -R '{name}' -f {path}, then trust it again",
        )


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """One writer at a time: the lock is on the directory, since the file itself is replaced."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _append(path: Path, lines: str) -> None:
    if path.exists() and not path.is_file():  # known_hosts: /dev/null; root could put a file in its place
        raise OSError(0, "it is no regular file")
    try:
        before = path.read_bytes()
        status: os.stat_result | None = path.stat()
    except FileNotFoundError:
        before, status = b"", None
    if before and not before.endswith(b"\n"):
        before += b"\n"
    descriptor, temporary = tempfile.mkstemp(prefix=".known_hosts-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(before + lines.encode())
            if status is not None:
                os.fchmod(descriptor, stat.S_IMODE(status.st_mode))
                if (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
                    os.fchown(descriptor, status.st_uid, status.st_gid)
            file.flush()
            os.fsync(descriptor)
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)
