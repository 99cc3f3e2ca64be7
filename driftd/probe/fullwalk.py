"""The walk of a full look: every name with all about it, read and hashed by several processes where there are cores.

The walk itself (walk.py) goes through directories, describes them, and hands out what else is in them, in jobs. What is
in a job, and so in a frame, hangs on the tree alone: not on how many processes there are, nor on which is faster.
"""

import errno
import os
from typing import Any, Iterable, Iterator, List, Optional, Tuple

from driftd.probe import attributes, crew, rows, wire
from driftd.probe.names import contents
from driftd.probe.opening import listing
from driftd.probe.tally import Tally
from driftd.probe.walk import BATCH_BYTES, FILE_LIMIT, Batch, Level, UnsearchableError, Walker

NAMES = 1024  # in one job
BYTES = 32 * 1024  # of names and paths, after which a job is long enough


class FullWalker(Walker):
    """Gives batches whose entries are ``rows.Packed``, but of directories that are wanted apart, and of "/"."""

    def __init__(self, tally, skip=(), points=(), replaced=(), hanging=(), file_limit=FILE_LIMIT):
        # type: (Tally, Iterable[bytes], Iterable[bytes], Iterable[bytes], Iterable[bytes], int) -> None
        super(FullWalker, self).__init__(tally, skip, points, replaced, hanging, file_limit)
        # What is met on its way into a directory that appears behind the walk's back is the same.
        self._describer = rows.Describer(Tally(), skip, points, replaced, hanging, file_limit)
        self._crew = crew.Crew(self._describer.work)
        self._stop = False
        # Directories with a name in them that is not to be gone into, or not even looked at.
        self._special = {wire.parent(path) for paths in (skip, points, replaced, hanging) for path in paths}
        self._parts = []  # type: List[Any]  # of the next job
        self._fds = []  # type: List[int]
        self._names = self._bytes = 0  # of it

    def walk(self, fd, base, stop):
        # type: (int, bytes, bool) -> Iterator[Batch]
        """See ``Walker.walk``. Raises WorkerError."""
        self._stop = stop
        try:
            for batch in super(FullWalker, self).walk(fd, base, stop):
                yield batch
        finally:
            self._crew.end()
            for one in self._fds:
                os.close(one)
            self._fds = []

    # --- what comes out -----------------------------------------------------------------------------

    def _finished(self, all_of_it=False):
        # type: (bool) -> Iterator[Batch]
        for outcome in self._crew.done(all_of_it):
            if isinstance(outcome, bytes):
                packed, taken = rows.opened(outcome)
                self.tally.add(taken)
                yield b"", packed
            else:
                yield outcome

    def _rest(self):
        # type: () -> Iterable[Batch]
        self._give()
        return self._finished(all_of_it=True)

    # --- one directory -----------------------------------------------------------------------------

    def _list(self, level, stop):
        # type: (Level, bool) -> Iterable[Batch]
        if self.apart(level.path):
            return self._one_by_one(level, stop)
        level.packed = True
        try:
            directories, names, others = contents(level.fd, self._avoided(level))
        except OSError as error:
            self.tally.not_read(level.path, error)
        else:
            level.pending = self._wanted(level, directories)
            level.pending.reverse()
            self._hand_out(level, names, others)
        return self._finished() if self._crew.ready() else ()

    def _one_by_one(self, level, stop):
        # type: (Level, bool) -> Iterator[Batch]
        for batch in super(FullWalker, self)._list(level, stop):
            self._crew.keep(batch)
            for one in self._finished():
                yield one

    def _avoided(self, level):
        # type: (Level) -> Iterable[bytes]
        """Names in a directory that are not to be touched; each is counted."""
        if level.path not in self._special:
            return ()
        left = self.skip | self.replaced | (self.hanging if self._stop else frozenset())
        here = {wire.basename(path): path for path in left if wire.parent(path) == level.path}
        for name in sorted(here.keys() & set(listing(level.fd))):
            self._pass_over(here[name])
        return here

    def _wanted(self, level, directories):
        # type: (Level, List[bytes]) -> List[bytes]
        """Those to go into; the others are described."""
        if level.path not in self._special:
            return directories
        wanted = []  # type: List[bytes]
        for name in directories:
            path = wire.join(level.path, name)
            if self._goes_into(path, self._stop):
                wanted.append(name)
            else:
                self._describe(level, name, path)
        return wanted

    def _describe(self, level, name, path):
        # type: (Level, bytes, bytes) -> Optional[wire.Entry]
        try:
            entry = self.entry(level.fd, name, path)
        except UnsearchableError:
            self.tally.not_read(level.path, os.strerror(errno.EACCES))
            return None
        if entry is not None:
            self._crew.keep((level.path, [entry]))
        return entry

    def _descend(self, stack, name):
        # type: (List[Level], bytes) -> Optional[Level]
        above = stack[-1]
        if not above.packed:
            return super(FullWalker, self)._descend(stack, name)
        path, below = wire.join(above.path, name), None
        try:
            below = self._enter(stack, name, path)
        except OSError as error:
            entry = self._describe(above, name, path)
            if entry is not None and entry.kind == wire.DIRECTORY:
                self._not_entered(path, error, described=True)
        else:
            if below is None:
                self._describe(above, name, path)
            else:
                self._row(above, name, path, below)
        return below

    def _row(self, level, name, path, below):
        # type: (Level, bytes, bytes, Level) -> None
        """Tell of a directory that is gone into; of some at a time, since there may be a million in one."""
        xattrs = attributes.xattrs(below.fd, path, self.tally)
        body = rows.directory_body(below.found, attributes.flags(below.fd, path, self.tally), xattrs)
        self.tally.entries += 1
        level.rows += (rows.SHORTS[len(name)], name, body)
        level.size += len(body)
        if level.size > BATCH_BYTES or len(level.rows) >= 3 * NAMES:
            self._leave(level)

    def _leave(self, level):
        # type: (Level) -> None
        if level.rows:
            self._part(wire.block(level.path, len(level.rows) // 3, level.rows), 0, level.size)
            level.rows, level.size = [], 0

    # --- jobs -----------------------------------------------------------------------------

    def _hand_out(self, level, names, others):
        # type: (Level, List[bytes], List[bytes]) -> None
        odd = set(others)
        for at in range(0, len(names), NAMES):
            some = names[at : at + NAMES]
            self._fds.append(os.dup(level.fd))
            joined = b"/".join(some)
            part = level.path, joined, b"/".join(odd.intersection(some))
            self._part(part, len(some), len(level.path) + len(joined))

    def _part(self, part, names, size):
        # type: (Any, int, int) -> None
        """Add to the next job: (directory, names in it, those that may be no files), or a block as it is."""
        self._parts.append(part)
        self._names += names
        self._bytes += size
        if self._names >= NAMES or self._bytes >= BYTES or len(self._fds) == crew.DESCRIPTORS:
            self._give()

    def _give(self):
        # type: () -> None
        if self._parts:
            job, fds = rows.job(self._walks, self._stop, self._parts), self._fds
            self._parts, self._fds, self._names, self._bytes = [], [], 0, 0
            self._crew.give(job, fds)
