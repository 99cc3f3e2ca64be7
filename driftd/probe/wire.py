"""The wire format: what the probe and the daemon say to each other, and how entries become bytes.

Both ends import this one module, so that there is one description of the format (docs/wire.md tells it to a
stranger). Python 3.6 syntax, python3-minimal's modules only.

* Messages are bencoded (BEP 3): integers, byte strings, lists and dictionaries with sorted byte-string keys.
  The decoder is strict: one value has one encoding.
* A stream is ``MAGIC`` and then frames: one tag byte, a 32-bit big-endian length, the payload.
  Before ``MAGIC`` a login shell may have said something; at most ``NOISE_LIMIT`` bytes of it are passed over.
* The last frame is the trailer: counts, and the SHA-256 of every byte from ``MAGIC`` up to the trailer and of the
  counts as they are encoded.
* Entries travel in directory blocks (``encode_block``), several to a frame, zlib-compressed or plain.
* Which names are hard links of one file is told after them (``LINKS``), since it is known only then.
"""

import hashlib
import struct
import zlib
from typing import Any, BinaryIO, Dict, Iterable, Iterator, List, NamedTuple, Optional, Tuple

from driftd.probe import bencode, frames

NOISE_LIMIT = 64 * 1024
RAW_LIMIT = 16 * 1024 * 1024
LEVEL = 5  # of zlib: 2 % smaller than the first, for 1 % more of a full look's CPU; what is left is digests
BLOCK_TARGET = 256 * 1024
BLOCK_ENTRIES = 4096  # entries in one block; a large directory takes several blocks
XATTR_LIMIT = 1024 * 1024  # bytes of names and values on one entry

# One byte says what an entry is; the letters are those of find(1)'s -type.
FILE, DIRECTORY, LINK, CHAR, BLOCK, FIFO, SOCKET = b"f", b"d", b"l", b"c", b"b", b"p", b"s"
KINDS = (FILE, DIRECTORY, LINK, CHAR, BLOCK, FIFO, SOCKET)

# Bits of an entry's flags; only files and directories have any.
IMMUTABLE, APPEND_ONLY = 1, 2
FLAGS = IMMUTABLE | APPEND_ONLY

# Frame tags. A TREE is compressed, a PLAIN tree is not.
TREE, PLAIN, LINKS, FACTS, SESSIONS, COVERAGE, KNOWN = b"T", b"P", b"L", b"F", b"S", b"C", b"K"
REQUEST = b"Q"

# What is asked for where nothing else is said; the tree and the coverage always come.
SECTIONS = (b"facts", b"sessions")


# Messages are in bencode.py, frames and paths in frames.py; who knows the format knows them from here.
WireError = bencode.WireError
pack = bencode.pack
unpack = bencode.unpack
SCHEMA, MAGIC, FRAME_LIMIT, PATH_LIMIT = frames.SCHEMA, frames.MAGIC, frames.FRAME_LIMIT, frames.PATH_LIMIT
HELLO, TRAILER, FAILED = frames.HELLO, frames.TRAILER, frames.FAILED
parent = frames.parent
basename = frames.basename
join = frames.join


Xattrs = Tuple[Tuple[bytes, bytes], ...]


class Entry(NamedTuple):
    """One name in a tree, with everything about it that may count as drift."""

    path: bytes  # absolute, raw bytes; no trailing slash except for b"/"
    kind: bytes  # one of KINDS
    mode: int  # permission bits, 0o0000 to 0o7777
    uid: int
    gid: int
    size: int  # bytes, regular files only; else 0
    sha256: bytes  # 32 raw bytes, regular files only; b"" where the content could not be read
    target: bytes  # symbolic links only; else b""
    rdev: Tuple[int, int]  # (major, minor), devices only; else (0, 0)
    xattrs: Xattrs  # sorted by name; ACLs and capabilities are among them
    flags: int = 0  # IMMUTABLE | APPEND_ONLY, files and directories only
    # The smallest path, by its bytes, of all that are hard links of one file, the smallest itself included; b"" where
    # the tree has no other. While a tree is being walked it holds a token that the links have in common (walk.py).
    same: bytes = b""


# --- entries ---------------------------------------------------------------------------------------------------------

