"""Processes that share the work of one walk: forks of the one that walks, which gives them jobs with open descriptors.

A job is bytes and descriptors, what comes of it is bytes, and the order of what comes out is that of the jobs, whoever
did them and whenever. With one process, or but one job, nobody is forked.
"""

import collections
import fcntl
import gc
import os
import select
import signal
import socket
import struct
from typing import Any, Callable, Deque, Dict, Iterable, Iterator, List

SIZE = 1  # processes; the program that is sent to an instance asks ``cores``
MOST = 2  # more than two gain little, and a server has other things to do
AHEAD = 12  # jobs that are under way at the most
HELD = 2 * 1024 * 1024  # bytes that may wait for the outcome of an earlier job

KEPT = 64  # outcomes that wait for an earlier one
_ROOM = 256 * 1024  # bytes of a job and its number, for others to do it
_BUFFER = _ROOM  # of the socket that they are sent through
DESCRIPTORS = 32  # of one job, at the most
_HEAD = struct.Struct("=II")

Work = Callable[[bytes, List[int]], Any]


class WorkerError(Exception):
    """A process that shared the work failed; what it was doing is lost, and so is the look."""


def cores():
    # type: () -> int
    """How many processes may be of use here."""
    return min(MOST, len(os.sched_getaffinity(0)))


