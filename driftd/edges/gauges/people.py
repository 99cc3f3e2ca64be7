"""Gauges of what people said and do: acceptances, holds, pauses, and who is on instances."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterator, Sequence
from datetime import datetime

from prometheus_client.core import Metric

from driftd.core import acceptance
from driftd.core.memory import Suppression, Tx
from driftd.core.taint import anybody
from driftd.edges.gauges.scope import Scope, by_group


def families(tx: Tx, now: datetime, scope: Scope) -> Iterator[Metric]:
    """One read's gauges."""
    yield from _acceptances([one for one in tx.every_suppression() if not one.group or scope.has(one.group)], now)
    paused = by_group("driftd_paused", '1 while changes are paused; group "" is everywhere.')
    for pause in tx.pauses():
        paused.add_metric([pause.group], 1)
    yield paused
    names = scope.names(row.group for row in tx.instances())
    held = Tally(one.group for one in tx.holds(now))
    holds = by_group("driftd_holds", "Instances that somebody holds, by name and for a time.")
    sessions = by_group("driftd_open_sessions", "Sessions of people, not driftd's own, that lasted at the last look.")
    for group in names:
        holds.add_metric([group], held[group])
        there = [row.session for row in tx.recent_sessions(group, now) if row.session.live]
        sessions.add_metric([group], sum(1 for one in there if anybody(one)))
    yield from (holds, sessions)


def _acceptances(suppressions: Sequence[Suppression], now: datetime) -> Iterator[Metric]:
    states = by_group(
        "driftd_acceptances",
        'Acceptances by group ("" is every one) and state: used, unused, expired or withdrawn; until they are pruned.',
        "state",
    )
    for (group, word), count in sorted(Tally((one.group, acceptance.state(one, now)) for one in suppressions).items()):
        states.add_metric([group, word], count)
    hits = by_group(
        "driftd_acceptance_hits", "Findings that acceptances came to cover, by group; until they are pruned."
    )
    for group in sorted({one.group for one in suppressions}):
        hits.add_metric([group], sum(one.hits for one in suppressions if one.group == group))
    yield from (states, hits)
