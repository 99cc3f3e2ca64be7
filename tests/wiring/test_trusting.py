"""Whose manifests count by a configuration, and a manifest that was rolled back, through a real store."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from trees import IMAGE, baked, file

from driftd.core import manifesttext
from driftd.core.errors import BadInput
from driftd.core.facts import Unseen
from driftd.core.manifest import Manifest
from driftd.edges.store import open_store
from driftd.settings import load
from driftd.wiring.trust import Remembered, Trusting

MADE = replace(baked([file(b"/etc/hosts", b"a")]), seal=None)
OTHER = replace(baked([file(b"/etc/hosts", b"b")]), seal=None)


class Place:
    """A configuration, its manifests, its keys and its store."""

    def __init__(self, where: Path, trust: str) -> None:
        self.where = where
        (where / "driftd.yaml").write_text(f"trust: {trust}\n")
        (where / "manifests").mkdir()
        self.trusting = Trusting(load(where / "driftd.yaml"), lambda: datetime.now(UTC))
        self.manifest = self.trusting.manifests.path_for(IMAGE)
        self.store = open_store(f"sqlite:///{where}/driftd.db")
        for name in ("a", "b"):
            self.trusting.keygen(where / name)

    def put(self, made: Manifest, *keys: str, sequence: int = 0) -> bytes:
        """Write it and sign it; the envelope's text."""
        self.manifest.write_bytes(manifesttext.encode(made))
        if not keys:
            return b""
        signed = self.trusting.sign(self.manifest, [self.where / key for key in keys], sequence=sequence)
        return signed.file.read_bytes()

    def found(self) -> Manifest | Unseen:
        """As a daemon would that starts now."""
        fresh = Trusting(load(self.where / "driftd.yaml"), lambda: datetime.now(UTC))
        return Remembered(fresh.manifests, self.store, lambda: datetime.now(UTC)).for_image(IMAGE)

    @property
    def envelope(self) -> Path:
        return self.manifest.with_name(self.manifest.name + ".dsse.json")


@pytest.fixture
def place(tmp_path):
    made = []

    def at(trust: str = "{manifest_keys: [a.pub]}") -> Place:
        made.append(Place(tmp_path, trust))
        return made[-1]

    yield at
    for one in made:
        one.store.close()


def refused(found: Manifest | Unseen) -> str:
    assert isinstance(found, Unseen)
    assert found.hint
    return found.reason


def test_an_older_manifest_is_refused_though_it_is_rightly_signed(place):
    here = place()
    old = (here.put(MADE, "a"), here.manifest.read_bytes())
    assert here.found().seal.sequence == 1
    here.put(OTHER, "a")
    assert here.found().seal.sequence == 2
    here.envelope.write_bytes(old[0])
    here.manifest.write_bytes(old[1])
    said = f"the manifest of {IMAGE} is an old one: its sequence is 1, and 2 was seen before"
    assert refused(here.found()) == said
    assert refused(here.found()) == said, "and stays so"
    here.put(MADE, "a", sequence=3)
    assert here.found().seal.sequence == 3


def test_another_one_of_the_same_sequence_is_refused(place):
    here = place()
    here.put(MADE, "a")
    assert here.found().seal
    here.envelope.unlink()
    here.put(OTHER, "a")
    assert "is not the one that was seen before with the same sequence, 1" in refused(here.found())


def test_one_that_was_signed_before_and_is_not_any_more_is_refused_even_where_unsigned_ones_are_looked_by(place):
    here = place("{manifest_keys: [a.pub], unsigned: look}")
    here.put(MADE)
    assert here.found().seal is None
    here.put(MADE, "a")
    assert here.found().seal
    here.envelope.unlink()
    assert "is not signed, and one that was (sequence 1) was seen before" in refused(here.found())


def test_a_key_that_is_revoked_no_longer_counts(place):
    here = place("{manifest_keys: [a.pub, b.pub]}")
    here.put(MADE, "a")
    assert here.found().seal
    (here.where / "driftd.yaml").write_text("trust: {manifest_keys: [b.pub]}\n")
    assert "not trusted here" in refused(here.found())
    here.trusting.sign(here.manifest, [here.where / "b"], add=True)
    assert here.found().seal.sequence == 1


@pytest.mark.parametrize(
    ("trust", "signed", "said"),
    [
        ("{}", False, "is not signed"),
        ("{}", True, "no key is trusted here"),
        ("{manifest_keys: [a.pub]}", False, "is not signed"),
    ],
)
def test_what_nobody_vouches_for_is_refused_by_default(place, trust, signed, said):
    here = place(trust)
    here.put(MADE, *(["a"] if signed else []))
    assert said in refused(here.found())


def test_a_daemon_says_at_its_start_whose_manifests_count(tmp_path):
    said = {}
    for number, trust in enumerate(("{}", "{unsigned: look}", "{manifest_keys: [a.pub]}")):
        where = tmp_path / str(number)
        where.mkdir()
        here = Place(where, trust)
        here.store.close()
        said[trust] = here.trusting.warnings()
    assert said["{}"] == ["no key is trusted (trust.manifest_keys is empty), so every instance will be unknown"]
    assert "trust.unsigned is look" in said["{unsigned: look}"][0]
    assert said["{manifest_keys: [a.pub]}"] == []


def test_a_key_that_cannot_be_read_is_said_at_once(tmp_path):
    (tmp_path / "driftd.yaml").write_text("trust: {manifest_keys: [gone.pub]}\n")
    with pytest.raises(BadInput, match=r"gone\.pub: the key cannot be read"):
        Trusting(load(tmp_path / "driftd.yaml"), lambda: datetime.now(UTC)).warnings()


def test_a_manifest_named_by_hand_must_verify_where_there_is_a_key_and_need_not_be_signed_without(place, tmp_path):
    here = place()
    here.put(MADE)
    with pytest.raises(BadInput, match="is not signed"):
        here.trusting.given(here.manifest)
    (tmp_path / "driftd.yaml").write_text("{}\n")
    unconfigured = Trusting(load(tmp_path / "driftd.yaml"), lambda: datetime.now(UTC))
    assert unconfigured.given(here.manifest).seal is None
    with pytest.raises(BadInput, match="is not signed"):
        unconfigured.given(here.manifest, [tmp_path / "a.pub"])
    here.put(MADE, "b")
    assert unconfigured.given(here.manifest).seal is None
    assert unconfigured.given(here.manifest, [tmp_path / "b.pub"]).seal
    with pytest.raises(BadInput, match="not trusted here"):
        unconfigured.given(here.manifest, [tmp_path / "a.pub"])


@pytest.mark.parametrize("wrong", ["unsigned: always", "keys: [x]", "manifest_keys: x"])
def test_settings_that_are_wrong_are_refused_with_their_line(tmp_path, wrong):
    (tmp_path / "driftd.yaml").write_text(f"trust:\n  {wrong}\n")
    with pytest.raises(BadInput, match=r"driftd\.yaml:2"):
        load(tmp_path / "driftd.yaml")
