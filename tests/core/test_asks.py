"""The answers to what was asked: only whole ones, to these questions, each once and in its place."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftd.core.asks import AnswerReader, Ask, bounded
from driftd.core.facts import Unseen
from driftd.probe import dialogue, wire
from driftd.probe.dialogue import Answer

NONCE = b"n" * 16
ASKS = [Ask(b"/a", "prefix", b"3"), Ask(b"/b", "match", b"x"), Ask(b"/c", "show", b"")]
ANSWERS = [Answer(size=5, sha256=b"s" * 32), Answer(how=b"cut short", why=b"\xff too long"), Answer(content=b"text")]


def stream(rows, nonce=NONCE):
    encoder = wire.Encoder()
    parts = [encoder.start(), encoder.message(wire.HELLO, dialogue.greeting(nonce))]
    parts += [encoder.message(dialogue.ANSWERS, rows[:1]), encoder.message(dialogue.ANSWERS, rows[1:])]
    return b"".join(parts) + encoder.finish({})


ROWS = [dialogue.row(number, answer) for number, answer in enumerate(ANSWERS)]
WHOLE = stream(ROWS)


def read(data, pieces=1):
    reader = AnswerReader(NONCE, ASKS)
    for at in range(0, len(data), pieces):
        if reader.over:
            break
        reader.feed(data[at : at + pieces])
    return reader.finish()


@pytest.mark.parametrize("pieces", [1, 7, 10_000])
def test_a_whole_one_is_read_however_it_comes(pieces):
    answers = read(WHOLE, pieces)
    assert list(answers) == ASKS
    assert (answers[ASKS[0]].sha256, answers[ASKS[0]].size) == (b"s" * 32, 5)
    assert (answers[ASKS[1]].how, answers[ASKS[1]].why, answers[ASKS[1]].yes) == ("cut short", "\\xff too long", False)
    assert answers[ASKS[2]].content == b"text"


@settings(max_examples=300)
@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
def test_any_changed_byte_makes_it_unseen(at, other):
    data = bytearray(WHOLE)
    data[at] ^= other
    assert isinstance(read(bytes(data), 10_000), Unseen)


@given(st.integers(0, len(WHOLE) - 1))
def test_cut_anywhere_it_is_unseen(at):
    assert isinstance(read(WHOLE[:at], 10_000), Unseen)


@given(st.recursive(st.integers() | st.binary(max_size=40), lambda some: st.lists(some, max_size=9), max_leaves=40))
def test_whatever_shape_it_has_nothing_is_raised(value):
    encoder = wire.Encoder()
    data = encoder.start() + encoder.message(wire.HELLO, dialogue.greeting(NONCE))
    data += encoder.message(dialogue.ANSWERS, value) + encoder.finish({})
    assert isinstance(read(data, 10_000), Unseen)


@pytest.mark.parametrize(
    "rows",
    [
        ROWS[:-1],
        [*ROWS, dialogue.row(3, Answer())],
        ROWS[::-1],
        [ROWS[0], ROWS[0], *ROWS[1:]],
        [dialogue.row(0, ANSWERS[0]._replace(content=b"not asked for")), *ROWS[1:]],
        [dialogue.row(0, ANSWERS[0]._replace(how=b"because")), *ROWS[1:]],
        [dialogue.row(0, ANSWERS[0]._replace(sha256=b"short")), *ROWS[1:]],
        [*ROWS[:2], dialogue.row(2, Answer(content=b"x" * (dialogue.CONTENT_LIMIT + 1)))],
    ],
)
def test_answers_that_are_not_these_questions_are_none(rows):
    assert isinstance(read(stream(rows), 10_000), Unseen)
    assert isinstance(read(stream(ROWS, b"m" * 16), 10_000), Unseen)


def test_what_one_look_may_ask_is_bounded():
    assert bounded([ASKS[0], ASKS[0]]) == (ASKS[0],)
    assert len(bounded([Ask(b"/%d" % number, "prefix", b"1") for number in range(9000)])) == 4096
    long = [Ask(b"/%d" % number, "match", b"x" * 60_000) for number in range(100)]
    assert 10 < len(bounded(long)) < 50
    assert bounded([Ask(b"/a", "match", b"x" * 70_000)]) == ()
    dialogue.encode_asks(NONCE, [(one.path, one.what.encode(), one.argument) for one in bounded(long)])