class Crew(object):
    """Does jobs by ``work``, here or in ``SIZE`` processes. ``end`` it, whatever happens."""

    def __init__(self, work):
        # type: (Callable[[bytes, List[int]], bytes]) -> None
        self._work = work
        self._size = SIZE
        self._order = collections.deque()  # type: Deque[List[Any]]  # of slots: whether it is there, and what it is
        self._open = {}  # type: Dict[int, List[Any]]  # slots of jobs under way, by their numbers
        self._given = 0
        self._held = 0
        self._first = []  # type: List[Any]  # the first job: whether to fork is known with the second
        self._jobs = None  # type: Any  # the socket that they are sent through
        self._children = {}  # type: Dict[int, int]  # by what is read from them
        self._heard = {}  # type: Dict[int, bytearray]
        self._lifelines = []  # type: List[int]

    # --- jobs in, outcomes out ---------------------------------------------------------------------

    def keep(self, outcome):
        # type: (Any) -> None
        """Put in what needs no work, in its place among the jobs."""
        while len(self._order) > KEPT and (self._first or self._open):
            self._begin() if self._first else self._listen()
        self._order.append([True, outcome])

    def give(self, job, fds):
        # type: (bytes, List[int]) -> None
        """Take a job on; its descriptors are closed here. Raises WorkerError."""
        slot = [False, None]  # type: List[Any]
        self._order.append(slot)
        if self._size > 1 and self._jobs is None:
            if not self._first:
                self._first = [slot, job, fds]
                return
            self._fork()
            first, self._first = self._first, []
            self._send(*first)
        self._send(slot, job, fds)

    def ready(self):
        # type: () -> bool
        """Whether the outcome that is next is there."""
        return bool(self._order) and self._order[0][0]

    def done(self, all_of_it=False):
        # type: (bool) -> Iterator[Any]
        """Outcomes in the order of their jobs: those that are there, or all. Raises WorkerError."""
        if all_of_it:
            self._begin()
        while self._order and (all_of_it or self.ready()):
            while not self._order[0][0]:
                self._listen()
            outcome = self._order.popleft()[1]
            if isinstance(outcome, bytes):
                self._held -= len(outcome)
            yield outcome

    def _begin(self):
        # type: () -> None
        """Do the first job here, when no second is in sight."""
        first, self._first = self._first, []
        if first:
            self._send(*first)

    def _put(self, slot, outcome):
        # type: (List[Any], bytes) -> None
        slot[:] = [True, outcome]
        self._held += len(outcome)

    def _send(self, slot, job, fds):
        # type: (List[Any], bytes, List[int]) -> None
        try:
            if self._children and self._sent(job, fds):
                self._open[self._given] = slot
            else:
                self._put(slot, self._work(job, fds))
        finally:
            _close(fds)

    def _sent(self, job, fds):
        # type: (bytes, List[int]) -> bool
        """Whether the others take it: one that is too long for a socket, or has too many descriptors, is done here."""
        if len(job) > _ROOM - _HEAD.size:
            return False
        self._given += 1
        message = [_HEAD.pack(self._given, len(job)) + job]
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("%di" % len(fds), *fds))]
        while True:
            while len(self._open) >= AHEAD or (self._held > HELD and self._open):
                self._listen()
            try:
                self._jobs.sendmsg(message, rights, socket.MSG_DONTWAIT)
            except BlockingIOError:
                if not self._open:
                    return False
                self._listen()
            except BrokenPipeError:
                self._listen()
            except OSError:
                return False
            else:
                return True

    def _listen(self):
        # type: () -> None
        """Wait for a piece of an outcome. Raises WorkerError when it will not come."""
        poll = select.poll()
        for fd in self._children:
            poll.register(fd, select.POLLIN)
        for fd, _ in poll.poll():
            piece, heard = os.read(fd, 1 << 20), self._heard[fd]
            if not piece:
                raise WorkerError(self._why(fd))
            heard += piece
            while len(heard) >= _HEAD.size:
                number, length = _HEAD.unpack_from(heard)
                if len(heard) < _HEAD.size + length:
                    break
                outcome = bytes(heard[_HEAD.size : _HEAD.size + length])
                del heard[: _HEAD.size + length]
                if not number:
                    raise WorkerError("a process that was reading files failed: %s" % outcome.decode())
                self._put(self._open.pop(number), outcome)

    def _why(self, fd):
        # type: (int) -> str
        _, status = os.waitpid(self._children.pop(fd), 0)
        how = "signal %d" % os.WTERMSIG(status) if os.WIFSIGNALED(status) else "status %d" % os.WEXITSTATUS(status)
        os.close(fd)
        return "a process that was reading files ended (%s), perhaps for want of memory" % how

    # --- the processes ------------------------------------------------------------------------------

    def _fork(self):
        # type: () -> None
        self._jobs, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (self._jobs, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        with theirs:
            for _ in range(self._size):
                (reader, writer), (lifeline, ours) = os.pipe(), os.pipe()
                try:
                    child = os.fork()
                except OSError:  # there may be no more; whoever is there does it all
                    _close([reader, writer, lifeline, ours])
                    break
                if not child:
                    try:
                        _close([reader, ours, self._jobs.detach()] + self._lifelines + list(self._children))
                        _outlive_nobody(lifeline)
                        _labour(self._work, theirs, writer)
                    finally:
                        os._exit(1)
                self._children[reader], self._heard[reader] = child, bytearray()
                self._lifelines.append(ours)
                _close([writer, lifeline])

    def end(self):
        # type: () -> None
        """End all processes; what is under way is lost."""
        _close((self._first[2] if self._first else []) + self._lifelines + list(self._children))
        if self._jobs is not None:
            self._jobs.close()
        cut = bool(self._order)
        for child in self._children.values():
            if cut:
                os.kill(child, signal.SIGKILL)
            # One that hangs in the kernel is not waited for: there is a deadline to be kept.
            os.waitpid(child, os.WNOHANG if cut else 0)
        self.__init__(self._work)  # type: ignore[misc]  # as it was at first


def _close(fds):
    # type: (Iterable[int]) -> None
    for fd in fds:
        os.close(fd)


def _outlive_nobody(lifeline):
    # type: (int) -> None
    """The kernel ends this process (SIGIO) as soon as the other end is closed, and the deadline does."""
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    try:
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    except OSError:  # not every kernel is Linux's own; the end of the jobs ends it, too
        pass
    left = signal.getitimer(signal.ITIMER_REAL)[0]
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, left and left + 1)  # the other one says why


def _labour(work, jobs, writer):
    # type: (Work, socket.socket, int) -> None
    """Do jobs until there are none, and end."""
    gc.disable()  # nothing here goes in circles
    while True:
        data, rights, _, _ = jobs.recvmsg(_ROOM, socket.CMSG_SPACE(4 * DESCRIPTORS))
        if not data:
            os._exit(0)
        fds = [fd for _, _, some in rights for (fd,) in struct.iter_unpack("i", some)]
        number = _HEAD.unpack_from(data)[0]
        try:
            # Descriptors that had no room here are missed there.
            outcome = work(data[_HEAD.size :], fds)
        except (MemoryError, OSError) as error:  # what can be said; of anything else, that it ended
            number, outcome = 0, ("%s: %s" % (type(error).__name__, error)).encode("ascii", "backslashreplace")[:300]
        left = memoryview(_HEAD.pack(number, len(outcome)) + outcome)
        while left:
            left = left[os.write(writer, left) :]
        _close(fds)
