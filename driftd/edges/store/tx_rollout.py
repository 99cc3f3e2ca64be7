"""The part of a transaction about rollouts and the images that groups are to run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import timedelta

from sqlalchemy import bindparam, select, update

from driftd.core import journal
from driftd.core.memory import StaleRecord, StoreUnavailable
from driftd.core.rollout import OVER, Choice, Gate, Rollout, Stage, Strategy
from driftd.edges.store.reading import Row
from driftd.edges.store.statements import Statements, fields_of, values_of
from driftd.edges.store.tables_rollout import CHOICE, ROLLOUT

_OPEN = select(ROLLOUT).where(ROLLOUT.c.open).order_by(ROLLOUT.c.created_at, ROLLOUT.c.id)
_OPEN_OF = _OPEN.where(ROLLOUT.c.group == bindparam("group"))
_LATEST = (
    select(ROLLOUT)
    .where(ROLLOUT.c.group == bindparam("group"))
    .order_by(ROLLOUT.c.created_at.desc(), ROLLOUT.c.id.desc())
    .limit(bindparam("most"))
)
_SAVE = update(ROLLOUT).where((ROLLOUT.c.id == bindparam("of")) & (ROLLOUT.c.version == bindparam("read")))
_CHOICES = select(CHOICE).where(CHOICE.c.group == bindparam("group")).order_by(CHOICE.c.id)


def _columns(rollout: Rollout) -> dict[str, object]:
    searched = {name: getattr(rollout, name) for name in ("id", "group", "stage", "created_at", "version")}
    body = values_of(rollout) | {"keep": int(rollout.keep.total_seconds())}
    return searched | {"open": rollout.stage not in OVER, "rollout": body}


def _rollout(row: Row) -> Rollout:
    """Fields that a newer driftd wrote are passed over; those that an older one did not know have their defaults."""
    known = {field.name for field in fields(Rollout)}
    values = {name: value for name, value in row["rollout"].items() if name in known}
    try:
        for name in ("created_at", "entered_at"):
            values[name] = journal.read_instant(values[name])
        values |= {"strategy": Strategy(values["strategy"]), "stage": Stage(values["stage"])}
        return Rollout(**values | {"gate": Gate(values["gate"]), "keep": timedelta(seconds=values["keep"])})
    except (TypeError, KeyError, ValueError):
        raise StoreUnavailable(
            f"The store holds rollout {row['id']} in a form that this driftd cannot read.",
            "Restore the store from a backup, or use the version of driftd that wrote it (docs/store.md).",
        ) from None


class RolloutPart(Statements):
    """``RolloutTx``, but for its replacements."""

    def open_rollouts(self, group: str | None = None) -> Sequence[Rollout]:
        rows = self.rows(_OPEN) if group is None else self.rows(_OPEN_OF, group=group)
        return [_rollout(row) for row in rows]

    def rollouts(self, group: str, limit: int = 20) -> Sequence[Rollout]:
        return [_rollout(row) for row in self.rows(_LATEST, group=group, most=limit)]

    def add_rollout(self, rollout: Rollout) -> bool:
        return self.add(ROLLOUT, _columns(rollout)) > 0

    def save_rollout(self, rollout: Rollout) -> None:
        kept = replace(rollout, version=rollout.version + 1)
        if not self.changed(_SAVE, of=rollout.id, read=rollout.version, **_columns(kept)):
            raise StaleRecord(
                f"Rollout {rollout.id} was changed by somebody else in the meantime.", "It is read again and goes on."
            )

    def choices(self, group: str) -> Sequence[Choice]:
        return [Choice(**fields_of(Choice, row)) for row in self.rows(_CHOICES, group=group)]

    def choose(self, choice: Choice) -> None:
        self.add(CHOICE, values_of(choice))
