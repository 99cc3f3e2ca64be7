"""What runs, by program: an ordinary one is its path alone, an odd one says what is odd, with a digest of what runs.

``state`` is "" for a program that is the file of that name on a file system that was looked at; "deleted" when the
file was removed or replaced since; "in memory" when there never was one; "elsewhere" when no path here leads to it (a
container, a mount on top) or it lies on a file system that is passed over (``filesystem``). "maps deleted", "maps in
memory" and "maps elsewhere" tell the same of code that the program has mapped (``code``): a library that was replaced
beneath it, or was put into it. "loaded" is a file that some program has mapped to execute it, by the file's name: a
library, or a program that the loader was told to start. "traced" is a program that another one (``by``) holds as a
debugger does.
"""

import hashlib
import os
import re
import stat
import time
from typing import Dict, List, NamedTuple, Optional, Set, Tuple

from driftd.probe import mounts, snapshot, system
from driftd.probe.found import Found

KIND = b"process"
ROWS_LIMIT = 20000
MAPS_LIMIT = 8 * 1024 * 1024
FILE_LIMIT = 256 * 1024 * 1024  # bytes of one program
HASH_LIMIT = 512 * 1024 * 1024  # bytes of all
SECONDS = 5.0  # for all digests

_DELETED = b" (deleted)"
_MEMORY = b"/memfd:"
# "start-end perms offset major:minor inode path" of what may be executed; the kernel's own have no slash.
_CODE = re.compile(rb"^([0-9a-f]+-[0-9a-f]+) ..x. [0-9a-f]+ ([0-9a-f]+):([0-9a-f]+) (\d+) +(/.*)$", re.MULTILINE)
# Anonymous memory that is shared; as little a file as what is private.
_SHARED_ANONYMOUS = b"/dev/zero (deleted)"

Row = Tuple[bytes, bytes, bytes, bytes, bytes, bytes, bytes]  # in the order of _FIELDS, the name first
_FIELDS = ("state", "sha256", "user", "code", "filesystem", "by")
Odd = NamedTuple("Odd", [("name", bytes), ("state", bytes), ("filesystem", bytes)])
ORDINARY = Odd(b"", b"", b"")


class FileSystems(object):
    """Which file systems are passed over, by device and by path."""

    def __init__(self, seen):
        # type: (snapshot.Snapshot) -> None
        text = seen.kernel.text(b"/proc/self/mountinfo", MAPS_LIMIT)
        self._shown = mounts.visible(mounts.parse(text))[0]
        self._passed = {}  # type: Dict[Tuple[int, int], bytes]
        root = os.stat(b"/").st_dev
        for line in text.split(b"\n"):
            left, _, right = line.partition(b" - ")
            major, colon, minor = (left.split() + [b""] * 3)[2].partition(b":")
            kind = right.split(b" ")[0]
            device = (system.number(major), system.number(minor))
            if colon and kind not in mounts.PERSISTENT and device != (os.major(root), os.minor(root)):
                self._passed[device] = kind

    def passed_over(self, major, minor):
        # type: (int, int) -> bytes
        """The kind of a file system that is not looked at; b"" for one that is."""
        return self._passed.get((major, minor), b"")

    def at(self, path):
        # type: (bytes) -> bytes
        """The kind of the file system that ``path`` leads to."""
        while path not in self._shown and path != b"/":
            path = path[: path.rfind(b"/")] or b"/"
        return self._shown.get(path, b"")


class Digests(object):
    """SHA-256 of what runs, each file once, within bounds."""

    def __init__(self):
        # type: () -> None
        self._known = {}  # type: Dict[Tuple[int, ...], bytes]
        self._left = HASH_LIMIT
        self._until = time.monotonic() + SECONDS
        self.missed = False

    def of(self, path):
        # type: (bytes) -> bytes
        """In hex; b"" when it cannot be read or there was no time, which ``missed`` says."""
        fd = _open(path)
        if fd < 0:
            return b""
        try:
            state = os.fstat(fd)
            key = (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns)
            if key not in self._known and stat.S_ISREG(state.st_mode):
                self._known[key] = self._hash(fd, state.st_size)
            return self._known.get(key, b"")
        except OSError:
            return b""
        finally:
            os.close(fd)

    def _hash(self, fd, size):
        # type: (int, int) -> bytes
        if size > min(FILE_LIMIT, self._left):
            self.missed = True
            return b""
        digest, read = hashlib.sha256(), 0
        while read <= FILE_LIMIT and time.monotonic() < self._until:
            data = os.read(fd, 1 << 18)
            if not data:
                return digest.hexdigest().encode("ascii")
            digest.update(data)
            read += len(data)
            self._left -= len(data)
        self.missed = True
        return b""


def _open(path):
    # type: (bytes) -> int
    """A descriptor, which moves no atime where that may be asked for; -1 when it may not be read."""
    for flags in (os.O_NOATIME, 0):
        try:
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | flags)
        except OSError:  # it may be another user's, whose atime only root may spare
            continue
    return -1


