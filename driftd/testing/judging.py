"""Judges and alerts in memory; what they promise is in ``driftd.testing.contracts.judging``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from driftd.core.facts import Unseen
from driftd.core.matchers import Matcher
from driftd.core.ports import Alert


class FakeJudge:
    """``driftd.core.ports.Judge`` in memory: ``answers`` by query, ``otherwise`` for all else; ``asked`` is kept."""

    def __init__(self, otherwise: float | Unseen | None = None) -> None:
        self.answers: dict[str, float | Unseen] = {}
        self.otherwise: float | Unseen = Unseen("no data for the query") if otherwise is None else otherwise
        self.asked: list[str] = []

    def ask(self, query: str) -> float | Unseen:
        """See ``Judge.ask``."""
        self.asked.append(query)
        return self.answers.get(query, self.otherwise)


@dataclass
class FakeAlerts:
    """``driftd.core.ports.Alerts`` in memory. ``down`` is why it cannot be asked; ``muted`` names are silenced."""

    alerts: list[Alert] = field(default_factory=list)
    muted: set[str] = field(default_factory=set)
    down: str = ""

    def firing(self, matchers: Sequence[Matcher]) -> Sequence[Alert] | Unseen:
        """See ``Alerts.firing``."""
        if self.down:
            return Unseen(self.down)
        return [
            one for one in self.alerts if one.name not in self.muted and all(_holds(m, one.labels) for m in matchers)
        ]


def _holds(matcher: Matcher, labels: Mapping[str, str]) -> bool:
    present = labels.get(matcher.name, "")
    same = re.fullmatch(matcher.value, present) is not None if "~" in matcher.op else present == matcher.value
    return same is not matcher.op.startswith("!")
