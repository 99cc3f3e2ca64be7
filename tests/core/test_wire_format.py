from __future__ import annotations

import contextlib
import hashlib
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.probe import wire
from driftd.probe.wire import Entry, WireError

values = st.recursive(
    st.integers(-(10**18), 10**18) | st.binary(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.binary(max_size=5), inner, max_size=4),
    max_leaves=12,
)
names = st.binary(min_size=1, max_size=20).filter(lambda n: not {0, 47} & set(n) and n not in (b".", b".."))
xattrs = st.dictionaries(st.binary(max_size=8), st.binary(max_size=8), max_size=3).map(
    lambda d: tuple(sorted(d.items()))
)
words = st.integers(0, 2**32 - 1)


@st.composite
def entries(draw: st.DrawFn, directory: bytes = b"/d") -> Entry:
    kind = draw(st.sampled_from(wire.KINDS))
    file, device = kind == wire.FILE, kind in (wire.CHAR, wire.BLOCK)
    return Entry(
        wire.join(directory, draw(names)),
        kind,
        draw(st.integers(0, 0o7777)),
        draw(words),
        draw(words),
        draw(st.integers(0, 2**64 - 1)) if file else 0,
        draw(st.sampled_from([b"", bytes(32), b"\xff" * 32])) if file else b"",
        draw(st.binary(max_size=20)) if kind == wire.LINK else b"",
        (draw(words), draw(words)) if device else (0, 0),
        draw(xattrs),
        draw(st.integers(0, wire.FLAGS)) if kind in (wire.FILE, wire.DIRECTORY) else 0,
    )


@given(values)
def test_a_message_comes_back_as_it_was(value: object) -> None:
    assert wire.unpack(wire.pack(value)) == value


@given(st.binary(max_size=60))
def test_one_value_has_one_encoding(data: bytes) -> None:
    try:
        value = wire.unpack(data)
    except WireError:
        return
    assert wire.pack(value) == data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"i1",
        b"ie",
        b"i01e",
        b"i-0e",
        b"i+1e",
        b"i1e2",
        b"3:ab",
        b"03:abc",
        b"l",
        b"d",
        b"di1ei2ee",
        b"d1:bi1e1:ai1ee",
        b"d1:ai1e1:ai1ee",
        b"x",
        b"99999999999:a",
        b"i" + b"9" * 21 + b"e",
        b"l" * 40 + b"e" * 40,
        b"d1:a",
    ],
)
def test_what_no_encoder_writes_is_refused(data: bytes) -> None:
    with pytest.raises(WireError):
        wire.unpack(data)


def test_only_its_own_kinds_are_encoded() -> None:
    for value in (True, None, "text", 1.5, {"text": 1}):
        with pytest.raises(TypeError):
            wire.pack(value)


@given(st.lists(entries(), max_size=8, unique_by=lambda e: e.path))
def test_a_block_comes_back_sorted(rows: list[Entry]) -> None:
    assert wire.decode_block(wire.encode_block(b"/d", rows)) == (b"/d", sorted(rows))


