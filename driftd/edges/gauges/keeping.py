"""Gauges of the store itself: its journal, what makes it doubted, the lease, and the messages that wait in it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from prometheus_client.core import GaugeMetricFamily, Metric

from driftd.core.memory import Message, Tx
from driftd.edges.gauges.scope import Scope, seconds

MOST_MESSAGES = 10_000


def families(tx: Tx, now: datetime, scope: Scope) -> Iterator[Metric]:
    """One read's gauges."""
    yield from _journal(tx)
    yield from _messages(tx, now)
    facts = tx.store_facts()
    yield GaugeMetricFamily("driftd_lease_epoch", "The epoch of the store's newest lease.", value=facts.epoch)
    leads = scope.epoch > 0 and scope.epoch == facts.epoch
    yield GaugeMetricFamily("driftd_leader", "1 while this process's lease is the newest.", value=int(leads))


def _journal(tx: Tx) -> Iterator[Metric]:
    chain = tx.chain()
    broken = "1 when the journal's chain does not hold."
    yield GaugeMetricFamily("driftd_journal_broken", broken, value=int(bool(chain.broken)))
    yield GaugeMetricFamily("driftd_journal_verified_lines", "Lines of the journal that verify.", value=chain.count)
    yield GaugeMetricFamily(
        "driftd_journal_last_whole_check_timestamp_seconds",
        "When the chain was last verified from its first line on; 0 is never.",
        value=seconds(chain.whole_at),
    )
    doubts = sum(1 for doubt in tx.doubts() if doubt.settled_at is None)
    doubted = "Signs, not settled by a person, that this store is older than the world."
    yield GaugeMetricFamily("driftd_store_doubts", doubted, value=doubts)


def _messages(tx: Tx, now: datetime) -> Iterator[Metric]:
    waiting = tx.unsent(MOST_MESSAGES)
    said = f"Messages not yet sent; {MOST_MESSAGES} may be more."
    yield GaugeMetricFamily("driftd_messages_waiting", said, value=len(waiting))
    yield GaugeMetricFamily(
        "driftd_messages_failing",
        "Those of them that were tried, and that nobody took.",
        value=sum(1 for one in waiting if one.attempts),
    )
    oldest = GaugeMetricFamily(
        "driftd_oldest_message_timestamp_seconds",
        "Since when the oldest message waits that could have been sent; none is shown where none waits.",
    )
    since = [at for one in waiting if (at := _sendable(one, now)) is not None]
    if since:
        oldest.add_metric([], seconds(min(since)))
    yield oldest


def _sendable(message: Message, now: datetime) -> datetime | None:
    """Since when it could have been sent; None for one that still waits for others to join in."""
    if message.due is None or message.created_at is None:
        return message.created_at
    return max(message.created_at, message.due) if message.due <= now else None