_FIXED = struct.Struct(">cHIIB")
_LONG = struct.Struct(">Q")
_SHORT = struct.Struct(">H")
_WORD = struct.Struct(">I")
_PAIR = struct.Struct(">II")


def encode_body(entry):
    # type: (Entry) -> bytes
    """The canonical bytes of everything about an entry except its name and its hard links.

    kind (1), mode (u16), uid (u32), gid (u32), flags (u8); then for files size (u64), digest length (u8) and digest,
    for links the target (u32 length), for devices major and minor (u32 each); then the number of xattrs (u16) and each
    name (u16 length) and value (u32 length). All big-endian.
    """
    parts = [_FIXED.pack(entry.kind, entry.mode, entry.uid, entry.gid, entry.flags)]
    if entry.kind == FILE:
        parts.append(_LONG.pack(entry.size) + bytes([len(entry.sha256)]) + entry.sha256)
    elif entry.kind == LINK:
        parts.append(sized(entry.target))
    elif entry.kind in (CHAR, BLOCK):
        parts.append(_PAIR.pack(*entry.rdev))
    parts.append(_SHORT.pack(len(entry.xattrs)))
    if entry.xattrs:
        parts.append(encode_xattrs(entry.xattrs))
    return b"".join(parts)


def encode_xattrs(xattrs):
    # type: (Xattrs) -> bytes
    """What stands in a body behind the number of attributes."""
    return b"".join(_SHORT.pack(len(name)) + name + sized(value) for name, value in xattrs)


def sized(data):
    # type: (bytes) -> bytes
    """``data`` behind its length (u32)."""
    return _WORD.pack(len(data)) + data


class _Reader(object):
    """Takes pieces off a block and refuses to read past its end."""

    def __init__(self, data):
        # type: (bytes) -> None
        self.data = data
        self.at = 0

    def take(self, count):
        # type: (int) -> bytes
        end = self.at + count
        if end > len(self.data):
            raise WireError("block cut short")
        piece = self.data[self.at : end]
        self.at = end
        return piece

    def fixed(self, form):
        # type: (struct.Struct) -> Tuple[Any, ...]
        return form.unpack(self.take(form.size))

    def sized(self, form):
        # type: (struct.Struct) -> bytes
        return self.take(self.fixed(form)[0])


def _decode_body(reader, path):
    # type: (_Reader, bytes) -> Entry
    kind, mode, uid, gid, flags = reader.fixed(_FIXED)
    if kind not in KINDS or mode > 0o7777:
        raise WireError("entry of no known kind")
    if flags & ~(FLAGS if kind in (FILE, DIRECTORY) else 0):
        raise WireError("entry with flags that it cannot have")
    size, digest, target, rdev = 0, b"", b"", (0, 0)
    if kind == FILE:
        (size,) = reader.fixed(_LONG)
        digest = reader.take(reader.take(1)[0])
        if len(digest) not in (0, 32):
            raise WireError("digest of a wrong length")
    elif kind == LINK:
        target = reader.sized(_WORD)
    elif kind in (CHAR, BLOCK):
        rdev = reader.fixed(_PAIR)  # two u32, by the struct's form
    xattrs = []  # type: List[Tuple[bytes, bytes]]
    for _ in range(reader.fixed(_SHORT)[0]):
        name = reader.sized(_SHORT)
        xattrs.append((name, reader.sized(_WORD)))
    if xattrs != sorted(dict(xattrs).items()):
        raise WireError("xattrs are not sorted, or one stands twice")
    return Entry(path, kind, mode, uid, gid, size, digest, target, rdev, tuple(xattrs), flags)


def encode_block(directory, entries):
    # type: (bytes, Iterable[Entry]) -> bytes
    """One directory's entries, sorted by name. The root entry travels in a block of directory b"" under name b"/"."""
    rows = sorted((b"/" if e.path == b"/" else basename(e.path), e) for e in entries)
    parts = []  # type: List[bytes]
    for name, entry in rows:
        parts += (_SHORT.pack(len(name)), name, encode_body(entry))
    return block(directory, len(rows), parts)


def block(directory, count, parts):
    # type: (bytes, int, List[bytes]) -> bytes
    """A block of ``count`` entries: ``parts`` are length of name, name, body, and so on, by name rising."""
    return sized(directory) + _WORD.pack(count) + b"".join(parts)


