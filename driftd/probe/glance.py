"""The glance: a small program that answers "same" in a few bytes, and takes in more of itself when it is asked more.

It reads frames from its input and answers each that asks with one stream (docs/wire.md). Pieces of program come in
frames, too; what they can answer they put into ``ANSWERS``. Between two questions it holds no file system and no time
runs.
"""

import hashlib
import os
import sys
import time
import zlib
from typing import Any, BinaryIO, Callable, Dict, Iterator, Optional, Tuple

from driftd.probe import bencode, frames, greeting, stats, statwalk
from driftd.probe.deadline import Deadline

NICE = 10
PIECE, GLANCE, VIEW = b"P", b"G", b"V"

ANSWERS = {}  # type: Dict[bytes, Callable[[Memory, Dict[bytes, Any]], Iterator[bytes]]]


class Memory(object):
    """What one question leaves behind for the next: the last walk, the root, the time that a question may take."""

    def __init__(self):
        # type: () -> None
        self.walk = None  # type: Optional[statwalk.Walk]
        self.root = b"/"
        self.seconds = 0
        self.schedule = None  # type: Any  # due.py


def checked(asked, **shapes):
    # type: (Dict[bytes, Any], type) -> None
    """A question has a nonce, limits, and fields of these shapes. Raises WireError."""
    shapes.update(nonce=bytes, limits=dict)
    if any(not isinstance(asked.get(key.encode()), shapes[key]) for key in shapes):
        raise frames.WireError("the request lacks a field")
    if asked.get(b"schema", frames.SCHEMA) != frames.SCHEMA:
        raise frames.WireError("the request is in schema %r, this probe speaks %d" % (asked[b"schema"], frames.SCHEMA))


def glance(memory, asked, watcher=None):
    # type: (Memory, Dict[bytes, Any], Any) -> Iterator[bytes]
    """The answer to GLANCE; ``watcher`` as statwalk.py has it."""
    checked(asked, schema=int, root=bytes, skip=list, known=bytes)
    stream, memory.root = frames.Stream(), asked[b"root"]
    yield stream.start() + stream.message(frames.HELLO, greeting.of(asked[b"nonce"], memory.root))
    memory.walk = None  # its memory is given back first
    settled = asked[b"limits"].get(b"settled", statwalk.SETTLED)
    walk = memory.walk = statwalk.Walk(memory.root, asked[b"skip"], settled, watcher)
    vector = walk.vector()
    view = {b"root": stats.root(vector, walk.around)}
    # Hidden by the nonce, so that nobody can say it who does not have it.
    if hashlib.sha256(asked[b"nonce"] + view[b"root"]).digest() != asked[b"known"]:
        view[b"buckets"], view[b"around"] = vector, walk.around
    yield stream.message(VIEW, view) + stream.finish({b"entries": walk.entries})


ANSWERS[GLANCE] = glance


def _question(tag, payload):
    # type: (bytes, bytes) -> Tuple[Dict[bytes, Any], Dict[bytes, int]]
    asked = bencode.unpack(payload) if tag in ANSWERS else None
    limits = asked.get(b"limits", {}) if isinstance(asked, dict) else None
    if tag not in ANSWERS:
        raise frames.WireError("not a question that this part of the probe knows (%r)" % tag)
    if not isinstance(limits, dict) or any(not isinstance(limit, int) for limit in limits.values()):
        raise frames.WireError("the request lacks a field")
    return asked or {}, limits


def told(memory, tag, payload):
    # type: (Memory, bytes, bytes) -> Iterator[bytes]
    """The answer to one question; whatever goes wrong, it ends with a FAILED frame that says what."""
    stream, begun = frames.Stream(), False
    try:
        asked, limits = _question(tag, payload)
        memory.seconds = limits.get(b"seconds", memory.seconds)
    except Exception as error:  # noqa: BLE001  # the probe's door: whatever it was, it is said and nothing hangs
        yield stream.start() + frames.failed(stream, error)
        return
    with Deadline(memory.seconds):
        try:
            for data in ANSWERS[tag](memory, asked):
                begun = True
                yield data
        except Exception as error:  # noqa: BLE001  # as above
            yield (b"" if begun else stream.start()) + frames.failed(stream, error)


def serve(stdin, stdout):
    # type: (BinaryIO, BinaryIO) -> None
    """Answer until the input ends. What is no frame at all is said, and ends it."""
    memory = Memory()
    while True:
        try:
            found = frames.read_frame(stdin)
            if found is not None and found[0] == PIECE:
                piece = bencode.unpack(found[1])
                exec(zlib.decompress(piece[b"piece"]), sys.modules["__main__"].__dict__)  # noqa: S102  # BOOT does no less
                continue
        except Exception as error:  # noqa: BLE001  # as above; and where the next frame begins is not known
            stream = frames.Stream()
            stdout.write(stream.start() + frames.failed(stream, error))
            stdout.flush()
            return
        if found is None:
            return
        for data in told(memory, *found):
            stdout.write(data)
            stdout.flush()


def main(stdin, stdout):
    # type: (BinaryIO, BinaryIO) -> None
    """The program: quiet when nobody listens any more."""
    os.nice(NICE)
    os.environ.pop("TZ", None)  # whoever logs in may bring a zone along; the logs are in the machine's own
    time.tzset()
    try:
        serve(stdin, stdout)
    except (OSError, RuntimeError):
        # The connection is gone, and with it everybody who could be told.
        os._exit(1)
