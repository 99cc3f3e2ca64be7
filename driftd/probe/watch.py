"""The resident probe: it stays on the connection, and says where something happened and what is there now.

It decides nothing. What it says is judged by the daemon as a look is; whatever it cannot show asks for a whole look.
Nothing is written and nothing stays: it ends when its input closes, when nobody said for half a minute that they are
still there, when its output is not taken, and when the kernel finds it over its limits.
"""

import os
import select
import signal
import sys
import time
from typing import Any, BinaryIO, Dict, List, Optional, Set

from driftd.probe import (
    glimpse,
    inside,
    limits,
    mounts,
    newcomers,
    notices,
    processes,
    sessions,
    waiting,
    watchwire,
    wire,
)

NICE = 5  # what is seldom run is to be run soon; how much, the purse says
SETTLE = 0.015  # seconds from the first sign to looking, so that what belongs together comes together
PACE = 0.25  # seconds between two pieces of a round through the files
PROCESSES_PACE = 0.5  # seconds between two looks at /proc
ANEW = 0.1  # seconds between two readings of logins, each of which costs much
AFTER = 1.0  # seconds after a sign at the doors that the logins are read once more
SHARE = 0.03  # of a core, beyond the burst
BURST = 1.0  # seconds of CPU
LOGINS_SECONDS = 15
RUNAWAY = 30  # seconds of CPU between two beats after which the kernel ends us
NEW_LIMIT = 2000  # directories that are new at once
SESSIONS = b"sessions"


class Purse(object):
    """CPU time, ours and our children's: a burst, and beyond it a small share of a core."""

    def __init__(self, now):
        # type: (float) -> None
        self._at = now
        self._left = BURST
        self._used = used()

    def wait(self, now):
        # type: (float) -> float
        """Seconds until there is something to spend again; 0.0 now."""
        spent = used()
        self._left = min(BURST, self._left + (now - self._at) * SHARE) - (spent - self._used)
        self._at, self._used = now, spent
        return 0.0 if self._left > 0 else -self._left / SHARE


def used():
    # type: () -> float
    """Seconds of CPU that this process and its children have used."""
    times = os.times()
    return times[0] + times[1] + times[2] + times[3]


