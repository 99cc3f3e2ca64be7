"""A seal: who vouches for a manifest and the files beside it, as found by whoever verified the signature."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Seal:
    """A verified signature. It is no part of a manifest's text, and nothing but a verified envelope makes one.

    ``key`` is the id of the trusted key; ``sequence`` counts up per image; ``subjects`` are the files that are
    covered, by the names that the image's id gives them, with their SHA-256 in hexadecimal digits. ``statement`` is
    the SHA-256 of what was signed. ``provisional`` is False where the signer vouched for a server that the manifest
    was read off, or where it never was.
    """

    key: str
    sequence: int
    signed_at: datetime
    subjects: Mapping[str, str]
    statement: str = ""
    provisional: bool = False

    def uncovered(self, name: str, data: bytes) -> str:
        """Why ``data``, found as ``name`` beside the manifest, is not what was signed; "" when it is."""
        if name not in self.subjects:
            return "it is not covered by the signature"
        if hashlib.sha256(data).hexdigest() != self.subjects[name]:
            return "it is not what was signed"
        return ""
