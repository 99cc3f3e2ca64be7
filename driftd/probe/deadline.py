"""The end of a look that takes too long, so that nothing lingers when a connection or a disk hangs."""

import os
import signal
import threading
from typing import Any, Optional

LATE = 5  # seconds to say that the deadline has passed


class Deadline(object):
    """``seconds`` (0: for ever) are all there is while it is entered: then RuntimeError, and ``LATE`` later the end."""

    def __init__(self, seconds):
        # type: (int) -> None
        self._seconds = seconds
        self._beside = None  # type: Optional[threading.Timer]

    def _late(self, _signal, _frame):
        # type: (int, Any) -> None
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(LATE)  # to say so
        raise RuntimeError("looking took longer than %d s" % self._seconds)

    def __enter__(self):
        # type: () -> Deadline
        if self._seconds > 0:
            signal.signal(signal.SIGALRM, self._late)
            signal.alarm(self._seconds)
            # From beside the thread that looks: a system call on a dead mount returns for no handler.
            self._beside = threading.Timer(self._seconds + LATE, os._exit, (1,))
            self._beside.daemon = True
            self._beside.start()
        return self

    def __exit__(self, *_):
        # type: (Any) -> None
        signal.alarm(0)
        if self._beside is not None:
            self._beside.cancel()
