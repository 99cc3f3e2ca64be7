"""Alertmanager as a board: each incident is an alert that fires until it is over (its HTTP API v2, /api/v2/alerts).

An alert is what its labels say, and its severity is one of them, since routes and inhibitions go by that. So where an
incident's severity changes, the alert ends and another begins, both in one post; the other labels stay as they were
first sent. It is sent again every minute; where driftd is gone it ends by itself after ``LASTS``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from driftd.core.cards import Card
from driftd.core.errors import NotFound
from driftd.core.journal import instant
from driftd.core.notices import Notice
from driftd.core.wording import notices, printable
from driftd.edges.http.alertmanager import REPORTER
from driftd.edges.http.posting import post
from driftd.edges.http.server import Server

RENEW = timedelta(minutes=1)
LASTS = timedelta(minutes=5)
# What has no end of its own (a message that stands for itself) fires for so long.
ONCE = timedelta(minutes=15)
LABEL = 200
TEXT = 4000
_NAMES = {"instance": "DriftdIncident", "breaker": "DriftdBreakerOpened"}


class AlertBoard:
    """``driftd.core.ports.Board``. A ``ref`` is the alert's labels as JSON; what follows is in its annotations."""

    def __init__(self, server: Server, clock: Callable[[], datetime]) -> None:
        self._server = server
        self._clock = clock

    def post(self, card: Card, *, doubt: bool) -> str:
        """See ``Board.post``. To send an alert twice is to send it once."""
        del doubt
        labels, now = _labels(card), self._clock()
        self._send([_alert(labels, card, now, now + (ONCE if card.over else LASTS))])
        return _written(labels)

    def crowd(self, notice: Notice) -> str:
        """See ``Board.crowd``. Alertmanager groups by itself, so that nothing here is ever many."""
        title = notices.crowd(len(notice.deliveries), notice.group)
        card = Card(f"crowd/{notice.first.key}", title, notice.text, notice.severity, notice.group, over=True)
        return self.post(card, doubt=notice.doubt)

    def update(self, ref: str, card: Card) -> str:
        """See ``Board.update``. Over, it is resolved."""
        told, now = _read(ref), self._clock()
        if card.over:
            self._send([_alert(told, card, now, now)])
            return ref
        labels = {**told, "severity": card.severity.value}
        alerts = [_alert(labels, card, now, now + LASTS)]
        if labels != told:
            alerts.insert(0, _alert(told, replace(card, last=notices.goes_on(card.severity)), now, now))
        self._send(alerts)
        return _written(labels)

    def follow(self, ref: str, notice: Notice) -> None:
        """See ``Board.follow``. The newest sentence comes with the next update."""

    def _send(self, alerts: Sequence[Mapping[str, object]]) -> None:
        post(self._server, "/api/v2/alerts", json.dumps(alerts).encode("ascii"), {"Content-Type": "application/json"})


def _alert(labels: Mapping[str, str], card: Card, now: datetime, ends: datetime) -> Mapping[str, object]:
    notes = {
        "summary": card.title,
        "description": card.text,
        "changes": "; ".join(card.changes),
        "latest": card.last,
    }
    return {
        "labels": labels,
        "annotations": {name: printable(text)[:TEXT] for name, text in notes.items() if text},
        "startsAt": instant(min(card.opened_at or now, ends)),
        "endsAt": instant(ends),
    }


def _labels(card: Card) -> Mapping[str, str]:
    kind = card.key.partition("/")[0]
    found = {
        "alertname": _NAMES.get(kind, "DriftdMessage"),
        "reporter": REPORTER,
        "severity": card.severity.value,
        "group": card.group,
        "instance": card.instance_id,
        "incident": card.key,
    }
    return {name: printable(value)[:LABEL] for name, value in found.items() if value}


def _written(labels: Mapping[str, str]) -> str:
    return json.dumps(labels, sort_keys=True)


def _read(ref: str) -> Mapping[str, str]:
    try:
        labels = json.loads(ref)
    except ValueError:
        raise NotFound("the store does not know the alert's labels any more") from None
    return dict(labels)
