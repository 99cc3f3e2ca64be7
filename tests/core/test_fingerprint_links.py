"""Hard links, flags and plain frames as an instance may tell them, truly or not."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.core import merkle
from driftd.core.arriving import Limits
from driftd.core.facts import Unseen
from driftd.core.fingerprint import Fingerprint, Reader
from driftd.probe import wire
from driftd.probe.wire import Entry

NONCE = b"n" * 16


def entry(path: bytes, kind: bytes = b"f", flags: int = 0) -> Entry:
    digest = hashlib.sha256(b"").digest() if kind == b"f" else b""
    return Entry(path, kind, 0o755, 0, 0, 0, digest, b"", (0, 0), (), flags)


BLOCKS = [
    wire.encode_block(b"", [entry(b"/", b"d")]),
    wire.encode_block(b"/", [entry(b"/a", b"d", 2), *(entry(b"/" + name) for name in (b"b", b"c", b"d", b"e"))]),
    wire.encode_block(b"/a", [entry(b"/a/p", b"p"), entry(b"/a/x", flags=3)]),
]
COUNTS = {b"entries": 8, b"links": 0, b"bytes_hashed": 0, b"unreadable": 0, b"covered": 0, b"mounted": 0}


def read(links: Iterable[object] = (), count: int = 0, *, plain: bool = False, **more: object) -> Fingerprint | Unseen:
    encoder = wire.Encoder()
    data = encoder.start() + encoder.message(wire.HELLO, {b"nonce": NONCE, b"schema": wire.SCHEMA})
    if plain:
        data += encoder.frame(wire.PLAIN, b"".join(len(one).to_bytes(4, "big") + one for one in BLOCKS))
    else:
        data += b"".join(encoder.block(one) for one in BLOCKS) + encoder.flush()
    data += b"".join(encoder.message(wire.LINKS, piece) for piece in links)
    reader = Reader(NONCE, (), **more)  # type: ignore[arg-type]  # passed on
    reader.feed(data + encoder.finish({**COUNTS, b"links": count}))
    return reader.finish()


def test_each_link_knows_the_smallest_of_its_group() -> None:
    found = read([[[b"/a/x", b"/b", b"/e"]], [[b"/c", b"/d"]]], 5)
    assert isinstance(found, Fingerprint)
    same = {one.path: one.same for one in found.entries if one.same}
    assert same == {b"/a/x": b"/a/x", b"/b": b"/a/x", b"/e": b"/a/x", b"/c": b"/c", b"/d": b"/c"}
    assert found.root == merkle.root(found.entries)
    assert {one.path: one.flags for one in found.entries if one.flags} == {b"/a": 2, b"/a/x": 3}


def test_a_group_in_several_pieces_is_one_group() -> None:
    whole = read([[[b"/a/x", b"/b", b"/c", b"/e"]]], 4)
    pieces = read([[[b"/a/x", b"/b"]], [[b"/a/x", b"/c", b"/e"]]], 4)
    assert isinstance(whole, Fingerprint)
    assert whole == pieces
    assert whole.root != getattr(read(), "root", None)


def test_plain_frames_say_the_same_as_compressed_ones() -> None:
    assert isinstance(read(), Fingerprint)
    assert read(plain=True) == read()


@pytest.mark.parametrize(
    ("links", "count", "said"),
    [
        ([[[b"/b", b"/c"]]], 0, "2 links came and 0 were announced"),
        ([], 2, "0 links came and 2 were announced"),
        ([[[b"/b", b"/z"]]], 2, "paths that did not come"),
        ([[[b"/a", b"/b"]]], 2, "a directory has hard links"),
        ([[[b"/", b"/b"]]], 2, "a directory has hard links"),
        ([[[b"/b"]]], 1, "a group of hard links is none"),
        ([[[]]], 0, "a group of hard links is none"),
        ([[b"/b"]], 1, "a group of hard links is none"),
        ([{b"/b": b"/c"}], 2, "no list"),
        ([[[b"/b", b"/b"]]], 1, "twice"),
        ([[[b"/b", b"/c", b"/c"]]], 2, "twice"),
        ([[[b"/c", b"/b"]]], 2, "in a wrong place"),
        ([[[b"/b", b"/d", b"/c"]]], 3, "in a wrong place"),
        ([[[b"/b", b"/c"], [b"/b", b"/c"]]], 2, "twice"),
        ([[[b"/b", b"/c"], [b"/c", b"/d"]]], 3, "in two groups"),
        ([[[b"/b", b"/d"], [b"/c", b"/d"]]], 3, "twice"),
        ([[[b"b", b"c"]]], 2, "a path is not one"),
        ([[[b"/b", 3]]], 2, "a path is not one"),
        ([[[b"/b", b"/" + b"c" * 70000]]], 2, "a path is not one, or too long"),
    ],
)
def test_what_is_no_group_is_unseen(links: list[object], count: int, said: str) -> None:
    found = read(links, count)
    assert isinstance(found, Unseen)
    assert re.search(said, found.reason)


def test_more_links_than_there_may_be_entries_are_unseen() -> None:
    many = [b"/%06d" % number for number in range(30)]
    found = read([[many]], 30, limits=Limits(entries=20))
    assert isinstance(found, Unseen)
    assert "more hard links" in found.reason
    long = [b"/" + bytes([65 + number]) * 2000 for number in range(20)]
    found = read([[long]], 20, limits=Limits(bytes=20_000))
    assert isinstance(found, Unseen)
    assert "more than 20000 bytes" in found.reason


paths = st.sampled_from([b"/", b"/a", b"/a/x", b"/a/p", b"/b", b"/c", b"/d", b"/e", b"/z", b"", b"x"])
anything = st.recursive(paths | st.integers(0, 3), lambda inner: st.lists(inner, max_size=4), max_leaves=12)


@given(st.lists(anything, max_size=3), st.integers(0, 8))
def test_whatever_the_links_say_nothing_raises(links: list[object], count: int) -> None:
    found = read(links, count)
    assert isinstance(found, Fingerprint | Unseen)
    if isinstance(found, Fingerprint):
        assert sum(bool(one.same) for one in found.entries) == count


@pytest.mark.parametrize("kind", [b"l", b"c", b"b", b"p", b"s"])
def test_flags_on_what_cannot_have_any_are_refused(kind: bytes) -> None:
    block = bytearray(wire.encode_block(b"/d", [entry(b"/d/x", kind)]))
    at = block.index(kind + b"\x01\xed") + 11
    assert wire.decode_block(bytes(block))[1][0].flags == 0
    block[at] = 1
    with pytest.raises(wire.WireError, match="flags"):
        wire.decode_block(bytes(block))


@pytest.mark.parametrize("flags", [4, 0x10, 0x80, 0xFF])
def test_flags_of_no_known_meaning_are_refused(flags: int) -> None:
    with pytest.raises(wire.WireError, match="flags"):
        wire.decode_block(wire.encode_block(b"/d", [entry(b"/d/x", flags=flags)]))


@pytest.mark.parametrize("payload", [b"\0", b"\0\0\0\x05hell", b"\0\0\0\x00\0\0\0\x09x"])
def test_plain_frames_that_are_cut_are_refused(payload: bytes) -> None:
    with pytest.raises(wire.WireError):
        [wire.decode_block(block) for block in wire.plain_blocks(payload)]
