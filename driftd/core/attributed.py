"""What a finding is attributed to, how surely, and where that is kept (core/attribution.py says how it is found)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from driftd.core.facts import Session


class Level(StrEnum):
    """How sure it is that a session made a change; in rising order."""

    NONE = "none"
    POSSIBLE = "possible"
    PROBABLE = "probable"
    PROVED = "proved"

    @property
    def rank(self) -> int:
        return list(Level).index(self)


@dataclass(frozen=True, slots=True)
class Attribution:
    """``session`` is None where nobody can be named; ``why`` is one sentence.

    Of several sessions of one principal it is the last that began before the change.
    """

    level: Level
    why: str
    session: Session | None = None


class AttributionTx(Protocol):
    """The part of a transaction about what findings are attributed to."""

    def attributions(self, instance_id: str, *, over: bool = False) -> Mapping[int, Attribution]:
        """By the number of the finding, with ``over`` also of those that are resolved; each session as known by now."""
        ...

    def attribute(self, finding_id: int, attribution: Attribution, session_id: int | None, now: datetime) -> None:
        """In place of what there was; ``session_id`` is that of its session in the store."""
        ...
