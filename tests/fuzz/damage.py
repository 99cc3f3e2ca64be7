"""Valid answers, and everything that can be done to them: by chance, or by an instance that knows the format.

Everything follows from a ``random.Random``, so that a seed is a case. Half of the damage is done to the bytes, as a bad
line would; the other half to what they mean, sealed again with counts and a digest that are right, so that it reaches
the layers below.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from random import Random
from typing import Any, NamedTuple

from driftd.probe import wire
from driftd.probe.wire import Entry

NONCE = b"fuzzing-the-wire"
SECTIONS = wire.SECTIONS
Frames = list[tuple[bytes, bytes]]
Counts = dict[bytes, int]


class Case(NamedTuple):
    """``sealed``: the digest is right, so that only the meaning can show the damage."""

    stream: bytes
    sealed: bool


# --- valid answers ---------------------------------------------------------------------------------------------------


def entry(path: bytes, kind: bytes = wire.FILE, **more: Any) -> Entry:
    digest = hashlib.sha256(path).digest() if kind == wire.FILE else b""
    return Entry(path, kind, 0o644, 0, 0, 7 if digest else 0, digest, b"", (0, 0), ())._replace(**more)


def tree(number: int) -> list[tuple[bytes, list[Entry]]]:
    """Blocks of a small tree that has one of everything; each number another one."""
    own, device = b"own-%d" % number, entry(b"/a/null", wire.CHAR, rdev=(1, number))
    attributes = ((b"security.capability", b"\1\0"), (b"user.n", own))
    return [
        (b"", [entry(b"/", wire.DIRECTORY)]),
        (b"/", [entry(b"/a", wire.DIRECTORY, flags=1), entry(b"/a-b"), entry(b"/" + own), entry(b"/z\n\xff")]),
        (b"/a", [entry(b"/a/hard"), entry(b"/a/link", wire.LINK, target=own), device]),
        (b"/a", [entry(b"/a/x", xattrs=attributes), entry(b"/a/y", sha256=b"")]),
    ]


SESSION = {
    b"door": b"ssh", b"user": b"r\xff", b"source": b"10.0.0.1", b"port": 22, b"key": b"SHA256:x", b"key_id": b"",
    b"started": 1762349000, b"ended": 0, b"tty": b"", b"pid": 7, b"live": 1, b"ancestor": 1, b"evidence": b"log",
    b"kind": b"command", b"number": 18,
}  # fmt: skip


CLUE = {
    b"source": b"sweep", b"door": b"exec", b"user": b"r\xff", b"peer": b"", b"port": 0, b"tty": b"pts/1", b"pid": 9,
    b"number": 18, b"started": 1762349000, b"ended": 0, b"live": 1, b"note": b"sh",
}  # fmt: skip


def answer(number: int) -> tuple[Frames, Counts]:
    """The frames between the beginning and the trailer, and the trailer's counts."""
    encoder = wire.Encoder()
    facts = [
        [b"package", b"bash:amd64", {b"version": b"5.%d" % number, b"source": b"dpkg"}],
        [b"account", b"root", {b"uid": b"0", b"password": b"locked"}],
    ]
    hello = {b"nonce": NONCE, b"schema": wire.SCHEMA, b"clock": 1, b"uid": 0, b"python": b"3.6.9", b"live": 1}
    hello |= {b"boot_id": b"boot/1", b"booted_at": 1762340000}
    data = [
        encoder.start(),
        encoder.message(wire.HELLO, hello),
    ]
    blocks = [wire.encode_block(directory, entries) for directory, entries in tree(number)]
    data += [encoder.block(block) for block in blocks[:3]]
    data.append(encoder.flush())
    data.append(encoder.frame(wire.PLAIN, struct.pack(">I", len(blocks[3])) + blocks[3]))
    data += [
        encoder.message(wire.LINKS, [[b"/a-b", b"/a/hard"]]),
        encoder.message(wire.FACTS, {b"facts": facts, b"looked": [b"account", b"group", b"package"]}),
        encoder.message(wire.FACTS, {b"kept": [[b"group", b"not permitted", b"no right"]]}),
        encoder.message(
            wire.SESSIONS,
            {
                b"sessions": [SESSION],
                b"clues": [CLUE],
                b"reads": [[b"log", 1762340000], [b"counter", 0]],
                b"opened": [1762349001],
            },
        ),
        encoder.message(wire.COVERAGE, {b"unreadable": [b"/a/y"], b"covered": [b"/a"], b"mounted": []}),
        encoder.message(wire.COVERAGE, {b"reasons": {b"unreadable: I/O error": 1}}),
    ]
    counts = {b"entries": sum(len(entries) for _, entries in tree(number)), b"links": 2, b"bytes_hashed": 42}
    counts |= {
        b"facts": 2,
        b"looked": 3,
        b"kept": 1,
        b"sessions": 1,
        b"clues": 1,
        b"reads": 2,
        b"opened": 1,
        b"unreadable": 1,
        b"covered": 1,
        b"mounted": 0,
    }
    stream = b"".join([*data, encoder.finish(counts)])
    decoder = wire.Decoder()
    return [(frame.tag, frame.payload) for frame in decoder.feed(stream)], counts


