"""Run by a test's sshd instead of the probe: answers as a good, a broken and a hostile instance might."""

import os
import signal
import sys
import time
from pathlib import Path

from driftd.probe import look, wire

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
    row = dict.fromkeys(b"door user source key key_id tty evidence".split(), b"")
    row |= {b"door": b"ssh", b"user": b"root", b"source": b"10.0.0.9", b"port": 7, b"pid": 9, b"live": 0, b"ended": 0}
    logins = [
        {**row, b"started": now, b"key": own, b"ancestor": 1, b"live": 1},
        {**row, b"started": max(0, now - 60), b"key": other, b"ancestor": 0},
    ]
    decoder, encoder = wire.Decoder(), wire.Encoder()
    frames = list(decoder.feed(answer({**asked, b"sections": [b"facts"], b"root": root})))
    hello = {**wire.unpack(frames[0].payload), b"clock": now, b"booted_at": max(0, now - 3600), b"boot_id": b"b"}
    data = [encoder.start(), encoder.message(wire.HELLO, hello)]
    data += [encoder.frame(tag, payload) for tag, payload in frames[1:]]
    data.append(encoder.message(wire.SESSIONS, {b"sessions": logins}))
    out(b"".join(data) + encoder.finish({**decoder.counts, b"sessions": 2}))


def other_nonce():
    out(answer({**request(), b"nonce": b"n" * 16}))


MODES = {
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
