"""Run by a test's sshd instead of the probe: answers as a good, a broken and a hostile instance might."""

import os
import signal
import sys
import time
from pathlib import Path

from driftd.probe import asks, dialogue, look, wire

OUT = sys.stdout.buffer


def request():
    stdin = sys.stdin.buffer
    stdin.read(int(stdin.readline()))
    return wire.read_request(stdin)


def answer(asked):
    return b"".join(look.answer(asked))


def out(data):
    OUT.write(data)
    OUT.flush()


def endless(data, pause=0.0):
    while True:
        out(data)
        time.sleep(pause)


def endless_frames():
    pieces = look.answer(request())
    out(next(pieces) + next(pieces))
    endless(wire.Encoder().message(wire.COVERAGE, {b"reasons": {b"x" * 60_000: 1}}))


def endless_stderr():
    while True:
        os.write(2, b"complaint\n" * 5000)


def complaint():
    os.write(2, b"\n\x1b[31mTraceback <b>\xff\nsecond line\n" + b"x" * 100_000)
    sys.exit(3)


def whole():
    return answer(request())


def half():
    data = whole()
    out(data[: len(data) // 2])


def killed():
    half()
    os.kill(os.getpid(), signal.SIGKILL)


def bad_status():
    out(whole())
    sys.exit(7)


def failed():
    request()
    encoder = wire.Encoder()
    out(encoder.start() + encoder.message(wire.FAILED, {b"reason": b"the disk \x1b[31mburns"}))


def later():
    out(whole())
    time.sleep(0.3)
    out(b"more")


def nologin():
    out(b"This account is currently not available.\n")
    sys.exit(1)


def stays():
    out(whole())
    time.sleep(5)


def drip_frames():
    pieces = look.answer(request())
    out(next(pieces) + next(pieces))
    endless(wire.Encoder().message(wire.COVERAGE, {}), 0.05)


def replay():
    """The answer to the first question, for ever."""
    record, data = Path(sys.argv[2]), whole()
    if not record.exists():
        record.write_bytes(data)
    out(record.read_bytes())


def clock():
    """A running machine whose clock is so many seconds off, with driftd's own login and somebody's, a while ago."""
    off, own, other, root = float(sys.argv[2]), *map(os.fsencode, sys.argv[3:6])
    asked = request()
    assert abs(asked[b"limits"][b"now"] - time.time()) < 60
    now = max(1, int(time.time() + off))
    row = dict.fromkeys(b"door user source key key_id tty evidence kind".split(), b"")
    row |= {b"door": b"ssh", b"user": b"root", b"source": b"10.0.0.9", b"port": 7, b"pid": 9, b"live": 0, b"ended": 0}
    row[b"number"] = 0
    logins = [
        {**row, b"started": now, b"key": own, b"ancestor": 1, b"live": 1},
        {**row, b"started": max(0, now - 60), b"key": other, b"ancestor": 0},
    ]
    decoder, encoder = wire.Decoder(), wire.Encoder()
    frames = list(decoder.feed(answer({**asked, b"sections": [b"facts"], b"root": root})))
    hello = {**wire.unpack(frames[0].payload), b"clock": now, b"booted_at": max(0, now - 3600), b"boot_id": b"b"}
    data = [encoder.start(), encoder.message(wire.HELLO, hello)]
    data += [encoder.frame(tag, payload) for tag, payload in frames[1:]]
    data.append(encoder.message(wire.SESSIONS, {b"sessions": logins, b"clues": [], b"reads": [], b"opened": []}))
    counts = {b"sessions": 2, b"clues": 0, b"reads": 0, b"opened": 0}
    out(b"".join(data) + encoder.finish({**decoder.counts, **counts}))


def other_nonce():
    out(answer({**request(), b"nonce": b"n" * 16}))


# --- in the dialogue after the tree ----------------------------------------------------------------------------------


def asked_then():
    """An honest tree; then what is asked."""
    first = request()
    out(answer(first))
    nonce, questions = dialogue.read_asks(sys.stdin.buffer)
    return first, nonce, questions


def stream(nonce, rows, finish=True):
    encoder = wire.Encoder()
    data = [encoder.start(), encoder.message(wire.HELLO, dialogue.greeting(nonce))]
    data.append(encoder.message(dialogue.ANSWERS, rows))
    return b"".join(data) + (encoder.finish({}) if finish else b"")


def kept(questions):
    """Every answer as whoever asks would like it best."""
    answer = dialogue.Answer(yes=1, size=5, sha256=b"s" * 32, prefix=b"p" * 32)
    return [dialogue.row(number, answer) for number in range(len(questions))]


def says(change):
    def mode():
        _, nonce, questions = asked_then()
        out(change(nonce, kept(questions)))

    return mode


def talks_for_ever():
    _, nonce, _ = asked_then()
    encoder = wire.Encoder()
    out(encoder.start() + encoder.message(wire.HELLO, dialogue.greeting(nonce)))
    while True:
        out(encoder.message(dialogue.ANSWERS, []))


def dies():
    asked_then()
    os.kill(os.getpid(), signal.SIGKILL)


def replays():
    """The answers to an earlier look's questions."""
    record = Path(sys.argv[2])
    first, nonce, questions = asked_then()
    if not record.exists():
        record.write_bytes(b"".join(look.answers(asks.Answerer(first[b"root"]), nonce, questions)))
    out(record.read_bytes())


def honest_talk():
    first, nonce, questions = asked_then()
    out(b"".join(look.answers(asks.Answerer(first[b"root"]), nonce, questions)))


def early():
    """Answers before anything was asked."""
    out(whole() + stream(b"n" * 16, []))


DIALOGUE = {
    "talk": honest_talk,
    "talk-replay": replays,
    "talk-early": early,
    "talk-dies": dies,
    "talk-for-ever": talks_for_ever,
    "talk-silent": lambda: asked_then() and time.sleep(5),
    "talk-drips": lambda: asked_then() and endless(b"\0", 0.05),
    "talk-garbage": lambda: asked_then() and out(os.urandom(5000)),
    "talk-half": says(lambda nonce, rows: stream(nonce, rows)[:-20]),
    "talk-no-trailer": says(lambda nonce, rows: stream(nonce, rows, finish=False)),
    "talk-other-nonce": says(lambda _nonce, rows: stream(b"n" * 16, rows)),
    "talk-too-few": says(lambda nonce, rows: stream(nonce, rows[:-1])),
    "talk-too-many": says(lambda nonce, rows: stream(nonce, [*rows, dialogue.row(len(rows), dialogue.Answer())])),
    "talk-twice": says(lambda nonce, rows: stream(nonce, [rows[0], *rows])),
    "talk-out-of-order": says(lambda nonce, rows: stream(nonce, rows[::-1])),
    "talk-contents": says(lambda nonce, rows: stream(nonce, [[*row[:7], b"never asked for"] for row in rows])),
    "talk-shapes": says(lambda nonce, rows: stream(nonce, [[0, b"", b"", 7, -1, b"x", b"", b""]])),
    "talk-nested": says(lambda nonce, rows: stream(nonce, [[[[]]] * 1000] * 100)),
    "talk-more": says(lambda nonce, rows: stream(nonce, rows) + b"x"),
    "talk-noise": says(lambda nonce, rows: b"Welcome\n" + stream(nonce, rows)),
    "talk-huge": says(lambda nonce, rows: stream(nonce, rows, finish=False) + b"W\xff\xff\xff\xff"),
}

MODES = {
    **DIALOGUE,
    "garbage": lambda: out(os.urandom(200_000)),
    "endless": lambda: endless(b"x" * 65536),
    "endless-frames": endless_frames,
    "clock": clock,
    "drip-frames": drip_frames,
    "replay": replay,
    "drip": lambda: endless(b"x", 0.05),
    "endless-stderr": endless_stderr,
    "silent": lambda: time.sleep(5),
    "huge-frame": lambda: out(wire.MAGIC + b"T\xff\xff\xff\xff" + b"x" * 100),
    "complaint": complaint,
    "honest": lambda: out(whole()),
    "motd": lambda: out(b"Welcome!\n" * 1000 + whole()),
    "nologin": nologin,
    "much-motd": lambda: out(b"Welcome!\n" * 8000 + whole()),
    "other-nonce": other_nonce,
    "failed": failed,
    "later": later,
    "half": half,
    "killed": killed,
    "after-the-end": lambda: out(whole() + b"x"),
    "bad-status": bad_status,
    "stays": stays,
}

if __name__ == "__main__":
    MODES[sys.argv[1]]()
