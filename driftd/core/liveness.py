"""Liveness: whether the daemon still does its work, told from when each of its jobs last began and ended.

For whoever starts a daemon again that hangs: a kubelet by ``/healthz``, systemd by its watchdog. All times are seconds
of one clock that nobody sets: a machine whose clock was corrected has no daemon that hangs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from driftd.core.wording import liveness as wording

# How long after its time a job may begin: the machine is busy, and other jobs are under way.
LATE_S = 60.0
# Without these nothing that driftd says is worth anything yet.
FIRST = ("lease", "journal", "sweep")
LEASE = "lease"


@dataclass(frozen=True, slots=True)
class Pulse:
    """One job's runs. ``every_s`` is from one beginning to the next, ``longest_s`` how long one run may take.

    ``known_s`` is when the job was set up; ``began_s`` and ``ended_s`` are its newest run's (``ended_s`` that of the
    run before, while one is under way), ``well_s`` the end of the newest that ended without an error. None: not yet.
    """

    job: str
    every_s: float
    longest_s: float
    known_s: float
    began_s: float | None = None
    ended_s: float | None = None
    well_s: float | None = None

    @property
    def under_way(self) -> bool:
        """Whether a run has begun and not ended."""
        return self.began_s is not None and (self.ended_s is None or self.ended_s < self.began_s)


def not_alive(pulses: Sequence[Pulse], now_s: float) -> str:
    """Why the daemon should be started again, as a sentence; "" while it lives.

    A job that takes longer than it may, and one whose time came long ago, are dead. One that ends in an error again and
    again is alive: starting anew would not help it, and the log and the metrics tell.
    """
    return "; ".join(said for pulse in pulses if (said := _dead(pulse, now_s)))


def _dead(pulse: Pulse, now_s: float) -> str:
    if pulse.under_way:
        began = pulse.began_s or 0.0
        if now_s - began > pulse.longest_s:
            return wording.too_long(pulse.job, now_s - began, pulse.longest_s)
        return ""
    since = pulse.known_s if pulse.ended_s is None else pulse.ended_s
    if now_s - since > pulse.every_s + LATE_S:
        return wording.overdue(pulse.job, now_s - since, pulse.every_s)
    return ""


def not_ready(pulses: Sequence[Pulse], now_s: float, lease_s: float) -> str:
    """Why what the daemon knows and does cannot be relied on yet, or now; "" once it can be.

    It must hold the lease, which lasts ``lease_s`` from each renewal, and have read the journal and every inventory
    once. ``pulses`` is empty while driftd starts.
    """
    if not pulses:
        return wording.STARTING
    lease = next((pulse for pulse in pulses if pulse.job == LEASE), None)
    if lease is not None and lease.well_s is not None and now_s - lease.well_s > lease_s:
        return wording.lease_lost(now_s - lease.well_s, lease_s)
    waited = [pulse.job for pulse in pulses if pulse.job in FIRST and pulse.well_s is None]
    return wording.first_pass(waited) if waited else ""
