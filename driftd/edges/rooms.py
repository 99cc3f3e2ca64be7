"""Room for what is large: one directory at a time, private, and gone afterwards, however that ends."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from driftd.core.errors import Unavailable

_PATIENCE_S = 7200.0
_LOCK = "lock"


@contextmanager
def alone(place: Path, *, patience_s: float = _PATIENCE_S) -> Iterator[Path]:
    """A new directory in ``place``, nobody else's while the block lasts. What a process that ended left goes first.

    Raises ``Unavailable`` where it cannot be had.
    """
    with ExitStack() as stack:
        try:
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = stack.enter_context((place / _LOCK).open("a"))
            _take(lock.fileno(), place, patience_s)
            for left in place.iterdir():
                if left.name != _LOCK:
                    shutil.rmtree(left, ignore_errors=True)
            room = Path(tempfile.mkdtemp(prefix="read-", dir=place))
        except OSError as error:
            raise Unavailable(f"there is no room in {place}: {error.strerror}", "see that it can be written") from error
        stack.callback(shutil.rmtree, room, ignore_errors=True)
        yield room


def _take(lock: int, place: Path, patience_s: float) -> None:
    until = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > until:
                raise Unavailable(f"{place} is in use by another look out of band", "try later") from error
            time.sleep(0.2)
        else:
            return
