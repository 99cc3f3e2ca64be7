"""The second half of a look: what may be asked once the fingerprint has been seen, and how the answers travel.

After the trailer of its first stream the probe reads one frame ``ASKS``, if the request asked for the section "asks".
Asks that are none end the look; else a second stream follows, with its own nonce, greeting and trailer. Like wire.py
this is pure format, for both ends (docs/wire.md).
"""

from typing import Any, BinaryIO, Dict, List, NamedTuple, Tuple

from driftd.probe import frames, wire

SECTION = b"asks"
ASKS, ANSWERS = b"A", b"W"

PREFIX, MATCH, UNPACKED, PYC, SHOW = b"prefix", b"match", b"unpacked", b"pyc", b"show"
TRAIL = b"trail"
COPY, PROCESSES = b"copy", b"processes"
KINDS = (PREFIX, MATCH, UNPACKED, PYC, SHOW, TRAIL, COPY, PROCESSES)

ASKS_LIMIT = 4096  # in one look
ARGUMENT_LIMIT = 64 * 1024  # bytes
CONTENT_LIMIT = 64 * 1024  # bytes of a file that is matched or shown, and of what is shown of it
COPY_LIMIT = 16 * 1024 * 1024  # bytes of a program that is copied at all
COPY_PIECE = 60 * 1024  # bytes of it in one answer
PAGES_LIMIT = 32  # of processes; what is beyond is left out
PIECE = 512 * 1024  # bytes of answers in one frame

# What a living process has to do with a name: its program is of that name; it has itself written all that is there.
RUNS, WROTE = b"runs", b"wrote"
ROWS_LIMIT = 64  # processes that are told of one name
ABOVE_LIMIT = 32  # processes above one of them

# Why an ask has no answer. CHANGED: there is no such file (any more), or it does not stand still.
NOT_AVAILABLE, NOT_PERMITTED, CUT_SHORT, CHANGED = b"not available", b"not permitted", b"cut short", b"changed"
HOWS = (b"", NOT_AVAILABLE, NOT_PERMITTED, CUT_SHORT, CHANGED)

Ask = Tuple[bytes, bytes, bytes]  # path, what, argument


class Answer(NamedTuple):
    """What one ask came to. ``how`` is b"" when it was answered, else one of ``HOWS``, and ``why`` a sentence."""

    how: bytes = b""
    why: bytes = b""
    yes: int = 0  # match, pyc: 1 or 0; trail: 0 where only the directory above is there to tell
    size: int = 0  # bytes: prefix: of the file now; unpacked: of what was unpacked; show: of the file; pyc: its source
    # copy: of the program; processes: no bytes, but how many pages there are
    # trail: no bytes, but when the kernel last changed it, in nanoseconds since 1970
    sha256: bytes = b""  # prefix: of the first N bytes, b"" when there are fewer; unpacked: of all, b"" when more is
    # left than is unpacked; pyc: of the source; show: of the file as it is
    prefix: bytes = b""  # unpacked: of the first N bytes, b"" when there are fewer
    content: bytes = b""  # show: what is left of it without its secrets; trail: processes, as ``read_trail`` has them
    # copy: one piece of it as it is; processes: one page of them, as ``read_processes`` has them


def encode_asks(nonce, asks):
    # type: (bytes, List[Ask]) -> bytes
    """The one frame that follows the first stream."""
    payload = wire.pack({b"nonce": nonce, b"asks": [list(ask) for ask in asks]})
    if len(asks) > ASKS_LIMIT or len(payload) > wire.FRAME_LIMIT:
        raise wire.WireError("more is asked than one look may ask")
    return frames.HEAD.pack(ASKS, len(payload)) + payload


def read_asks(stream):
    # type: (BinaryIO) -> Tuple[bytes, List[Ask]]
    """The nonce and the asks on ``stream`` (blocking); none when it ended. Raises WireError for anything else."""
    found = frames.read_frame(stream)
    if found is None:
        return b"", []
    if found[0] != ASKS:
        raise wire.WireError("not a frame of asks")
    return asked(wire.unpack(found[1]))


