"""One authenticated SSH connection: host key before login, one key, no password, a deadline on each part.

with connect(instance.reach, options, Deadline(60.0)) as connection:
    channel = connection.open_channel()
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import paramiko
from paramiko.ssh_exception import IncompatiblePeer, PartialAuthentication

from driftd.core.errors import ProviderError
from driftd.core.facts import Admission, Reach
from driftd.core.visits import Parted, Way
from driftd.edges.ssh.certificates import Shown, authority
from driftd.edges.ssh.command import command
from driftd.edges.ssh.failure import HOSTILE, SshError, quoted
from driftd.edges.ssh.hostcertificates import SUFFIX
from driftd.edges.ssh.hostkeys import HostKey, KnownHosts, checked_host, known, place
from driftd.edges.ssh.keys import Identity, fresh, identity
from driftd.edges.ssh.options import MEBIBYTE, SshOptions
from driftd.edges.ssh.tcp import Deadline, MeteredSocket, open_socket

# What paramiko logs quotes the far end unescaped and every failure comes as our own sentence, so it goes nowhere.
_paramiko_log = logging.getLogger("paramiko")
_paramiko_log.setLevel(logging.CRITICAL)

# Measured (docs/ssh.md): AES-GCM moves 5 to 10 times as much as AES-CTR with a separate MAC. Paramiko has no ChaCha20.
CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr")
MACS = ("hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512")
HOST_KEY_TYPES = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)
_HANDSHAKE_BYTES = MEBIBYTE
WINDOW = 2 * MEBIBYTE


@dataclass(slots=True)
class Connection:
    """An authenticated connection. Times in seconds."""

    transport: paramiko.Transport
    socket: MeteredSocket
    key: str
    host_key: HostKey
    connect_s: float
    auth_s: float

    def open_channel(self) -> paramiko.Channel:
        """A session channel with a window of ``WINDOW`` bytes; a server that ignores the window is cut off."""
        channel = self.transport.open_session(window_size=WINDOW, timeout=max(0.01, self.socket.deadline.left()))

        def overfull() -> bool:
            return len(channel.in_buffer) + len(channel.in_stderr_buffer) > 2 * WINDOW

        self.socket.overfull = overfull
        return channel


@contextmanager
def connect(reach: Reach, options: SshOptions, deadline: Deadline) -> Iterator[Connection]:
    """Connect, check the host key, log in. Everything is closed when the block ends. Raises ``SshError``."""
    began = time.monotonic()
    checked_host(reach.host)
    with _shows(reach, options) as show:
        trusted = known(reach.host, reach.port, options.known_hosts, reach.vouched())
        wanted = key_types(trusted)
        with handshake(
            reach.host, reach.port, wanted, deadline.within(options.connect_s + options.banner_s), options.connect_s
        ) as (transport, presented, socket):
            trusted.check(presented)
            connected = time.monotonic()
            socket.deadline = deadline.within(options.auth_s)
            mine, certificate = show(socket.source)
            if reach.visit is not None:
                way = Way(
                    socket.source,
                    socket.port,
                    reach.user,
                    mine.fingerprint,
                    certified=certificate is not None,
                    pushed=reach.admission is not None,
                )
                reach.visit.came(way)
            if reach.admission is not None:
                _admit(reach, reach.admission, mine)
                socket.deadline = deadline.within(options.auth_s)
            _log_in(transport, socket, reach, mine, certificate)
            if reach.visit is not None:
                reach.visit.entered()
            socket.deadline = deadline
            socket.byte_limit = allowance(options)
            yield Connection(
                transport, socket, mine.fingerprint, presented, connected - began, time.monotonic() - connected
            )


def allowance(options: SshOptions) -> int:
    """How many bytes may come in one look: its output, and what SSH adds."""
    return options.output_limit + options.output_limit // 8 + MEBIBYTE


def own_key(reach: Reach, options: SshOptions) -> str:
    """The fingerprint of the key that is shown; "" where a key is made for the visit, and for none."""
    if reach.admission is not None or (options.certificate is not None and not _named(reach, options)):
        return ""
    try:
        with identity(reach.key_file, options) as mine:
            return mine.fingerprint
    except SshError:
        return ""


def _named(reach: Reach, options: SshOptions) -> bool:
    """A key that is named comes before a certificate."""
    return bool(reach.key_file or options.key_file)


@contextmanager
def _shows(reach: Reach, options: SshOptions) -> Iterator[Callable[[str], tuple[Identity, Shown | None]]]:
    """What is shown at the login, by the address that the connection leaves from: a key, or a new certificate."""
    if reach.admission is not None:
        yield lambda _source: (fresh(), None)
        return
    if options.certificate is None or _named(reach, options):
        with identity(reach.key_file, options) as mine:
            yield lambda _source: (mine, None)
        return
    scan = reach.visit.trace.scan if reach.visit else secrets.token_hex(16)
    signs = authority(options.certificate)
    yield lambda source: signs.mint(scan, reach.user, source.partition("%")[0], command(reach.user, options))


def _admit(reach: Reach, admission: Admission, mine: Identity) -> None:
    """Have the key let in; the store knows it by now. Nobody logs in where that fails."""
    try:
        admission.let_in(mine.line)
    except ProviderError as error:
        if reach.visit is not None:
            reach.visit.parts(Parted.REFUSED)
        where = place(reach.host, reach.port)
        raise SshError(f"{admission.by} did not take a key for {where}: {error}", error.hint) from error


@contextmanager
def handshake(
    host: str, port: int, key_types: Sequence[str], deadline: Deadline, connect_s: float
) -> Iterator[tuple[paramiko.Transport, HostKey, MeteredSocket]]:
    """A connection up to the host key, which is *not* checked here; nobody is logged in. Raises ``SshError``."""
    socket = open_socket(host, port, deadline.within(connect_s))
    socket.deadline = deadline
    socket.byte_limit = _HANDSHAKE_BYTES
    transport: paramiko.Transport | None = None
    try:
        transport = paramiko.Transport(socket)
        _prefer(transport, key_types)
        # Ours comes first; theirs would not say that it was a deadline.
        transport.banner_timeout = transport.handshake_timeout = deadline.left() + 60.0
        done = threading.Event()
        transport.start_client(event=done)
        done.wait(deadline.left() + 1.0)
        error = transport.get_exception()
        if error is not None or not transport.is_active() or not done.is_set():
            raise _handshake_failure(host, port, socket, error) from error
        key = transport.get_remote_server_key()
        shown = key.public_blob.key_blob if key.public_blob is not None else b""
        yield transport, HostKey(_plain_type(key), key.asbytes(), shown), socket
    finally:
        if transport is not None:
            transport.close()
            if transport.is_alive():
                transport.join(1.0)
            # Paramiko's handshake timer is a thread that would outlive all this; this call ends it.
            transport.packetizer.complete_handshake()
        socket.close()


def _plain_type(key: paramiko.PKey) -> str:
    return str(key.get_name()).removesuffix(SUFFIX)


def key_types(trusted: KnownHosts) -> tuple[str, ...]:
    """Those that are known first, so that of several one of them is presented; then certificates, if they count."""
    types = {key.type for key in trusted.keys}
    first = [name for name in HOST_KEY_TYPES if name in types or ("rsa" in name and "ssh-rsa" in types)]
    certified = [name + SUFFIX for name in HOST_KEY_TYPES] if trusted.authorities else []
    return (*first, *certified, *(name for name in HOST_KEY_TYPES if name not in first))


def _prefer(transport: paramiko.Transport, key_types: Sequence[str]) -> None:
    security = transport.get_security_options()
    security.ciphers = CIPHERS
    security.digests = MACS
    security.key_types = tuple(key_types)


def _handshake_failure(host: str, port: int, socket: MeteredSocket, error: BaseException | None) -> SshError:
    where = place(host, port)
    limit = f"{socket.deadline.limit_s:.0f} s"
    if isinstance(error, IncompatiblePeer):
        return SshError(
            f"{where} offers no cipher, key exchange or host key that driftd accepts: {quoted(str(error))}",
            "see docs/ssh.md for what is accepted, and bring the server's sshd up to date",
        )
    if not socket.greeting:
        if socket.stopped == "deadline":
            return SshError(
                f"{where} accepted the connection and then said nothing for {limit}",
                "check that it is an SSH server and that it is not overloaded",
            )
        return SshError(
            f"{where} closed the connection before saying anything",
            "its sshd may be starting, over its MaxStartups, or refusing this machine's address",
        )
    if not socket.greeting.startswith(b"SSH-") and b"\nSSH-" not in socket.greeting:
        return SshError(
            f"{where} does not speak SSH: it began with '{quoted(socket.greeting, 80)}'", "check host and port"
        )
    if socket.stopped == "deadline":
        return SshError(f"{where} did not finish the SSH handshake within {limit}", "check the load of the instance")
    why = socket.stopped or ("it closed the connection" if isinstance(error, EOFError) else quoted(str(error)))
    return SshError(f"the SSH handshake with {where} failed: {why}", "see sshd's log on the instance")


def _log_in(
    transport: paramiko.Transport, socket: MeteredSocket, reach: Reach, mine: Identity, certificate: Shown | None
) -> None:
    where = place(reach.host, reach.port)
    user = quoted(reach.user)
    done = threading.Event()
    error: BaseException | None = None
    try:
        left = transport.auth_publickey(reach.user, mine.private, event=done)
        done.wait(socket.deadline.left() + 1.0)
        error = transport.get_exception()
    except HOSTILE as raised:
        left, error = [], raised
    if transport.is_authenticated() and not left:
        return
    if isinstance(error, PartialAuthentication):
        raise SshError(
            f"{where} accepted the key of {user} and asks for another factor as well, which driftd does not have",
            f"let {user} in by key alone (AuthenticationMethods publickey)",
        )
    # Without another factor to name, a plain "no" leaves no exception behind and the connection open.
    answered = error is None and done.is_set() and transport.is_active()
    if answered or isinstance(error, paramiko.AuthenticationException):
        if reach.visit is not None:
            reach.visit.parts(Parted.REFUSED)
        raise _refused(where, reach, mine, certificate, socket.source)
    if socket.stopped == "deadline":
        raise SshError(
            f"{where} did not answer the login of {user} within {socket.deadline.limit_s:.0f} s",
            "check the load of the instance and what its PAM modules wait for",
        )
    why = socket.stopped or ("it closed the connection" if isinstance(error, EOFError | None) else quoted(str(error)))
    raise SshError(
        f"logging in to {where} as {user} with {mine.fingerprint} failed: {why}", "see sshd's log on the instance"
    )


def _refused(where: str, reach: Reach, mine: Identity, certificate: Shown | None, source: str) -> SshError:
    """The far end said no. It does not say why: its log does (docs/ssh.md lists its words)."""
    user = quoted(reach.user)
    if reach.admission is not None:
        by = reach.admission.by
        return SshError(f"{where} refused the key for user {user} that {by} had taken", reach.admission.otherwise)
    if mine.certificate:
        return SshError(
            f"{where} refused the key {mine.fingerprint}, with the certificate {mine.certificate}, for user {user}",
            "see that it is good there (TrustedUserCAKeys, its principals, both clocks); sshd's log names the reason",
        )
    if certificate is None:
        return SshError(
            f"{where} refused the key {mine.fingerprint} for user {user}",
            f"add its public half to ~{user}/.ssh/authorized_keys there, and see sshd's log for the reason",
        )
    hint = (
        "sshd's log there names the reason: TrustedUserCAKeys, the principals, the instance's clock, another forced "
        "command (docs/ssh.md, certificates)"
    )
    if not certificate.covers(source.partition("%")[0]):
        hint = f"this connection leaves from {source}, which ssh.certificate.source_address does not have; else: {hint}"
    return SshError(f"{where} refused the certificate {certificate} for user {user}", hint)
