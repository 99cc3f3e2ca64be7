"""Host keys: which ones are known, by the provider's word or by known_hosts, and whether a presented one may pass.

The format of known_hosts is sshd(8)'s, "SSH_KNOWN_HOSTS FILE FORMAT": markers, patterns, negation, hashed names,
``[host]:port``. Nothing is ever added while connecting; ``driftd trust`` records keys when a person says so.
"""

from __future__ import annotations

import base64
import binascii
import fnmatch
import hashlib
import hmac
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from driftd.core.errors import BadInput
from driftd.edges.ssh.failure import SshError, quoted
from driftd.edges.ssh.hostcertificates import refused
from driftd.edges.ssh.keys import fingerprint

_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._:%-]*)")
_REVOKED, _AUTHORITY = "@revoked", "@cert-authority"


@dataclass(frozen=True, slots=True, order=True)
class HostKey:
    """A server's public key: its type ("ssh-ed25519") and its bytes in SSH wire form.

    ``certificate`` is the one that it was presented in, b"" where it was in none.
    """

    type: str
    blob: bytes
    certificate: bytes = field(default=b"", compare=False, repr=False)

    @property
    def fingerprint(self) -> str:
        """In the form in which ``ssh-keygen -l`` prints it: "SHA256:…"."""
        return fingerprint(self.blob)

    @property
    def line(self) -> str:
        """The form in known_hosts and in ``Reach.host_keys``: "ssh-ed25519 AAAA…"."""
        return f"{self.type} {base64.b64encode(self.blob).decode()}"

    @classmethod
    def parse(cls, text: str) -> HostKey:
        """The key in "TYPE BASE64 [comment]". Raises ValueError."""
        fields = text.split()
        if len(fields) < 2:
            raise ValueError("a key is a type and a base64 text")
        blob = base64.b64decode(fields[1], validate=True)
        length = int.from_bytes(blob[:4], "big")
        if blob[4 : 4 + length] != fields[0].encode("utf-8", "replace") or len(blob) <= 4 + length:
            raise ValueError("the key's bytes are not of the type that the line names")
        return cls(fields[0], blob)


@dataclass(frozen=True, slots=True)
class KnownHosts:
    """What is known about one host. ``sources`` are the files asked, for the sentences; ``vouched`` by the provider.

    ``authorities`` are keys that may sign the host's certificates, none where the provider vouches.
    """

    host: str
    port: int
    keys: tuple[HostKey, ...] = ()
    revoked: tuple[HostKey, ...] = ()
    authorities: tuple[HostKey, ...] = ()
    sources: tuple[Path, ...] = ()
    vouched: bool = False

    def check(self, presented: HostKey) -> None:
        """Return when ``presented`` may pass; raise ``SshError`` otherwise. There is no third way."""
        where = place(self.host, self.port)
        if presented in self.revoked:
            raise SshError(
                f"{where} presented the host key {presented.fingerprint} ({presented.type}), which known_hosts "
                "marks as revoked: somebody may be posing as the instance",
                "do not trust it; replace the instance from outside, or give the server a new host key",
            )
        if presented in self.keys:
            return
        why = self._uncertified(presented)
        if not why:
            return
        if self.keys:
            raise self._changed(presented, where)
        trust = "driftd trust " + (self.host if self.port == 22 else f"{self.host}:{self.port}")
        if self.authorities:
            shown = f"{presented.fingerprint} ({presented.type})"
            raise SshError(
                f"{where} is known only by certificates; it presented {shown}: {why}",
                f"give the server a certificate of an authority that known_hosts has, or record its own key: {trust}",
            )
        asked = ", ".join(str(path) for path in self.sources) or "no known_hosts file is configured"
        raise SshError(
            f"the host key of {where} is unknown ({asked}); it presented {presented.fingerprint} ({presented.type})",
            f"compare it with the server's own and record it: {trust}",
        )

    def _uncertified(self, presented: HostKey) -> str:
        """Why no certificate says that the key is the host's; "" where one does."""
        if not presented.certificate:
            return "without a certificate"
        revoked = {key.blob for key in self.revoked}
        authorities = {key.blob for key in self.authorities} - revoked
        why = refused(presented.certificate, self.host, time.time(), authorities)
        return why and f"its certificate does not count, for {why}"

    def _changed(self, presented: HostKey, where: str) -> SshError:
        expected = ", ".join(f"{key.fingerprint} ({key.type})" for key in self.keys)
        if self.vouched:
            mend = "the provider vouches for another key: look at the instance through the provider's console"
        else:
            mend = (
                "find out why before anything else; if the server was rebuilt on purpose, "
                f"ssh-keygen -R '{lookup_name(self.host, self.port)}' -f {self.sources[0] if self.sources else 'FILE'}"
                " and then driftd trust"
            )
        return SshError(
            f"the host key of {where} has changed: expected {expected}, it presented {presented.fingerprint} "
            f"({presented.type}); somebody may be intercepting the connection, or it is another server",
            mend,
        )