def sealed(frames: Frames, counts: dict[Any, Any]) -> bytes:
    """A stream of these frames whose digest is right, whatever they say."""
    body = wire.MAGIC + b"".join(struct.pack(">cI", tag, len(payload)) + payload for tag, payload in frames)
    packed = loose({b"frames": len(frames), **counts})
    trailer = b"d6:counts%s6:sha25632:%se" % (packed, hashlib.sha256(body + packed).digest())
    return body + struct.pack(">cI", wire.TRAILER, len(trailer)) + trailer


def loose(value: Any) -> bytes:
    """Bencode without its rules: keys as they stand and of any type, numbers of any length, ``Raw`` as it is."""
    if isinstance(value, Raw):
        return value.data
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, dict):
        return b"d%se" % b"".join(loose(key) + loose(one) for key, one in sorted(value.items(), key=_order))
    return b"l%se" % b"".join(map(loose, value))


def _order(row: tuple[Any, Any]) -> bytes:
    return row[0] if isinstance(row[0], bytes) else b""


class Raw:
    """Bytes that stand in a message as they are."""

    def __init__(self, data: bytes) -> None:
        self.data = data


VALID = [answer(number) for number in range(4)]
STREAMS = [sealed(*one) for one in VALID]


# --- damage to bytes -------------------------------------------------------------------------------------------------


def scratched(chance: Random, data: bytes) -> bytes:
    """A few bytes other, gone, more, twice, or elsewhere."""
    made = bytearray(data)
    for _ in range(chance.choice([1, 1, 1, 2, 5])):
        at, end = sorted(chance.randrange(len(made) + 1) for _ in range(2))
        end = min(end, at + chance.choice([1, 2, 4, 8, 64, 4096]))
        match chance.randrange(7):
            case 0 if made:
                made[at % len(made)] ^= 1 << chance.randrange(8)
            case 1:
                del made[at:end]
            case 2:
                made[at:at] = chance.randbytes(end - at)
            case 3:
                made[at:at] = made[at:end]
            case 4:
                made[at:end] = bytes(end - at)
            case 5:
                made[at : at + 4] = struct.pack(">I", chance.choice(WORDS))
            case _:
                del made[at:]
    return bytes(made)


WORDS = [0, 1, 2, 255, 256, 4096, 4097, 65535, 1 << 20, (4 << 20) + 1, 16 << 20, (16 << 20) + 1, 1 << 31, (1 << 32) - 1]


def from_the_line(chance: Random) -> bytes:
    """What a bad line, or somebody in between who knows nothing, makes of an answer."""
    stream = chance.choice(STREAMS)
    match chance.randrange(6):
        case 0:
            other = chance.choice(STREAMS)
            return stream[: chance.randrange(len(stream))] + other[chance.randrange(len(other)) :]
        case 1:
            return stream + chance.choice([stream, b"\n", b"x", b"\0"])
        case 2:
            return chance.randbytes(chance.randrange(200)) + scratched(chance, stream)
        case 3:
            return stream[chance.randrange(len(stream)) :]
        case _:
            return scratched(chance, stream)


# --- damage to meaning -----------------------------------------------------------------------------------------------

NUMBERS = [
    0, 1, -1, 2, 7, 255, 65535, 65536, 1 << 31, 1 << 32, 1 << 53, (1 << 62) - 1, 1 << 63, 10**19, 10**20, -(10**30),
]  # fmt: skip
TEXTS = [
    b"", b"/", b"//", b"/a", b"/a/x", b"/a/../x", b"a", b"/\0", b"\xff", b"\x1b[2J", b"ssh", b"package", b"-0", b"\n",
    b"x" * 70_000, b"/" * 40_000,
]  # fmt: skip
RAW = [
    b"i-0e", b"i01e", b"i e", b"ie", b"01:x", b"999999999:x", b"4294967296:", b"le", b"de", b"l" * 40, b"n", b"", b"i1",
    b"d1:ai1e1:ai2ee", b"di1ei2ee", b"l" * 20000 + b"e" * 20000,
]  # fmt: skip


def value(chance: Random, depth: int = 0) -> Any:
    """Anything."""
    match chance.randrange(7 if depth < 4 else 4):
        case 0:
            return chance.choice(NUMBERS)
        case 1 | 2:
            return chance.choice(TEXTS)
        case 3:
            return Raw(chance.choice(RAW)) if chance.random() < 0.3 else chance.randbytes(chance.randrange(20))
        case 4:
            return {chance.choice(TEXTS[:12]): value(chance, depth + 1) for _ in range(chance.randrange(4))}
        case _:
            return [value(chance, depth + 1) for _ in range(chance.randrange(5))]


