"""Limits that a resident probe sets itself, with what its Python has for it.

python3-minimal has no module ``resource``; util-linux, which every Debian has, brings prlimit(1).
"""

import os
import signal

MEMORY = 512 * 1024 * 1024  # bytes of address space; the child that reads logins is under it, too
_PRLIMIT = "/usr/bin/prlimit"
_FILES = b"Max open files"


def take():
    # type: () -> int
    """No core dumps, bounded memory, as many open files as may be; how many that are. What cannot be set is left."""
    most = _hard_files()
    try:
        import resource  # noqa: PLC0415  # python3-minimal has none

        for what, value in (
            (resource.RLIMIT_CORE, 0),
            (resource.RLIMIT_AS, MEMORY),
            (resource.RLIMIT_NOFILE, most),
        ):
            resource.setrlimit(what, (value, value))
    except (OSError, ValueError):
        pass
    except ImportError:
        wanted = ["--core=0:0", "--as=%d:%d" % (MEMORY, MEMORY), "--nofile=%d:%d" % (most, most)]
        if os.access(_PRLIMIT, os.X_OK):
            os.spawnv(os.P_WAIT, _PRLIMIT, [_PRLIMIT, "--pid=%d" % os.getpid(), *wanted])  # noqa: S606  # no shell
    return os.sysconf("SC_OPEN_MAX")


def run_no_longer_than(seconds):
    # type: (float) -> None
    """Let the kernel end this process once it has used so many more seconds of CPU, unless this is said again."""
    signal.setitimer(signal.ITIMER_PROF, seconds)


def _hard_files():
    # type: () -> int
    with open("/proc/self/limits", "rb") as stream:
        for line in stream:
            fields = line[len(_FILES) :].split()
            if line.startswith(_FILES) and len(fields) > 1 and fields[1].isdigit():
                return int(fields[1])
    return os.sysconf("SC_OPEN_MAX")
