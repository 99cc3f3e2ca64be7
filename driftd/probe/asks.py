"""Answers what is asked of single files after the tree was sent (dialogue.py): digests, a yes or a no, bounded.

Files are opened as the walk opens them: links are followed nowhere, nothing but a regular file is opened, no access
time moves where that can be had.
"""

import errno
import hashlib
import os
import re
import stat
import zlib
from typing import Any, Callable, Dict, Iterator, List, Set, Tuple

from driftd.probe import compiled, copying, dialogue, opening, redact, roster, trails, wire
from driftd.probe.dialogue import Answer

READ = 1 << 20
BEYOND = 64 * 1024 * 1024  # bytes that are unpacked beyond those asked for, so that a bomb is none
SOURCE_LIMIT = 1024 * 1024  # bytes of a Python source, and of what it compiles to
HOSTNAME = b"(?#hostname)"
_STEP = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_DENIED = (errno.EPERM, errno.EACCES)
_CHANGED = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EINVAL, errno.EISDIR, errno.ESTALE)


class _CannotError(Exception):
    """An ask that has no answer: ``how`` and why."""

    def __init__(self, how, why):
        # type: (bytes, str) -> None
        Exception.__init__(self, why)
        self.answer = Answer(how, why.encode("utf-8", "backslashreplace")[:400])


class Answerer(object):
    """Answers asks below one root directory."""

    def __init__(self, root):
        # type: (bytes) -> None
        self._root = root
        self._trails = trails.Trails(root)
        self._roster = roster.Roster(root)
        self._copier = copying.Copier()

    def answer(self, path, what, argument):
        # type: (bytes, bytes, bytes) -> Answer
        """The answer, or why there is none. Raises nothing for what a file is or holds."""
        try:
            how = _HOW.get(what)
            return how(self, path, argument) if how else Answer(dialogue.NOT_AVAILABLE, b"no such question is known")
        except _CannotError as cannot:
            return cannot.answer
        except OSError as error:
            said = error.strerror or "it cannot be read"
            if error.errno in _CHANGED:
                return Answer(dialogue.CHANGED, said.encode())
            return Answer(dialogue.NOT_PERMITTED if error.errno in _DENIED else dialogue.NOT_AVAILABLE, said.encode())
        except (MemoryError, RecursionError):
            return Answer(dialogue.CUT_SHORT, b"it takes more memory than there is for it")

    # --- the questions ---

    def prefix(self, path, argument):
        # type: (bytes, bytes) -> Answer
        wanted = _number(argument)
        fd = self.open(path)
        try:
            digest, left = hashlib.sha256(), wanted
            while left:
                data = os.read(fd, min(left, READ))
                if not data:
                    return Answer(size=os.fstat(fd).st_size)
                digest.update(data)
                left -= len(data)
            return Answer(size=os.fstat(fd).st_size, sha256=digest.digest())
        finally:
            os.close(fd)

    def match(self, path, argument):
        # type: (bytes, bytes) -> Answer
        text = self._whole(path, dialogue.CONTENT_LIMIT)
        try:
            pattern = re.compile(argument.replace(HOSTNAME, self._names()))
        except (re.error, ValueError, OverflowError):
            raise _CannotError(dialogue.NOT_AVAILABLE, "the Python there does not take the pattern")
        return Answer(size=len(text), yes=1 if pattern.fullmatch(text) else 0)

    def unpacked(self, path, argument):
        # type: (bytes, bytes) -> Answer
        wanted = _number(argument)
        fd = self.open(path)
        first, whole, size, prefix = hashlib.sha256(), hashlib.sha256(), 0, b""
        try:
            for data in _unpack(fd):
                if size < wanted:
                    first.update(data[: wanted - size])
                whole.update(data)
                size += len(data)
                if size > wanted + BEYOND:
                    return Answer(size=size, prefix=first.digest())
        except EOFError:
            return Answer(size=size, why=b"it does not unpack")
        finally:
            os.close(fd)
        if size >= wanted:
            prefix = first.digest()
        return Answer(size=size, sha256=whole.digest(), prefix=prefix)

    def pyc(self, path, argument):
        # type: (bytes, bytes) -> Answer
        source = compiled.source_of(path)
        if source is None:
            return Answer(why=b"it is not named as this Python names what it compiles")
        text = self._whole(argument or source, SOURCE_LIMIT)
        why = compiled.why_not(self._whole(path, SOURCE_LIMIT), text, path)
        return Answer(why=why.encode(), yes=0 if why else 1, size=len(text), sha256=hashlib.sha256(text).digest())

    def show(self, path, argument):
        # type: (bytes, bytes) -> Answer
        text = self._whole(path, dialogue.CONTENT_LIMIT)
        content, why = redact.asked(text, argument)
        if why or len(content) > dialogue.CONTENT_LIMIT:
            return Answer(dialogue.NOT_AVAILABLE, why[:400] or b"it is longer than what may be shown")
        return Answer(size=len(text), sha256=hashlib.sha256(text).digest(), content=content)

    def trail(self, path, _argument):
        # type: (bytes, bytes) -> Answer
        found = self._trails.of(path)
        return Answer(size=found.changed, yes=1 if found.itself else 0, content=wire.pack(found.rows))

    def copy(self, path, argument):
        # type: (bytes, bytes) -> Answer
        at = _number(argument)
        data, size, why = self._copier.piece(self.open(path), at)
        if why:
            return Answer(dialogue.NOT_AVAILABLE, why, size=size)
        return Answer(size=size, content=data)

    def processes(self, _path, argument):
        # type: (bytes, bytes) -> Answer
        page, pages = self._roster.page(_number(argument))
        return Answer(size=pages, content=page)

    # --- files ---

    def open(self, path):
        # type: (bytes) -> int
        """A descriptor of the regular file at ``path``. Raises OSError."""
        *above, name = [part for part in path.split(b"/") if part] or [b"."]
        fd = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for part in above:
                if part == b"..":
                    raise OSError(errno.EINVAL, "not a path of the tree")
                below = os.open(part, _STEP, dir_fd=fd)
                os.close(fd)
                fd = below
            if not stat.S_ISREG(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode):
                raise OSError(errno.EINVAL, "not a regular file")
            found = opening.open_quietly(name, 0, fd)
        finally:
            os.close(fd)
        if not stat.S_ISREG(os.fstat(found).st_mode):
            os.close(found)
            raise OSError(errno.EINVAL, "not a regular file")
        return found

    def _whole(self, path, limit):
        # type: (bytes, int) -> bytes
        fd = self.open(path)
        try:
            parts, left = [], limit + 1  # type: List[bytes], int
            while left:
                data = os.read(fd, min(left, READ))
                if not data:
                    return b"".join(parts)
                parts.append(data)
                left -= len(data)
        finally:
            os.close(fd)
        raise _CannotError(dialogue.CUT_SHORT, "it is longer than %d bytes" % limit)

    def _names(self):
        # type: () -> bytes
        """The names that this machine goes by, as a regular expression: what /etc/hostname says, else the kernel."""
        names = set()  # type: Set[bytes]
        try:
            names.update(self._whole(b"/etc/hostname", 1024).split()[:1])
        except (OSError, _CannotError):
            pass
        if not names and self._root == b"/":
            names.add(os.uname()[1].encode("utf-8", "surrogateescape"))
        names.update([name.split(b".")[0] for name in names])
        return b"(?:" + b"|".join(re.escape(name) for name in sorted(names - {b""}, reverse=True)) + b")"