def decode_block(data):
    # type: (bytes) -> Tuple[bytes, List[Entry]]
    """The directory and entries of one block. Raises WireError for a name that cannot be one, or wrong order."""
    reader = _Reader(data)
    directory = reader.sized(_WORD)
    count = reader.fixed(_WORD)[0]
    if len(directory) > PATH_LIMIT or count > BLOCK_ENTRIES:
        raise WireError("block larger than any that a probe writes")
    if directory not in (b"", b"/") and (directory[:1] != b"/" or directory[-1:] == b"/"):
        raise WireError("block of a directory that has no such path")
    entries = []  # type: List[Entry]
    last = b""
    for _ in range(count):
        name = reader.sized(_SHORT)
        if name <= last or (directory and (b"/" in name or name in (b".", b".."))) or b"\x00" in name:
            raise WireError("name that cannot stand in a directory")
        if not directory and name != b"/":
            raise WireError("only the root stands outside a directory")
        last = name
        entries.append(_decode_body(reader, join(directory, name) if directory else name))
    if reader.at != len(data):
        raise WireError("bytes left over after the block")
    return directory, entries


# --- frames ----------------------------------------------------------------------------------------------------------

Frame = NamedTuple("Frame", [("tag", bytes), ("payload", bytes)])


def encode_request(nonce, root=b"/", sections=SECTIONS, skip=(), limits=None, key=b""):
    # type: (bytes, bytes, Iterable[bytes], Iterable[bytes], Optional[Dict[bytes, int]], bytes) -> bytes
    """The one frame that asks for a look.

    ``skip`` are absolute paths to leave out, counted in the coverage. ``limits`` may hold ``seconds`` (the probe ends
    itself after so long), ``file_bytes`` (larger files are reported as unreadable), ``since`` (seconds since 1970: when
    the instance was launched, so that sessions from before its last boot count, too) and ``now`` (the asker's time, so
    that a clock which was set forward hides none). ``key`` is the image's digest key; without one secrets have no
    digests.
    """
    payload = pack(
        {
            b"nonce": nonce,
            b"schema": SCHEMA,
            b"root": root,
            b"sections": sorted(sections),
            b"skip": sorted(skip),
            b"limits": limits or {},
            b"key": key,
        }
    )
    return frames.HEAD.pack(REQUEST, len(payload)) + payload


def read_request(stream):
    # type: (BinaryIO) -> Dict[bytes, Any]
    """The request on ``stream`` (blocking). Raises WireError when it is cut short or is not one."""
    found = frames.read_frame(stream)
    if found is None:
        raise WireError("the request is cut short")
    if found[0] != REQUEST:
        raise WireError("not a request")
    return request(unpack(found[1]))


def request(asked):
    # type: (Any) -> Dict[bytes, Any]
    """The message of a REQUEST frame, if it is a request. Raises WireError otherwise."""
    shapes = {b"nonce": bytes, b"schema": int, b"root": bytes, b"sections": list, b"skip": list, b"limits": dict}
    shapes[b"key"] = bytes
    if not isinstance(asked, dict) or any(not isinstance(asked.get(k), shapes[k]) for k in shapes):
        raise WireError("the request lacks a field")
    if asked[b"schema"] != SCHEMA:
        raise WireError("the request is in schema %d, this probe speaks %d" % (asked[b"schema"], SCHEMA))
    return asked


def compressed(raw):
    # type: (bytes) -> bytes
    """The payload of a TREE frame of these blocks, each behind its length."""
    return _WORD.pack(len(raw)) + zlib.compress(raw, LEVEL)


class Encoder(frames.Stream):
    """A stream that takes directory blocks, too."""

    def __init__(self):
        # type: () -> None
        super(Encoder, self).__init__()
        self._pending = []  # type: List[bytes]
        self._pending_size = 0

    def block(self, block):
        # type: (bytes) -> bytes
        """Add a directory block; returns a TREE frame once enough have gathered, else b""."""
        self._pending.append(sized(block))
        self._pending_size += len(block) + 4
        return self.flush() if self._pending_size >= BLOCK_TARGET else b""

    def flush(self):
        # type: () -> bytes
        if not self._pending:
            return b""
        raw = b"".join(self._pending)
        self._pending, self._pending_size = [], 0
        return self.frame(TREE, compressed(raw))

    def finish(self, counts):
        # type: (Dict[bytes, int]) -> bytes
        """See ``Stream.finish``."""
        head = self.flush()
        return head + super(Encoder, self).finish(counts)


