"""The shipped daemon in a forked child, so that it need not import everything for each case."""

import faulthandler
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from driftd.doors import daemon
from driftd.probe import bundle
from driftd.settings import load
from driftd.wiring.house import WiredHouse

# What a daemon makes before its first look, and every child finds made.
PROGRAMS = (bundle.glance_program, bundle.reading_piece, bundle.rest_piece, bundle.resident_program)


def run_daemon(config: Path, prepare: Callable[[], None] = lambda: None) -> int:
    """The daemon in a child process; its process number."""
    for program in PROGRAMS:
        program()
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        log = os.open(config.parent / "driftd.log", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
        os.dup2(log, 1)
        os.dup2(log, 2)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
        faulthandler.register(signal.SIGUSR1, all_threads=True)
        prepare()
        daemon.serve(WiredHouse(load(config), config).engine())
        status = 0
    except BaseException:  # noqa: BLE001  # a forked child must not go on as a second pytest
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def wait_for_end(pid: int, limit_s: float = 60.0) -> int:
    """How a child ended, as subprocess says it: a negative signal, or its exit status."""
    ends = time.monotonic() + limit_s
    while time.monotonic() < ends:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.kill(pid, signal.SIGUSR1)  # where each of its threads stands goes to its log
    time.sleep(1)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    raise AssertionError(f"the daemon did not end within {limit_s} s")