_HOW = {
    dialogue.PREFIX: Answerer.prefix,
    dialogue.MATCH: Answerer.match,
    dialogue.UNPACKED: Answerer.unpacked,
    dialogue.PYC: Answerer.pyc,
    dialogue.SHOW: Answerer.show,
    dialogue.TRAIL: Answerer.trail,
    dialogue.COPY: Answerer.copy,
    dialogue.PROCESSES: Answerer.processes,
}  # type: Dict[bytes, Callable[[Answerer, bytes, bytes], Answer]]


def _number(argument):
    # type: (bytes) -> int
    if not argument.isdigit() or len(argument) > 18:
        raise _CannotError(dialogue.NOT_AVAILABLE, "the question is none")
    return int(argument)


# --- unpacking -------------------------------------------------------------------------------------------------------


def _gzip():
    # type: () -> Tuple[Any, Any]
    return zlib.decompressobj(31), zlib.error


def _other(module, name, error):
    # type: (str, str, str) -> Callable[[], Tuple[Any, Any]]
    def make():
        # type: () -> Tuple[Any, Any]
        try:
            found = __import__(module, fromlist=["_"])
        except ImportError:
            raise _CannotError(dialogue.NOT_AVAILABLE, "the Python there has no module %s" % module)
        return getattr(found, name)(), getattr(found, error, ValueError)

    return make


_FORMS = (
    (b"\x1f\x8b", _gzip),
    (b"BZh", _other("bz2", "BZ2Decompressor", "")),
    (b"\xfd7zXZ\0", _other("lzma", "LZMADecompressor", "LZMAError")),
    (b"\x28\xb5\x2f\xfd", _other("compression.zstd", "ZstdDecompressor", "ZstdError")),
)  # type: Tuple[Tuple[bytes, Callable[[], Tuple[Any, Any]]], ...]


def _unpack(fd):
    # type: (int) -> Iterator[bytes]
    """What the file unpacks to, in pieces, several streams one after the other. Raises EOFError where it is damaged."""
    data = os.read(fd, READ)
    make = next((make for magic, make in _FORMS if data.startswith(magic)), None)
    if make is None:
        raise EOFError
    while data:
        one, errors = make()
        try:
            for piece in _inflated(one, data, fd):
                yield piece
        except (errors, ValueError, EOFError):
            raise EOFError
        except OSError as error:
            if error.errno:
                raise
            raise EOFError  # bz2 has no error of its own
        data = one.unused_data or os.read(fd, READ)


def _inflated(one, data, fd):
    # type: (Any, bytes, int) -> Iterator[bytes]
    """One stream of it, never more than ``READ`` bytes at once."""
    while not one.eof:
        piece = one.decompress(data, READ)
        yield piece
        data = getattr(one, "unconsumed_tail", b"")  # zlib gives back what the others keep
        if not data and not one.eof and len(piece) < READ and getattr(one, "needs_input", True):
            data = os.read(fd, READ)
            if not data:
                raise EOFError
