"""The chain, its epochs, breaks that a person accepted, and an export held against what was signed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.core.chain import SUBJECT, Accepted, Broken, Verified, Walk, acceptance, verify
from driftd.core.checkpoint import Checkpoint, decode, encode, opened, unsigned
from driftd.core.errors import BadInput
from driftd.core.export import Header, body_line, head_line, prove, read_header, read_line
from driftd.core.journal import GENESIS, OLDEST, canonical, line_hash, next_line
from driftd.core.memory import JournalLine

NOW = datetime(2026, 1, 31, 8, 0, tzinfo=UTC)
STORE, OTHER = "ab" * 16, "cd" * 16


def written(count, *, epoch=1, last=None, word="x"):
    lines = []
    for number in range(count):
        last = next_line(last, "decision", f"i-{number} é\udcff", {word: [number, None, True]}, NOW, epoch)
        lines.append(last)
    return lines


def old_line(last, word):
    """A line as they were before epochs were written, made here by the format's own words."""
    seq, prev = (last.seq + 1, last.hash) if last else (1, "0" * 64)
    values = {"at": "2026-01-31T08:00:00.000000Z", "body": {"w": word}, "kind": "human", "prev": prev}
    values |= {"seq": seq, "subject": "s"}
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return JournalLine(seq, NOW, "human", "s", {"w": word}, prev, digest, 0, OLDEST)


# --- epochs ----------------------------------------------------------------------------------------------------------


def test_lines_from_before_epochs_still_verify_and_new_ones_follow_on_them():
    first = old_line(None, "a")
    second = old_line(first, "b")
    third = next_line(second, "human", "s", {}, NOW, 3)
    assert verify([first, second, third]) == Verified(3, third.hash)
    assert [read_line(body_line(one)) for one in (first, second, third)] == [first, second, third]


@pytest.mark.parametrize("change", [{"epoch": 2}, {"schema": 2}, {"schema": 2, "epoch": 2}])
def test_an_old_line_cannot_be_given_an_epoch(change):
    first = old_line(None, "a")
    assert isinstance(verify([replace(first, **change)]), Broken)


@pytest.mark.parametrize(
    "change", [{"epoch": 0}, {"epoch": 7}, {"schema": 1}, {"schema": 1, "epoch": 0}, {"schema": 3}]
)
def test_the_epoch_is_covered_by_the_hash(change):
    (line,) = written(1, epoch=3)
    assert isinstance(verify([replace(line, **change)]), Broken)


def test_a_line_of_an_older_epoch_after_a_newer_one_means_two_daemons():
    new = written(2, epoch=5)
    late = written(1, epoch=4, last=new[-1])
    answer = verify([*new, *late])
    assert answer == Broken(3, "line 3 is of epoch 4, after one of epoch 5: two daemons wrote")


# --- breaks that were accepted ---------------------------------------------------------------------------------------


def tampered(lines, at):
    lines = list(lines)
    lines[at] = replace(lines[at], body={"said": "another"})
    return lines


def gone_on(lines):
    """``lines`` and the line that accepts what is wrong with them."""
    answer = verify(lines)
    assert isinstance(answer, Broken)
    return [*lines, next_line(lines[-1], "human", SUBJECT, acceptance(answer, "ann", "a bad disk"), NOW, 1)]


@given(st.integers(0, 5), st.integers(0, 3))
def test_a_break_that_was_accepted_is_named_and_the_chain_goes_on(at, more):
    lines = gone_on(tampered(written(6), at))
    lines += written(more, last=lines[-1])
    answer = verify(lines)
    said = f"line {at + 1} is not what was written: its content does not match its hash"
    assert answer == Verified(7 + more, lines[-1].hash, (Accepted(at + 1, said, 7, NOW, "ann", "a bad disk"),))


@given(st.data())
def test_what_lies_behind_an_accepted_break_is_sealed(data):
    lines = gone_on(tampered(written(6), 2))
    at = data.draw(st.integers(2, 5))
    lines[at] = replace(
        lines[at], subject=data.draw(st.text(max_size=5).filter(lambda text: text != lines[at].subject))
    )
    answer = verify(lines)
    assert isinstance(answer, Broken)
    assert answer.seq == 3


@given(st.integers(1, 5))
def test_what_lies_before_an_accepted_break_is_bound(at):
    """Another chain of the same length, whole in itself, in the place of the good lines."""
    lines = gone_on(tampered(written(6), at))
    swapped = [*written(at, word="forged"), *lines[at:]]
    assert isinstance(verify(swapped[:at]), Verified)
    answer = verify(swapped)
    assert isinstance(answer, Broken)
    assert answer.seq == at + 1


