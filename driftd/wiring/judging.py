"""Who judges canaries and which alerts stop a group, as configured."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from driftd.core import matchers, promql
from driftd.core.canary import Baseline, Canary, Question
from driftd.core.errors import BadInput
from driftd.core.matchers import Matcher
from driftd.core.ports import Alerts, Judge
from driftd.edges.http.alertmanager import Alertmanager
from driftd.edges.http.prometheus import Prometheus
from driftd.edges.http.server import Server
from driftd.flows.judging import Lately
from driftd.settings import CanarySettings, GroupSettings, ServerSettings, Settings


def judge_of(settings: Settings) -> Judge | None:
    """The Prometheus that is configured, asked one thing at most every few seconds. Raises BadInput."""
    server = _server(settings, settings.prometheus)
    return Lately(Prometheus(server), lambda: datetime.now(UTC)) if server else None


def alerts_of(settings: Settings) -> Alerts | None:
    """The Alertmanager that is configured. Raises BadInput."""
    server = _server(settings, settings.alertmanager)
    watchdog = settings.alertmanager.watchdog
    return Alertmanager(server, matchers.parse(watchdog) if watchdog else ()) if server else None


def _server(settings: Settings, asked: ServerSettings) -> Server | None:
    def file(name: str) -> Path | None:
        return settings.path(name) if name else None

    if not asked.url:
        return None
    return Server(
        asked.url,
        timeout_s=asked.timeout.total_seconds(),
        token_file=file(asked.token_file),
        ca_file=file(asked.ca_file),
    )


def canary_of(name: str, group: GroupSettings, judge: Judge | None) -> Canary:
    """How the group's canary is judged. Raises BadInput where its judge is missing."""
    said = group.replacing.canary
    if said.query is not None and judge is None:
        raise BadInput(
            f"the canary of {name} is judged by a query, and nobody is there to ask", "name one: prometheus: {url: …}"
        )
    return Canary(said.warmup, _question(said))


def _question(said: CanarySettings) -> Question | None:
    if said.query is None:
        return None
    query, baseline = promql.parse(said.query), None
    if said.baseline is not None:
        about = promql.parse(said.baseline.query) if said.baseline.query is not None else query.of_peers()
        baseline = Baseline(about, said.baseline.tolerance, said.baseline.slack)
    return Question(query, said.below, said.above, baseline)


def block_on_of(name: str, group: GroupSettings, alerts: Alerts | None) -> tuple[tuple[Matcher, ...], ...]:
    """Which alerts stop the group. Raises BadInput where some are named and there is nobody to ask."""
    named = tuple(matchers.parse(text) for text in group.replacing.block_on)
    if named and alerts is None:
        raise BadInput(
            f"alerts block {name} (block_on), and nobody is there to ask", "name one: alertmanager: {url: …}"
        )
    return named
