"""Whether the daemon's jobs are alive. Times are seconds of a clock that only goes forward.

For whoever starts a daemon again that hangs: systemd by its watchdog, a kubelet by ``/healthz``. A job that takes long
is none that hangs: it gives signs of life meanwhile, and only silence counts. One that ends in an error again and again
is alive: starting anew would not help it, and the log and the metrics tell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping


class Signs:
    """What is known of each job. ``patience`` says for how many seconds each may be silent, between runs and within.

    ``signs`` are asked when a job under way got on last: an older time than what is known says nothing. All may be
    called from any thread, and wait for nothing: each fact is one value that the job's own thread writes.
    """

    def __init__(self, patience: Mapping[str, float], signs: Mapping[str, Callable[[], float]], now: float) -> None:
        self._patience = dict(patience)
        self._signs = dict(signs)
        self._told = dict.fromkeys(patience, now)
        self._began: dict[str, float] = {}
        self._ended: set[str] = set()

    def began(self, job: str, now: float) -> None:
        """A run of ``job`` begins."""
        self._began.setdefault(job, now)
        self._told[job] = now

    def ended(self, job: str, now: float) -> None:
        """A run of ``job`` ended, well or not."""
        self._ended.add(job)
        self._told[job] = now

    def _heard(self, job: str) -> float:
        return max(self._told[job], self._signs[job]())

    def ready(self) -> bool:
        """Every job has run once, or has got on since it first began."""
        return all(
            job in self._ended or (job in self._began and self._heard(job) > self._began[job]) for job in self._patience
        )

    def silent(self, now: float) -> Mapping[str, float]:
        """The jobs that have been silent for too long, each with the seconds of it; the longest first."""
        spans = {job: now - self._heard(job) for job in self._patience}
        late = [job for job, span in spans.items() if span > self._patience[job]]
        return {job: spans[job] for job in sorted(late, key=lambda job: -spans[job])}