class Resident(object):
    """One watch: ``run`` returns when it is over. ``out`` and ``stdin`` are descriptors."""

    def __init__(self, request, stdin, out):
        # type: (Dict[bytes, Any], int, int) -> None
        self._nonce = request[b"nonce"]
        self._root = request[b"root"]
        self._logins = SESSIONS in request[b"sections"]
        self._limits = request[b"limits"]
        self._allowed = request[b"skip"] or (notices.Inotify.name, notices.Dnotify.name, newcomers.Connector.name)
        self._stdin, self._out = stdin, out
        self._encoder = wire.Encoder()
        self._poll = select.poll()
        self._heard = time.monotonic()
        self._files_at = self._processes_at = self._logins_at = None  # type: Optional[float]
        self._more_at = None  # type: Optional[float]
        self._read_at = -AFTER
        self._beat_at = 0.0
        self._hints = self._overflows = 0
        self._last = b""  # the logins as they were last told
        self._programs = set()  # type: Set[bytes]

    # --- beginning ---------------------------------------------------------------------------------------------------

    def run(self):
        # type: () -> None
        os.set_blocking(self._out, False)
        self._write(self._encoder.start())
        self._begin()
        self._purse = Purse(time.monotonic())
        while self._turn():
            pass

    def _begin(self):
        # type: () -> None
        began = time.time_ns() if hasattr(time, "time_ns") else int(time.time() * 1e9)
        self._files = notices.best(self._allowed)
        self._processes = newcomers.best(self._allowed)
        self._skip = self._left_out()
        self._reader = glimpse.Reader(began, self._skip)
        unwatched = 0
        for path in glimpse.directories(self._root, self._skip):
            unwatched += not self._files.add(path)
        self._poll.register(self._stdin, select.POLLIN)
        for one in (self._files, self._processes):
            if one.fileno() >= 0:
                self._poll.register(one.fileno(), select.POLLIN)
        now = time.monotonic()
        self._heard = now
        if self._files.fileno() < 0:
            self._files_at = now
        self._processes_at = now + PROCESSES_PACE if self._processes.fileno() < 0 else None
        self._logins_at = now if self._logins else None
        self._say(
            watchwire.GREETING,
            {
                b"nonce": self._nonce,
                b"schema": wire.SCHEMA,
                b"files": self._files.name,
                b"processes": self._processes.name,
                b"directories": len(self._files),
                b"unwatched": unwatched,
            },
        )

    def _left_out(self):
        # type: () -> Set[bytes]
        """Mount points that are not watched: what is not kept over a reboot, and what a held directory would pin."""
        shown, _ = mounts.read()
        pins = self._files.pins
        return {point for point, kind in shown.items() if point != b"/" and (pins or kind not in mounts.PERSISTENT)}

    # --- one turn ----------------------------------------------------------------------------------------------------

    def _turn(self):
        # type: () -> bool
        """Wait, hear what came, do what is due. False when it is over."""
        now = time.monotonic()
        due = [self._files_at, self._processes_at, self._logins_at, self._beat_at]
        wait = max(0.0, min(one for one in due if one is not None) - now)
        for fd, _ in self._poll.poll(int(wait * 1000) + 1):
            if fd == self._stdin:
                if not os.read(self._stdin, 4096):
                    return False
                self._heard = time.monotonic()
            elif fd == self._files.fileno():
                self._files.hush()
                self._poll.unregister(fd)
                self._files_at = time.monotonic() + SETTLE
            elif fd == self._processes.fileno():
                self._poll.unregister(fd)
                self._processes_at = time.monotonic() + SETTLE
        now = time.monotonic()
        if now - self._heard > watchwire.SILENCE_S:
            return False
        if now >= self._beat_at:
            self._beat(now)
        self._do(now)
        return True

    def _do(self, now):
        # type: (float) -> None
        due = [one for one in (self._files_at, self._processes_at, self._logins_at) if one is not None and now >= one]
        if not due:
            return
        wait = self._purse.wait(now)
        if wait > 0:
            # Nothing is lost: what was touched stays so, and is read later.
            later = now + min(wait, watchwire.BEAT_S)
            self._files_at = self._files_at and max(self._files_at, later)
            self._processes_at = self._processes_at and max(self._processes_at, later)
            self._logins_at = self._logins_at and max(self._logins_at, later)
            return
        if self._processes_at is not None and now >= self._processes_at:
            self._look_at_processes(now)
        if self._files_at is not None and now >= self._files_at:
            self._look_at_files(now)
        if self._logins_at is not None and now >= self._logins_at:
            self._look_at_logins(now)

    def _again(self, one, now, pace):
        # type: (Any, float, float) -> Optional[float]
        """When ``one`` is to be taken again: when it calls, or in a while."""
        if one.fileno() < 0:
            return now + pace
        self._poll.register(one.fileno(), select.POLLIN)
        return None

    def _look_at_processes(self, now):
        # type: (float) -> None
        programs, door, over = self._processes.take()
        self._processes_at = self._again(self._processes, now, PROCESSES_PACE)
        if door and self._logins:
            self._more_at = now + AFTER  # until then a line in a log tells who it was
            if self._logins_at is None:
                self._logins_at = self._more_at
        new = sorted(programs - self._programs)[: watchwire.PROGRAMS_LIMIT]
        if len(self._programs) > 4 * watchwire.PROGRAMS_LIMIT:
            self._programs.clear()
        self._programs.update(new)
        if over:
            self._overflows += 1
        if new or over:
            self._tell(glimpse.Seen(), None, new, watchwire.OVERFLOW if over else b"")

    def _look_at_files(self, now):
        # type: (float) -> None
        stamp = int(time.time() * 1e9)
        touched, over = self._files.take()
        self._files_at = self._again(self._files, now, PACE)
        seen = self._reader.read(touched, stamp)
        self._grow(seen, stamp)
        for path in seen.gone:
            self._files.forget(path)
        if over:
            self._overflows += 1
            seen.full = watchwire.OVERFLOW
        elif touched and self._files.fileno() >= 0 and not seen.stamped and not seen.gone:
            seen.full = seen.full or watchwire.UNSEEN
        if seen.traces:
            self._knock(now)
        if seen:
            self._tell(seen, None, [], seen.full)

    def _grow(self, seen, stamp):
        # type: (glimpse.Seen, int) -> None
        """Watch the directories that are new, and read them: who made them may have gone on before we watched."""
        found = 0
        while seen.directories:
            new = [path for path in seen.directories if path not in self._skip]
            seen.directories = []
            found += len(new)
            if found > NEW_LIMIT:
                seen.full = watchwire.TOO_MUCH
                return
            below = set()  # type: Set[bytes]
            for path in new:
                if not self._files.add(path):
                    seen.full = watchwire.TOO_MUCH
                below.add(path)
            more = self._reader.read(below, stamp)
            seen.young.update(more.young)
            seen.listed.update(more.listed)
            seen.directories = more.directories
            seen.full = seen.full or more.full

    # --- logins ------------------------------------------------------------------------------------------------------

    def _knock(self, now):
        # type: (float) -> None
        """A log of logins was written: read them, not all the time, and again when there was time to come in."""
        if self._logins:
            self._logins_at = max(now, self._read_at + ANEW)
            self._more_at = now + AFTER

    def _look_at_logins(self, now):
        # type: (float) -> None
        self._read_at = now
        late = self._more_at is not None and self._more_at > now
        self._logins_at, self._more_at = (self._more_at if late else None), None
        data = self._read_logins()
        if not data:
            self._tell(glimpse.Seen(), None, [], watchwire.UNSEEN)
        elif data != self._last:
            self._last = data
            self._tell(glimpse.Seen(), wire.unpack(data), [], b"")

    def _read_logins(self):
        # type: () -> bytes
        """The SESSIONS message, packed, read by a child: the memory that logs take goes with it. b"": failed."""
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            self._in_child(writer, os.getppid())
        os.close(writer)
        parts = []  # type: List[bytes]
        until = time.monotonic() + LOGINS_SECONDS
        whole = False
        try:
            while waiting.until(reader, until - time.monotonic()):
                data = os.read(reader, 1 << 16)
                whole = not data
                if whole:
                    break
                parts.append(data)
        finally:
            os.close(reader)
            if not whole:
                os.kill(child, signal.SIGKILL)
            status = os.waitpid(child, 0)[1]
        return b"".join(parts) if whole and not status else b""

    def _in_child(self, writer, resident):
        # type: (int, int) -> None
        try:
            if hasattr(self._files, "_reader"):
                signal.set_wakeup_fd(-1)
            place = inside.Root(b"/")
            message = sessions.collect(place, processes.Table(), resident, self._limits.get(b"since", 0))
            data = wire.pack(message)
            while data:
                data = data[os.write(writer, data) :]
            os._exit(0)
        finally:
            os._exit(1)

    # --- saying ------------------------------------------------------------------------------------------------------

    def _tell(self, seen, found, programs, full):
        # type: (glimpse.Seen, Optional[Dict[bytes, Any]], List[bytes], bytes) -> None
        self._hints += 1
        message = {b"stream": b"", b"listed": {}, b"programs": programs, b"full": full, b"logins": 0}  # type: Any
        if seen.young or seen.listed or found is not None:
            message[b"stream"] = glimpse.told(self._nonce, seen, found)
            message[b"listed"] = seen.listed
            message[b"logins"] = int(found is not None)
        if len(message[b"stream"]) > wire.FRAME_LIMIT // 2:
            message.update({b"stream": b"", b"listed": {}, b"full": watchwire.TOO_MUCH, b"logins": 0})
        self._say(watchwire.GLIMPSE, message)

    def _beat(self, now):
        # type: (float) -> None
        self._beat_at = now + watchwire.BEAT_S
        limits.run_no_longer_than(RUNAWAY)
        message = {b"cpu": int(used() * 1000000), b"rss": memory(), b"hints": self._hints, b"over": self._overflows}
        self._say(watchwire.BEAT, message)

    def _say(self, tag, message):
        # type: (bytes, Any) -> None
        self._write(self._encoder.message(tag, message))

    def _write(self, data):
        # type: (bytes) -> None
        """All of it, or OSError when nobody takes it for as long as a silence may last."""
        until = time.monotonic() + watchwire.SILENCE_S
        while data:
            if not waiting.until(self._out, until - time.monotonic(), select.POLLOUT):
                raise OSError(0, "nobody takes what we say")
            try:
                data = data[os.write(self._out, data) :]
            except BlockingIOError:
                continue


def memory():
    # type: () -> int
    """KiB of memory that this process holds."""
    with open("/proc/self/statm", "rb") as stream:
        return int(stream.read().split()[1]) * (os.sysconf("SC_PAGE_SIZE") // 1024)


def main(stdin, stdout):
    # type: (BinaryIO, BinaryIO) -> None
    """Read one request from ``stdin`` and watch until it closes."""
    os.nice(NICE)
    os.environ.pop("TZ", None)
    time.tzset()
    try:
        limits.take()
        request = wire.read_request(stdin)
        Resident(request, stdin.fileno(), stdout.fileno()).run()
    except wire.WireError as error:
        sys.stderr.write("%s\n" % error)
        os._exit(2)
    except (OSError, ValueError):
        os._exit(1)
    os._exit(0)
