"""Showable paths: the few files whose contents a finding may show. Others leave the host in evidence alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from driftd.core.globs import Glob
from driftd.core.globs import path as path_glob
from driftd.probe import redact

# How the text is read, so that two of them can be compared by what they say; "text" is compared line by line.
FORMATS = (
    "crontab",
    "fstab",
    "group",
    "hosts",
    "ini",
    "json",
    "keyvalue",
    "pam",
    "passwd",
    "sshd_config",
    "sysctl",
    "text",
    "toml",
    "unit",
    "yaml",
)


@dataclass(frozen=True, slots=True)
class Show:
    """``path`` says which files, ``format`` (of FORMATS) how they are read.

    ``secrets`` are globs over the names of fields whose values are taken out before the text leaves the host.
    """

    path: Glob
    format: str = "text"
    secrets: tuple[Glob, ...] = ()

    def names(self) -> tuple[bytes, ...]:
        """``secrets`` as redaction takes them."""
        return tuple(glob.text.encode("utf-8", "surrogateescape") for glob in self.secrets)

    def question(self) -> bytes:
        """The argument of an ask of the kind "show" (probe/redact.py reads it)."""
        return redact.question(self.format.encode(), self.names())


# Password hashes and private keys: whatever a pack says, and however broad its glob, they are never read for showing.
NEVER = tuple(
    path_glob(text)
    for text in (
        "**/*shadow*",
        "**/opasswd*",
        "**/ssh_host_*_key",
        "**/id_*",
        "**/*.key",
        "**/*.pem",
        "**/*.p12",
        "**/*.pfx",
        "**/*.kdbx",
        "**/*.keytab",
        "**/private/**",
        "**/.ssh/**",
        "**/.gnupg/**",
        "**/.aws/**",
        "**/.kube/**",
        "**/.netrc",
        "**/.pgpass",
        "**/.my.cnf",
        "**/credstore*/**",
        "/var/lib/systemd/credential.secret",
        "/proc/**",
        "/sys/**",
        "/dev/**",
    )
)


def show_for(path: bytes, shows: Iterable[Show]) -> Show | None:
    """The first of ``shows`` that speaks of ``path``; None when its content may not be shown."""
    found = next((show for show in shows if show.path.matches(path)), None)
    return None if found is None or any(glob.matches(path) for glob in NEVER) else found
