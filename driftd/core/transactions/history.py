"""What apt itself wrote down of what it did: ``/var/log/apt/history.log``, as apt 2.6 writes it.

Stanzas of ``Key: value``, an empty line between two. A host's root may write there what it likes, so this names a
transaction and proves none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from driftd.core.wording import printable

HISTORY = b"/var/log/apt/history.log"
_CHANGES = ("Install", "Reinstall", "Upgrade", "Downgrade", "Remove", "Purge")
# Bounded, so that a long line without an end costs no more than its length.
_PACKAGE = re.compile(r"(?<![a-z0-9+.-])([a-z0-9][a-z0-9+.-]{0,100}:[a-z0-9-]{1,20}) \(([^()]{0,300})\)")
_START = re.compile(r"\d{4}-\d\d-\d\d {1,2}\d\d:\d\d:\d\d")
# Words of a command line that name programs, commands and packages. Values of options, paths with more to them and
# addresses may hold a secret, and are left out.
_PLAIN = re.compile(r"-{0,2}[A-Za-z0-9][A-Za-z0-9+.:_-]*")
_MOST_WORDS = 8


@dataclass(frozen=True, slots=True)
class Transaction:
    """One run of apt. ``packages`` are by name ("nginx:amd64") the version that each had then, "" where it had none.

    ``at`` is the instance's local time, as apt wrote it.
    """

    at: str
    command: str
    packages: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """``apt-get upgrade at 2026-01-31 08:00:00``."""
        return f"{self.command or 'apt'} at {self.at}"


def read(text: bytes) -> tuple[Transaction, ...]:
    """Every transaction that can be read, in their order; what cannot be is passed over."""
    return tuple(_stanzas(text.decode("utf-8", "replace")))


def _stanzas(text: str) -> Iterator[Transaction]:
    for stanza in text.split("\n\n"):
        lines = (line.partition(": ") for line in stanza.strip().splitlines())
        fields = {key: value.strip() for key, _, value in lines}
        at = fields.get("Start-Date", "")
        packages = {
            name: _version(change, versions)
            for change in _CHANGES
            for name, versions in _PACKAGE.findall(fields.get(change, ""))
        }
        if packages and _START.fullmatch(at):
            yield Transaction(" ".join(at.split()), _command(fields.get("Commandline", "")), packages)


def _version(change: str, versions: str) -> str:
    """Of "1.0, automatic" and of "1.0, 1.1" what is there afterwards."""
    parts = [part.strip() for part in versions.split(",") if part.strip() not in ("automatic", "")]
    if change in ("Remove", "Purge") or not parts:
        return ""
    return parts[-1]


def _command(line: str) -> str:
    words = line.split()
    if not words:
        return ""
    said = [words[0].rpartition("/")[2]]
    skip = False
    for word in words[1:]:
        if not skip and _PLAIN.fullmatch(word):
            said.append(word)
        skip = word in ("-o", "--option", "-c", "--config-file")
        if skip:
            said.pop()
    more = f" and {len(said) - _MOST_WORDS} more" if len(said) > _MOST_WORDS else ""
    return printable(" ".join(said[:_MOST_WORDS])) + more
