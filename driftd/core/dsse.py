"""DSSE envelopes: something signed, and the signatures over it (github.com/secure-systems-lab/dsse, version 1).

An envelope has one text: what ``encode`` writes. ``decode`` refuses any other, so that no byte of a file can change
and still be taken for the same. What is signed is ``pae``: the payload's type and the payload, with their lengths.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

from driftd.core import strictjson
from driftd.core.errors import BadInput

IN_TOTO = "application/vnd.in-toto+json"
SIZE_LIMIT = 1024 * 1024  # bytes of an envelope; a statement has a few kilobytes
SIGNATURES_LIMIT = 16
_KEY_ID = re.compile(r"[0-9a-f]{64}")
_SIGN_AGAIN = "sign it again: driftd manifest sign"


@dataclass(frozen=True, slots=True)
class Signature:
    """``key`` is the key's id, 64 hexadecimal digits; ``signature`` are the 64 bytes of Ed25519."""

    key: str
    signature: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """``signatures`` are sorted by their keys, of which each signs once."""

    payload: bytes
    signatures: tuple[Signature, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """Who signed, as far as the envelope says."""
        return tuple(one.key for one in self.signatures)


def pae(payload: bytes, payload_type: str = IN_TOTO) -> bytes:
    """The pre-authentication encoding: the bytes that a signature is over."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def encode(envelope: Envelope) -> bytes:
    """The envelope's one text."""
    signatures = [{"keyid": one.key, "sig": _base64(one.signature)} for one in envelope.signatures]
    value = {"payload": _base64(envelope.payload), "payloadType": IN_TOTO, "signatures": signatures}
    return strictjson.pretty(value)


def decode(data: bytes) -> Envelope:
    """The envelope that ``data`` is the text of. Raises BadInput for any other; nothing is verified here."""
    if len(data) > SIZE_LIMIT:
        raise BadInput(f"this is larger than an envelope may be ({SIZE_LIMIT} bytes)", "is this the right file?")
    try:
        made = _read(strictjson.read(data))
    except ValueError as error:
        raise BadInput(f"this is not a DSSE envelope: {error}", "is this the right file?") from None
    if encode(made) != data:
        raise BadInput("this envelope is not written the way driftd writes it, so it was edited", _SIGN_AGAIN)
    return made


def _read(value: object) -> Envelope:
    if strictjson.field(value, "payloadType", str) != IN_TOTO:
        raise ValueError("its payload is not an in-toto statement")
    payload = _bytes(strictjson.field(value, "payload", str))
    given = strictjson.field(value, "signatures", list)
    if not 1 <= len(given) <= SIGNATURES_LIMIT:
        raise ValueError(f"it has {len(given)} signatures, and 1 to {SIGNATURES_LIMIT} are possible")
    signatures = []
    for one in given:
        key, signature = strictjson.field(one, "keyid", str), _bytes(strictjson.field(one, "sig", str))
        if not _KEY_ID.fullmatch(key) or len(signature) != 64:
            raise ValueError("one of its signatures is none")
        signatures.append(Signature(key, signature))
    keys = [one.key for one in signatures]
    if keys != sorted(set(keys)):
        raise ValueError("its signatures are not sorted by their keys, each once")
    return Envelope(payload, tuple(signatures))


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("its base64 is damaged") from None
