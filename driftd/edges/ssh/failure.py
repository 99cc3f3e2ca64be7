"""What can go wrong on the way to an instance, as one sentence with a hint, and how a far end's words are quoted."""

from __future__ import annotations

import binascii
import struct

import paramiko
from cryptography.exceptions import InvalidSignature, InvalidTag
from nacl.exceptions import CryptoError

from driftd.core.errors import DriftdError
from driftd.core.facts import Unseen

HOSTILE = (
    paramiko.SSHException,
    CryptoError,
    InvalidSignature,
    InvalidTag,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    TypeError,
    ValueError,
    binascii.Error,
    struct.error,
)
"""What paramiko lets through when a far end speaks nonsense: it hands on whatever its reading thread met."""


class SshError(DriftdError):
    """The instance could not be reached or would not answer. Never carries key material."""

    def unseen(self) -> Unseen:
        """The same sentence, as the outcome of a look."""
        return Unseen(str(self), self.hint)


def quoted(said: bytes | str, limit: int = 200) -> str:
    """The first line of what a far end said, safe to print: anything but printable ASCII becomes an escape."""
    raw = said.encode("utf-8", "backslashreplace") if isinstance(said, str) else said
    line = raw.strip(b"\r\n\t \x00").split(b"\n", 1)[0].rstrip(b"\r")
    text = "".join(chr(byte) if 0x20 <= byte < 0x7F else f"\\x{byte:02x}" for byte in line[:limit])
    return text + ("…" if len(line) > limit else "")
