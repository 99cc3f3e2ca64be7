"""What the doors may ask about plans of replacements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

Document = Mapping[str, Any]
"""A plan, ``driftd.plan/1``: docs/plan.schema.json says its shape."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What an apply asked for: the replacements' ids, in the plan's order. ``daemon`` is False where none runs."""

    rids: Sequence[str]
    daemon: bool


class Checked(Protocol):
    """A plan that still fits."""

    @property
    def document(self) -> Document: ...

    def ask(self) -> Asked:
        """Ask for all of its replacements, or for none. Raises DriftdError."""
        ...


class PlanDesk(Protocol):
    """Every method raises DriftdError with a sentence."""

    def plan(
        self, names: Sequence[str], *, everything: bool, reason: str, valid_for: timedelta, by_hand: bool
    ) -> Document:
        """What would be done: about what drift asks for in all groups, or about these groups and instances."""
        ...

    def checked(self, file: Path) -> AbstractContextManager[Checked]:
        """The plan in ``file``, whole, not applied yet, and still true."""
        ...
