"""Manifests signed and verified on disk: whose word counts, what it covers, and that no byte of it can be another."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from google.protobuf import json_format
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from in_toto_attestation.v1.statement import Statement
from in_toto_attestation.v1.statement_pb2 import Statement as StatementPb
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey
from trees import IMAGE, NOW, baked, file

from driftd.core import dsse
from driftd.core.errors import BadInput
from driftd.core.facts import Unseen
from driftd.core.manifest import Manifest
from driftd.core.seal import NotVouchedForError
from driftd.edges.documents import (
    ManifestDirectory,
    Trust,
    add_signatures,
    load_manifest,
    load_public,
    load_signing,
    make_keys,
    read_manifest,
    sign,
    weighed,
)

MADE = replace(baked([file(b"/etc/hosts", b"a"), file(b"/usr/bin/ls", b"elf", 0o755)]), seal=None)


class Shelf:
    """A directory of manifests with one image on it, and keys."""

    def __init__(self, where: Path) -> None:
        self.where = where
        (where / "m").mkdir()
        self.files = ManifestDirectory(where / "m").files(IMAGE)
        ManifestDirectory(where / "m").put(MADE)

    def key(self, name: str):
        if not (self.where / name).exists():
            make_keys(self.where / name)
        return load_signing(self.where / name)

    def public(self, *names: str):
        return tuple(load_public(self.where / f"{name}.pub") for name in names)

    def sign(self, *names: str, **options):
        return sign(self.files, [self.key(name) for name in names], now=NOW, generator="test", **options)

    def found(self, *names: str, unsigned: bool = False) -> Manifest | Unseen:
        return ManifestDirectory(self.where / "m", lambda: Trust(self.public(*names), unsigned)).for_image(IMAGE)

    def refused(self, *names: str, unsigned: bool = False) -> str:
        found = self.found(*names, unsigned=unsigned)
        assert isinstance(found, Unseen)
        assert found.reason.isprintable()
        return found.reason


@pytest.fixture
def shelf(tmp_path) -> Shelf:
    return Shelf(tmp_path)


# --- whose word counts -----------------------------------------------------------------------------------------------


def test_signed_by_a_trusted_key(shelf):
    signed = shelf.sign("a")
    found = shelf.found("a")
    assert found == MADE
    assert found.enforceable
    assert (found.seal.key, found.seal.sequence, found.seal.signed_at) == (shelf.public("a")[0].id, 1, NOW)
    assert found.seal.subjects == signed.subjects == {"golden-1.manifest": found.seal.subjects["golden-1.manifest"]}
    assert shelf.files.envelope.name == "golden-1.manifest.dsse.json"


def test_unsigned_is_refused_unless_it_is_taken_out_loud(shelf):
    shelf.key("a")
    assert shelf.refused("a") == f"the manifest of {IMAGE} is not signed, so nothing is judged by it"
    for keys in ((), ("a",)):
        taken = shelf.found(*keys, unsigned=True)
        assert taken.seal is None
        assert not taken.enforceable


def test_signed_and_no_key_is_trusted(shelf):
    shelf.sign("a")
    assert "no key is trusted here" in shelf.refused()
    assert shelf.found(unsigned=True).seal is None


def test_signed_by_a_stranger_is_refused_always(shelf):
    shelf.sign("stranger")
    shelf.key("a")
    for unsigned in (False, True):
        assert shelf.refused("a", unsigned=unsigned).endswith(
            "golden-1.manifest.dsse.json does not vouch for its manifest: the key that signed it is not trusted here"
        )


def test_keys_rotate(shelf):
    """Both sign, then those who verify learn the new key, then the old one is no longer trusted."""
    shelf.sign("old")
    assert shelf.found("old").seal.sequence == 1
    added = add_signatures(shelf.files, [shelf.key("new")])
    assert (len(added.keys), added.sequence) == (2, 1)
    for trusted in (("old",), ("new",), ("old", "new")):
        assert shelf.found(*trusted).seal.sequence == 1
    shelf.key("other")
    assert "none of the 2 keys that signed it is trusted here" in shelf.refused("other")
    shelf.sign("new")
    assert shelf.found("new").seal.sequence == 2
    assert "not trusted here" in shelf.refused("old"), "a key that no longer signs vouches for nothing"


def test_a_signature_that_claims_a_trusted_key_and_is_not_its_own_spoils_all(shelf):
    shelf.sign("a", "b")
    envelope = dsse.decode(shelf.files.envelope.read_bytes())
    own = shelf.public("a")[0].id
    forged = tuple(replace(one, signature=bytes(64)) if one.key == own else one for one in envelope.signatures)
    shelf.files.envelope.write_bytes(dsse.encode(replace(envelope, signatures=forged)))
    assert f"its signature by {own[:16]} is not that key's" in shelf.refused("a", "b")
    assert shelf.found("b").seal is not None, "whoever does not trust that key does not care"


def test_a_signature_cannot_be_carried_to_another_key_payload_or_image(shelf, tmp_path):
    shelf.sign("a", "b")
    envelope = dsse.decode(shelf.files.envelope.read_bytes())
    swapped = tuple(
        replace(one, signature=other.signature)
        for one, other in zip(envelope.signatures, envelope.signatures[::-1], strict=True)
    )
    shelf.files.envelope.write_bytes(dsse.encode(replace(envelope, signatures=swapped)))
    assert "is not that key's" in shelf.refused("a", "b")
    shelf.files.envelope.write_bytes(dsse.encode(replace(envelope, payload=envelope.payload + b" ")))
    assert "is not that key's" in shelf.refused("a", "b")


def test_the_envelope_of_another_image_vouches_for_nothing(shelf):
    other = ManifestDirectory(shelf.where / "m")
    other.put(replace(MADE, image="golden-2"))
    sign(other.files("golden-2"), [shelf.key("a")], now=NOW, generator="test")
    shelf.files.envelope.write_bytes(other.files("golden-2").envelope.read_bytes())
    assert shelf.refused("a").endswith("it was signed for golden-2 and not for golden-1")


# --- what it covers --------------------------------------------------------------------------------------------------


def test_everything_beside_the_manifest_is_covered(shelf):
    shelf.files.overlay.write_bytes(b"overlay")
    shelf.files.sidecar.write_bytes(b"sidecar")
    signed = shelf.sign("a")
    assert sorted(signed.subjects) == ["golden-1.manifest", "golden-1.overlay.yaml", "golden-1.sidecar"]
    assert shelf.found("a").seal.uncovered("golden-1.overlay.yaml", b"overlay") == ""
    assert shelf.found("a").seal.uncovered("golden-1.overlay.yaml", b"overlaz") == "it is not what was signed"
    assert shelf.found("a").seal.uncovered("golden-1.other", b"") == "it is not covered by the signature"
    for one in (shelf.files.overlay, shelf.files.sidecar):
        kept = one.read_bytes()
        one.write_bytes(b"other")
        assert shelf.refused("a").endswith(f"{one.name} is not what was signed")
        one.write_bytes(kept)
    assert shelf.found("a").seal


def test_what_came_beside_it_after_it_was_signed_is_refused(shelf):
    shelf.sign("a")
    shelf.files.overlay.write_bytes(b"lets everything pass")
    assert shelf.refused("a").endswith("golden-1.overlay.yaml is there, too, and was not signed with it")
    shelf.files.overlay.unlink()
    shelf.files.sidecar.mkdir()
    assert "golden-1.sidecar: cannot be read" in shelf.refused("a")


def test_an_overlay_that_was_signed_may_not_go_and_a_sidecar_may_stay_behind(shelf):
    shelf.files.overlay.write_bytes(b"overlay")
    shelf.files.sidecar.write_bytes(b"sidecar")
    shelf.sign("a")
    shelf.files.sidecar.unlink()
    assert shelf.found("a").seal
    shelf.files.overlay.unlink()
    assert shelf.refused("a").endswith("golden-1.overlay.yaml was signed and is not there")


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Shelf:
    """Everything there is, signed once."""
    made = Shelf(tmp_path_factory.mktemp("whole"))
    made.files.overlay.write_bytes(b"schema: driftd.policy/1\n")
    made.files.sidecar.write_bytes(b"sidecar\n")
    made.sign("a")
    assert made.found("a").seal
    return made


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_byte_of_anything_can_be_another(whole, data):
    one = data.draw(st.sampled_from(whole.files.all))
    kept = one.read_bytes()
    at = data.draw(st.integers(0, len(kept) - 1))
    damaged = data.draw(
        st.one_of(
            st.integers(1, 255).map(lambda by: kept[:at] + bytes([kept[at] ^ by]) + kept[at + 1 :]),
            st.just(kept[:at] + kept[at + 1 :]),
            st.just(kept[:at]),
            st.binary(min_size=1, max_size=3).map(lambda more: kept[:at] + more + kept[at:]).filter(kept.__ne__),
        )
    )
    try:
        one.write_bytes(damaged)
        for unsigned in (False, True):
            assert whole.refused("a", unsigned=unsigned)
    finally:
        one.write_bytes(kept)


def test_every_single_byte_of_an_envelope_counts(whole):
    text, made = read_manifest(whole.files.manifest)
    kept, trust = whole.files.envelope.read_bytes(), Trust(whole.public("a"))
    try:
        for at in range(len(kept)):
            whole.files.envelope.write_bytes(kept[:at] + bytes([kept[at] ^ 1]) + kept[at + 1 :])
            with pytest.raises(NotVouchedForError):
                weighed(whole.files.manifest, text, made, trust)
    finally:
        whole.files.envelope.write_bytes(kept)
    assert weighed(whole.files.manifest, text, made, trust).seal


def test_it_is_verified_once_for_as_long_as_the_files_stay(shelf, monkeypatch):
    shelf.sign("a")
    keys = shelf.public("a")
    directory = ManifestDirectory(shelf.where / "m", lambda: Trust(keys))
    first = directory.for_image(IMAGE)
    monkeypatch.setattr("driftd.edges.documents.manifests.verify", None)
    assert directory.for_image(IMAGE) is first
    monkeypatch.undo()
    shelf.sign("a")
    assert directory.for_image(IMAGE).seal.sequence == 2
    shelf.files.overlay.write_bytes(b"new")
    assert isinstance(directory.for_image(IMAGE), Unseen)


# --- sequences -------------------------------------------------------------------------------------------------------


def test_a_sequence_counts_up_and_never_down(shelf):
    assert [shelf.sign("a").sequence for _ in range(3)] == [1, 2, 3]
    assert shelf.sign("a", sequence=10).sequence == 10
    with pytest.raises(BadInput, match="has the sequence 10 already, so 10 would be taken for an old one"):
        shelf.sign("a", sequence=10)
    assert shelf.sign("b").sequence == 11


def test_another_signature_is_not_put_to_what_was_not_signed(shelf):
    shelf.sign("a")
    shelf.files.overlay.write_bytes(b"new")
    with pytest.raises(BadInput, match="is about other files than those beside it"):
        add_signatures(shelf.files, [shelf.key("b")])


def test_a_provisional_manifest_stays_so_until_its_signer_vouches_for_the_server(shelf):
    ManifestDirectory(shelf.where / "m").put(replace(MADE, provisional=True))
    shelf.sign("a")
    assert (shelf.found("a").doubtful, shelf.found("a").enforceable) == (True, False)
    shelf.sign("a", vouched=True)
    assert (shelf.found("a").doubtful, shelf.found("a").enforceable) == (False, True)


# --- hostile envelopes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"", b"[" * 100_000, b" " * 2_000_000, b"\xff", b"{}", b"null"])
def test_a_hostile_envelope_is_one_sentence(shelf, data):
    shelf.key("a")
    shelf.files.envelope.write_bytes(data)
    for unsigned in (False, True):
        assert "golden-1.manifest.dsse.json does not vouch for its manifest: " in shelf.refused("a", unsigned=unsigned)


def test_an_envelope_that_is_no_file_keeps_nobody_waiting(shelf):
    shelf.key("a")
    os.mkfifo(shelf.files.envelope)
    assert "it is no regular file" in shelf.refused("a")


def test_a_manifest_named_by_hand_verifies_wherever_it_lies(shelf, tmp_path):
    shelf.sign("a")
    copy = tmp_path / "any name"
    copy.write_bytes(shelf.files.manifest.read_bytes())
    (tmp_path / "any name.manifest.dsse.json").write_bytes(shelf.files.envelope.read_bytes())
    assert load_manifest(copy, Trust(shelf.public("a"))).seal
    shelf.key("b")
    with pytest.raises(NotVouchedForError):
        load_manifest(copy, Trust(shelf.public("b")))
    assert load_manifest(copy).seal is None


# --- by somebody else's tools ----------------------------------------------------------------------------------------


def theirs(shelf: Shelf, name: str) -> SSlibKey:
    pem = (shelf.where / f"{name}.pub").read_text()
    return SSlibKey(shelf.public(name)[0].id, "ed25519", "ed25519", {"public": hex_of(pem)})


def hex_of(pem: str) -> str:
    """The 32 bytes of the key, by openssl."""
    der = subprocess.run(
        ["openssl", "pkey", "-pubin", "-outform", "DER"], input=pem.encode(), capture_output=True, check=True
    ).stdout
    return der[-32:].hex()


def test_securesystemslib_verifies_the_envelope(shelf):
    shelf.sign("a", "b")
    envelope = Envelope.from_dict(json.loads(shelf.files.envelope.read_bytes()))
    assert envelope.payload_type == "application/vnd.in-toto+json"
    assert len(envelope.verify([theirs(shelf, "a"), theirs(shelf, "b")], threshold=2)) == 2
    shelf.key("c")
    with pytest.raises(VerificationError):
        envelope.verify([theirs(shelf, "c")], threshold=1)
    envelope.payload += b" "
    with pytest.raises(VerificationError):
        envelope.verify([theirs(shelf, "a")], threshold=1)


def test_in_toto_validates_the_statement(shelf):
    shelf.files.overlay.write_bytes(b"overlay")
    shelf.sign("a")
    payload = dsse.decode(shelf.files.envelope.read_bytes()).payload
    found = Statement.copy_from_pb(json_format.Parse(payload, StatementPb()))
    found.validate()
    assert [subject.name for subject in found.pb.subject] == ["golden-1.manifest", "golden-1.overlay.yaml"]
    digest = subprocess.run(["sha256sum", shelf.files.manifest], capture_output=True, text=True, check=True).stdout
    assert found.pb.subject[0].digest["sha256"] == digest.split()[0]


def test_openssl_agrees_about_the_key_and_the_signature(shelf, tmp_path):
    shelf.sign("a")
    envelope = dsse.decode(shelf.files.envelope.read_bytes())
    (tmp_path / "signed").write_bytes(dsse.pae(envelope.payload))
    (tmp_path / "sig").write_bytes(envelope.signatures[0].signature)
    words = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", shelf.where / "a.pub", "-rawin"]
    words += ["-in", tmp_path / "signed", "-sigfile", tmp_path / "sig"]
    verified = subprocess.run(words, capture_output=True, text=True, check=False)
    assert verified.stdout.strip() == "Signature Verified Successfully", verified.stderr
    der = subprocess.run(
        ["openssl", "pkey", "-pubin", "-in", shelf.where / "a.pub", "-outform", "DER"], capture_output=True, check=True
    ).stdout
    summed = subprocess.run(["sha256sum"], input=der, capture_output=True, check=True).stdout
    assert envelope.keys == (summed.split()[0].decode(),)
