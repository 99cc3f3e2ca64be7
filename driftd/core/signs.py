"""Whether the daemon's jobs are alive. Times are seconds of a clock that only goes forward.

A job that takes long is none that hangs: it gives signs of life meanwhile, and only silence counts.
"""

from __future__ import annotations

from collections.abc import Mapping


class Signs:
    """What is known of each job; ``patience`` says for how many seconds each may be silent, between runs and within.

    Safe to be told from several threads: each fact is one value, and each job has one thread at a time.
    """

    def __init__(self, patience: Mapping[str, float], now: float) -> None:
        self._patience = dict(patience)
        self._heard = dict.fromkeys(patience, now)
        self._began: dict[str, float] = {}
        self._ended: set[str] = set()

    def began(self, job: str, now: float) -> None:
        """A run of ``job`` begins."""
        self._began.setdefault(job, now)
        self._heard[job] = now

    def ended(self, job: str, now: float) -> None:
        """A run of ``job`` ended, well or not."""
        self._ended.add(job)
        self._heard[job] = now

    def sign(self, job: str, at: float) -> None:
        """``job`` got on at that time; what is older than what is known says nothing."""
        self._heard[job] = max(self._heard[job], at)

    def ready(self) -> bool:
        """Every job has run once, or has got on since it first began."""
        return all(
            job in self._ended or (job in self._began and heard > self._began[job])
            for job, heard in self._heard.items()
        )

    def silent(self, now: float) -> Mapping[str, float]:
        """The jobs that have been silent for too long, each with the seconds of it; the longest first."""
        spans = {job: now - heard for job, heard in self._heard.items()}
        late = [job for job, span in spans.items() if span > self._patience[job]]
        return {job: spans[job] for job in sorted(late, key=lambda job: -spans[job])}
