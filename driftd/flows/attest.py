"""Attest: what a look saw, as a statement for others, signed, and noted in the journal before anybody has it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from driftd.core import manifesttext
from driftd.core.acceptance import Acceptances
from driftd.core.attestation import Accepted, Attestation, NotAttested, Rules, Seen, Stated, Tainted, encode
from driftd.core.causes import gather
from driftd.core.findings import Finding, Verdict
from driftd.core.looks import Look
from driftd.core.manifest import Manifest
from driftd.core.memory import InstanceRow, Store, Suppression, Tx
from driftd.core.seal import SeenManifest
from driftd.core.taint import standing, why_of
from driftd.core.wording import attested as wording


@dataclass(frozen=True, slots=True)
class By:
    """Who attests: ``generator`` is driftd's version, ``person`` who asked, ``sign`` makes the envelope's text.

    ``keys`` are the ids of the keys that sign.
    """

    generator: str
    probe_schema: int
    person: str
    keys: tuple[str, ...]
    sign: Callable[[bytes], bytes]


def of_look(store: Store, look: Look, rules: Rules, by: By, valid_for: timedelta, now: datetime) -> Attestation:
    """What ``look`` saw. Raises NotAttested when it saw nothing or took longer than it is to hold; StoreUnavailable."""
    manifest, judgement, instance = look.manifest, look.judgement, look.instance
    if judgement.verdict is Verdict.UNKNOWN or manifest is None:
        raise NotAttested(wording.unseen(instance.id, judgement.reason), look.hint)
    if now >= look.at + valid_for:
        raise NotAttested(wording.over_already(instance.id), wording.LONGER)
    with store.read() as tx:
        suppressions, row = tx.suppressions(now), tx.instance(instance.id)
        taint = _taint(tx, row, suppressions)
    findings = judgement.findings
    return Attestation(
        instance=instance.id,
        group=instance.group,
        slot=instance.slot,
        root=look.root.hex(),
        verdict=judgement.verdict,
        reason=judgement.reason,
        stated=_stated(manifest),
        seen=Seen(
            started=look.at,
            finished=look.at + timedelta(seconds=look.duration_s),
            means="local" if instance.reach.root else instance.reach.means or "ssh",
            extent=look.extent.value,
            boot_id=look.boot_id,
            coverage=look.coverage,
            explained=len(judgement.explained),
        ),
        rules=rules,
        valid_until=look.at + valid_for,
        generator=by.generator,
        probe_schema=by.probe_schema,
        findings=Counter(one.severity for one in findings if not one.suppressed_by),
        accepted=sum(1 for one in findings if one.suppressed_by),
        acceptances=_acceptances(findings, suppressions, instance.group)[0],
        taint=taint,
    )


def last_look(
    store: Store, row: InstanceRow, manifest: Manifest, by: By, valid_for: timedelta, now: datetime
) -> Attestation:
    """What the daemon's last look at the instance of ``row`` saw, without another one.

    ``manifest`` is that of its image as it is there now. Raises NotAttested when there was no look or it saw nothing,
    when it is too old, when it may have gone by another manifest, and when an acceptance that it went by has run out;
    StoreUnavailable.
    """
    if row.looked_at is None:
        raise NotAttested(wording.never_looked(row.id), wording.WITHOUT_LAST)
    if row.verdict is Verdict.UNKNOWN:
        raise NotAttested(wording.last_was_unseen(row.id, row.reason), wording.WITHOUT_LAST)
    if now >= row.looked_at + valid_for:
        raise NotAttested(wording.too_old(row.id, row.looked_at, now), wording.WITHOUT_LAST)
    with store.read() as tx:
        suppressions, seen = tx.suppressions(now), tx.manifest_seen(row.image)
        findings = [one.finding for one in tx.open_findings(row.id)]
        taint = _taint(tx, row, suppressions)
    acceptances, bare = _acceptances(findings, suppressions, row.group)
    why = _other_manifest(row.image, manifest, seen, row.looked_at)
    if why or bare:
        raise NotAttested(why or wording.no_longer_accepted(row.id, bare), wording.WITHOUT_LAST)
    return Attestation(
        instance=row.id,
        group=row.group,
        slot=row.slot,
        root=row.root,
        verdict=row.verdict,
        reason=row.reason,
        stated=_stated(manifest),
        seen=Seen(started=row.looked_at, finished=None, boot_id=row.boot_id, recalled=True),
        rules=None,  # which they were then, nobody wrote down
        valid_until=row.looked_at + valid_for,
        generator=by.generator,
        probe_schema=by.probe_schema,
        findings=Counter(one.severity for one in findings if not one.suppressed_by),
        accepted=sum(1 for one in findings if one.suppressed_by),
        acceptances=acceptances,
        taint=taint,
    )


def issue(store: Store, made: Attestation, by: By, now: datetime) -> bytes:
    """The envelope's text; the journal has a line of it before anybody has the text. Raises StoreUnavailable."""
    statement = encode(made)
    text = by.sign(statement)
    body = {
        "did": "attest",
        "by": by.person,
        "what": f"{made.result.value} ({made.verdict.value})",
        "statement": hashlib.sha256(statement).hexdigest(),
        "keys": list(by.keys),
        "until": made.valid_until,
        "recalled": made.seen.recalled,
    }
    with store.write() as tx:
        tx.journal("human", made.instance, body, now)
    return text


def _other_manifest(image: str, manifest: Manifest, seen: SeenManifest | None, looked_at: datetime) -> str:
    """Why it is not known that a look which began then went by ``manifest``; "" when it did.

    The store remembers the newest signed one and since when: no look that began later went by an older one.
    """
    if manifest.seal is None:
        return wording.manifest_unsigned(image)
    if seen is None or seen.statement != manifest.seal.statement or seen.seen_at > looked_at:
        return wording.manifest_moved(image)
    return ""


def _stated(manifest: Manifest) -> Stated:
    seal = manifest.seal
    text = hashlib.sha256(manifesttext.encode(manifest)).hexdigest()
    if seal is None:
        return Stated(manifest.image, text, provisional=manifest.doubtful)
    return Stated(
        image=manifest.image,
        sha256=text,
        sequence=seal.sequence,
        signed_at=seal.signed_at,
        signers=(seal.key,),
        statement=seal.statement,
        provisional=manifest.doubtful,
    )


def _taint(tx: Tx, row: InstanceRow | None, suppressions: Sequence[Suppression]) -> Tainted | None:
    """The taint that stands, by what people accepted until now; what a look has just seen is a finding of it."""
    if row is None:
        return None
    sessions = standing(tx.open_findings(row.id), suppressions, row.group)
    return Tainted(row.taint or why_of(sessions), row.taint_since) if sessions else None


def _acceptances(
    findings: Sequence[Finding], suppressions: Sequence[Suppression], group: str
) -> tuple[tuple[Accepted, ...], int]:
    """Those that cover what was found and accepted, and how many findings of that are not covered any more."""
    holding = Acceptances(suppressions, group)
    causes = {one.signature: cause.signature for cause in gather(findings) for one in cause.members}
    covering = [holding.of(one, causes[one.signature]) for one in findings if one.suppressed_by]
    used = {one.id: one for one in covering if one is not None}
    accepted = (
        Accepted(one.id, one.signature, one.owner, one.reason, one.expires_at) for _, one in sorted(used.items())
    )
    return tuple(accepted), covering.count(None)
