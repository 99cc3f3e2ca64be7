"""A glimpse: what is to be seen of a few directories now, in the form of a look that saw nothing else.

Directories are read by what the kernel stamps on every change and nobody sets: a name whose ctime is from since the
directory was last read is told; so is every name of a directory that is itself as young, as one may be gone from it.
"""

import os
import stat
from collections import OrderedDict
from typing import Any, Dict, Iterable, Iterator, List, Optional, Set, Tuple

from driftd.probe import opening, walk, watchwire, wire
from driftd.probe.tally import Tally

SLACK_NS = 1000000000  # what was stamped this much before the last reading is told again: file systems' clocks tick
_TOLD_LIMIT = 4096
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

# Where a login leaves its trace, below directories that are watched.
TRACES = frozenset(
    b"/var/log/auth.log /var/log/secure /var/log/wtmp /var/log/lastlog /var/log/btmp /var/log/messages "
    b"/var/log/syslog /var/log/wtmp.db /var/lib/wtmpdb/wtmp.db /var/lib/lastlog/lastlog2.db".split()
)
JOURNALS = b"/var/log/journal/"


class Seen(object):
    """What the reading of touched directories showed.

    ``young`` are names by directory, ``listed`` all the names of some directories; paths are absolute.
    """

    def __init__(self):
        # type: () -> None
        self.young = {}  # type: Dict[bytes, List[bytes]]
        self.listed = {}  # type: Dict[bytes, List[bytes]]
        self.directories = []  # type: List[bytes]  # new ones
        self.gone = []  # type: List[bytes]
        self.stamped = 0  # names and directories that are young, told before or not
        self.traces = False
        self.full = b""

    def __bool__(self):
        # type: () -> bool
        return bool(self.young or self.listed or self.full)


class Reader(object):
    """Reads touched directories; remembers when it read each share of them last and what it told lately.

    ``below`` is "/" but in tests; ``skip`` are paths that are left out, with all below them (mounts, for the most).
    """

    def __init__(self, began, skip=()):
        # type: (int, Iterable[bytes]) -> None
        self._since = {}  # type: Dict[bytes, int]
        self._began = began
        self._skip = frozenset(skip)
        self._told = OrderedDict()  # type: OrderedDict[bytes, Tuple[int, int, int]]

    def read(self, touched, now):
        # type: (Iterable[bytes], int) -> Seen
        """``now`` in nanoseconds of the kernel's wall clock, from before the reading."""
        seen, entries = Seen(), 0
        for directory in sorted(touched):
            found = self._read(directory, now, seen)
            entries += found
            if entries > watchwire.ENTRIES_LIMIT or len(seen.young) + len(seen.listed) > watchwire.DIRECTORIES_LIMIT:
                seen.full = watchwire.TOO_MUCH
                seen.young.clear()
                seen.listed.clear()
                entries = 0
        return seen

    def _read(self, directory, now, seen):
        # type: (bytes, int, Seen) -> int
        try:
            fd = os.open(directory, _DIRECTORY)
        except OSError:
            seen.gone.append(directory)
            self._since.pop(directory, None)
            return 0
        try:
            # A link on the way would lead to what is called otherwise.
            if os.readlink(b"/proc/self/fd/%d" % fd) != directory:
                seen.gone.append(directory)
                return 0
            since = self._since.get(directory, self._began) - SLACK_NS
            self._since[directory] = now
            return self._names(fd, directory, since, seen)
        except OSError:
            return 0
        finally:
            os.close(fd)

    def _names(self, fd, directory, since, seen):
        # type: (int, bytes, int, Seen) -> int
        own = os.fstat(fd).st_ctime_ns >= since
        names, young = [], []  # type: List[bytes], List[bytes]
        with os.scandir(fd) as found:
            for one in found:
                if len(names) >= watchwire.NAMES_LIMIT:
                    seen.full = watchwire.TOO_MUCH
                    return 0
                name = os.fsencode(one.name)
                names.append(name)
                if self._is_news(one, wire.join(directory, name), since, seen):
                    young.append(name)
        if own:
            seen.stamped += 1
        if own and self._news(directory, os.fstat(fd), b"/"):
            names.sort()
            seen.listed[directory] = names
        if young:
            seen.young[directory] = sorted(young)
        return len(young)

    def _is_news(self, one, path, since, seen):
        # type: (os.DirEntry[str], bytes, int, Seen) -> bool
        """Whether this name is young and was not told as it is now."""
        if path in self._skip:
            return False
        try:
            state = one.stat(follow_symlinks=False)
        except OSError:
            return False
        if state.st_ctime_ns < since:
            return False
        seen.stamped += 1
        seen.traces = seen.traces or path in TRACES or path.startswith(JOURNALS)
        if not self._news(path, state):
            return False
        if stat.S_ISDIR(state.st_mode):
            seen.directories.append(path)
        return True

    def _news(self, path, state, more=b""):
        # type: (bytes, os.stat_result, bytes) -> bool
        """Whether this state of it was not told yet."""
        key, now = path + more, (state.st_ino, state.st_ctime_ns, state.st_size)
        if self._told.get(key) == now:
            return False
        self._told.pop(key, None)
        self._told[key] = now
        if len(self._told) > _TOLD_LIMIT:
            self._told.popitem(last=False)
        return True