def asked(message):
    # type: (Any) -> Tuple[bytes, List[Ask]]
    """The nonce and the asks of the message in a frame ASKS. Raises WireError."""
    asks = message.get(b"asks") if isinstance(message, dict) else None
    if not isinstance(asks, list) or len(asks) > ASKS_LIMIT or not isinstance(message.get(b"nonce"), bytes):
        raise wire.WireError("the asks are none")
    for ask in asks:
        if not isinstance(ask, list) or len(ask) != 3 or not all(isinstance(part, bytes) for part in ask):
            raise wire.WireError("an ask is none")
        if len(ask[2]) > ARGUMENT_LIMIT or not ask[0].startswith(b"/"):
            raise wire.WireError("an ask is none")
    return message[b"nonce"], [(ask[0], ask[1], ask[2]) for ask in asks]


def row(number, answer):
    # type: (int, Answer) -> List[Any]
    """An answer as it travels: the number of its ask, then its fields."""
    return [number] + list(answer)


def read_row(value):
    # type: (Any) -> Tuple[int, Answer]
    """The number of the ask and the answer. Raises WireError."""
    if not isinstance(value, list) or len(value) != 8:
        raise wire.WireError("an answer has not the right fields")
    number, how, why, yes, size, sha256, prefix, content = value
    numbers = all(isinstance(one, int) for one in (number, yes, size))
    if not numbers or not all(isinstance(one, bytes) for one in (how, why, sha256, prefix, content)):
        raise wire.WireError("an answer has not the right fields")
    if how not in HOWS or yes not in (0, 1) or not 0 <= size < 1 << 63 or len(why) > 1024:
        raise wire.WireError("an answer says what no probe says")
    if len(sha256) not in (0, 32) or len(prefix) not in (0, 32) or len(content) > CONTENT_LIMIT:
        raise wire.WireError("an answer says what no probe says")
    return number, Answer(how, why, yes, size, sha256, prefix, content)


def read_trail(content):
    # type: (bytes) -> List[Tuple[bytes, int, int, List[int]]]
    """What is told of processes: RUNS or WROTE, the kernel's number of the login that each was started from (0: none),
    when it was started in seconds since 1970, itself and the processes above it. Raises WireError.
    """
    rows = wire.unpack(content) if content else []
    if not isinstance(rows, list) or len(rows) > ROWS_LIMIT:
        raise wire.WireError("a trail is none")
    for one in rows:
        if not isinstance(one, list) or len(one) != 4 or one[0] not in (RUNS, WROTE) or not isinstance(one[3], list):
            raise wire.WireError("a trail is none")
        numbers = one[1:3] + one[3]
        if len(one[3]) > ABOVE_LIMIT or not all(isinstance(each, int) and 0 <= each < 1 << 40 for each in numbers):
            raise wire.WireError("a trail is none")
    return [(one[0], one[1], one[2], one[3]) for one in rows]


def read_processes(content):
    # type: (bytes) -> List[Tuple[int, int, int, int, bytes, bytes, bytes]]
    """One page of the processes: number, that of the one above, user, start in seconds since 1970, name, program (b""
    for the kernel's own) and command line, without what looks of a secret. Raises WireError.
    """
    rows = wire.unpack(content) if content else []
    if not isinstance(rows, list):
        raise wire.WireError("the processes are none")
    for one in rows:
        if not isinstance(one, list) or len(one) != 7 or not all(isinstance(each, bytes) for each in one[4:]):
            raise wire.WireError("the processes are none")
        if not all(isinstance(each, int) and 0 <= each < 1 << 40 for each in one[:4]):
            raise wire.WireError("the processes are none")
    return [(one[0], one[1], one[2], one[3], one[4], one[5], one[6]) for one in rows]


def greeting(nonce):
    # type: (bytes) -> Dict[bytes, Any]
    """The HELLO of the second stream."""
    return {b"nonce": nonce, b"schema": wire.SCHEMA}
