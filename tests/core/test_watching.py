"""What a resident probe says, read from an instance that may say anything; and when a whole look is due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.core.watching import Beat, Course, Frames, Glimpse, Greeting, Why
from driftd.probe import watchwire, wire
from driftd.probe.wire import Entry, WireError

NONCE = b"n" * 16
NOW = datetime(2030, 1, 1, tzinfo=UTC)
GREETING = {
    b"nonce": NONCE,
    b"schema": wire.SCHEMA,
    b"files": b"dnotify",
    b"processes": b"sweep",
    b"directories": 790,
    b"unwatched": 3,
}
BEAT = {b"cpu": 1500000, b"rss": 13000, b"hints": 2, b"over": 1}


def stream(*paths: bytes, nonce: bytes = NONCE) -> bytes:
    """A look that saw these files of "/"."""
    encoder = wire.Encoder()
    entries = [Entry(path, b"f", 0o644, 0, 0, 1, b"d" * 32, b"", (0, 0), ()) for path in paths]
    parts = [encoder.start(), encoder.message(wire.HELLO, {b"nonce": nonce, b"schema": wire.SCHEMA})]
    parts.append(encoder.block(wire.encode_block(b"", [Entry(b"/", b"d", 0o755, 0, 0, 0, b"", b"", (0, 0), ())])))
    parts += [encoder.block(wire.encode_block(b"/", entries)), encoder.flush()]
    nothing = {b"unreadable": 0, b"covered": 0, b"mounted": 0}
    parts.append(encoder.message(wire.COVERAGE, {key: [] for key in nothing}))
    parts.append(encoder.finish({b"links": 0, b"entries": 1 + len(paths), b"bytes_hashed": 0, **nothing}))
    return b"".join(parts)


def glimpse(**more: object) -> dict[bytes, object]:
    made: dict[bytes, object] = {b"stream": b"", b"listed": {}, b"programs": [], b"full": b"", b"logins": 0}
    return made | {key.encode(): value for key, value in more.items()}


def told(*frames: tuple[bytes, object]) -> bytes:
    encoder = wire.Encoder()
    return encoder.start() + b"".join(encoder.message(tag, message) for tag, message in frames)


def test_what_an_honest_probe_says_is_read_however_it_is_cut():
    shown = glimpse(stream=stream(b"/a"), listed={b"/": [b"a"]}, programs=[b"/bin/x"], full=watchwire.OVERFLOW)
    data = told((watchwire.GREETING, GREETING), (watchwire.BEAT, BEAT), (watchwire.GLIMPSE, shown))
    frames = Frames(NONCE)
    said = [message for at in range(len(data)) for message in frames.feed(data[at : at + 1])]
    assert said[:2] == [Greeting("dnotify", "sweep", 790, 3), Beat(1.5, 13000 * 1024, 2, 1)]
    assert isinstance(said[2], Glimpse)
    assert said[2].seen is not None
    assert [entry.path for entry in said[2].seen.entries] == [b"/", b"/a"]
    assert (said[2].listed, said[2].programs, said[2].full) == ({b"/": {b"a"}}, (b"/bin/x",), Why.OVERFLOW)


@pytest.mark.parametrize(
    "frame",
    [
        (watchwire.GREETING, GREETING | {b"nonce": b"another"}),
        (watchwire.GREETING, GREETING | {b"files": b"telepathy"}),
        (watchwire.GREETING, GREETING | {b"directories": -1}),
        (watchwire.GREETING, [1]),
        (watchwire.GLIMPSE, glimpse()),
        (b"?", {}),
    ],
)
def test_what_no_probe_begins_with_ends_the_watch(frame):
    with pytest.raises(WireError):
        list(Frames(NONCE).feed(told(frame)))


@pytest.mark.parametrize(
    "said",
    [
        glimpse(stream=7),
        glimpse(full=b"because"),
        glimpse(programs=[b"/x"] * (watchwire.PROGRAMS_LIMIT + 1)),
        glimpse(programs=[b"/" + b"x" * wire.PATH_LIMIT]),
        glimpse(stream=stream(b"/a")[:-9]),
        glimpse(stream=stream(b"/a", nonce=b"an earlier one's")),
        glimpse(stream=stream(b"/a"), listed={b"/etc": [b"a"]}),
        glimpse(stream=stream(b"/a"), listed={b"/": [b"a"] * (watchwire.NAMES_LIMIT + 1)}),
        glimpse(stream=stream(b"/a"), logins=1),
        {},
    ],
)
def test_a_glimpse_that_no_probe_gives_ends_the_watch(said):
    with pytest.raises(WireError):
        list(Frames(NONCE).feed(told((watchwire.GREETING, GREETING), (watchwire.GLIMPSE, said))))


def test_a_second_greeting_ends_the_watch():
    with pytest.raises(WireError):
        list(Frames(NONCE).feed(told((watchwire.GREETING, GREETING), (watchwire.GREETING, GREETING))))


@given(st.binary(max_size=400), st.booleans())
def test_whatever_comes_is_read_or_ends_the_watch(noise, greeted):
    data = told((watchwire.GREETING, GREETING)) if greeted else told()
    try:
        said = list(Frames(NONCE).feed(data + noise))
    except WireError:
        return
    assert len(said) <= 2


def test_a_look_is_due_until_one_begins_after_the_last_reason():
    course = Course(gap=timedelta(seconds=30))
    assert not course.due(NOW, NOW)
    course.want([Why.CONFIRM], NOW)
    assert course.due(None, NOW)
    assert course.due(NOW - timedelta(minutes=5), NOW)
    assert course.due(NOW - timedelta(minutes=5), NOW + timedelta(seconds=5))
    assert not course.due(NOW + timedelta(seconds=6), NOW + timedelta(seconds=7))
    assert course.wanted_since is None


def test_whoever_touches_files_all_the_time_gets_no_more_than_a_look_each_gap():
    course = Course(gap=timedelta(seconds=30))
    looks = []
    looked_at = NOW - timedelta(minutes=5)
    for second in range(300):
        now = NOW + timedelta(seconds=second)
        course.want([Why.OVERFLOW], now)
        if course.due(looked_at, now):
            looked_at = now
            looks.append(now)
    assert 10 <= len(looks) <= 11
    assert course.counted[Why.OVERFLOW] == 300