def directories(top, skip):
    # type: (bytes, Set[bytes]) -> Iterator[bytes]
    """``top`` and every directory below it, links not followed, none of ``skip`` entered."""
    todo = [top]
    while todo:
        path = todo.pop()
        yield path
        try:
            with os.scandir(path) as found:
                for one in found:
                    below = wire.join(path, one.name)
                    if below not in skip and one.is_dir(follow_symlinks=False):
                        todo.append(below)
        except OSError:
            continue


def told(nonce, seen, sessions):
    # type: (bytes, Seen, Optional[Dict[bytes, Any]]) -> bytes
    """The stream of one look that saw these names, the directories above them, and these sessions."""
    tally = Tally()
    walker = walk.Walker(tally, file_limit=watchwire.FILE_LIMIT)
    encoder = wire.Encoder()
    wanted = {directory: set(names) for directory, names in seen.young.items()}  # type: Dict[bytes, Set[bytes]]
    for directory in sorted(set(seen.young) | set(seen.listed)):
        at = directory
        while at != b"/":
            wanted.setdefault(wire.parent(at), set()).add(wire.basename(at))
            at = wire.parent(at)
    parts = [encoder.start(), encoder.message(wire.HELLO, {b"nonce": nonce, b"schema": wire.SCHEMA, b"live": 1})]
    fd = opening.open_quietly(b"/", os.O_DIRECTORY)
    try:
        parts.append(encoder.block(wire.encode_block(b"", [walker.top(fd)])))
    finally:
        os.close(fd)
    there = {b"/"}
    for directory in sorted(wanted):
        entries = _entries(walker, directory, sorted(wanted[directory])) if directory in there else []
        there.update(entry.path for entry in entries if entry.kind == wire.DIRECTORY)
        for first in range(0, len(entries), wire.BLOCK_ENTRIES):
            block = wire.encode_block(directory, entries[first : first + wire.BLOCK_ENTRIES])
            parts.append(encoder.block(block))
    parts.append(encoder.flush())
    counts = {b"links": 0, b"entries": tally.entries, b"bytes_hashed": tally.bytes_hashed}
    if sessions is not None:
        parts.append(encoder.message(wire.SESSIONS, sessions))
        counts.update({key: len(rows) for key, rows in sessions.items()})
    unreadable = sorted(tally.unreadable)
    parts.append(encoder.message(wire.COVERAGE, {b"unreadable": unreadable, b"covered": [], b"mounted": []}))
    counts.update({b"unreadable": len(unreadable), b"covered": 0, b"mounted": 0})
    parts.append(encoder.finish(counts))
    return b"".join(parts)


def _entries(walker, directory, names):
    # type: (walk.Walker, bytes, List[bytes]) -> List[wire.Entry]
    found = []  # type: List[wire.Entry]
    try:
        fd = os.open(directory, _DIRECTORY)
    except OSError:
        return found
    try:
        for name in names:
            entry = walker.entry(fd, name, wire.join(directory, name))
            if entry is not None:
                found.append(entry._replace(same=b""))  # its other names are nobody's to know here
    except walk.UnsearchableError:
        walker.tally.not_read(directory, "its names can be listed and nothing behind them be seen")
    finally:
        os.close(fd)
    return found
