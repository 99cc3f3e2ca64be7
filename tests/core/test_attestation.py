"""Attestations: what passes and what never does, written and read back, and refused for what they are not."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from attesting import NOW, PASSED, STATED, attestations, schema
from hypothesis import example, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from driftd.core import attestation, strictjson
from driftd.core.attestation import Failure, NotAttested, Result, Tainted, encode, refusal
from driftd.core.attested import decode
from driftd.core.facts import Coverage, Kept
from driftd.core.findings import Verdict

SCHEMA = Draft202012Validator(schema(), format_checker=Draft202012Validator.FORMAT_CHECKER)
LATER = NOW + timedelta(minutes=5)


@given(attestations())
@example(PASSED)
def test_written_and_read_back_and_as_the_schema_says(made):
    payload = encode(made)
    assert decode(payload) == made
    SCHEMA.validate(json.loads(payload))


@given(attestations())
def test_a_pass_is_clean_or_explained_untainted_and_vouched_for(made):
    good = made.verdict in {Verdict.CLEAN, Verdict.EXPLAINED} and made.taint is None
    vouched = bool(made.stated.signers) and not made.stated.provisional
    assert (made.result is Result.PASSED) == (good and vouched)
    assert bool(made.failures) == (made.result is Result.FAILED)


@pytest.mark.parametrize(
    ("made", "failure"),
    [
        (replace(PASSED, verdict=Verdict.DRIFTED), Failure.DRIFTED),
        (replace(PASSED, verdict=Verdict.TAMPERED), Failure.TAMPERED),
        (replace(PASSED, taint=Tainted("root was on it")), Failure.TAINTED),
        (replace(PASSED, stated=replace(STATED, signers=())), Failure.UNSIGNED),
        (replace(PASSED, stated=replace(STATED, provisional=True)), Failure.PROVISIONAL),
    ],
)
def test_each_thing_that_fails_it_is_named(made, failure):
    assert made.failures == (failure,)
    assert json.loads(encode(made))["predicate"]["verificationResult"] == "FAILED"


def test_what_could_not_be_seen_is_never_attested():
    with pytest.raises(NotAttested):
        encode(replace(PASSED, verdict=Verdict.UNKNOWN))


def test_what_is_too_long_is_cut_and_half_characters_are_written_out():
    made = replace(
        PASSED,
        reason="x" * 10_000,
        slot="a\udc80",
        seen=replace(
            PASSED.seen,
            coverage=Coverage(
                bytes_hashed=1 << 62,
                facts={f"kind {number}": 1 for number in range(500)},
                kept=tuple(Kept(f"k{number}", "cut short", "") for number in range(500)),
            ),
        ),
    )
    payload = encode(made)
    SCHEMA.validate(json.loads(payload))
    read = decode(payload)
    assert len(read.reason) == attestation.TEXT_LIMIT
    assert read.slot == "a\\udc80"
    assert read.seen.coverage.bytes_hashed == 2**53 - 1
    assert len(read.seen.coverage.facts) == len(read.seen.coverage.kept) == attestation.ROWS_LIMIT


# --- what a reader refuses -------------------------------------------------------------------------------------------


def edited(made, change) -> bytes:
    value = json.loads(encode(made))
    change(value["predicate"], value)
    return strictjson.compact(value)


FAILED = replace(PASSED, verdict=Verdict.DRIFTED, stated=replace(STATED, provisional=True), taint=Tainted("x"))


@pytest.mark.parametrize(
    "change",
    [
        lambda p, v: p.update(verificationResult="PASSED"),
        lambda p, v: p.update(verificationResult="PASSED", failures=[]),
        lambda p, v: p.update(failures=[]),
        lambda p, v: p.update(verdict="unknown"),
        lambda p, v: p.update(verdict="fine"),
        lambda p, v: p.update(timeVerified="2030-01-01T00:00:00.000000Z"),
        lambda p, v: p.update(validUntil="2020-01-01T00:00:00.000000Z"),
        lambda p, v: p.update(validUntil="tomorrow"),
        lambda p, v: p["look"].update(startedOn="2030-01-01T00:00:00.000000Z"),
        lambda p, v: p["instance"].update(id="i-2"),
        lambda p, v: p["findings"].update(open=7),
        lambda p, v: p["findings"].update(accepted=-1),
        lambda p, v: p["findings"].update(accepted=True),
        lambda p, v: p["image"]["manifest"]["signed"].update(signers=[]),
        lambda p, v: p["coverage"].update(facts={str(n): 1 for n in range(101)}),
        lambda p, v: p["look"].update(extent="most"),
        lambda p, v: p.pop("taint"),
        lambda p, v: v["subject"].append(v["subject"][0]),
        lambda p, v: v["subject"][0].update(digest={"sha256": "short"}),
        lambda p, v: v.update(_type="https://in-toto.io/Statement/v0.1"),
    ],
)
def test_one_that_contradicts_itself_or_lacks_something_is_refused(change):
    with pytest.raises(NotAttested, match="not an attestation of an instance"):
        decode(edited(FAILED, change))


def test_fields_that_nobody_knows_are_passed_over():
    assert decode(edited(PASSED, lambda p, v: p.update(weather="fine"))) == PASSED


@pytest.mark.parametrize(
    ("kind", "told"), [("urn:driftd:manifest:1", "a signed manifest"), ("https://slsa.dev/provenance/v1", "slsa.dev")]
)
def test_another_kind_of_statement_is_told_by_its_kind(kind, told):
    with pytest.raises(NotAttested, match=told):
        decode(edited(PASSED, lambda p, v: v.update(predicateType=kind)))


@given(st.binary(max_size=60) | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(strictjson.compact))
def test_whatever_it_is_it_is_one_refusal(data):
    with pytest.raises(NotAttested):
        decode(data)


# --- when and of what ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "told"),
    [
        (LATER, ""),
        (NOW - timedelta(seconds=30), ""),  # clocks differ a little
        (NOW - timedelta(minutes=2), "still to come"),
        (PASSED.valid_until - timedelta(microseconds=1), ""),
        (PASSED.valid_until, "it held until"),
        (NOW + timedelta(days=400), "it held until"),
    ],
)
def test_it_holds_from_the_look_until_its_end_and_never_else(now, told):
    said = refusal(PASSED, now)
    assert told in said
    assert bool(said) == bool(told)


def test_whose_it_is_can_be_demanded():
    assert refusal(PASSED, LATER, instance="i-1", image="web-7") == ""
    assert "of the instance i-1 and not of i-2" in refusal(PASSED, LATER, instance="i-2")
    assert "not of web/1" in refusal(PASSED, LATER, instance="web/1"), "a slot has one instance after another"
    assert "of the image web-7 and not of web-8" in refusal(PASSED, LATER, image="web-8")
