"""Readiness: whether what the daemon knows and does can be relied on. Whether it is alive is another matter (signs.py).

All times are seconds of a clock that only goes forward.
"""

from __future__ import annotations

from collections.abc import Mapping

from driftd.core.wording import health as wording

# Without these nothing that driftd says is worth anything yet.
FIRST = ("lease", "journal", "sweep")
LEASE = "lease"


def not_ready(well: Mapping[str, float], now_s: float, lease_s: float) -> str:
    """Why the daemon cannot be relied on yet, or now, as a sentence; "" once it can be.

    It must hold the lease, which lasts ``lease_s`` from each renewal, and have read the journal and every inventory
    once. ``well`` says when the newest run of each job ended that ended without an error; who has none is not in it.
    """
    renewed = well.get(LEASE)
    if renewed is not None and now_s - renewed > lease_s:
        return wording.lease_lost(now_s - renewed, lease_s)
    waited = [job for job in FIRST if job not in well]
    return wording.first_pass(waited) if waited else ""
