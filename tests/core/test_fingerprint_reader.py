from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftd.core import merkle
from driftd.core.arriving import Limits
from driftd.core.facts import Kept, Unseen, fact
from driftd.core.fingerprint import Fingerprint, Reader
from driftd.probe import wire
from driftd.probe.wire import Entry

NONCE = b"n" * 16


def entry(path: bytes, kind: bytes = b"f", **more: Any) -> Entry:
    digest = hashlib.sha256(path).digest() if kind == b"f" else b""
    made = Entry(path, kind, 0o755, 0, 0, 0, digest, b"", (0, 0), ())
    return made._replace(**more)


SESSION = {
    b"door": b"ssh", b"user": b"r\xff", b"source": b"10.0.0.1", b"port": 22, b"key": b"SHA256:x", b"key_id": b"",
    b"started": 1762349000, b"ended": 0, b"tty": b"", b"pid": 7, b"live": 1, b"ancestor": 1, b"evidence": b"log",
    b"kind": b"command", b"number": 18,
}  # fmt: skip
CLUE = {
    b"source": b"sweep", b"door": b"exec", b"user": b"r\xff", b"peer": b"", b"port": 0, b"tty": b"pts/1", b"pid": 9,
    b"number": 18, b"started": 1762349000, b"ended": 0, b"live": 1, b"note": b"sh",
}  # fmt: skip
TREE = [
    (b"", [entry(b"/", b"d")]),
    (b"/", [entry(b"/a", b"d"), entry(b"/a-b"), entry(b"/z")]),
    (b"/a", [entry(b"/a/x")]),
]


class Answer:
    """What a probe says, piece by piece, so that a test can say something else in one place."""

    def __init__(self) -> None:
        self.hello: Any = {
            b"nonce": NONCE,
            b"schema": 2,
            b"boot_id": b"b",
            b"booted_at": 1762349000,
            b"uid": 0,
            b"live": 1,
        }
        self.tree = list(TREE)
        self.facts: Any = {
            b"facts": [[b"account", b"ro\xff", {b"uid": b"0"}], [b"nova", b"x", {}], [b"nova", b"x", {}]],
            b"looked": [b"account", b"nova", b"package"],
            b"kept": [[b"package", b"not available", b"why"]],
        }
        self.sessions: Any = {
            b"sessions": [dict(SESSION)],
            b"clues": [dict(CLUE)],
            b"reads": [[b"log", 1762340000], [b"counter", 0]],
            b"opened": [1762349001],
            b"kept": [[b"session", b"not permitted", b"no"]],
        }
        self.coverage: Any = {
            b"unreadable": [b"/z"],
            b"covered": [b"/a"],
            b"mounted": [b"/run"],
            b"reasons": {b"skipped: proc": 3},
        }
        self.counts: dict[bytes, int] = {
            b"entries": 5, b"links": 0, b"bytes_hashed": 9, b"unreadable": 1, b"covered": 1, b"mounted": 1,
            b"facts": 3, b"looked": 3, b"kept": 2, b"sessions": 1, b"clues": 1, b"reads": 2, b"opened": 1,
        }  # fmt: skip

    def frames(self, encoder: wire.Encoder) -> list[bytes]:
        parts = [encoder.message(wire.HELLO, self.hello)]
        parts += [encoder.block(wire.encode_block(directory, rows)) for directory, rows in self.tree]
        parts.append(encoder.flush())
        for tag, message in ((b"F", self.facts), (b"S", self.sessions), (b"C", self.coverage)):
            if message is not None:
                parts.append(encoder.message(tag, message))
        return parts

    def bytes(self) -> bytes:
        encoder = wire.Encoder()
        return b"".join([encoder.start(), *self.frames(encoder), encoder.finish(self.counts)])


def read(data: bytes, **more: Any) -> Fingerprint | Unseen:
    reader = Reader(NONCE, **more)
    reader.feed(data)
    return reader.finish()


