"""An attestation read: its envelope, whose signature it bears, and what it says. Nothing of it is believed before."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from driftd.core import dsse, statement, strictjson
from driftd.core.attestation import (
    NUMBER_LIMIT,
    PREDICATE,
    ROWS_LIMIT,
    TYPE,
    Accepted,
    Attestation,
    NotAttested,
    Rules,
    Seen,
    Stated,
    Tainted,
)
from driftd.core.checkpoint import Verifiers
from driftd.core.errors import BadInput
from driftd.core.facts import Coverage, Kept
from driftd.core.findings import Severity, Verdict
from driftd.core.fingerprint import Extent
from driftd.core.journal import read_instant
from driftd.core.wording import attested as wording

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Verified:
    """An attestation and the trusted keys that signed it; ``sha256`` is of the statement, in hexadecimal digits."""

    attestation: Attestation
    keys: tuple[str, ...]
    sha256: str


def opened(text: bytes, keys: Verifiers) -> Verified:
    """What ``text`` attests by one of ``keys``. Raises NotAttested: no envelope, nobody's word, of something else.

    One signature by a trusted key is enough; one that claims to be a trusted key's and is not spoils all.
    """
    try:
        envelope = dsse.decode(text)
    except BadInput as error:
        raise NotAttested(str(error), wording.IS_IT) from None
    good = [one for one in envelope.signatures if one.key in keys]
    signed = dsse.pae(envelope.payload)
    for one in good:
        if not keys[one.key](one.signature, signed):
            raise NotAttested(wording.forged(one.key), wording.MAKE)
    if not good:
        raise NotAttested(wording.strange(envelope.keys, sorted(keys)), wording.KEYS)
    digest = hashlib.sha256(envelope.payload).hexdigest()
    return Verified(decode(envelope.payload), tuple(one.key for one in good), digest)


def decode(payload: bytes) -> Attestation:
    """What a statement attests. Raises NotAttested for any other, and for one that contradicts itself."""
    try:
        return _read(strictjson.read(payload))
    except ValueError as error:
        raise NotAttested(f"what was signed is not an attestation of an instance: {error}", wording.MAKE) from None


def _read(value: object) -> Attestation:
    if strictjson.field(value, "_type", str) != TYPE:
        raise ValueError("its '_type' is another")
    kind = strictjson.field(value, "predicateType", str)
    if kind != PREDICATE:
        manifest = kind == statement.PREDICATE
        raise NotAttested(wording.of_a_manifest() if manifest else wording.other_kind(kind), wording.IS_IT)
    predicate = strictjson.field(value, "predicate", dict)
    verifier = strictjson.field(predicate, "verifier", dict)
    instance = strictjson.field(predicate, "instance", dict)
    name = strictjson.field(instance, "id", str)
    made = Attestation(
        instance=name,
        group=strictjson.field(instance, "group", str),
        slot=strictjson.field(instance, "slot", str),
        root=_subject(strictjson.field(value, "subject", list), name),
        verdict=_verdict(strictjson.field(predicate, "verdict", str)),
        reason=strictjson.field(predicate, "reason", str),
        stated=_stated(strictjson.field(predicate, "image", dict)),
        seen=_seen(predicate),
        rules=_rules(_maybe(predicate, "policy", dict)),
        valid_until=_instant(predicate, "validUntil"),
        generator=strictjson.field(verifier, "version", str),
        probe_schema=_number(verifier, "probeSchema"),
        findings=_severities(strictjson.field(predicate, "findings", dict)),
        accepted=_number(strictjson.field(predicate, "findings", dict), "accepted"),
        acceptances=tuple(_accepted(one) for one in _rows(predicate, "acceptances")),
        taint=_taint(_maybe(predicate, "taint", dict)),
    )
    if (
        strictjson.field(predicate, "verificationResult", str) != made.result.value
        or strictjson.field(predicate, "failures", list) != [one.value for one in made.failures]
        or _instant(predicate, "timeVerified") != (made.seen.finished or made.seen.started)
        or not made.seen.started <= (made.seen.finished or made.seen.started)
        or not made.seen.started < made.valid_until
    ):
        raise ValueError("its result or its times contradict what it says of the look")
    return made


def _subject(given: list[object], name: str) -> str:
    if len(given) != 1 or strictjson.field(given[0], "name", str) != name:
        raise ValueError("its subject is another than its predicate's instance")
    return _sha256(given[0])


def _verdict(word: str) -> Verdict:
    if word not in {one.value for one in Verdict if one is not Verdict.UNKNOWN}:
        raise ValueError("its verdict is none")
    return Verdict(word)


def _stated(image: object) -> Stated:
    manifest = strictjson.field(image, "manifest", dict)
    made = Stated(
        image=strictjson.field(image, "name", str),
        sha256=_sha256(manifest),
        provisional=strictjson.field(manifest, "provisional", bool),
    )
    signed = _maybe(manifest, "signed", dict)
    if signed is None:
        return made
    signers = strictjson.field(signed, "signers", list)
    if not 1 <= len(signers) <= dsse.SIGNATURES_LIMIT or not all(
        isinstance(one, str) and _SHA256.fullmatch(one) for one in signers
    ):
        raise ValueError("its manifest's signers are none")
    return Stated(
        image=made.image,
        sha256=made.sha256,
        sequence=_number(signed, "sequence"),
        signed_at=_maybe_instant(signed, "signedAt"),
        signers=tuple(signers),
        statement=_sha256(signed, "statement"),
        provisional=made.provisional,
    )


def _seen(predicate: object) -> Seen:
    look = strictjson.field(predicate, "look", dict)
    extent = _maybe(look, "extent", str) or ""
    if extent and extent not in {one.value for one in Extent}:
        raise ValueError("the extent of its look is none")
    explained = _maybe(strictjson.field(predicate, "findings", dict), "explained", int)
    return Seen(
        started=_instant(look, "startedOn"),
        finished=_maybe_instant(look, "finishedOn"),
        means=_maybe(look, "means", str) or "",
        extent=extent,
        boot_id=_maybe(look, "bootId", str) or "",
        recalled=strictjson.field(look, "recalled", bool),
        coverage=_coverage(_maybe(predicate, "coverage", dict)),
        explained=None if explained is None else _within(explained, "explained"),
    )


def _coverage(found: dict[str, Any] | None) -> Coverage | None:
    if found is None:
        return None
    facts = strictjson.field(found, "facts", dict)
    if len(facts) > ROWS_LIMIT:
        raise ValueError("it has too many kinds of facts")
    return Coverage(
        entries=_number(found, "entries"),
        bytes_hashed=_number(found, "bytesHashed"),
        unreadable=_number(found, "unreadable"),
        covered=_number(found, "covered"),
        facts={kind: _number(facts, kind) for kind in facts},
        kept=tuple(
            Kept(*(strictjson.field(one, name, str) for name in ("kind", "how", "why")))
            for one in _rows(found, "withheld")
        ),
        unbaked=_texts(found, "unbaked"),
    )


def _rules(found: dict[str, Any] | None) -> Rules | None:
    return None if found is None else Rules(_texts(found, "names"), _sha256(found))


def _severities(findings: object) -> dict[Severity, int]:
    by = strictjson.field(findings, "bySeverity", dict)
    counted = {one: _number(by, one.value) for one in Severity}
    if sum(counted.values()) != _number(findings, "open"):
        raise ValueError("its findings do not add up")
    return {one: number for one, number in counted.items() if number}


def _accepted(one: object) -> Accepted:
    return Accepted(
        number=_number(one, "number"),
        signature=strictjson.field(one, "signature", str),
        owner=strictjson.field(one, "owner", str),
        reason=strictjson.field(one, "reason", str),
        expires=_instant(one, "expires"),
    )


def _taint(found: dict[str, Any] | None) -> Tainted | None:
    return None if found is None else Tainted(strictjson.field(found, "reason", str), _maybe_instant(found, "since"))


# --- fields ----------------------------------------------------------------------------------------------------------


def _maybe(value: object, name: str, kind: type) -> Any:
    """``strictjson.field``, or None where it says null; it must be there."""
    if strictjson.field(value, name, object) is None:
        return None
    return strictjson.field(value, name, kind)


def _rows(value: object, name: str) -> list[object]:
    rows: list[object] = strictjson.field(value, name, list)
    if len(rows) > ROWS_LIMIT:
        raise ValueError(f"its {name!r} are too many")
    return rows


def _texts(value: object, name: str) -> tuple[str, ...]:
    rows = _rows(value, name)
    if not all(isinstance(one, str) for one in rows):
        raise ValueError(f"its {name!r} are not what they should be")
    return tuple(str(one) for one in rows)


def _number(value: object, name: str) -> int:
    return _within(strictjson.field(value, name, int), name)


def _within(number: int, name: str) -> int:
    if not 0 <= number < NUMBER_LIMIT:
        raise ValueError(f"its {name!r} is no number of anything")
    return number


def _instant(value: object, name: str) -> datetime:
    at = read_instant(strictjson.field(value, name, str))
    if at is None:
        raise ValueError(f"its {name!r} is no time")
    return at


def _maybe_instant(value: object, name: str) -> datetime | None:
    return None if _maybe(value, name, str) is None else _instant(value, name)


def _sha256(value: object, name: str = "digest") -> str:
    digest: str = strictjson.field(strictjson.field(value, name, dict), "sha256", str)
    if not _SHA256.fullmatch(digest):
        raise ValueError("one of its digests is none")
    return digest
