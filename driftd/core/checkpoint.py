"""Checkpoints: what somebody signed of the journal's head, so that its past can be proven later (docs/journal.md).

An in-toto Statement (v1) whose subject is the last line, by the SHA-256 that is the line's own hash. Signed, it is the
payload of a DSSE envelope; where nobody signs, the statement stands alone, which proves nothing to a stranger and still
tells driftd that a store is older than it was.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from driftd.core import dsse, strictjson
from driftd.core.errors import BadInput
from driftd.core.journal import instant, read_instant

TYPE = "https://in-toto.io/Statement/v1"
PREDICATE = "urn:driftd:journal-checkpoint:1"
SIZE_LIMIT = 64 * 1024  # bytes of a checkpoint's file; it has about a kilobyte
_SHA256 = re.compile(r"[0-9a-f]{64}")
_STORE = re.compile(r"[0-9a-f]{32}")
_NUMBER_LIMIT = 2**53  # what every reader of JSON holds exactly
_HINT = "is this the right file? One is made with: driftd journal checkpoint"

# By a key's id, whether a signature (first) is its over these bytes (second).
Verifiers = Mapping[str, Callable[[bytes, bytes], bool]]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Line ``seq`` of the journal of ``store`` had this ``hash`` at ``at``, when the newest lease was ``epoch``."""

    store: str
    seq: int
    hash: str
    epoch: int
    at: datetime


class CheckpointPlace(Protocol):
    """Where the newest checkpoint lies, and who signs it."""

    def seal(self, statement: bytes) -> bytes:
        """The text of the file: signed where there is a key. Raises BadInput when the key cannot be read."""
        ...

    def read(self) -> bytes | None:
        """What is there; None when nothing is. Raises BadInput when it cannot be read."""
        ...

    def write(self, text: bytes) -> None:
        """Put it there, whole or not at all. Raises BadInput."""
        ...


def encode(made: Checkpoint, generator: str) -> bytes:
    """The statement's bytes."""
    return strictjson.compact(
        {
            "_type": TYPE,
            "subject": [{"name": f"journal line {made.seq}", "digest": {"sha256": made.hash}}],
            "predicateType": PREDICATE,
            "predicate": {
                "store": made.store,
                "seq": made.seq,
                "hash": made.hash,
                "epoch": made.epoch,
                "at": instant(made.at),
                "generator": generator,
            },
        }
    )


def decode(payload: bytes) -> Checkpoint:
    """What a statement says. Raises BadInput for any other."""
    try:
        return _read(strictjson.read(payload))
    except ValueError as error:
        raise BadInput(f"this is not a checkpoint of a journal: {error}", _HINT) from None


def _read(value: object) -> Checkpoint:
    for name, wanted in (("_type", TYPE), ("predicateType", PREDICATE)):
        if strictjson.field(value, name, str) != wanted:
            raise ValueError(f"its {name!r} is another")
    predicate = strictjson.field(value, "predicate", dict)
    made = Checkpoint(
        store=strictjson.field(predicate, "store", str),
        seq=strictjson.field(predicate, "seq", int),
        hash=strictjson.field(predicate, "hash", str),
        epoch=strictjson.field(predicate, "epoch", int),
        at=_instant(strictjson.field(predicate, "at", str)),
    )
    if not _SHA256.fullmatch(made.hash) or not _STORE.fullmatch(made.store):
        raise ValueError("its hash or its store is none")
    if not (1 <= made.seq < _NUMBER_LIMIT and 0 <= made.epoch < _NUMBER_LIMIT):
        raise ValueError("its line or its epoch is none")
    subject = strictjson.field(value, "subject", list)
    if subject != [{"name": f"journal line {made.seq}", "digest": {"sha256": made.hash}}]:
        raise ValueError("its subject is another line than its predicate's")
    return made


def _instant(text: str) -> datetime:
    at = read_instant(text)
    if at is None:
        raise ValueError("its time is none")
    return at


@dataclass(frozen=True, slots=True)
class Opened:
    """A checkpoint's file, read. ``envelope`` is None where nobody signed."""

    said: Checkpoint
    envelope: dsse.Envelope | None


def opened(text: bytes) -> Opened:
    """Read a checkpoint's file, signed or not. Raises BadInput; no signature is verified here."""
    if len(text) > SIZE_LIMIT:
        raise BadInput(f"this is larger than a checkpoint ({SIZE_LIMIT} bytes)", _HINT)
    try:
        envelope = dsse.decode(text)
    except BadInput as error:
        try:
            return Opened(decode(text.removesuffix(b"\n")), None)
        except BadInput:
            raise BadInput(f"this is not a checkpoint of a journal: {error}", _HINT) from None
    return Opened(decode(envelope.payload), envelope)


def unsigned(found: Opened, keys: Verifiers) -> str:
    """Why nobody of ``keys`` stands behind the checkpoint; "" when one does.

    One signature by a known key is enough; one that claims to be a known key's and is not spoils all.
    """
    if found.envelope is None:
        return "the checkpoint bears no signature"
    data = dsse.pae(found.envelope.payload)
    known = [one for one in found.envelope.signatures if one.key in keys]
    if any(not keys[one.key](one.signature, data) for one in known):
        return "the checkpoint's signature is wrong: its content is not what was signed"
    if not known:
        return "the checkpoint is signed by none of the keys that were given"
    return ""
