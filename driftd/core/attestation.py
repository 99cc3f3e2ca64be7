"""An attestation: that an instance was, or was not, as its image's manifest says, as one look saw it (docs/attest.md).

An in-toto Statement (v1) for those who decide by what others measured. Names of fields that mean the same are those of
SLSA's Verification Summary. The result is ``failures`` of what was seen and of nothing else, and whoever reads one
works it out again: no statement passes that says of itself why it must not. Unknown fields are passed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from driftd.core import strictjson
from driftd.core.errors import DriftdError
from driftd.core.facts import Coverage
from driftd.core.findings import Severity, Verdict
from driftd.core.journal import instant
from driftd.core.wording import attested as wording

TYPE = "https://in-toto.io/Statement/v1"
PREDICATE = "urn:driftd:attestation:1"
USUAL = timedelta(hours=1)
LONGEST = timedelta(days=90)
SKEW = timedelta(minutes=1)  # that two clocks may differ by
TEXT_LIMIT = 4000  # characters of a sentence
ROWS_LIMIT = 100  # of each list
NUMBER_LIMIT = 2**53  # what every reader of JSON holds exactly


class NotAttested(DriftdError):
    """There is nothing to be attested, or nothing that an attestation could be believed by. Never a pass."""


class Result(StrEnum):
    """There is no third: of what could not be seen nothing is attested."""

    PASSED = "PASSED"
    FAILED = "FAILED"


class Failure(StrEnum):
    """Why it is no pass."""

    DRIFTED = "drifted"
    TAMPERED = "tampered"
    TAINTED = "tainted"  # somebody was on it, and no look can tell what they did
    UNSIGNED = "manifest-unsigned"  # nobody who is trusted vouches for the manifest
    PROVISIONAL = "manifest-provisional"  # it was read off a server that nobody vouches for


@dataclass(frozen=True, slots=True)
class Stated:
    """The manifest that was looked by. ``sha256`` is of its text, ``statement`` of what was signed ("": nobody did).

    ``signers`` are the ids of the trusted keys that vouch for it; ``provisional``: read off a server that no signer
    vouches for.
    """

    image: str
    sha256: str
    sequence: int = 0
    signed_at: datetime | None = None
    signers: tuple[str, ...] = ()
    statement: str = ""
    provisional: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """The look. Of one that is ``recalled`` from the store, what was not kept is None, "" or empty.

    ``means`` is how it was reached: "ssh", "local" for a tree of this machine, or what the provider calls its own
    means.
    """

    started: datetime
    finished: datetime | None
    means: str = ""
    extent: str = ""
    boot_id: str = ""
    recalled: bool = False
    coverage: Coverage | None = None
    explained: int | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """A person's acceptance that let something pass which would be a finding."""

    number: int
    signature: str
    owner: str
    reason: str
    expires: datetime


@dataclass(frozen=True, slots=True)
class Tainted:
    """Somebody was on the instance. ``since`` is None where only this look knows of it."""

    reason: str
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """The policy that it was judged by: the documents' names, and a digest of all that they say (64 digits)."""

    names: tuple[str, ...]
    sha256: str


@dataclass(frozen=True, slots=True)
class Attestation:
    """``root`` is the fingerprint's digest in hexadecimal digits. ``findings`` counts those that nobody accepted.

    ``accepted`` counts the others, ``acceptances`` are what covers them; ``rules`` is None for a look that is recalled.
    """

    instance: str
    group: str
    slot: str
    root: str
    verdict: Verdict
    reason: str
    stated: Stated
    seen: Seen
    rules: Rules | None
    valid_until: datetime
    generator: str
    probe_schema: int
    findings: Mapping[Severity, int] = field(default_factory=dict)
    accepted: int = 0
    acceptances: tuple[Accepted, ...] = ()
    taint: Tainted | None = None

    @property
    def failures(self) -> tuple[Failure, ...]:
        """Why it is no pass; empty for one that is."""
        return failures(self.verdict, self.stated, self.taint)

    @property
    def result(self) -> Result:
        return Result.FAILED if self.failures else Result.PASSED


def failures(verdict: Verdict, stated: Stated, taint: Tainted | None) -> tuple[Failure, ...]:
    """All that speaks against a pass. Raises NotAttested for what could not be seen."""
    if verdict is Verdict.UNKNOWN:
        raise NotAttested("what could not be seen is not attested")
    against = {
        Failure.DRIFTED: verdict is Verdict.DRIFTED,
        Failure.TAMPERED: verdict is Verdict.TAMPERED,
        Failure.TAINTED: taint is not None,
        Failure.UNSIGNED: not stated.signers,
        Failure.PROVISIONAL: stated.provisional,
    }
    return tuple(failure for failure, found in against.items() if found)