@given(st.lists(entries(), min_size=1, max_size=4, unique_by=lambda e: e.path), st.data())
def test_a_damaged_block_is_refused_or_is_another_block(rows: list[Entry], data: st.DataObject) -> None:
    block = bytearray(wire.encode_block(b"/d", rows))
    if data.draw(st.booleans()):
        del block[data.draw(st.integers(0, len(block) - 1)) :]
    else:
        block[data.draw(st.integers(0, len(block) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        directory, found = wire.decode_block(bytes(block))
    except WireError:
        return
    assert wire.encode_block(directory, found) == bytes(block)


def block_of(*named: bytes, directory: bytes = b"/d") -> bytes:
    body = wire.encode_body(Entry(b"/x", b"p", 0, 0, 0, 0, b"", b"", (0, 0), ()))
    head = len(directory).to_bytes(4, "big") + directory + len(named).to_bytes(4, "big")
    return head + b"".join(len(name).to_bytes(2, "big") + name + body for name in named)


@pytest.mark.parametrize("name", [b"", b".", b"..", b"a/b", b"a\0b"])
def test_names_that_cannot_stand_in_a_directory_are_refused(name: bytes) -> None:
    with pytest.raises(WireError):
        wire.decode_block(block_of(name))


@pytest.mark.parametrize("directory", [b"d", b"'d", b"/d/", b"//", b".", b"\0"])
def test_a_directory_is_named_in_one_way(directory: bytes) -> None:
    with pytest.raises(WireError, match="no such path"):
        wire.decode_block(block_of(b"x", directory=directory))


def test_an_attribute_stands_once() -> None:
    twice = ((b"user.a", b"1"), (b"user.a", b"2"))
    block = wire.encode_block(b"/d", [Entry(b"/d/x", b"f", 0, 0, 0, 0, b"", b"", (0, 0), twice)])
    with pytest.raises(WireError, match="twice"):
        wire.decode_block(block)


def test_blocks_larger_than_a_probe_writes_are_refused() -> None:
    with pytest.raises(WireError, match="larger"):
        wire.decode_block(block_of(directory=b"/" + b"d" * wire.PATH_LIMIT))
    many = [b"%05d" % number for number in range(wire.BLOCK_ENTRIES + 1)]
    with pytest.raises(WireError, match="larger"):
        wire.decode_block(block_of(*many))
    assert len(wire.decode_block(block_of(*many[:-1]))[1]) == wire.BLOCK_ENTRIES


def test_only_the_root_stands_outside_a_directory() -> None:
    assert wire.decode_block(block_of(b"/", directory=b""))[1][0].path == b"/"
    with pytest.raises(WireError):
        wire.decode_block(block_of(b"x", directory=b""))


def test_a_tree_frame_never_inflates_past_what_it_says() -> None:
    bomb = zlib.compress(bytes(50_000_000))
    for size in (10, wire.RAW_LIMIT, wire.RAW_LIMIT + 1):
        with pytest.raises(WireError):
            list(wire.blocks(size.to_bytes(4, "big") + bomb))
    for payload in (b"", b"\0\0", b"\0\0\0\x05hello", b"\0\0\0\x05" + zlib.compress(b"\0\0\0\x09x")):
        with pytest.raises(WireError):
            list(wire.blocks(payload))


def stream() -> bytes:
    encoder = wire.Encoder()
    parts = [encoder.start(), encoder.message(b"H", {b"a": 1}), encoder.block(block_of(b"x")), encoder.flush()]
    return b"".join(parts) + encoder.finish({b"entries": 1})


@given(st.lists(st.integers(1, 50), min_size=1, max_size=30))
def test_a_stream_may_come_in_any_pieces(cuts: list[int]) -> None:
    data, decoder, frames = b"Welcome!\r\n" + stream(), wire.Decoder(), []
    for cut in cuts:
        frames += list(decoder.feed(data[:cut]))
        data = data[cut:]
    frames += list(decoder.feed(data))
    assert [frame.tag for frame in frames] == [b"H", b"T"]
    assert decoder.finished
    assert (decoder.noise, decoder.counts[b"entries"]) == (b"Welcome!\r\n", 1)


@given(st.integers(len(wire.MAGIC), len(stream()) - 1), st.integers(1, 255))
def test_any_flipped_byte_is_noticed(at: int, flip: int) -> None:
    data = bytearray(stream())
    data[at] ^= flip
    decoder = wire.Decoder()
    with contextlib.suppress(WireError):
        list(decoder.feed(bytes(data)))
    assert not decoder.finished


def test_endless_noise_is_not_listened_to() -> None:
    decoder = wire.Decoder()
    for _ in range(wire.NOISE_LIMIT // 2000):
        assert list(decoder.feed(b"y\n" * 1000)) == []
    with pytest.raises(WireError, match="no answer"):
        list(decoder.feed(b"y\n" * 1000))


def test_the_test_vectors_of_the_document() -> None:
    """docs/wire.md prints these; both have to change together, with the schema."""
    file = Entry(b"/f", b"f", 0o644, 0, 0, 2, hashlib.sha256(b"hi").digest(), b"", (0, 0), ((b"user.a", b"1"),), 1)
    link = Entry(b"/l", b"l", 0o777, 1000, 100, 0, b"", b"f", (0, 0), ())
    assert wire.encode_body(file).hex() == (
        "6601a40000000000000000010000000000000002208f434346648f6b96df89dda901c5176b10a6d83961dd3c1ac88b59b2dc327aa4"
        "00010006757365722e610000000131"
    )
    assert wire.encode_body(link).hex() == "6c01ff000003e8000000640000000001660000"
