"""How long nothing can happen: where a user's own rules wait for hours or days, that time is left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from driftd.core.replacement import UNSTARTED, Record

if TYPE_CHECKING:
    from driftd.rehearsal.run import Run

STILL = 8  # beats without any event after which beats grow longer
GROWTH = 1.5
WATCHED_S, WAITED_S, IDLE_S = 60.0, 7 * 86400.0, 6 * 3600.0  # the longest beat: of what is under way, waits, is over


def step(run: Run, records: Sequence[Record]) -> float:
    """Seconds until the next beat of ``run``, given its open replacements."""
    beat = run.scenario.tempo.beat_s
    if run.later or run.troubled() or not any(one.up for one in run.controllers):
        run.still = 0
        return beat
    what = (len(run.cloud.events), *((record.rid, record.state) for record in records))
    run.still, run.before = (run.still + 1 if what == run.before else 0), what
    grown = beat * GROWTH ** min(max(0, run.still - STILL), 60)
    if any(record.state not in UNSTARTED for record in records):
        return min(grown, max(beat, WATCHED_S))
    if not records:
        # Whoever is denied, or waits for a breaker to close, may do so for a day.
        return min(max(2 * beat, grown), IDLE_S)
    now = run.clock()
    waits = [(record.next_at - now).total_seconds() if record.next_at else 0.0 for record in records]
    return min(max(grown if run.calm else beat, min(waits)), WAITED_S if min(waits) > beat else WATCHED_S)