def test_a_whole_answer_is_a_fingerprint() -> None:
    found = read(b"motd\n" + Answer().bytes())
    assert isinstance(found, Fingerprint)
    assert [e.path for e in found.entries] == [b"/", b"/a", b"/a-b", b"/a/x", b"/z"]
    assert found.root == merkle.root(found.entries)
    assert found.facts == (fact("account", "ro\\xff", uid=0), fact("nova", "x"))
    assert found.looked == ("account", "nova", "package")
    assert found.seen_kinds() == ("account", "nova")
    assert found.live
    (session,), (clue,) = found.sessions, found.readings.clues
    assert (clue.source, clue.door, clue.number, clue.live, clue.ended_at) == ("sweep", "exec", 18, True, None)
    assert (list(found.readings.since), found.readings.counted, len(found.readings.opened)) == (["log"], True, 1)
    assert (session.user, session.ended_at, session.ancestor) == ("r\\xff", None, True)
    assert session.started_at == found.booted_at == datetime.fromtimestamp(1762349000, UTC)
    assert (found.unreadable, found.covered) == ((b"/z",), (b"/a",))
    assert found.kept == (Kept("package", "not available", "why"), Kept("session", "not permitted", "no"))
    assert (found.coverage.entries, found.coverage.bytes_hashed) == (5, 9)
    assert found.coverage.reasons == {"skipped: proc": 3}


@given(st.integers(0, len(Answer().bytes()) - 1))
def test_an_answer_cut_anywhere_is_unseen(at: int) -> None:
    found = read(Answer().bytes()[:at])
    assert isinstance(found, Unseen)
    assert found.hint


@settings(max_examples=300)
@given(st.integers(0, len(Answer().bytes()) - 1), st.integers(1, 255))
def test_an_answer_with_one_other_byte_is_unseen(at: int, flip: int) -> None:
    data = bytearray(Answer().bytes())
    data[at] ^= flip
    assert isinstance(read(bytes(data)), Unseen)


@given(st.lists(st.tuples(st.sampled_from([b"H", b"T", b"F", b"S", b"C", b"E", b"Q"]), st.binary(max_size=40))))
def test_garbage_in_good_frames_is_unseen(frames: list[tuple[bytes, bytes]]) -> None:
    encoder = wire.Encoder()
    parts = [encoder.start(), encoder.message(wire.HELLO, Answer().hello)]
    parts += [encoder.frame(tag, payload) for tag, payload in frames]
    assert isinstance(read(b"".join(parts) + encoder.finish({b"entries": 0})), Unseen)


values = st.sampled_from([-1, 0, 1 << 33, 1 << 70, b"", b"x", b"ssh", [], [b"x"], {}, {b"a": 1}])


@given(st.sampled_from(["hello", "facts", "sessions", "coverage"]), st.data())
def test_values_of_the_wrong_kind_never_raise(part: str, data: st.DataObject) -> None:
    answer = Answer()
    message = getattr(answer, part)
    key = data.draw(st.sampled_from(sorted(message)))
    if isinstance(message[key], list) and message[key] and data.draw(st.booleans()):
        row = message[key][0]
        if isinstance(row, list):
            row[data.draw(st.integers(0, len(row) - 1))] = data.draw(values)
        elif isinstance(row, dict):
            row[data.draw(st.sampled_from(sorted(row)))] = data.draw(values)
        else:
            message[key][0] = data.draw(values)
    else:
        message[key] = data.draw(values)
    found = read(answer.bytes())
    assert isinstance(found, Fingerprint | Unseen)


