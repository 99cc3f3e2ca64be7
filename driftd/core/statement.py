"""What is signed: an in-toto Statement (v1) about the files of one image, with a predicate that sums the manifest up.

The subjects are the files by the names that the image's id gives them, with their SHA-256; docs/manifest.md tells the
predicate field by field. Unknown fields of a predicate are passed over, so that a later driftd may add some.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from driftd.core import manifesttext, strictjson
from driftd.core.errors import BadInput
from driftd.core.manifest import Manifest

TYPE = "https://in-toto.io/Statement/v1"
PREDICATE = "urn:driftd:manifest:1"
SEQUENCE_LIMIT = 2**53  # what every reader of JSON holds exactly
_SUBJECTS_LIMIT = 64
_SHA256 = re.compile(r"[0-9a-f]{64}")
_INSTANT = "%Y-%m-%dT%H:%M:%SZ"
_SIGN_AGAIN = "sign it again: driftd manifest sign"


@dataclass(frozen=True, slots=True)
class Statement:
    """``subjects`` are SHA-256 in hexadecimal digits by name. ``provisional`` is False where the signer vouched."""

    image: str
    sequence: int
    signed_at: datetime
    root: str
    provisional: bool
    subjects: Mapping[str, str]


def encode(
    made: Manifest, subjects: Mapping[str, str], *, sequence: int, now: datetime, generator: str, vouched: bool
) -> bytes:
    """The statement's bytes. ``vouched`` says that the signer answers for the server that it was read off."""
    if not 1 <= sequence < SEQUENCE_LIMIT:
        raise BadInput(f"{sequence} is not a sequence", "sequences count up from 1")
    predicate = {
        "image": made.image,
        "sequence": sequence,
        "signedAt": now.astimezone(UTC).strftime(_INSTANT),
        "schema": manifesttext.SCHEMA,
        "root": {"sha256": made.root.hex()},
        "closed": {"sha256": made.closed.hex()},
        "counts": {
            "entries": len(made.entries),
            "bytes": sum(entry.size for entry in made.entries),
            "facts": len(made.facts),
            "unknown": len(made.unknown),
            "classes": dict(manifesttext.class_counts(made)),
        },
        "live": made.live,
        "provisional": made.provisional and not vouched,
        "vouched": made.provisional and vouched,
        "generator": generator,
    }
    subject = [{"name": name, "digest": {"sha256": digest}} for name, digest in sorted(subjects.items())]
    return strictjson.compact(
        {"_type": TYPE, "subject": subject, "predicateType": PREDICATE, "predicate": predicate},
    )


def decode(data: bytes) -> Statement:
    """What ``data`` states. Raises BadInput for what is no statement about a manifest; it is for a signed one."""
    try:
        return _read(strictjson.read(data))
    except ValueError as error:
        raise BadInput(f"what was signed is not a statement about a manifest: {error}", _SIGN_AGAIN) from None


def _read(value: object) -> Statement:
    for name, wanted in (("_type", TYPE), ("predicateType", PREDICATE)):
        if strictjson.field(value, name, str) != wanted:
            raise ValueError(f"its {name!r} is another")
    predicate = strictjson.field(value, "predicate", dict)
    sequence = strictjson.field(predicate, "sequence", int)
    if not 1 <= sequence < SEQUENCE_LIMIT:
        raise ValueError("its sequence is none")
    return Statement(
        image=strictjson.field(predicate, "image", str),
        sequence=sequence,
        signed_at=datetime.strptime(strictjson.field(predicate, "signedAt", str), _INSTANT).replace(tzinfo=UTC),
        root=_sha256(strictjson.field(predicate, "root", dict)),
        provisional=strictjson.field(predicate, "provisional", bool),
        subjects=_subjects(strictjson.field(value, "subject", list)),
    )


def _subjects(given: list[object]) -> Mapping[str, str]:
    if not 1 <= len(given) <= _SUBJECTS_LIMIT:
        raise ValueError(f"it has {len(given)} subjects")
    names = [strictjson.field(one, "name", str) for one in given]
    if len(set(names)) != len(names):
        raise ValueError("a subject stands in it twice")
    digests = (_sha256(strictjson.field(one, "digest", dict)) for one in given)
    return dict(zip(names, digests, strict=True))


def _sha256(value: object) -> str:
    digest: str = strictjson.field(value, "sha256", str)
    if not _SHA256.fullmatch(digest):
        raise ValueError("one of its digests is none")
    return digest
