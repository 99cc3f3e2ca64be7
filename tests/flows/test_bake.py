"""Baking: one look becomes a manifest that reads back, or one sentence."""

import pytest
from trees import file, fingerprint

from driftd.core import manifesttext
from driftd.core.digestkey import DigestKey
from driftd.core.errors import BadInput, Unavailable
from driftd.core.facts import Instance, Unseen
from driftd.flows.bake import bake

SERVER = Instance("i-1", "web", "golden-1")


class Looker:
    def __init__(self, answer):
        self.answer = answer

    def look(self, instance, *, deadline_s, key=None, ask=None, image=None):
        return self.answer

    def own_key(self, instance):
        return ""


def test_the_same_tree_gives_the_same_bytes():
    made = [bake(Looker(fingerprint([file(b"/etc/x", b"a")])), SERVER, "golden-1") for _ in range(2)]
    assert manifesttext.encode(made[0]) == manifesttext.encode(made[1])
    assert not made[0].provisional


def test_a_running_server_gives_a_provisional_manifest():
    seen = fingerprint([file(b"/etc/x")], covered=(b"/proc",))
    assert bake(Looker(seen), SERVER, "golden-1", provisional=True).provisional
    with pytest.raises(BadInput, match="must know its whole tree"):
        bake(Looker(seen), SERVER, "golden-1")
    assert bake(Looker(seen), SERVER, "golden-1", partial=True).unknown == (b"/proc",)


def test_what_could_not_be_seen_cannot_be_baked():
    with pytest.raises(Unavailable, match=r"^i-1 could not be looked at: no route$") as caught:
        bake(Looker(Unseen("no route", "look at the network")), SERVER, "golden-1")
    assert caught.value.hint == "look at the network"


def test_the_digest_key_goes_with_the_look_and_the_manifest_names_it():
    class Asked(Looker):
        def look(self, instance, *, deadline_s, key=None, ask=None, image=None):
            self.key = key
            return super().look(instance, deadline_s=deadline_s)

    key = DigestKey(b"k" * 32)
    looker = Asked(fingerprint([file(b"/etc/x", b"a")]))
    assert bake(looker, SERVER, "golden-1", key=key).key_id == key.id
    assert looker.key is key
    assert bake(looker, SERVER, "golden-1").key_id == ""