def place(host: str, port: int) -> str:
    """A host and port in a sentence."""
    return quoted(host) if port == 22 else f"{quoted(host)} port {port}"


def checked_host(host: str) -> str:
    """``host`` in lower case, without brackets. Raises ``BadInput`` for what could not stand in known_hosts."""
    name = host.removeprefix("[").removesuffix("]").lower()
    if not _HOST.fullmatch(name) and not _HOST.fullmatch(name.removeprefix("::")) and name != "::":
        raise BadInput(f"{quoted(host)!r} is not a host name or an address", "write a name or an IP address")
    return name


def lookup_name(host: str, port: int) -> str:
    """The name under which known_hosts files a host: "host", or "[host]:port" for any port but 22."""
    name = checked_host(host)
    return name if port == 22 else f"[{name}]:{port}"


def known(host: str, port: int, files: Sequence[Path], vouched: Iterable[str] = ()) -> KnownHosts:
    """What ``files`` (and the provider's ``vouched`` keys, which then decide alone) say of a host.

    A file that does not exist says nothing; one that cannot be read is an error, since it may hold a revocation.
    """
    name = lookup_name(host, port)
    keys: list[HostKey] = []
    revoked: list[HostKey] = []
    authorities: list[HostKey] = []
    sources = tuple(path.expanduser() for path in files)
    for path in sources:
        for number, line in enumerate(_read(path).split("\n"), 1):
            marker, patterns, rest = _fields(line)
            if not _matches(patterns, name):
                continue
            try:
                key = HostKey.parse(rest)
            except (ValueError, binascii.Error):
                if marker == _REVOKED:
                    raise SshError(
                        f"{path} line {number} revokes a host key that cannot be read", "mend or remove the line"
                    ) from None
                continue
            {_REVOKED: revoked, _AUTHORITY: authorities}.get(marker, keys).append(key)
    given = _vouched(host, vouched)
    return KnownHosts(
        checked_host(host),
        port,
        given or tuple(dict.fromkeys(keys)),
        tuple(revoked),
        () if given else tuple(dict.fromkeys(authorities)),
        sources,
        vouched=bool(given),
    )


def _vouched(host: str, lines: Iterable[str]) -> tuple[HostKey, ...]:
    try:
        return tuple(HostKey.parse(line) for line in lines)
    except (ValueError, binascii.Error):
        raise SshError(
            f"the provider's host key for {quoted(host)} cannot be read", 'it must look like "ssh-ed25519 AAAA…"'
        ) from None


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise SshError(
            f"the known hosts in {path} cannot be read: {error.strerror}", "let the user that runs driftd read the file"
        ) from None


def _fields(line: str) -> tuple[str, str, str]:
    """(marker, host patterns, key) of a line; empty patterns for a line that says nothing."""
    text = line.strip()
    if not text or text.startswith("#"):
        return "", "", ""
    marker = ""
    if text.startswith("@"):
        marker, _, text = text.replace("\t", " ").partition(" ")
        if marker not in (_REVOKED, _AUTHORITY):
            return "", "", ""
    parts = text.split(None, 1)
    return (marker, parts[0], parts[1]) if len(parts) == 2 else ("", "", "")


def _matches(patterns: str, name: str) -> bool:
    if patterns.startswith("|"):
        return _hash_matches(patterns, name)
    found = False
    for pattern in patterns.lower().split(","):
        # Brackets are part of "[host]:port" there, not a character class.
        glob = pattern.removeprefix("!").replace("[", "[[]")
        if pattern and fnmatch.fnmatchcase(name, glob):
            if pattern.startswith("!"):
                return False
            found = True
    return found


def _hash_matches(hashed: str, name: str) -> bool:
    """Whether "|1|SALT|HASH" is ``name``: HMAC-SHA1 of it under the salt, both in base64."""
    parts = hashed.split("|")
    if len(parts) != 4 or parts[1] != "1":
        return False
    try:
        salt, digest = (base64.b64decode(part, validate=True) for part in parts[2:])
    except ValueError:
        return False
    return hmac.compare_digest(hmac.new(salt, name.encode(), hashlib.sha1).digest(), digest)