def test_lines_taken_out_of_or_put_into_what_was_accepted_are_found():
    lines = gone_on(tampered(written(6), 2))
    assert isinstance(verify([*lines[:4], *lines[5:]]), Broken)
    assert isinstance(verify([*lines[:4], lines[3], *lines[4:]]), Broken)


def test_a_second_break_after_an_accepted_one_is_found_and_accepted_by_itself():
    lines = gone_on(tampered(written(4), 1))
    lines += written(3, last=lines[-1], word="later")
    again = tampered(lines, 6)
    answer = verify(again)
    assert isinstance(answer, Broken)
    assert answer.seq == 7
    once_more = gone_on(again)
    answer = verify(once_more)
    assert isinstance(answer, Verified)
    assert [one.seq for one in answer.accepted] == [2, 7]


@pytest.mark.parametrize(
    "change", [{"broken": 3}, {"head": GENESIS}, {"lines": 1}, {"found": "0" * 64}, {"did": "nothing"}]
)
def test_an_acceptance_of_another_break_accepts_nothing(change):
    lines = tampered(written(4), 1)
    answer = verify(lines)
    assert isinstance(answer, Broken)
    body = {**acceptance(answer, "ann", "?"), **change}
    assert isinstance(verify([*lines, next_line(lines[-1], "human", SUBJECT, body, NOW, 1)]), Broken)


def test_an_acceptance_by_a_program_is_none():
    lines = tampered(written(4), 1)
    answer = verify(lines)
    assert isinstance(answer, Broken)
    body = acceptance(answer, "ann", "?")
    assert isinstance(verify([*lines, next_line(lines[-1], "decision", SUBJECT, body, NOW, 1)]), Broken)


def test_a_walk_in_pieces_is_a_walk_in_one():
    lines = gone_on(tampered(written(6), 2))
    walk = Walk()
    for line in lines[:3]:
        walk.step(line)
    assert walk.broken
    for line in lines[3:]:
        walk.step(line)
    assert walk.answer == verify(lines)


# --- an export -------------------------------------------------------------------------------------------------------


def exported(lines, store=STORE):
    return [head_line(Header(store)), *(body_line(line) for line in lines)]


def signed(line, store=STORE):
    return Checkpoint(store, line.seq, line.hash, line.epoch, NOW)


def proof(data, claim=None):
    head, *rest = data
    return prove(read_header(head), rest, claim)


def test_an_export_that_is_whole_is_what_was_signed():
    lines = written(6)
    for line in lines:
        made = proof(exported(lines), signed(line))
        assert (made.against, made.good, made.head, made.lines) == ("", 6, lines[-1].hash, 6)


@given(st.data())
def test_any_byte_of_any_line_that_is_another_is_found(data):
    lines = exported(written(4))
    number = data.draw(st.integers(1, 4))
    at = data.draw(st.integers(0, len(lines[number]) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != lines[number][at]))
    changed = lines[number][:at] + bytes([other]) + lines[number][at + 1 :]
    whole = [part + b"\n" for part in b"".join([*lines[:number], changed, *lines[number + 1 :]]).split(b"\n")]
    whole[-1:] = [] if whole[-1] == b"\n" else [whole[-1][:-1]]  # as a reader of lines sees a file's end
    made = proof(whole)
    assert made.against
    assert made.seq in {number, number + 1}  # a line feed taken away joins two lines
    assert made.good == number - 1


@pytest.mark.parametrize(
    ("old", "new"),
    [(b":", b": "), (b'"at"', b'"\\u0061t"'), (b"\\udcff", b"\\uDCFF"), (b"}\n", b"}\r\n"), ("é".encode(), b"\\u00e9")],
)
def test_another_way_to_write_the_same_is_not_what_was_written(old, new):
    lines = exported(written(2))
    assert old in lines[1]
    made = proof([lines[0], lines[1].replace(old, new, 1), lines[2]])
    assert made.against == (
        "the journal is broken at line 1: line 1 is not a journal line as driftd writes it, or is cut"
    )


@given(st.integers(0, 5), st.integers(0, 200))
def test_a_file_cut_anywhere_is_cut_before_what_was_signed(lines_left, more_bytes):
    lines = written(6)
    data = exported(lines)
    part = data[lines_left + 1][: min(more_bytes, len(data[lines_left + 1]) - 1)]
    cut = [*data[: lines_left + 1], *([part] if part else [])]
    made = proof(cut, signed(lines[-1]))
    assert made.against
    assert made.good == lines_left
    if not part:
        assert made.against == f"it was cut: it ends at line {lines_left}, and line 6 was signed"
        assert not proof(cut).against, "the chain alone cannot tell"


