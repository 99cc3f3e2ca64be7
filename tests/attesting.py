"""Attestations for tests: one that passes, any at all by Hypothesis, and the published schema with no room for more."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import strategies as st

from driftd.core.attestation import Accepted, Attestation, Rules, Seen, Stated, Tainted, encode
from driftd.core.facts import Coverage, Kept
from driftd.core.findings import Severity, Verdict
from driftd.core.fingerprint import Extent
from driftd.edges.documents import load_signing, make_keys, seal_attestation

DOCS = Path(__file__).parents[1] / "docs"
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
STATED = Stated("web-7", "aa" * 32, 3, NOW, ("bb" * 32,), "cc" * 32)
PASSED = Attestation(
    instance="i-1",
    group="web",
    slot="web/1",
    root="dd" * 32,
    verdict=Verdict.EXPLAINED,
    reason="12 differences, all explained",
    stated=STATED,
    seen=Seen(NOW, NOW + timedelta(seconds=2), "ssh", "whole", "boot", coverage=Coverage(entries=9), explained=12),
    rules=Rules(("debian",), "ee" * 32),
    valid_until=NOW + timedelta(hours=1),
    generator="1",
    probe_schema=1,
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
numbers = st.integers(0, 2**53 - 1)
few = st.integers(0, 10**6)
digests = st.binary(min_size=32, max_size=32).map(bytes.hex)
moments = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # Hypothesis wants them naive
unsigned = st.builds(Stated, image=texts, sha256=digests, provisional=st.booleans())
signed = st.builds(
    Stated,
    image=texts,
    sha256=digests,
    sequence=numbers,
    signed_at=st.none() | moments,
    signers=st.lists(digests, min_size=1, max_size=3).map(tuple),
    statement=digests,
    provisional=st.booleans(),
)
coverages = st.builds(
    Coverage,
    entries=numbers,
    bytes_hashed=numbers,
    unreadable=numbers,
    covered=numbers,
    facts=st.dictionaries(texts, numbers, max_size=3),
    kept=st.lists(st.builds(Kept, texts, texts, texts), max_size=3).map(tuple),
    unbaked=st.lists(texts, max_size=3).map(tuple),
)
accepted = st.builds(Accepted, few, texts, texts, texts, moments)


@st.composite
def attestations(draw) -> Attestation:
    """Anything that could be attested, however unlikely."""
    started = draw(moments)
    spans = st.timedeltas(timedelta(0), timedelta(days=90))
    seen = Seen(
        started=started,
        finished=draw(st.none() | spans.map(lambda span: started + span)),
        means=draw(texts),
        extent=draw(st.sampled_from(["", *(one.value for one in Extent)])),
        boot_id=draw(texts),
        recalled=draw(st.booleans()),
        coverage=draw(st.none() | coverages),
        explained=draw(st.none() | numbers),
    )
    return Attestation(
        instance=draw(texts),
        group=draw(texts),
        slot=draw(texts),
        root=draw(digests),
        verdict=draw(st.sampled_from([one for one in Verdict if one is not Verdict.UNKNOWN])),
        reason=draw(texts),
        stated=draw(unsigned | signed),
        seen=seen,
        rules=draw(st.none() | st.builds(Rules, st.lists(texts, max_size=3).map(tuple), digests)),
        valid_until=started + timedelta(microseconds=1) + draw(spans),
        generator=draw(texts),
        probe_schema=draw(few),
        findings=draw(st.dictionaries(st.sampled_from(Severity), st.integers(1, 10**6))),
        accepted=draw(few),
        acceptances=draw(st.lists(accepted, max_size=3).map(tuple)),
        taint=draw(st.none() | st.builds(Tainted, texts, st.none() | moments)),
    )


def schema() -> dict:
    """What is published, but that nothing it does not name may stand there: so that it names all that is written."""
    found = json.loads((DOCS / "attestation.schema.json").read_text(encoding="utf-8"))
    _close(found)
    return found


def _close(value: object) -> None:
    if isinstance(value, dict):
        if value.get("type") == "object" and "properties" in value:
            value.setdefault("additionalProperties", False)
        for name, inner in value.items():
            if name not in {"then", "else", "if"}:
                _close(inner)
    elif isinstance(value, list):
        for inner in value:
            _close(inner)


def write(directory: Path, made: Attestation, now: datetime) -> Path:
    """``made``, as of ``now``, in a new directory with a new pair of keys, ``attest`` and ``attest.pub``; the file."""
    directory.mkdir()
    make_keys(directory / "attest")
    seen = replace(made.seen, started=now - timedelta(seconds=3), finished=now - timedelta(seconds=1))
    fresh = replace(made, seen=seen, valid_until=now + timedelta(hours=1))
    file = directory / "attestation.json"
    file.write_bytes(seal_attestation(encode(fresh), [load_signing(directory / "attest")]))
    return file


FAILED = replace(
    PASSED,
    verdict=Verdict.DRIFTED,
    reason="2 findings, worst: critical file /etc/ssh/sshd_config; not seen in full: binfmt\x1b[31m [bold]x",
    slot="web/名前\x1b[2J",
    stated=replace(STATED, provisional=True),
    seen=replace(
        PASSED.seen,
        coverage=Coverage(
            entries=9731,
            unreadable=2,
            covered=1,
            facts={"package": 187, "unit": 64},
            kept=(Kept("binfmt", "not available", "it is not mounted"),),
            unbaked=("bpf",),
        ),
    ),
    rules=Rules(("debian", "systemd", "sessions"), "ee" * 32),
    findings={Severity.CRITICAL: 1, Severity.LOW: 1},
    accepted=1,
    acceptances=(Accepted(3, "ab" * 8, "ann [b]x", "OPS-4711: we tuned it", NOW + timedelta(days=7)),),
    taint=Tainted("root was on it by ssh from 192.0.2.1 at 2026-01-02T03:00:00Z", NOW),
)
