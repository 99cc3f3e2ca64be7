"""A seal: who vouches for a manifest and the files beside it, as found by whoever verified the signature.

The store remembers the newest seal that it saw of each image; whatever is older, or of the same age and another, was
rolled back or put in its place.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from driftd.core.errors import BadInput
from driftd.core.wording import trust as wording


class NotVouchedForError(BadInput):
    """A signature that does not stand: damaged, of something else, by nobody who is trusted."""


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


@dataclass(frozen=True, slots=True)
class SeenManifest:
    """The newest signed manifest that was seen of an image. ``statement`` is the SHA-256 of what was signed."""

    image: str
    sequence: int
    statement: str
    seen_at: datetime


def rolled_back(image: str, seal: Seal | None, seen: SeenManifest | None) -> str:
    """Why a manifest with this seal is older than what was seen, or put in its place; "" when it is neither."""
    if seen is None:
        return ""
    if seal is None:
        return wording.signature_gone(image, seen.sequence)
    if seal.sequence < seen.sequence:
        return wording.rolled_back(image, seal.sequence, seen.sequence)
    if seal.sequence == seen.sequence and seal.statement != seen.statement:
        return wording.forked(image, seen.sequence)
    return ""
