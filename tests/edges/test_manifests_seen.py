"""What the store remembers of manifests: the newest of each image, for ever, whoever asks."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from store_rows import NOW

from driftd.core.seal import Seal, SeenManifest, rolled_back
from driftd.edges.store import open_store


@pytest.fixture
def store(tmp_path):
    opened = open_store(f"sqlite:///{tmp_path}/driftd.db")
    yield opened
    opened.close()


def seen(sequence: int, statement: str = "aa", image: str = "img") -> SeenManifest:
    return SeenManifest(image, sequence, statement, NOW + timedelta(seconds=sequence % 1000))


def test_the_newest_is_remembered(store):
    with store.write() as tx:
        assert tx.manifest_seen("img") is None
        for sequence in (3, 7, 5, 7):
            tx.see_manifest(seen(sequence, f"{sequence:02d}"))
        tx.see_manifest(seen(2**53 - 1, image="other \udcff\n"))
    with store.read() as tx:
        assert tx.manifest_seen("img") == seen(7, "07")
        assert tx.manifest_seen("other \udcff\n").sequence == 2**53 - 1


def test_it_is_never_pruned(store):
    with store.write() as tx:
        tx.see_manifest(seen(1))
        tx.prune(NOW + timedelta(days=3650))
        assert tx.manifest_seen("img") == seen(1)


@given(st.integers(1, 5), st.sampled_from("ab"), st.integers(1, 5), st.sampled_from("ab"))
def test_older_is_rolled_back_and_of_the_same_age_but_another_is_put_in_its_place(now, its, before, seens):
    said = rolled_back("img", Seal("k", now, NOW, {}, its), seen(before, seens))
    if now < before:
        assert said == f"the manifest of img is an old one: its sequence is {now}, and {before} was seen before"
    elif now == before and its != seens:
        assert "is not the one that was seen before with the same sequence" in said
    else:
        assert said == ""


def test_without_its_signature_it_is_no_newer():
    assert "is not signed, and one that was (sequence 4) was seen before" in rolled_back("img", None, seen(4))
    assert rolled_back("img", None, None) == ""
