"""Checkup: run checks several at a time, none longer than it may, and tell each point in the checks' order."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue

from driftd.core.checkup import Check, Mark, Point
from driftd.core.errors import BadInput, DriftdError
from driftd.core.wording import doctor as say

AT_ONCE = 16


def checkup(checks: Sequence[Check], *, limit_s: float, at_once: int = AT_ONCE) -> Iterator[Sequence[Point]]:
    """The points of each check, in order, as soon as they and all before are known; all within ``limit_s`` seconds.

    What did not end by then is ``unseen``; its thread is left behind and ends with the process.
    """
    until = time.monotonic() + limit_s
    work: SimpleQueue[tuple[Check, Future[Sequence[Point]]]] = SimpleQueue()
    waiting = [(check, Future[Sequence[Point]]()) for check in checks]
    for one in waiting:
        work.put(one)
    for number in range(min(at_once, len(checks))):
        threading.Thread(target=_works, args=(work,), name=f"doctor-{number}", daemon=True).start()
    for check, future in waiting:
        try:
            yield future.result(timeout=max(0.0, until - time.monotonic()))
        except TimeoutError:
            if not future.done():
                future.cancel()
            yield [Point(check.area, check.about, Mark.UNSEEN, say.too_long(limit_s), say.TOO_LONG_HINT)]


def _works(work: SimpleQueue[tuple[Check, Future[Sequence[Point]]]]) -> None:
    while True:
        try:
            check, future = work.get_nowait()
        except Empty:
            return
        if future.set_running_or_notify_cancel():
            _settle(check, future)


def _settle(check: Check, future: Future[Sequence[Point]]) -> None:
    """A check that fails with a sentence is a point; a mistake of ours goes to whoever waits for it."""
    try:
        future.set_result(check.run())
    except DriftdError as error:
        mark = Mark.WRONG if isinstance(error, BadInput) else Mark.UNSEEN
        future.set_result([Point(check.area, check.about, mark, str(error), error.hint)])
    except BaseException as error:
        future.set_exception(error)
        raise