class Programs(object):
    """Makes the facts of one snapshot."""

    def __init__(self, seen):
        # type: (snapshot.Snapshot) -> None
        self._seen = seen
        self._systems = FileSystems(seen)
        self._digests = Digests()
        self._rows = set()  # type: Set[Row]
        self._codes = {}  # type: Dict[Tuple[bytes, bytes, bytes, bytes], bool]
        self._hidden = False
        self._closed = False
        self._unsure = False

    def report(self, found):
        # type: (Found) -> None
        """Add the facts."""
        found.looked(KIND)
        own = self._seen.own()
        until = time.monotonic() + snapshot.SECONDS
        late = False
        for process in self._seen.processes:
            if process.program:
                odd = self._program(process, process.pid in own)
                late = late or time.monotonic() > until
                if not late:
                    late = self._mapped(process, odd)
        for row in sorted(self._rows)[:ROWS_LIMIT]:
            found.add(KIND, row[0], **dict(zip(_FIELDS, row[1:])))  # noqa: B905  # "strict" came with 3.10
        self._say(found, late or self._seen.cut or len(self._rows) > ROWS_LIMIT)

    def _say(self, found, late):
        # type: (Found, bool) -> None
        """What was kept from us."""
        if self._seen.hidden:
            found.not_permitted(KIND, "the programs of other users are hidden from this user")
        if self._hidden and not self._seen.hidden:
            found.not_permitted(KIND, "what other users' programs have mapped is hidden from this user")
        if self._closed:
            found.not_permitted(KIND, "what programs have mapped may not be opened, so that its name is taken for it")
        if self._unsure:
            found.cut_short(KIND, "some of what programs have mapped is too large to be told from the file of its name")
        if late:
            found.cut_short(KIND, "not every process was looked at in full, for want of time")
        if self._digests.missed:
            found.not_available(KIND, "some programs that run are too large to be read in time")

    def _program(self, process, own):
        # type: (snapshot.Process, bool) -> Odd
        """What the look itself came through is left out, unless it is odd."""
        odd = self._odd(process)
        if odd.state:
            sha256 = self._digests.of(self._seen.path(process, b"exe"))
            self._rows.add((odd.name, odd.state, sha256, process.user, b"", odd.filesystem, b""))
        elif not own:
            self._rows.add((odd.name, b"", b"", process.user, b"", b"", b""))
        if process.tracer:
            by = [other.program for other in self._seen.processes if other.pid == process.tracer]
            self._rows.add((odd.name, b"traced", b"", process.user, b"", b"", (by or [b"?"])[0]))
        return odd

    def _odd(self, process):
        # type: (snapshot.Process) -> Odd
        text = process.program
        try:
            running = os.stat(self._seen.path(process, b"exe"))
        except OSError:  # gone, or hidden after all
            return Odd(text, b"", b"")
        named = None  # type: Optional[os.stat_result]
        try:
            named = os.stat(self._seen.kernel.top + text)
        except OSError:  # nothing of that name here
            pass
        same = named is not None and (named.st_dev, named.st_ino) == (running.st_dev, running.st_ino)
        if text.endswith(_DELETED) and not same:
            name = text[: -len(_DELETED)]
            return Odd(name, b"in memory" if name.startswith(_MEMORY) else b"deleted", b"")
        passed = self._systems.passed_over(os.major(running.st_dev), os.minor(running.st_dev))
        if passed or not same:
            return Odd(text, b"elsewhere", passed)
        return Odd(text, b"", b"")

    def _mapped(self, process, program):
        # type: (snapshot.Process, Odd) -> bool
        """Was there more than is read?"""
        try:
            with open(self._seen.path(process, b"maps"), "rb") as stream:
                text = stream.read(MAPS_LIMIT)
        except OSError as error:
            self._hidden = self._hidden or error.errno in (1, 13)
            return False
        for code in _CODE.finditer(text):
            path = code.group(5).replace(b"\\012", b"\n")
            if path in (process.program, _SHARED_ANONYMOUS):
                continue
            file = self._seen.path(process, b"map_files/" + code.group(1))
            odd = self._odd_code(path, int(code.group(2), 16), int(code.group(3), 16))
            if odd is None and program.state != b"elsewhere":  # what has a root of its own has names of its own
                known = path, code.group(2), code.group(3), code.group(4)
                if known not in self._codes:
                    self._codes[known] = self._is_at(path, file)
                if self._codes[known]:
                    self._rows.add((path, b"loaded", b"", b"", b"", b"", b""))
                else:
                    odd = Odd(path, b"elsewhere", b"")
            if odd is not None:
                sha256 = self._digests.of(file)
                state = b"maps " + odd.state
                self._rows.add((program.name, state, sha256, process.user, odd.name, odd.filesystem, b""))
        return len(text) >= MAPS_LIMIT

    def _is_at(self, path, file):
        # type: (bytes, bytes) -> bool
        """Is what a program has mapped (``file``, in map_files) the file that ``path`` leads to here?

        Where it may not be opened, its name is all there is, which is said. Some kernels tell another inode of what
        lies on an overlay: then the content decides, and where there is no time to read it nothing is held against it.
        """
        try:
            mapped = os.stat(file)
        except OSError as error:
            self._closed = self._closed or error.errno in (1, 13)
            return True
        try:
            named = os.stat(self._seen.kernel.top + path)
        except OSError:
            return False
        if (named.st_dev, named.st_ino) == (mapped.st_dev, mapped.st_ino):
            return True
        digests = {self._digests.of(one) for one in (file, self._seen.kernel.top + path)}
        if b"" in digests:
            self._unsure = True
            return True
        return len(digests) == 1

    def _odd_code(self, path, major, minor):
        # type: (bytes, int, int) -> Optional[Odd]
        if path.endswith(_DELETED):
            name = path[: -len(_DELETED)]
            return Odd(name, b"in memory" if name.startswith(_MEMORY) else b"deleted", b"")
        passed = self._systems.passed_over(major, minor)
        # Some kernels tell the device below an overlay: what the path says must agree.
        if passed and self._systems.at(path) == passed:
            return Odd(path, b"elsewhere", passed)
        return None