class Decoder(object):
    """Reads a stream, piece by piece; holds at most one frame. ``finished`` is true after a valid trailer."""

    def __init__(self, frame_limit=FRAME_LIMIT):
        # type: (int) -> None
        self._buffer = bytearray()
        self._digest = hashlib.sha256()
        self._started = False
        self._frame_limit = frame_limit
        self.frames = 0
        self.finished = False
        self.noise = b""
        self.counts = {}  # type: Dict[bytes, int]

    @property
    def heard(self):
        # type: () -> bytes
        """What came while no answer has begun: noise so far."""
        return b"" if self._started else bytes(self._buffer)

    def feed(self, data):
        # type: (bytes) -> Iterator[Frame]
        """Yield each whole frame (the trailer is checked here and not yielded). Raises WireError."""
        if self.finished and data:
            raise WireError("bytes after the trailer")
        self._buffer += data
        if not self._started and not self._find_magic():
            return
        while len(self._buffer) >= frames.HEAD.size:
            tag, length = frames.HEAD.unpack_from(self._buffer)
            if length > self._frame_limit:
                raise WireError("frame of %d bytes is over the limit of %d" % (length, self._frame_limit))
            end = frames.HEAD.size + length
            if len(self._buffer) < end:
                return
            whole = bytes(self._buffer[:end])
            del self._buffer[:end]
            if tag == TRAILER:
                self._check_trailer(whole[frames.HEAD.size :])
                if self._buffer:
                    raise WireError("bytes after the trailer")
                return
            self._digest.update(whole)
            self.frames += 1
            yield Frame(tag, whole[frames.HEAD.size :])

    def _find_magic(self):
        # type: () -> bool
        at = self._buffer.find(MAGIC)
        if at < 0:
            if len(self._buffer) > NOISE_LIMIT + len(MAGIC):
                raise WireError("no answer of a probe in the first %d bytes" % NOISE_LIMIT)
            return False
        if at > NOISE_LIMIT:
            raise WireError("no answer of a probe in the first %d bytes" % NOISE_LIMIT)
        self.noise = bytes(self._buffer[:at])
        del self._buffer[: at + len(MAGIC)]
        self._digest.update(MAGIC)
        self._started = True
        return True

    def _check_trailer(self, payload):
        # type: (bytes) -> None
        trailer = unpack(payload)
        counts = trailer.get(b"counts") if isinstance(trailer, dict) else None
        if not isinstance(counts, dict) or not all(isinstance(n, int) for n in counts.values()):
            raise WireError("trailer without counts")
        self._digest.update(pack(counts))
        if trailer.get(b"sha256") != self._digest.digest():
            raise WireError("the stream's digest does not match its trailer")
        if counts.get(b"frames") != self.frames:
            raise WireError("frames are missing")
        self.counts = counts
        self.finished = True


def blocks(payload):
    # type: (bytes) -> Iterator[bytes]
    """The directory blocks of one TREE frame; never inflates past the declared size or RAW_LIMIT. Raises WireError."""
    if len(payload) < _WORD.size:
        raise WireError("tree frame cut short")
    (size,) = _WORD.unpack_from(payload)
    if size > RAW_LIMIT:
        raise WireError("tree frame of %d bytes is over the limit" % size)
    inflate = zlib.decompressobj()
    try:
        raw = inflate.decompress(payload[_WORD.size :], size + 1)
    except zlib.error:
        raise WireError("tree frame does not inflate")
    if len(raw) != size or not inflate.eof or inflate.unused_data:
        raise WireError("tree frame is not as long as it says")
    return plain_blocks(raw)


def plain_blocks(raw):
    # type: (bytes) -> Iterator[bytes]
    """The directory blocks of one PLAIN frame."""
    at, size = 0, len(raw)
    while at < size:
        if at + _WORD.size > size:
            raise WireError("block cut short")
        (length,) = _WORD.unpack_from(raw, at)
        at += _WORD.size
        if at + length > size:
            raise WireError("block cut short")
        yield raw[at : at + length]
        at += length
