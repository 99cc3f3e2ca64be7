"""The frames of the wire format, and paths: what the smallest part of the probe needs of it (docs/wire.md).

``wire.py`` has the rest. A stream is ``MAGIC``, frames (one tag byte, a 32-bit big-endian length, the payload) and a
trailer with counts and the SHA-256 of all that came before it.
"""

import hashlib
import struct
from typing import Any, BinaryIO, Dict, Optional, Tuple

from driftd.probe import bencode

SCHEMA = 2
MAGIC = b"\x00driftd-wire/2\n"
FRAME_LIMIT = 4 * 1024 * 1024
PATH_LIMIT = 32 * 1024  # bytes; deeper trees are reported as unreadable, so that a block stays small when read
SENTENCE_LIMIT = 400
HELLO, TRAILER, FAILED = b"H", b"Z", b"E"
HEAD = struct.Struct(">cI")

WireError = bencode.WireError


def parent(path):
    # type: (bytes) -> bytes
    """The directory that holds ``path``; b"/" for the root itself."""
    return path.rpartition(b"/")[0] or b"/"


def basename(path):
    # type: (bytes) -> bytes
    return path.rpartition(b"/")[2]


def join(directory, name):
    # type: (bytes, bytes) -> bytes
    return directory.rstrip(b"/") + b"/" + name


def read_frame(stream):
    # type: (BinaryIO) -> Optional[Tuple[bytes, bytes]]
    """Tag and payload of the next frame on ``stream`` (blocking); None where it ended before one. Raises WireError."""
    head = stream.read(HEAD.size)
    if not head:
        return None
    tag, length = HEAD.unpack(head) if len(head) == HEAD.size else (b"", 0)
    if length > FRAME_LIMIT:
        raise WireError("the request is %d bytes long, over the limit of %d" % (length, FRAME_LIMIT))
    payload = stream.read(length)
    if not tag or len(payload) != length:
        raise WireError("the request is cut short")
    return tag, payload


class Stream(object):
    """Writes a stream: ``start()``, any number of frames, ``finish()``; each returns the bytes to send."""

    def __init__(self):
        # type: () -> None
        self._digest = hashlib.sha256()
        self._frames = 0

    def start(self):
        # type: () -> bytes
        self._digest.update(MAGIC)
        return MAGIC

    def frame(self, tag, payload):
        # type: (bytes, bytes) -> bytes
        data = HEAD.pack(tag, len(payload)) + payload
        self._digest.update(data)
        self._frames += 1
        return data

    def message(self, tag, value):
        # type: (bytes, Any) -> bytes
        return self.frame(tag, bencode.pack(value))

    def finish(self, counts):
        # type: (Dict[bytes, int]) -> bytes
        """The trailer. ``counts`` is compared by the reader with what it counted itself."""
        body = dict(counts)
        body[b"frames"] = self._frames
        self._digest.update(bencode.pack(body))
        trailer = bencode.pack({b"counts": body, b"sha256": self._digest.digest()})
        return HEAD.pack(TRAILER, len(trailer)) + trailer


def failed(stream, error):
    # type: (Stream, BaseException) -> bytes
    """A FAILED frame: one bounded sentence, without the traceback."""
    text = "%s: %s" % (type(error).__name__, error)
    return stream.message(FAILED, {b"reason": text.encode("utf-8", "backslashreplace")[:SENTENCE_LIMIT]})