def changed(chance: Random, at: Any) -> Any:  # noqa: PLR0911  # one for each kind of damage
    """The same message with something in it that does not belong there."""
    if chance.random() < 0.25:
        return value(chance)
    if isinstance(at, dict) and at:
        key = chance.choice(list(at))
        match chance.randrange(5):
            case 0:
                return {one: at[one] for one in at if one != key}
            case 1:
                return {**at, chance.choice(TEXTS): value(chance)}
            case _:
                return {**at, key: changed(chance, at[key])}
    if isinstance(at, list) and at:
        where = chance.randrange(len(at))
        match chance.randrange(6):
            case 0:
                return at[:where] + at[where + 1 :]
            case 1:
                return at + [at[where]] * chance.choice([1, 2, 1000])
            case 2:
                return at[::-1]
            case _:
                return [*at[:where], changed(chance, at[where]), *at[where + 1 :]]
    if isinstance(at, bytes):
        return scratched(chance, at)
    return value(chance)


def bomb(chance: Random) -> bytes:
    """A tree frame that inflates to more than it says, or to a great deal."""
    size = chance.choice([1, 1000, 1 << 20, 4 << 20])
    told = chance.choice([0, size - 1, size, size + 1, 16 << 20, (16 << 20) + 1])
    raw = bytes(size) if chance.random() < 0.5 else (struct.pack(">I", 8) + bytes(8)) * (size // 12)
    return struct.pack(">I", told & 0xFFFFFFFF) + zlib.compress(raw, 1)


def block(chance: Random, raw: bytes, again: bool) -> bytes:
    raw = scratched(chance, raw)
    if not again:
        return raw
    told = len(raw) if chance.random() < 0.9 else chance.choice(WORDS)
    return (
        struct.pack(">I", told) + zlib.compress(raw, chance.randrange(10)) + (b"x" if chance.random() < 0.02 else b"")
    )


def payload(chance: Random, tag: bytes, data: bytes) -> bytes:
    """The same frame's payload with another meaning, or none."""
    match chance.randrange(8):
        case 0:
            return scratched(chance, data)
        case 1:
            return chance.choice(
                [b"", data[: len(data) // 2], bomb(chance), b"l" * 5000, b"d" * 5000, b"l" * 17 + b"e" * 17]
            )
        case _ if tag == wire.TREE:
            return block(chance, zlib.decompress(data[4:]), again=True)
        case _ if tag == wire.PLAIN:
            return block(chance, data, again=False)
        case _:
            return loose(changed(chance, wire.unpack(data)))


def reframed(chance: Random, frames: Frames) -> Frames:  # noqa: PLR0911  # one for each kind of damage
    """Frames gone, twice, in another order, of another tag, or of another answer."""
    at = chance.randrange(len(frames))
    other = chance.choice(VALID)[0]
    match chance.randrange(7):
        case 0:
            return frames[:at] + frames[at + 1 :]
        case 1:
            return [*frames, frames[at]]
        case 2:
            return chance.sample(frames, len(frames))
        case 3:
            return [
                *frames[:at],
                (chance.choice(b"HTPLFSCEQXZt\0").to_bytes(1, "big"), frames[at][1]),
                *frames[at + 1 :],
            ]
        case 4:
            return frames[:at] + other[chance.randrange(len(other)) :]
        case 5:
            return [*frames[:at], chance.choice(other), *frames[at:]]
        case _:
            return [frames[0], *chance.sample(frames[1:], len(frames) - 1)]


def from_who_knows(chance: Random) -> bytes:
    """What an instance can send that knows the format as well as we do."""
    frames, counts = chance.choice(VALID)
    lies: dict[Any, Any] = dict(counts)
    for _ in range(chance.choice([1, 1, 2, 4])):
        if chance.random() < 0.3:
            frames = reframed(chance, frames) or frames
        else:
            at = chance.randrange(len(frames))
            tag, data = frames[at]
            try:
                frames = [*frames[:at], (tag, payload(chance, tag, data)), *frames[at + 1 :]]
            except (wire.WireError, zlib.error):
                continue  # it was damaged before
    if chance.random() < 0.3:
        lies[chance.choice([*lies, b"frames", b"x", 7])] = chance.choice([value(chance), chance.choice(NUMBERS)])
    elif chance.random() < 0.7:
        lies |= recounted(frames)
    return sealed(frames, lies)


def recounted(frames: Frames) -> Counts:
    """Counts that fit what the frames hold, as far as it can be told."""
    found: Counts = {b"entries": 0, b"links": 0}
    links = set()
    for tag, data in frames:
        try:
            if tag in (wire.TREE, wire.PLAIN):
                split = wire.blocks if tag == wire.TREE else wire.plain_blocks
                found[b"entries"] += sum(len(wire.decode_block(one)[1]) for one in split(data))
            elif tag == wire.LINKS:
                links |= {path for group in wire.unpack(data) for path in group}
            elif tag in (wire.FACTS, wire.SESSIONS, wire.COVERAGE):
                for key, rows in wire.unpack(data).items():
                    found[key] = found.get(key, 0) + len(rows)
        except (wire.WireError, TypeError, AttributeError):
            continue
    found[b"links"] = len(links)
    return found


def case(chance: Random) -> Case:
    """One answer, damaged."""
    if chance.random() < 0.4:
        return Case(from_the_line(chance), sealed=False)
    return Case(from_who_knows(chance), sealed=True)
