"""A look by errands: each question goes to a process of its own, and what they say is one look or none."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest

from driftd.core.asks import CUT_SHORT, Ask
from driftd.core.errands import ASKING, Wanted, errands, packed
from driftd.core.facts import Unseen
from driftd.core.fingerprint import Fingerprint
from driftd.probe import asks as answering
from driftd.probe import dialogue, frames, greeting, look, telling, tree, walk, wire
from driftd.probe.tally import Tally

SESSIONS = {b"sessions": [], b"clues": [], b"reads": [], b"opened": [], b"kept": []}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    (tmp_path / "log").write_text("one\ntwo\n")
    return tmp_path


SAME = itertools.repeat(b"a")


def stream(question: bytes, root: Path, boots=SAME) -> bytes:
    """What a probe that sees ``root`` answers."""
    tag, payload = question[:1], question[frames.HEAD.size :]
    asked, place = wire.unpack(payload), os.fsencode(root)
    if tag == dialogue.ASKS:
        return b"".join(look.answers(answering.Answerer(place), *dialogue.asked(asked)))
    encoder, tally = wire.Encoder(), Tally()
    hello = greeting.of(asked[b"nonce"], b"") | {b"boot_id": next(boots)}
    begin = encoder.start() + encoder.message(wire.HELLO, hello)
    if tag == wire.REQUEST:
        batches = tree.scan(place, tally, [], walk.FILE_LIMIT)
        middle, messages = b"".join(look.told_tree(encoder, batches, tally)), [(wire.SESSIONS, SESSIONS)]
    else:
        inside = look.inside.Root(place)
        middle = encoder.message(b"K", {b"facts": b"x" * 32})
        messages = [(wire.FACTS, look.found_facts(inside, b"", live=False))]
        inside.close()
    return begin + middle + b"".join(telling.rest(encoder, messages, tally))


def looked(root: Path, wanted: Wanted, answer=stream) -> tuple[Fingerprint | Unseen, list[bytes]]:
    """What comes of it, and the questions that were asked."""
    asked, running = [], errands(wanted)
    try:
        one = next(running)
        while True:
            asked.append(one.question)
            one.reader.feed(answer(one.question, root))
            one = next(running)
    except StopIteration as ended:
        return ended.value, asked


def wanting(ask=None, room: int = 20_000) -> Wanted:
    return Wanted(lambda: os.urandom(16), lambda: 60, 1_700_000_000, room, ask=ask)


def test_tree_and_facts_are_one_look(root: Path) -> None:
    seen, asked = looked(root, wanting())
    assert isinstance(seen, Fingerprint), seen
    assert [one.path for one in seen.entries] == [b"/", b"/etc", b"/etc/passwd", b"/log"]
    assert [one.name for one in seen.facts if one.kind == "account"] == ["root"]
    assert "account" in seen.looked
    assert seen.root != b""
    assert [one[:1] for one in asked] == [b"Q", b"F"]


def test_what_is_asked_is_asked_of_both(root: Path) -> None:
    told = []
    asked = [Ask(b"/log", "prefix", b"3"), Ask(b"/gone", "prefix", b"3")]
    seen, questions = looked(root, wanting(lambda found: told.append(found) or asked))
    assert isinstance(seen, Fingerprint), seen
    assert [seen.answers[one].how for one in asked] == ["", "changed"]
    assert (len(told[0].entries), bool(told[0].facts)) == (4, True)
    assert [one[:1] for one in questions] == [b"Q", b"F", b"A"]


def test_what_does_not_fit_one_question_goes_into_several(root: Path) -> None:
    asked = [Ask(b"/" + os.urandom(20).hex().encode(), "prefix", b"3") for _ in range(100)]
    seen, questions = looked(root, wanting(lambda _: asked, room=1000))
    assert isinstance(seen, Fingerprint), seen
    assert {one.how for one in seen.answers.values()} == {"changed"}
    assert [*seen.answers] == asked
    assert len(questions) > 3
    assert all(len(packed(one)) <= 1050 for one in questions)


def test_what_does_not_fit_at_all_was_not_asked_and_is_said(root: Path) -> None:
    long, short = Ask(b"/log", "match", os.urandom(3000)), Ask(b"/log", "prefix", b"3")
    seen, _ = looked(root, wanting(lambda _: [long, short], room=1000))
    assert isinstance(seen, Fingerprint), seen
    assert (seen.answers[long].how, seen.answers[short].how) == (CUT_SHORT, "")
    many = [Ask(b"/" + os.urandom(100).hex().encode(), "prefix", b"3") for _ in range(50)]
    seen, questions = looked(root, wanting(lambda _: many, room=500))
    assert isinstance(seen, Fingerprint), seen
    assert len(questions) == 2 + ASKING
    assert {one.how for one in seen.answers.values()} == {CUT_SHORT, "changed"}


def test_two_boots_are_no_look(root: Path) -> None:
    boots = iter([b"a", b"b"])
    seen, _ = looked(root, wanting(), lambda question, there: stream(question, there, boots))
    assert seen == Unseen("it was restarted while it was looked at", "look again")


@pytest.mark.parametrize("number", [0, 1, 2])
def test_an_answer_that_is_cut_ends_it(root: Path, number: int) -> None:
    count = itertools.count()

    def cut(question: bytes, there: Path) -> bytes:
        whole = stream(question, there)
        return whole[: len(whole) // 2] if next(count) == number else whole

    seen, asked = looked(root, wanting(lambda _: [Ask(b"/log", "prefix", b"3")]), cut)
    assert isinstance(seen, Unseen)
    assert "cut off" in seen.reason
    assert len(asked) == number + 1


def test_no_question_has_a_key(root: Path) -> None:
    _, asked = looked(root, wanting())
    assert [wire.unpack(one[frames.HEAD.size :])[b"key"] for one in asked] == [b"", b""]
