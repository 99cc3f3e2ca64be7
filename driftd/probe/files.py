"""Read configuration files inside a root, within bounds; what cannot be read is noted and never left out silently."""

import errno
import fnmatch
import os
import stat
import time
from typing import Iterator, List, Optional, Tuple

from driftd.probe import inside
from driftd.probe.found import Found

FILE_LIMIT = 4 * 1024 * 1024  # bytes of one file
TAIL_LIMIT = 16 * 1024 * 1024  # bytes of the end of a log
TOTAL_LIMIT = 64 * 1024 * 1024  # bytes of all files of a directory
NAMES_LIMIT = 20000  # files of one directory
MATCHES_LIMIT = 1000  # paths that a pattern stands for
ABSENT = (errno.ENOENT, errno.ENOTDIR)  # the errors that say that there is none


def read(place, found, kind, path, limit=FILE_LIMIT):
    # type: (inside.Root, Found, bytes, bytes, int) -> Optional[bytes]
    """The file; None when there is none, or when it cannot be read, which is then noted for ``kind``."""
    try:
        return place.read(path, limit)
    except OSError as error:
        if error.errno not in ABSENT:
            found.failed(kind, path, error)
        return None


def tail(place, found, kind, path):
    # type: (inside.Root, Found, bytes, bytes) -> Optional[Tuple[bytes, float]]
    """The end of a log, and when it was last written; None as ``read`` has it. That it is the end alone is noted."""
    try:
        fd = place.open(path)
    except OSError as error:
        if error.errno not in ABSENT:
            found.failed(kind, path, error)
        return None
    try:
        state = os.fstat(fd)
        start = max(0, state.st_size - TAIL_LIMIT)
        if start:
            name = path.decode("ascii", "backslashreplace")
            found.not_available(kind, "only the last %d bytes of %s were read" % (TAIL_LIMIT, name))
            os.lseek(fd, start, os.SEEK_SET)
        return inside.read_fd(fd, TAIL_LIMIT), min(state.st_mtime, time.time())
    except OSError as error:
        found.failed(kind, path, error)
        return None
    finally:
        os.close(fd)


def is_there(place, path):
    # type: (inside.Root, bytes) -> bool
    """Is there something at ``path``, or something on the way that keeps us from knowing?"""
    try:
        place.status(path)
    except OSError as error:
        return error.errno not in ABSENT
    return True


def is_directory(place, path):
    # type: (inside.Root, bytes) -> bool
    """Is it known that there is a directory at ``path``?"""
    try:
        return stat.S_ISDIR(place.status(path).st_mode)
    except OSError:
        return False


def directory(place, found, kind, path):
    # type: (inside.Root, Found, bytes, bytes) -> Optional[inside.Directory]
    """The directory; None when there is none, or when it cannot be read, which is then noted for ``kind``."""
    try:
        return place.directory(path)
    except OSError as error:
        if error.errno not in ABSENT:
            found.failed(kind, path, error)
        return None


def listing(place, found, kind, path):
    # type: (inside.Root, Found, bytes, bytes) -> List[bytes]
    """The names in a directory, sorted; none when there is none."""
    opened = directory(place, found, kind, path)
    if opened is None:
        return []
    with opened:
        return names(opened, found, kind)


def names(opened, found, kind):
    # type: (inside.Directory, Found, bytes) -> List[bytes]
    """The names in an open directory, sorted; those above the limit are noted and left out."""
    try:
        return opened.names(NAMES_LIMIT)
    except OSError as error:
        found.failed(kind, opened.path, error)
        return []


def each(place, found, kind, path, limit=FILE_LIMIT):
    # type: (inside.Root, Found, bytes, bytes, int) -> Iterator[Tuple[bytes, bytes]]
    """Name and contents of each file in the directory ``path``, links to files among them, sorted by name."""
    opened = directory(place, found, kind, path)
    if opened is None:
        return
    left = TOTAL_LIMIT
    with opened:
        for name in names(opened, found, kind):
            try:
                data = opened.read(name, limit)
            except OSError as error:
                if error.errno not in ABSENT and error.errno != errno.EISDIR:
                    found.failed(kind, opened.path + b"/" + name, error)
                continue
            left -= len(data)
            if left < 0:
                found.failed(kind, opened.path, OSError(errno.EFBIG, "more than %d bytes" % TOTAL_LIMIT))
                return
            yield name, data


def matching(place, found, kind, pattern):
    # type: (inside.Root, Found, bytes, bytes) -> List[bytes]
    """The paths that a pattern of glob(7) stands for, sorted, as far as directories can be listed."""
    paths = [b""]
    for step in [part for part in pattern.split(b"/") if part]:
        if not any(char in step for char in b"*?["):
            paths = [path + b"/" + step for path in paths]
            continue
        longer = []  # type: List[bytes]
        for path in paths:
            here = [name for name in listing(place, found, kind, path or b"/") if _matches(name, step)]
            longer.extend(path + b"/" + name for name in here)
            if len(longer) > MATCHES_LIMIT:
                found.cut_short(kind, "too many files match %s" % pattern.decode("utf-8", "backslashreplace"))
                return []
        paths = longer
    return paths


def _matches(name, step):
    # type: (bytes, bytes) -> bool
    return fnmatch.fnmatchcase(name, step) and (not name.startswith(b".") or step.startswith(b"."))


def effective_lines(text):
    # type: (bytes) -> Iterator[bytes]
    """What is left of each line without its comment, runs of blanks made one; lines that end in a backslash joined.

    A # that stands first or after a blank begins a comment, and no comment goes on in the next line, whatever it ends
    in. Where programs differ about that, or about a # within a word, more is kept rather than less: what a program
    obeys is never taken for a comment.
    """
    words = []  # type: List[bytes]
    for line in text.split(b"\n"):
        body = line.rstrip(b"\r")
        stripped = body.rstrip(b"\\")
        goes_on = (len(body) - len(stripped)) % 2 == 1
        more = (body[:-1] if goes_on else body).split()
        comment = next((place for place, word in enumerate(more) if word.startswith(b"#")), None)
        words.extend(more[:comment])
        if goes_on and comment is None:
            continue
        if words:
            yield b" ".join(words)
        words = []
    if words:
        yield b" ".join(words)
