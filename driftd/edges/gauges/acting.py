"""Gauges of what is done: replacements, those that are stuck, and the breakers that hold them."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterator, Sequence
from datetime import datetime

from prometheus_client.core import GaugeMetricFamily, Metric

from driftd.core.breakers.breaker import Breaker, State
from driftd.core.breakers.table import RULE
from driftd.core.memory import Tx
from driftd.core.stuck import still_stuck
from driftd.edges.gauges.scope import Scope, by_group

SCOPES = 100  # breakers that are shown one by one: signatures and slots are without number


def families(tx: Tx, now: datetime, scope: Scope) -> Iterator[Metric]:
    """One read's gauges."""
    del now
    states = by_group("driftd_replacement_state", "Open replacements by group and state.", "state")
    counted = Tally((one.group, one.state) for one in tx.open_replacements() if scope.has(one.group))
    for (group, state), count in sorted(counted.items()):
        states.add_metric([group, state], count)
    yield states
    stuck = by_group("driftd_stuck_replacements", "Replacements that need a person.")
    found = tx.stuck_replacements()
    for group in scope.names({one.group for one in found} | {row.group for row in tx.instances()}):
        mine = [one for one in found if one.group == group]
        since = min((one.entered_at for one in mine), default=None)
        ended = tx.ended_replacements(since, group) if since is not None else ()
        stuck.add_metric([group], len(still_stuck(mine, ended)))
    yield stuck
    yield from _breakers(tx.breakers())


_LEVELS = {State.CLOSED: 0, State.HALF_OPEN: 1, State.OPEN: 2}


def _breakers(breakers: Sequence[Breaker]) -> Iterator[Metric]:
    counts = GaugeMetricFamily(
        "driftd_breakers", "Circuit breakers that are open or half-open, by rule.", labels=["rule", "state"]
    )
    counted = Tally((one.rule, one.state) for one in breakers)
    for rule in RULE:
        for state in (State.HALF_OPEN, State.OPEN):
            counts.add_metric([rule, state], counted[rule, state])
    levels = GaugeMetricFamily(
        "driftd_breaker_state",
        f"Circuit breakers by rule and scope: 1 half-open, 2 open; the {SCOPES} that changed last.",
        labels=["rule", "scope"],
    )
    holding = sorted((one for one in breakers if one.holds), key=lambda one: one.entered, reverse=True)[:SCOPES]
    for one in sorted(holding, key=lambda one: one.key):
        levels.add_metric([one.rule, one.scope], _LEVELS[one.state])
    yield from (counts, levels)
