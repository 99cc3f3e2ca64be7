"""The part of a transaction about what looks leave for later ones: marks of single files, and identities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from sqlalchemy import bindparam, delete, select

from driftd.core.marks import Mark, Twin
from driftd.core.memory import StoreUnavailable
from driftd.edges.store.statements import Statements
from driftd.edges.store.tables import INSTANCE
from driftd.edges.store.tables_marks import IDENTITY, MARKS
from driftd.probe import wire

_MOST = 500  # digests of one question, and twins of one answer

_MARKS = select(MARKS).where(MARKS.c.instance_id == bindparam("instance_id"))
_IDENTITIES = select(IDENTITY).where(IDENTITY.c.instance_id == bindparam("instance_id"))


class MarksPart(Statements):
    """``Tx`` for marks and identities."""

    def marks(self, instance_id: str) -> Sequence[Mark]:
        row = self.one(_MARKS, instance_id=instance_id)
        return _read(row["body"], instance_id) if row else ()

    def put_marks(self, instance_id: str, marks: Sequence[Mark]) -> None:
        """See ``Tx.put_marks``. Nothing is written when they are as they were."""
        body = wire.pack([[m.path, m.of.encode(), m.size, m.sha256, int(m.at.timestamp())] for m in marks])
        row = self.one(_MARKS, instance_id=instance_id)
        if (bytes(row["body"]) if row else wire.pack([])) != body:
            self.put(MARKS, {"instance_id": instance_id, "body": body})

    def put_identities(self, instance_id: str, identities: Mapping[bytes, bytes]) -> None:
        """See ``Tx.put_identities``. Nothing is written when they are as they were."""
        here = IDENTITY.c.instance_id == instance_id
        rows = self.rows(_IDENTITIES, instance_id=instance_id)
        known = {bytes(row["path"]): bytes(row["sha256"]) for row in rows}
        for path in known.keys() - identities.keys():
            self.run(delete(IDENTITY).where(here & (IDENTITY.c.path == path)))
        for path, digest in identities.items():
            if known.get(path) != digest:
                self.put(IDENTITY, {"instance_id": instance_id, "path": path, "sha256": digest})

    def twins(self, instance_id: str, identities: Mapping[bytes, bytes]) -> Sequence[Twin]:
        digests = sorted(set(identities.values()))[:_MOST]
        if not digests:
            return ()
        alive = select(INSTANCE.c.id).where(INSTANCE.c.gone_at.is_(None))
        where = IDENTITY.c.sha256.in_(digests) & IDENTITY.c.instance_id.in_(alive)
        query = select(IDENTITY).where(where & (IDENTITY.c.instance_id != instance_id))
        rows = self.rows(query.order_by(IDENTITY.c.path, IDENTITY.c.instance_id).limit(_MOST))
        return [
            Twin(row["instance_id"], bytes(row["path"]))
            for row in rows
            if identities.get(bytes(row["path"])) == bytes(row["sha256"])
        ]


def _read(body: bytes, instance_id: str) -> list[Mark]:
    try:
        return [
            Mark(path, of.decode(), size, sha256, datetime.fromtimestamp(at, UTC))
            for path, of, size, sha256, at in wire.unpack(bytes(body))
        ]
    except (wire.WireError, TypeError, ValueError, AttributeError):
        raise StoreUnavailable(
            f"The store holds marks of {instance_id} in a form that this driftd cannot read.",
            "Restore the store from a backup, or use the version of driftd that wrote it (docs/store.md).",
        ) from None
