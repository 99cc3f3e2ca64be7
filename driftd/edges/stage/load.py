"""A steady HTTP load from a process of its own, with kept-alive connections, that counts every failure.

``python -m driftd.edges.stage.load URL`` writes one JSON line every quarter of a second and a last one when its
standard input ends (or after ``--limit`` seconds): ``{"requests": …, "failed": …, "slow": …, "served_by": {…}}``.
A request has failed when it was not answered in full with status 200. Nothing is retried.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import sys
import threading
import time
import urllib.parse
from collections import Counter
from dataclasses import dataclass, field

FIRST_FAILURES = 5


@dataclass
class Tally:
    """What was asked and answered so far; shared by all workers."""

    requests: int = 0
    failed: int = 0
    slow: int = 0
    served_by: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, server: str, failure: str, *, slow: bool) -> None:
        with self.lock:
            self.requests += 1
            self.slow += slow
            if failure:
                self.failed += 1
                self.failures = [*self.failures, failure][:FIRST_FAILURES]
            else:
                self.served_by[server] += 1

    def line(self) -> str:
        with self.lock:
            values = {
                "requests": self.requests,
                "failed": self.failed,
                "slow": self.slow,
                "served_by": dict(self.served_by),
                "failures": self.failures,
            }
        return json.dumps(values)


def _ask(connection: http.client.HTTPConnection, path: str) -> tuple[str, str]:
    """(server that answered, why it failed or "")."""
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        first_line = response.read().decode(errors="replace").partition("\n")[0]
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        return "", f"{path}: {type(error).__name__}: {error}"
    if response.status != http.client.OK:
        return "", f"{path}: status {response.status}"
    return first_line.removeprefix("host "), ""


def _work(url: str, tally: Tally, stop: threading.Event, *, slow_seconds: float, pause: float) -> None:
    """One kept-alive connection, asking until told to stop; with ``slow_seconds``, each request lasts that long."""
    where = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port or 80, timeout=slow_seconds + 10)
    path = f"/slow?s={slow_seconds:g}" if slow_seconds else "/"
    while not stop.is_set():
        server, failure = _ask(connection, path)
        tally.add(server, failure, slow=bool(slow_seconds))
        stop.wait(pause)
    connection.close()


def _until_input_ends(stop: threading.Event) -> None:
    sys.stdin.read()
    stop.set()


def main() -> None:
    """Run the load; ends with its standard input."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--quick", type=int, default=4, help="connections with quick requests")
    parser.add_argument("--slow", type=int, default=3, help="connections with slow requests")
    parser.add_argument("--slow-seconds", type=float, default=2.0)
    parser.add_argument("--pause", type=float, default=0.02, help="seconds between a connection's requests")
    parser.add_argument("--limit", type=float, default=600.0, help="stop by itself after so many seconds")
    options = parser.parse_args()
    tally, stop = Tally(), threading.Event()
    lasting = [0.0] * options.quick + [options.slow_seconds] * options.slow
    workers = [
        threading.Thread(
            target=_work, args=(options.url, tally, stop), kwargs={"slow_seconds": slow, "pause": options.pause}
        )
        for slow in lasting
    ]
    reader = threading.Thread(target=_until_input_ends, args=(stop,), daemon=True)
    for thread in [*workers, reader]:
        thread.start()
    ends = time.monotonic() + options.limit
    # Whoever reads the counts may be ended hard: then the load ends, too.
    with contextlib.suppress(BrokenPipeError):
        while not stop.wait(0.25) and time.monotonic() < ends:
            print(tally.line(), flush=True)  # noqa: T201  # its standard output is its interface
    stop.set()
    for worker in workers:
        worker.join()
    with contextlib.suppress(BrokenPipeError):
        print(tally.line(), flush=True)  # noqa: T201  # likewise


if __name__ == "__main__":
    main()
