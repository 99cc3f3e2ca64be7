"""The key of an image's keyed digests: with it a secret can be seen to be another one, and without it nothing.

A password's hash never leaves an instance. What does is its HMAC-SHA-256 with a key that is made for the image, kept
beside the signing keys and sent with each look. Whoever has a manifest or a report but not the key learns nothing from
such a digest; whoever has the instance has the hash itself.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

SIZE = 32  # bytes


@dataclass(frozen=True, slots=True)
class DigestKey:
    """``secret`` is ``SIZE`` random bytes. It has no text: neither ``repr`` nor an exception shows it."""

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) != SIZE:
            raise ValueError(f"a digest key has {SIZE} bytes")

    @property
    def id(self) -> str:
        """Sixteen hexadecimal digits that name the key and say nothing of it."""
        return hashlib.sha256(b"driftd-digest-key/1\x00" + self.secret).hexdigest()[:16]
