"""Run one of the instance's own programs, where files and the kernel have no other door: bounded in time and size."""

import os
import signal
import subprocess
import time
from typing import List, NamedTuple

from driftd.probe import waiting

ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
SECONDS = 10
OUTPUT_LIMIT = 16 * 1024 * 1024

# ``output`` is what it wrote. ``why`` is "" when that was all and it ended well, else what went wrong as the end of a
# sentence: "nft ended with status 1".
Answer = NamedTuple("Answer", [("output", bytes), ("why", str)])


def there(name):
    # type: (str) -> bool
    """Is there such a program?"""
    return any(os.access(os.path.join(place, name), os.X_OK) for place in ENVIRONMENT["PATH"].split(":"))


def run(command, seconds=SECONDS, limit=OUTPUT_LIMIT):
    # type: (List[str], float, int) -> Answer
    """What ``command`` (a program's name and its arguments) writes to its standard output; never raises OSError."""
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=ENVIRONMENT,
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        return Answer(b"", "%s cannot be run (%s)" % (command[0], error.strerror))
    assert child.stdout is not None  # noqa: S101  # it is a pipe
    parts, size, why = [], 0, ""
    until = time.monotonic() + seconds
    try:
        while True:
            if not waiting.until(child.stdout.fileno(), until - time.monotonic()):
                why = "%s took longer than %g s" % (command[0], seconds)
                break
            data = os.read(child.stdout.fileno(), 1 << 16)
            if not data:
                break
            parts.append(data)
            size += len(data)
            if size > limit:
                why = "%s wrote more than %d bytes" % (command[0], limit)
                break
        why = why or _end(child, command[0], until)
    finally:
        _stop(child)
    return Answer(b"".join(parts)[:limit], why)


def _end(child, name, until):
    # type: (subprocess.Popen[bytes], str, float) -> str
    """How it ended, after it closed its output."""
    try:
        status = child.wait(max(0.0, until - time.monotonic()))
    except subprocess.TimeoutExpired:
        return "%s did not end" % name
    return "%s ended with status %d" % (name, status) if status else ""


def _stop(child):
    # type: (subprocess.Popen[bytes]) -> None
    """End it and whatever it started; a session of its own makes that one call."""
    assert child.stdout is not None  # noqa: S101  # it is a pipe
    child.stdout.close()
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except OSError:  # all of them are gone
        pass
    child.wait()
