"""The part of a transaction about what was so: findings of a time that is over, and what rules explained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, or_, select, update

from driftd.core.difference import Difference
from driftd.core.expect import PATH_KINDS
from driftd.core.findings import Finding
from driftd.core.memory import ExplainedRow, FindingRow
from driftd.edges.store.reading import Row
from driftd.edges.store.statements import Statements
from driftd.edges.store.tables import EXPLAINED, FINDING
from driftd.edges.store.tx_fleet import finding_row

# An instance can be made to have any number of files in /tmp; this many of what is explained there are remembered.
MOST = 2000
_Key = tuple[str, bytes, str, str]

_EXPLAINED_ON = select(EXPLAINED).where(EXPLAINED.c.instance_id == bindparam("instance_id"))
_GONE = (
    update(EXPLAINED)
    .where(
        EXPLAINED.c.instance_id == bindparam("of"),
        *(EXPLAINED.c[name] == bindparam(f"the_{name}") for name in ("kind", "subject", "change", "shape")),
    )
    .values(gone_at=bindparam("now"))
)


class HistoryPart(Statements):
    """``Tx`` for what was so."""

    def findings_since(self, since: datetime | None, *, of: str = "") -> Sequence[FindingRow]:
        """See ``Tx.findings_since``."""
        wanted = select(FINDING).order_by(FINDING.c.id)
        if since is not None:
            wanted = wanted.where(or_(FINDING.c.resolved_at.is_(None), FINDING.c.resolved_at >= since))
        if of:
            wanted = wanted.where(FINDING.c.instance_id == of)
        return [finding_row(row) for row in self.rows(wanted)]

    def explained_since(self, since: datetime) -> Sequence[ExplainedRow]:
        """See ``Tx.explained_since``."""
        still = or_(EXPLAINED.c.gone_at.is_(None), EXPLAINED.c.gone_at >= since)
        order = (EXPLAINED.c.instance_id, EXPLAINED.c.kind, EXPLAINED.c.subject, EXPLAINED.c.change, EXPLAINED.c.shape)
        return [_row(row) for row in self.rows(select(EXPLAINED).where(still).order_by(*order))]

    def keep_explained(self, instance_id: str, explained: Sequence[Finding], now: datetime) -> None:
        """See ``Tx.keep_explained``. Only what is another than it was is written."""
        known = {_key_of(dict(row)): dict(row) for row in self.rows(_EXPLAINED_ON, instance_id=instance_id)}
        seen: set[_Key] = set()
        for finding in explained[:MOST]:
            values = _values(finding)
            key = _key_of(values)
            seen.add(key)
            was = known.get(key)
            if was is None or was["gone_at"] is not None:
                self.put(EXPLAINED, {**values, "instance_id": instance_id, "first_seen": now, "gone_at": None})
            elif any(was[name] != values[name] for name in values):
                self.put(EXPLAINED, {**was, **values})
        for key, row in known.items():
            if key not in seen and row["gone_at"] is None:
                which = {f"the_{name}": row[name] for name in ("kind", "subject", "change", "shape")}
                self.run(_GONE, {"of": instance_id, "now": now, **which})


def _values(finding: Finding) -> dict[str, Any]:
    return {
        "kind": finding.kind,
        "subject": finding.subject,
        "change": finding.change,
        # Content that grows makes another signature at each look; a path is one thing all the same.
        "shape": "" if finding.kind in PATH_KINDS else finding.signature,
        "rule": finding.rule,
        "because": finding.because,
        "expected": dict(finding.expected),
        "actual": dict(finding.actual),
    }


def _key_of(row: Mapping[str, Any]) -> _Key:
    return row["kind"], row["subject"], row["change"], row["shape"]


def _row(row: Row) -> ExplainedRow:
    difference = Difference(row["kind"], row["subject"], row["change"], row["expected"], row["actual"])
    return ExplainedRow(row["instance_id"], difference, row["rule"], row["because"], row["first_seen"], row["gone_at"])
