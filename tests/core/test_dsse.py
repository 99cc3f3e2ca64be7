"""DSSE envelopes and in-toto statements as bytes: one text each, and everything else refused in one sentence."""

import base64
import contextlib
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trees import NOW, baked, file

from driftd.core import dsse, statement, strictjson
from driftd.core.dsse import Envelope, Signature
from driftd.core.errors import BadInput

SIGNED = Envelope(b"{}", (Signature("0" * 64, b"s" * 64), Signature("a" * 64, b"t" * 64)))
TEXT = dsse.encode(SIGNED)


def test_what_is_signed_is_as_the_protocol_says():
    # The example of DSSE's protocol.md.
    expected = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    assert dsse.pae(b"hello world", "http://example.com/HelloWorld") == expected


keys = st.text("0123456789abcdef", min_size=64, max_size=64)
signatures = st.dictionaries(keys, st.binary(min_size=64, max_size=64), min_size=1, max_size=4)


@given(st.binary(max_size=60), signatures)
def test_every_envelope_reads_back_and_has_one_text(payload, given):
    made = Envelope(payload, tuple(Signature(key, given[key]) for key in sorted(given)))
    assert dsse.decode(dsse.encode(made)) == made


@given(st.integers(0, len(TEXT) - 1), st.integers(1, 255))
def test_any_other_byte_is_another_envelope_or_none(at, by):
    damaged = TEXT[:at] + bytes([TEXT[at] ^ by]) + TEXT[at + 1 :]
    with contextlib.suppress(BadInput):
        assert dsse.decode(damaged) != SIGNED


def changed(**fields) -> bytes:
    value = {**json.loads(TEXT), **fields}
    return strictjson.pretty({name: given for name, given in value.items() if given is not None})


ONE = {"keyid": "0" * 64, "sig": base64.b64encode(b"s" * 64).decode()}
DEEP = b"[" * 200_000
HOSTILE = {
    "empty": (b"", "it is not JSON (line 1)"),
    "not-json": (b"{\n]", "it is not JSON (line 2)"),
    "not-text": (b"\xff\xfe", "it is not UTF-8 text"),
    "a-list": (b"[]", "it has no 'payloadType'"),
    "deep": (DEEP, "it is nested too deeply"),
    "a-huge-number": (b'{"payload": ' + b"9" * 100_000 + b"}", "this is not a DSSE envelope"),
    "no-number": (b'{"payload": NaN}', "NaN is not JSON"),
    "a-name-twice": (TEXT.replace(b'"signatures"', b'"payload": "", "signatures"', 1), "a name stands in it twice"),
    "another-type": (changed(payloadType="text/plain"), "its payload is not an in-toto statement"),
    "no-payload": (changed(payload=None), "it has no 'payload'"),
    "payload-no-text": (changed(payload=7), "its 'payload' is not what it should be"),
    "payload-no-base64": (changed(payload="e30="[:-1] + "!"), "its base64 is damaged"),
    "payload-not-ascii": (changed(payload="é"), "its base64 is damaged"),
    "no-signatures": (changed(signatures=[]), "it has 0 signatures, and 1 to 16 are possible"),
    "many-signatures": (changed(signatures=[ONE] * 17), "it has 17 signatures"),
    "a-key-twice": (changed(signatures=[ONE, ONE]), "its signatures are not sorted by their keys, each once"),
    "short-signature": (changed(signatures=[{**ONE, "sig": "AAAA"}]), "one of its signatures is none"),
    "key-is-a-path": (changed(signatures=[{**ONE, "keyid": "../" * 20}]), "one of its signatures is none"),
    "more-fields": (changed(more="x"), "not written the way driftd writes it"),
    "more-blanks": (TEXT + b" ", "not written the way driftd writes it"),
    "loose-base64": (changed(payload="e31="), "not written the way driftd writes it"),
    "huge": (b" " * (dsse.SIZE_LIMIT + 1), "this is larger than an envelope may be (1048576 bytes)"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_envelope_is_one_sentence(case):
    data, said = HOSTILE[case]
    with pytest.raises(BadInput) as caught:
        dsse.decode(data)
    assert said in str(caught.value)
    assert str(caught.value).isprintable()
    assert caught.value.hint


# --- statements ------------------------------------------------------------------------------------------------------

MADE = baked([file(b"/etc/hosts", b"a")])
SUBJECTS = {"golden-1.manifest": "ab" * 32, "golden-1.overlay.yaml": "cd" * 32}


def stated(made=MADE, sequence=3, vouched=False) -> bytes:
    return statement.encode(made, SUBJECTS, sequence=sequence, now=NOW, generator="driftd 1", vouched=vouched)


def test_a_statement_reads_back():
    found = statement.decode(stated())
    assert (found.image, found.sequence, found.signed_at) == ("golden-1", 3, NOW)
    assert found.root == MADE.root.hex()
    assert dict(found.subjects) == SUBJECTS
    assert found.provisional is False


@pytest.mark.parametrize(("provisional", "vouched", "still"), [(1, 0, True), (1, 1, False), (0, 1, False)])
def test_a_signer_may_vouch_for_the_server(provisional, vouched, still):
    made = replace(MADE, provisional=bool(provisional))
    text = stated(made=made, vouched=bool(vouched))
    assert statement.decode(text).provisional is still
    assert json.loads(text)["predicate"]["vouched"] is bool(provisional and vouched)


def test_the_predicate_sums_the_manifest_up():
    predicate = json.loads(stated())["predicate"]
    assert predicate["counts"] == {"entries": 3, "bytes": 1, "facts": 0, "unknown": 0, "classes": {"exact": 3}}
    assert predicate["closed"] == {"sha256": MADE.closed.hex()}
    assert predicate["schema"] == "driftd.manifest/3"
    assert predicate["generator"] == "driftd 1"


@pytest.mark.parametrize("sequence", [0, -1, 2**53])
def test_sequences_count_up_from_one(sequence):
    with pytest.raises(BadInput, match="is not a sequence"):
        stated(sequence=sequence)


def edited(*path: str, value: object) -> bytes:
    whole = json.loads(stated())
    inner = whole
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    return strictjson.compact(whole)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        edited("_type", value="https://in-toto.io/Statement/v0.1"),
        edited("predicateType", value="https://slsa.dev/provenance/v1"),
        edited("predicate", value=[]),
        edited("predicate", "sequence", value=True),
        edited("predicate", "sequence", value=0),
        edited("predicate", "sequence", value=2**53),
        edited("predicate", "sequence", value=1.5),
        edited("predicate", "signedAt", value="yesterday"),
        edited("predicate", "provisional", value="no"),
        edited("predicate", "root", value={"sha256": "AB" * 32}),
        edited("subject", value=[]),
        edited("subject", value=[{"name": "a", "digest": {"sha256": "0" * 64}}] * 2),
        edited("subject", value=[{"name": "a", "digest": {"sha256": "0" * 63}}]),
        edited("subject", value=[{"name": str(n), "digest": {"sha256": "0" * 64}} for n in range(65)]),
        edited("subject", value=["a"]),
    ],
)
def test_what_is_no_statement_about_a_manifest_is_one_sentence(data):
    with pytest.raises(BadInput, match=r"^what was signed is not a statement about a manifest: ") as caught:
        statement.decode(data)
    assert str(caught.value).isprintable()