def refusal(made: Attestation, now: datetime, *, instance: str = "", image: str = "") -> str:
    """Why ``made``, rightly signed, is not to be gone by: of another instance or image, of another time; or ""."""
    if instance and instance != made.instance:
        return wording.other_instance(made.instance, instance)
    if image and image != made.stated.image:
        return wording.other_image(made.stated.image, image)
    if (made.seen.finished or made.seen.started) > now + SKEW:
        return wording.of_the_future(made.seen.started)
    if now >= made.valid_until:
        return wording.expired(made.valid_until)
    return ""


# --- written ---------------------------------------------------------------------------------------------------------


def encode(made: Attestation) -> bytes:
    """The statement's bytes: what is signed. Raises NotAttested for what could not be seen."""
    predicate = {
        "verifier": {"id": "urn:driftd", "version": _text(made.generator), "probeSchema": made.probe_schema},
        "timeVerified": instant(made.seen.finished or made.seen.started),
        "validUntil": instant(made.valid_until),
        "verificationResult": made.result.value,
        "failures": [one.value for one in made.failures],
        "instance": {"id": _text(made.instance), "group": _text(made.group), "slot": _text(made.slot)},
        "verdict": made.verdict.value,
        "reason": _text(made.reason),
        "image": _image(made.stated),
        "look": _look(made.seen),
        "coverage": _coverage(made.seen.coverage),
        "policy": _policy(made.rules),
        "findings": {
            "open": sum(made.findings.values()),
            "bySeverity": {one.value: made.findings.get(one, 0) for one in Severity},
            "accepted": made.accepted,
            "explained": made.seen.explained,
        },
        "acceptances": [_accepted(one) for one in made.acceptances[:ROWS_LIMIT]],
        "taint": _taint(made.taint),
    }
    subject = [{"name": _text(made.instance), "digest": {"sha256": made.root}}]
    return strictjson.compact(
        {"_type": TYPE, "subject": subject, "predicateType": PREDICATE, "predicate": predicate},
    )


def _image(stated: Stated) -> dict[str, object]:
    signed = None
    if stated.signers:
        signed = {
            "sequence": stated.sequence,
            "signedAt": instant(stated.signed_at) if stated.signed_at else None,
            "signers": list(stated.signers),
            "statement": {"sha256": stated.statement},
        }
    manifest = {"digest": {"sha256": stated.sha256}, "provisional": stated.provisional, "signed": signed}
    return {"name": _text(stated.image), "manifest": manifest}


def _look(seen: Seen) -> dict[str, object]:
    return {
        "startedOn": instant(seen.started),
        "finishedOn": instant(seen.finished) if seen.finished else None,
        "means": _text(seen.means) or None,
        "extent": seen.extent or None,
        "bootId": _text(seen.boot_id) or None,
        "recalled": seen.recalled,
    }


def _coverage(found: Coverage | None) -> dict[str, object] | None:
    if found is None:
        return None
    kinds = sorted(found.facts)[:ROWS_LIMIT]
    return {
        "entries": _number(found.entries),
        "bytesHashed": _number(found.bytes_hashed),
        "unreadable": _number(found.unreadable),
        "covered": _number(found.covered),
        "facts": {_text(kind): _number(found.facts[kind]) for kind in kinds},
        "withheld": [
            {"kind": _text(one.kind), "how": _text(one.how), "why": _text(one.why)} for one in found.kept[:ROWS_LIMIT]
        ],
        "unbaked": [_text(kind) for kind in found.unbaked[:ROWS_LIMIT]],
    }


def _policy(rules: Rules | None) -> dict[str, object] | None:
    if rules is None:
        return None
    return {"names": [_text(name) for name in rules.names[:ROWS_LIMIT]], "digest": {"sha256": rules.sha256}}


def _accepted(one: Accepted) -> dict[str, object]:
    return {
        "number": one.number,
        "signature": _text(one.signature),
        "owner": _text(one.owner),
        "reason": _text(one.reason),
        "expires": instant(one.expires),
    }


def _taint(taint: Tainted | None) -> dict[str, object] | None:
    if taint is None:
        return None
    return {"reason": _text(taint.reason), "since": instant(taint.since) if taint.since else None}


def _text(text: str) -> str:
    """What every reader of JSON takes: no half of a character, and not without end."""
    return text[:TEXT_LIMIT].encode("utf-8", "backslashreplace").decode()


def _number(counted: int) -> int:
    """An instance may say that it has more bytes than there are."""
    return min(counted, NUMBER_LIMIT - 1)