@given(st.permutations(range(5)).filter(lambda order: order != [0, 1, 2, 3, 4]))
def test_lines_in_another_order_are_found(order):
    lines = written(5)
    assert proof(exported([lines[number] for number in order])).against


@given(st.integers(1, 5))
def test_a_tail_that_was_rewritten_holds_in_itself_and_is_not_what_was_signed(kept):
    lines = written(6)
    forged = [*lines[:kept], *written(6 - kept, last=lines[kept - 1], word="forged")]
    assert isinstance(verify(forged), Verified)
    made = proof(exported(forged), signed(lines[-1]))
    assert "line 6 is not the one that was signed: the journal was rewritten" in made.against
    assert not proof(exported(forged), signed(lines[kept - 1])).against, "what was signed is untouched"


def test_two_stores_mixed_up_are_told_apart():
    mine, theirs = written(5), written(5, word="theirs")
    assert "another store (abababab) than the checkpoint's (cdcdcdcd)" in (
        proof(exported(mine), signed(theirs[2], OTHER)).against
    )
    assert proof(exported([*mine[:3], *theirs[3:]])).seq == 4
    assert "rewritten" in proof(exported(theirs, STORE), signed(mine[2])).against


def test_a_part_of_a_journal_is_held_against_a_checkpoint_after_its_beginning():
    lines = written(6, epoch=4)
    part = [head_line(Header(STORE, 3, lines[2].hash, 4)), *map(body_line, lines[3:])]
    assert not proof(part, signed(lines[2])).against
    assert not proof(part, signed(lines[5])).against
    assert "nothing in it can be held" in proof(part, signed(lines[1])).against
    assert proof([head_line(Header(STORE, 3, lines[1].hash, 4)), *part[1:]]).seq == 4
    assert proof([head_line(Header(STORE, 3, lines[2].hash, 5)), *part[1:]]).seq == 4


def test_a_break_that_was_accepted_shows_in_the_export_too():
    lines = gone_on(tampered(written(4), 1))
    made = proof(exported(lines), signed(lines[-1]))
    assert (made.against, [one.seq for one in made.accepted]) == ("", [2])
    assert proof(exported(tampered(written(4), 1))).against.startswith("the journal is broken at line 2: ")


@pytest.mark.parametrize(
    "data",
    [b"", b"{}\n", b"[]\n", b"\xff\n", b'{"schema":"driftd.journal/2"}\n', head_line(Header(STORE))[:-1] + b" \n"],
)
def test_what_is_no_export_is_said(data):
    with pytest.raises(BadInput, match="this is not an exported journal"):
        read_header(data)


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(), st.lists, max_leaves=4))
def test_a_line_of_wrong_types_is_no_line(value):
    (line,) = written(1)
    values = json.loads(body_line(line))
    for name in ("seq", "epoch", "schema", "kind", "at", "body", "hash"):
        if type(values[name]) is not type(value) or isinstance(value, (int, str)):
            changed = json.dumps({**values, name: value}, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            made = read_line(changed.encode("utf-8", "backslashreplace") + b"\n")
            assert made is None or line_hash(made) != made.hash or made == line


# --- checkpoints -----------------------------------------------------------------------------------------------------


def test_a_checkpoint_reads_back():
    claim = Checkpoint(STORE, 7, "ef" * 32, 3, NOW + timedelta(microseconds=1))
    payload = encode(claim, "driftd 1")
    assert decode(payload) == claim
    found = opened(payload + b"\n")
    assert found.said == claim
    assert unsigned(found, {}) == "the checkpoint bears no signature"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seq", 0),
        ("seq", 2**53),
        ("seq", "7"),
        ("hash", "ef"),
        ("store", "x"),
        ("epoch", -1),
        ("epoch", True),
        ("at", "yesterday"),
    ],
)
def test_a_checkpoint_that_says_nonsense_is_refused(name, value):
    statement = json.loads(encode(Checkpoint(STORE, 7, "ef" * 32, 3, NOW), "driftd 1"))
    statement["predicate"][name] = value
    with pytest.raises(BadInput, match="not a checkpoint of a journal"):
        decode(canonical(statement))


def test_the_subject_is_the_line():
    statement = json.loads(encode(Checkpoint(STORE, 7, "ef" * 32, 3, NOW), "driftd 1"))
    assert statement["subject"] == [{"name": "journal line 7", "digest": {"sha256": "ef" * 32}}]
    statement["subject"][0]["digest"]["sha256"] = "00" * 32
    with pytest.raises(BadInput, match="its subject is another line"):
        decode(canonical(statement))


def test_the_first_line_follows_on_nothing():
    (line,) = written(1)
    assert line.prev == GENESIS
    assert isinstance(verify([], after=0), Verified)
