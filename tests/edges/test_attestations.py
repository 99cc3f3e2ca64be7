"""Attestations as others see them: envelope, statement and schema by other people's code, a policy by an engine."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import jsonschema
import pytest
from attesting import DOCS, NOW, PASSED, schema
from google.protobuf import json_format
from in_toto_attestation.v1.statement import Statement
from in_toto_attestation.v1.statement_pb2 import Statement as StatementPb
from regopy import Interpreter
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

from driftd.core.attestation import Accepted, NotAttested, Result, encode, refusal
from driftd.core.attested import decode
from driftd.core.facts import Coverage
from driftd.core.findings import Verdict
from driftd.doors.report import attested
from driftd.edges.documents import load_attestation, load_public, load_signing, make_keys, seal_attestation

EXAMPLE = DOCS / "examples" / "attest"


class Desk:
    """Keys, and a file that is signed with some of them."""

    def __init__(self, where: Path) -> None:
        self.file = where / "attestation.json"
        self._where = where
        for name in ("a", "b"):
            make_keys(where / name)

    def write(self, *names: str, made=PASSED) -> Path:
        keys = [load_signing(self._where / name) for name in names]
        self.file.write_bytes(seal_attestation(encode(made), keys))
        return self.file

    def public(self, *names: str):
        return [load_public(self._where / f"{name}.pub") for name in names]

    def pem(self, name: str) -> Path:
        return self._where / f"{name}.pub"


@pytest.fixture
def desk(tmp_path) -> Desk:
    return Desk(tmp_path)


def refused(desk: Desk, *names: str) -> str:
    with pytest.raises(NotAttested) as error:
        load_attestation(desk.file, desk.public(*names))
    assert error.value.hint
    return str(error.value)


def test_one_trusted_key_is_enough_and_a_stranger_counts_for_nothing(desk):
    desk.write("a", "b")
    for trusted in (("a",), ("b",), ("a", "b")):
        found = load_attestation(desk.file, desk.public(*trusted))
        assert found.attestation == PASSED
        assert sorted(found.keys) == sorted(one.id for one in desk.public(*trusted))
    desk.write("b")
    assert "is trusted here" in refused(desk, "a")


def test_no_byte_of_the_file_can_be_another(desk):
    whole = desk.write("a").read_bytes()
    keys = desk.public("a")
    for at in range(len(whole)):
        desk.file.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(NotAttested):
            load_attestation(desk.file, keys)
    for text in (whole[:-1], whole + b"\n", whole + whole, b"", b"[]", b"no JSON", b" " * 2**20 + whole):
        desk.file.write_bytes(text)
        refused(desk, "a")


def test_a_signature_of_another_attestation_is_no_signature_of_this_one(desk):
    drifted = json.loads(desk.write("a", made=replace(PASSED, verdict=Verdict.DRIFTED)).read_bytes())
    passed = json.loads(desk.write("a").read_bytes())
    passed["signatures"] = drifted["signatures"]
    desk.file.write_text(json.dumps(passed, sort_keys=True, indent=2) + "\n")
    assert "is not that key's over what is there" in refused(desk, "a")


# --- by other people's code ------------------------------------------------------------------------------------------


def test_securesystemslib_and_in_toto_read_and_verify_it(desk):
    envelope = Envelope.from_dict(json.loads(desk.write("a").read_bytes()))
    (own,) = desk.public("a")
    ours = SSlibKey(own.id, "ed25519", "ed25519", {"public": raw(desk.pem("a"))})
    envelope.verify([ours], 1)
    with pytest.raises(VerificationError):
        envelope.verify([SSlibKey(own.id, "ed25519", "ed25519", {"public": raw(desk.pem("b"))})], 1)
    statement = json_format.Parse(envelope.payload, StatementPb())
    Statement.copy_from_pb(statement).validate()
    assert statement.predicate_type == "urn:driftd:attestation:1"
    assert [(one.name, dict(one.digest)) for one in statement.subject] == [("i-1", {"sha256": "dd" * 32})]
    assert statement.predicate["verificationResult"] == "PASSED"


def raw(pem: Path) -> str:
    """The 32 bytes of a public key, in hexadecimal digits."""
    der = base64.b64decode("".join(pem.read_text().splitlines()[1:-1]))
    return der[-32:].hex()


def test_openssl_verifies_it(desk, tmp_path):
    envelope = json.loads(desk.write("a").read_bytes())
    payload = base64.b64decode(envelope["payload"])
    kind = envelope["payloadType"].encode()
    (tmp_path / "signed").write_bytes(b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload))
    (tmp_path / "sig").write_bytes(base64.b64decode(envelope["signatures"][0]["sig"]))
    for name, good in (("a", True), ("b", False)):
        words = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", os.fspath(desk.pem(name)), "-rawin"]
        done = subprocess.run(
            [*words, "-in", "signed", "-sigfile", "sig"], cwd=tmp_path, capture_output=True, check=False
        )
        assert (done.returncode == 0) is good


# --- the example of docs/attest.md -----------------------------------------------------------------------------------


def test_the_example_verifies_is_as_the_schema_says_and_is_what_driftd_writes():
    found = load_attestation(EXAMPLE / "attestation.json", [load_public(EXAMPLE / "release.pub")])
    made = found.attestation
    payload = base64.b64decode(json.loads((EXAMPLE / "attestation.json").read_bytes())["payload"])
    assert encode(made) == payload
    jsonschema.Draft202012Validator(schema()).validate(json.loads(payload))
    assert made.result is Result.PASSED
    assert refusal(made, made.seen.started + timedelta(minutes=1)) == ""
    page = (DOCS / "attest.md").read_text(encoding="utf-8")
    shown = page.partition("```json\n")[2].partition("```")[0]
    assert json.loads(shown) == json.loads(payload)
    assert decode(json.dumps(json.loads(shown)).encode()) == made


def decided(tmp: Desk, made) -> tuple[bool, list[str]]:
    """What the example's policy says of ``made``, as a real engine evaluates it."""
    found = load_attestation(tmp.write("a", made=made), tmp.public("a"))
    return asked(json.loads(attested.as_json(found, NOW + timedelta(minutes=1))))


