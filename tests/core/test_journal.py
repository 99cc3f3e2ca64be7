"""The chain: what is written is found unchanged, and whatever is changed is found."""

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.core import journal
from driftd.core.chain import Broken, Verified, verify
from driftd.core.journal import GENESIS, canonical, instant, next_line, read_canonical

NOW = datetime(2026, 1, 31, 8, 0, tzinfo=UTC)
ANY_TEXT = st.text(st.characters(), max_size=12)  # lone surrogates included: undecodable bytes become them
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | ANY_TEXT | st.binary(max_size=8) | st.datetimes(timezones=st.just(UTC)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=8,
)
BODIES = st.dictionaries(ANY_TEXT, VALUES, max_size=4)


def chain(bodies, subjects=None):
    lines = []
    for number, body in enumerate(bodies):
        subject = subjects[number] if subjects else f"i-{number}"
        lines.append(next_line(lines[-1] if lines else None, "decision", subject, body, NOW + timedelta(number)))
    return lines


@given(st.lists(st.tuples(BODIES, ANY_TEXT), max_size=5))
def test_what_was_written_is_verified_and_reads_back_from_its_text(pairs):
    lines = chain([body for body, _ in pairs], [subject for _, subject in pairs])
    stored = [replace(line, body=journal.read_body(canonical(line.body).decode())) for line in lines]
    assert verify(stored) == Verified(len(lines), lines[-1].hash if lines else GENESIS)


def test_a_stranger_can_check_a_line_with_json_and_sha256_alone():
    first, second = chain([{"verdict": "drifted", "é": [1, True, None]}, {"call": "launch"}])
    for line, prev in ((first, "0" * 64), (second, first.hash)):
        shown = json.loads(journal.exported(line))
        digest = shown.pop("hash")
        assert shown["prev"] == prev
        text = json.dumps(shown, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert hashlib.sha256(text.encode()).hexdigest() == digest
    assert json.loads(journal.exported(first))["at"] == "2026-01-31T08:00:00.000000Z"


@given(
    number=st.integers(0, 3),
    name=st.sampled_from(["at", "kind", "subject", "body", "prev", "hash", "seq"]),
    data=st.data(),
)
def test_any_change_of_any_field_is_found_where_it_is(number, name, data):
    lines = chain([{"a": 1, "b": ["x", "y"]}] * 4)
    old = getattr(lines[number], name)
    kinds = {
        "at": st.datetimes(timezones=st.just(UTC)),
        "kind": ANY_TEXT,
        "subject": ANY_TEXT,
        "body": BODIES,
        "prev": ANY_TEXT,
        "hash": ANY_TEXT,
        "seq": st.integers(),
    }
    new = data.draw(kinds[name].filter(lambda value: value != old))
    lines[number] = replace(lines[number], **{name: new})
    answer = verify(lines)
    assert isinstance(answer, Broken)
    assert answer.seq == number + 1


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_line_taken_out_is_found(number):
    lines = chain([{}] * 4)
    del lines[number]
    answer = verify(lines)
    assert answer == Broken(number + 1, f"line {number + 1} is missing: line {number + 2} stands in its place")


def test_two_lines_exchanged_or_said_twice_are_found():
    one, two, three = chain([{"n": 1}, {"n": 2}, {"n": 3}])
    assert isinstance(verify([one, three, two]), Broken)
    assert isinstance(verify([one, two, two, three]), Broken)


def test_lines_cut_off_the_end_show_in_the_head():
    lines = chain([{}] * 3)
    assert verify(lines[:2]) == Verified(2, lines[1].hash)
    assert verify(lines[:2]) != verify(lines)


def test_a_check_goes_on_where_an_earlier_one_ended():
    lines = chain([{}] * 4)
    part = verify(lines[:2])
    assert verify(lines[2:], after=part.count, head=part.head) == verify(lines)
    assert isinstance(verify(lines[2:], after=part.count, head=GENESIS), Broken)


@given(VALUES)
def test_one_value_has_one_text(value):
    text = canonical(value).decode()
    parsed = read_canonical(text)
    assert canonical(parsed).decode() == text
    assert read_canonical(text + " ") is None


def test_a_high_and_a_low_surrogate_side_by_side_are_the_character_they_spell():
    (line,) = chain([{"name": "\ud83d\ude00"}], ["\ud83d\ude00"])
    assert line.body == {"name": "\U0001f600"}
    assert verify([line]) == Verified(1, line.hash)


def test_times_are_kept_in_utc_whatever_zone_they_came_in():
    elsewhere = NOW.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert instant(elsewhere) == instant(NOW) == "2026-01-31T08:00:00.000000Z"
    assert next_line(None, "human", "s", {"at": elsewhere}, elsewhere).body == {"at": "2026-01-31T08:00:00.000000Z"}


@pytest.mark.parametrize("body", [{"s": 0.5}, {1: "x"}, {"o": object()}, {"t": datetime(2026, 1, 1)}])  # noqa: DTZ001  # naive on purpose
def test_what_has_no_single_text_is_refused(body):
    with pytest.raises(TypeError):
        next_line(None, "decision", "s", body, NOW)


def test_a_kind_that_nobody_knows_is_refused():
    with pytest.raises(ValueError, match="not 'remark'"):
        next_line(None, "remark", "s", {}, NOW)


@pytest.mark.parametrize("text", ['{"a": 1}', '{"b":1,"a":2}', '{"a":1.5}', "[1]", "{", '{"a":1,"a":1}', None, 7])
def test_a_body_that_is_not_canonical_is_kept_as_evidence(text):
    assert journal.read_body(text) == {"unreadable": repr(text)}