def edit(change: Callable[[Answer], object]) -> bytes:
    answer = Answer()
    change(answer)
    return answer.bytes()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda a: a.hello.update({b"nonce": b"m" * 16}), "nonce"),
        (lambda a: a.hello.update({b"schema": 1}), "schema 1"),
        (lambda a: a.tree.pop(0), "4 entries came and 5"),
        (lambda a: (a.tree.pop(0), a.counts.update({b"entries": 4})), "no entry for the root|is not there"),
        (lambda a: a.tree.append(a.tree[2]), "6 entries came and 5"),
        (lambda a: (a.tree.append(a.tree[2]), a.counts.update({b"entries": 6})), "stands twice"),
        (lambda a: (a.tree.append((b"/no", [entry(b"/no/x")])), a.counts.update({b"entries": 6})), "is not there"),
        (lambda a: (a.tree.append((b"/z", [entry(b"/z/x")])), a.counts.update({b"entries": 6})), "no directory"),
        (lambda a: a.counts.update({b"entries": 4}), "5 entries came and 4"),
        (lambda a: a.counts.pop(b"facts"), "3 facts came and None"),
        (lambda a: a.counts.pop(b"kept"), "2 kept came and None"),
        (lambda a: setattr(a, "facts", None), "0 facts came|0 looked came"),
        (lambda a: setattr(a, "sessions", None), "0 [a-z]+ came and [12] were announced"),
        (lambda a: a.facts[b"facts"].append(a.facts[b"facts"][0]), "4 facts came and 3"),
        (lambda a: a.coverage[b"unreadable"].append(b"/q"), "2 unreadable came and 1"),
        (lambda a: a.coverage.update({b"unreadable": [b"relative"]}), "path"),
        (lambda a: a.facts.update({b"secrets": [b"x"]}), "no known kind"),
        (lambda a: a.facts[b"facts"][0][2].update({b"uid": 0}), "right fields"),
        (lambda a: a.facts[b"facts"][0][2].update({b"uid": b""}), "right fields"),
        (lambda a: a.facts[b"facts"][0][2].update({b"U I": b"x"}), "a word of the facts"),
        (lambda a: a.facts[b"facts"][0][2].update({b"a%d" % n: b"x" for n in range(64)}), "right fields"),
        (lambda a: a.facts[b"facts"][0].__setitem__(0, b"a" * 33), "a word of the facts"),
        (lambda a: a.facts[b"facts"][0].__setitem__(0, b"new"), "was not looked for"),
        (lambda a: a.facts[b"facts"][0].__setitem__(1, b"x" * 70000), "too long"),
        (lambda a: a.facts[b"kept"][0].__setitem__(1, b"not there"), "no probe says"),
        (lambda a: a.sessions[b"sessions"][0].update({b"started": 1 << 50}), "out of bounds"),
        (lambda a: a.sessions[b"sessions"][0].pop(b"live"), "fields"),
        (lambda a: a.sessions[b"sessions"][0].update({b"kind": b"visit"}), "says what no probe says"),
        (lambda a: a.sessions[b"clues"][0].update({b"door": b"window"}), "says what no probe says"),
        (lambda a: a.sessions[b"clues"][0].pop(b"note"), "a clue has not"),
        (lambda a: a.sessions[b"reads"].append([b"log"]), "right fields"),
    ],
)
def test_each_lie_is_one_sentence(change: Callable[[Answer], object], said: str) -> None:
    found = read(edit(change))
    assert isinstance(found, Unseen)
    assert re.search(said, found.reason)
    assert "\n" not in found.reason


def test_facts_that_were_not_asked_for_are_refused() -> None:
    found = read(Answer().bytes(), sections=(b"facts",))
    assert isinstance(found, Unseen)
    assert "not asked for" in found.reason


def test_a_probe_that_failed_says_why() -> None:
    encoder = wire.Encoder()
    text = encoder.start() + encoder.message(wire.FAILED, {b"reason": b"OSError: \x1b[2J disk\xff"})
    reader = Reader(NONCE)
    reader.feed(text)
    assert reader.over
    assert reader.finish() == Unseen(
        "the probe stopped: OSError: \\x1b[2J disk\\xff", "see whether the instance is healthy, then look again"
    )


@pytest.mark.parametrize(
    ("heard", "said"),
    [
        (b"", "nothing came"),
        (b"sh: 1: python3: not found\n", "instead there came: sh: 1: python3: not found"),
        (b"y\n" * 100_000, "no answer of a probe"),
        (b"\x1b]0;evil\x07" + b"x" * 5000, r"\x1b]0;evil\x07"),
    ],
)
def test_what_came_instead_of_an_answer_is_quoted_and_bounded(heard: bytes, said: str) -> None:
    found = read(heard)
    assert isinstance(found, Unseen)
    assert said in found.reason
    assert len(found.reason) < 1000
    assert found.hint


@pytest.mark.parametrize("limits", [Limits(entries=4), Limits(bytes=100), Limits(rows=3)])
def test_more_than_the_limits_is_unseen(limits: Limits) -> None:
    found = read(Answer().bytes(), limits=limits)
    assert isinstance(found, Unseen)
    assert "more than" in found.reason


def test_reading_stops_at_once_when_the_answer_is_worth_nothing() -> None:
    reader = Reader(NONCE)
    reader.feed(wire.MAGIC + struct.pack(">cI", b"T", wire.FRAME_LIMIT + 1))
    assert reader.over
    reader.feed(Answer().bytes())
    found = reader.finish()
    assert isinstance(found, Unseen)
    assert "over the limit" in found.reason


def test_a_repeated_answer_is_refused() -> None:
    assert isinstance(read(Answer().bytes() * 2), Unseen)
    assert isinstance(read(Answer().bytes() + b"\n"), Unseen)