def asked(value: object) -> tuple[bool, list[str]]:
    rego = Interpreter()
    rego.add_module("gate", (EXAMPLE / "gate.rego").read_text(encoding="utf-8"))
    rego.set_input(value)
    return answer(rego, "data.gate.allow"), sorted(answer(rego, "data.gate.deny"))


def answer(rego: Interpreter, name: str):
    return json.loads(str(rego.query(f"x = {name}")))["bindings"]["x"]


def test_a_policy_engine_decides_by_it(desk):
    fresh, seen = PASSED, PASSED.seen
    assert decided(desk, fresh) == (True, [])
    drifted = replace(fresh, verdict=Verdict.DRIFTED, reason="/etc/motd changed")
    allow, why = decided(desk, drifted)
    assert not allow
    assert why == ["drifted: /etc/motd changed", "it did not pass"]
    unread = "not all of its files could be read"
    blind = replace(fresh, seen=replace(seen, coverage=Coverage(entries=9, unreadable=2)))
    assert decided(desk, blind) == (False, [unread])
    recalled = replace(fresh, seen=replace(seen, recalled=True, coverage=None))
    assert decided(desk, recalled) == (False, ["nobody visited it: the store told of it", unread])
    old = replace(fresh, seen=replace(seen, started=NOW - timedelta(minutes=10)))
    assert decided(desk, old) == (False, ["it was not looked at within the last ten minutes"])
    excused = replace(fresh, accepted=1, acceptances=(Accepted(3, "ab", "ann", "OPS-1", NOW),))
    assert decided(desk, excused) == (False, ["ann accepted a finding: OPS-1"])
    assert len(asked({})[1]) == 5, "what is no attestation at all is refused by each rule that needs anything"
