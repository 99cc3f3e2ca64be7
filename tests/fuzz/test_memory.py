"""An answer without end, of every kind: it ends, and it has not filled the memory on the way."""

from __future__ import annotations

import itertools
import struct
import tracemalloc
import zlib
from collections.abc import Callable, Iterable

import pytest
from damage import NONCE, SECTIONS

from driftd.core.arriving import Limits
from driftd.core.facts import Unseen
from driftd.core.fingerprint import Reader
from driftd.probe import wire
from driftd.probe.wire import Entry

MEBIBYTE = 1 << 20
LIMITS = Limits(entries=5000, bytes=MEBIBYTE, rows=5000)
# What is kept takes more room in memory than on the wire: an entry or a row some hundreds of bytes.
KEPT = 16 * MEBIBYTE
ENOUGH = 64 * MEBIBYTE  # bytes on the wire by which it has to be over
HELLO = {b"nonce": NONCE, b"schema": wire.SCHEMA}


def frame(tag: bytes, payload: bytes) -> bytes:
    return struct.pack(">cI", tag, len(payload)) + payload


def message(tag: bytes, value: object) -> bytes:
    return frame(tag, wire.pack(value))


def block(number: int) -> bytes:
    entries = [Entry(b"/d%d/%d" % (number, at), b"p", 0, 0, 0, 0, b"", b"", (0, 0), ()) for at in range(200)]
    packed = wire.encode_block(b"/d%d" % number, entries)
    return struct.pack(">I", len(packed)) + packed


def squeezed(raw: bytes) -> bytes:
    return frame(wire.TREE, struct.pack(">I", len(raw)) + zlib.compress(raw))


LONG = b"/" + b"x" * 60_000
FLOODS: dict[str, Callable[[int], bytes]] = {
    "entries": lambda n: frame(wire.PLAIN, block(n)),
    "squeezed zeros": lambda n: squeezed(bytes(MEBIBYTE)),
    "squeezed empty blocks": lambda n: squeezed(bytes([0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0]) * 20_000),
    "long directories": lambda n: frame(wire.PLAIN, b"".join(long_block(at) for at in range(8))),
    "unreadable paths": lambda n: message(wire.COVERAGE, {b"unreadable": [LONG + b"%d" % n]}),
    "short paths": lambda n: message(wire.COVERAGE, {b"covered": [b"/%d/%d" % (n, at) for at in range(1000)]}),
    "reasons": lambda n: message(wire.COVERAGE, {b"reasons": {b"%d%s" % (n, b"r" * 60_000): 1}}),
    "small reasons": lambda n: message(wire.COVERAGE, {b"reasons": {b"%08d" % (n * 500 + at): 1 for at in range(500)}}),
    "links": lambda n: message(wire.LINKS, [[LONG + b"/%d" % n, LONG + b"/%da" % n]]),
    "a long first link": lambda n: message(wire.LINKS, [[b"/%d" % n + LONG, b"/%d~" % n]]),
    "facts": lambda n: message(wire.FACTS, {b"facts": [[b"k", b"%d" % n, {b"a": b"1"}]] * 500}),
    "wide facts": lambda n: message(wire.FACTS, {b"facts": [[b"k", b"%d" % n, wide(n)]] * 20}),
    "nested facts": lambda n: frame(wire.FACTS, b"d5:factsl" + b"l" + b"le" * 50_000 + b"e" + b"ee"),
    "nested sessions": lambda n: frame(wire.SESSIONS, b"d8:sessionsl" + b"d1:al" + b"de" * 50_000 + b"ee" + b"ee"),
    "nested kinds": lambda n: frame(wire.FACTS, b"d6:lookedl" + b"l" + b"le" * 50_000 + b"e" + b"ee"),
    "kinds": lambda n: message(wire.FACTS, {b"looked": [b"kind%d" % (n * 500 + at) for at in range(500)]}),
    "empty messages": lambda n: message(wire.COVERAGE, {}),
}  # fmt: skip


def wide(number: int) -> dict[bytes, bytes]:
    return {b"a%02d" % at: b"%d" % (number * 64 + at) for at in range(64)}


def long_block(at: int) -> bytes:
    directory = b"/" + b"x/" * 10_000 + b"%d" % at
    packed = wire.encode_block(
        directory, [Entry(directory + b"/%d" % n, b"p", 0, 0, 0, 0, b"", b"", (0, 0), ()) for n in range(50)]
    )
    return struct.pack(">I", len(packed)) + packed


def peak(reader: Reader, pieces: Iterable[bytes], enough: int = ENOUGH) -> tuple[int, int]:
    """Bytes of memory at most, beyond what there was, and bytes that were read until it was over."""
    tracemalloc.start()
    try:
        sent = 0
        for piece in pieces:
            reader.feed(piece)
            sent += len(piece)
            if reader.over or sent > enough:
                break
        return tracemalloc.get_traced_memory()[1], sent
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("what", FLOODS)
def test_a_flood_of_anything_ends_within_the_limits(what: str) -> None:
    reader = Reader(NONCE, SECTIONS, LIMITS)
    made = FLOODS[what]
    start = wire.MAGIC + message(wire.HELLO, HELLO)
    pieces = itertools.chain([start], (made(number) for number in itertools.count()))
    most, sent = peak(reader, pieces, ENOUGH if what != "empty messages" else 50_000)
    assert most < KEPT, f"{most // MEBIBYTE} MiB after {sent // MEBIBYTE}"
    if what != "empty messages":  # they are nothing, and time and the output's limit end them
        assert reader.over, f"still listening after {sent} bytes"
    assert isinstance(reader.finish(), Unseen)


@pytest.mark.parametrize(
    ("hello", "said"),
    [
        ({**HELLO, b"schema": [b"x" * 1000] * 1000}, "schema unknown"),
        ({**HELLO, b"schema": 10**15}, "schema 1000000000000000,"),
        ({**HELLO, b"nonce": [[]] * 100_000}, "nonce"),
        ({b"schema": b"y" * 100_000, b"nonce": NONCE}, "schema unknown"),
    ],
)
def test_a_greeting_of_any_size_makes_a_short_sentence(hello: dict[bytes, object], said: str) -> None:
    reader = Reader(NONCE, SECTIONS, LIMITS)
    most, _ = peak(reader, [wire.MAGIC + message(wire.HELLO, hello)])
    found = reader.finish()
    assert isinstance(found, Unseen)
    assert said in found.reason
    assert len(found.reason) < 200
    assert most < KEPT


def test_one_frame_takes_for_a_moment_a_known_multiple_of_its_size() -> None:
    reader = Reader(NONCE, SECTIONS, LIMITS)
    worst = frame(wire.COVERAGE, b"d1:al" + b"de" * 100_000 + b"ee")
    most, _ = peak(reader, [wire.MAGIC + message(wire.HELLO, HELLO), worst])
    assert reader.over
    assert most < 64 * len(worst)  # of a frame of 4 MiB that is 256 MiB, and they are given back at once


def test_noise_before_an_answer_is_bounded_too() -> None:
    most, sent = peak(Reader(NONCE), (b"x" * 1000 for _ in itertools.count()))
    assert sent < 2 * wire.NOISE_LIMIT
    assert most < 4 * wire.NOISE_LIMIT
