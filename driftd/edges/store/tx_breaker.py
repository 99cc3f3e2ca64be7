"""The part of a transaction about circuit breakers, and what their rules must remember."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import bindparam, delete, select, update

from driftd.core.breakers.breaker import Breaker
from driftd.core.breakers.facts import Calls, Pass, Sighting, Version
from driftd.core.memory import InstanceRow
from driftd.edges.store.statements import Statements, values_of
from driftd.edges.store.tables_breaker import BREAKER, CALLS, PASS, SIGHTING, VERSION

PASSES = 12  # of each group
CALLS_FOR = timedelta(hours=1)

_BREAKERS = select(BREAKER).order_by(BREAKER.c.rule, BREAKER.c.scope)
_LATELY = (
    SIGHTING.c.ended_at.is_(None)
    | (SIGHTING.c.ended_at >= bindparam("since"))
    | (SIGHTING.c.first_at >= bindparam("since"))
)
_SIGHTINGS = select(SIGHTING).where(_LATELY).order_by(SIGHTING.c.instance_id, SIGHTING.c.signature)
_SIGHTINGS_ON = select(SIGHTING).where(SIGHTING.c.instance_id == bindparam("instance_id"))
_PASSES = select(PASS).order_by(PASS.c.group, PASS.c.at)
_MINE = PASS.c.group == bindparam("group")
_LAST_PASS = select(PASS).where(_MINE).order_by(PASS.c.at.desc()).limit(1)
_DROP_PASS = delete(PASS).where(_MINE & (PASS.c.at == bindparam("at")))
_DROP_OLD_PASSES = delete(PASS).where(
    _MINE & PASS.c.at.not_in(select(PASS.c.at).where(_MINE).order_by(PASS.c.at.desc()).limit(PASSES))
)
_CALLS = select(CALLS).where(CALLS.c.minute >= bindparam("since")).order_by(CALLS.c.account, CALLS.c.minute)
_CALLS_OF = select(CALLS).where((CALLS.c.account == bindparam("account")) & (CALLS.c.minute == bindparam("minute")))
_DROP_CALLS = delete(CALLS).where(CALLS.c.minute < bindparam("before"))
_VERSIONS = select(VERSION).order_by(VERSION.c.what)


class BreakerPart(Statements):
    """``Tx`` for breakers, sightings, passes, calls and versions."""

    def breakers(self) -> Sequence[Breaker]:
        """By rule and scope."""
        return [Breaker(**row) for row in self.rows(_BREAKERS)]

    def put_breaker(self, breaker: Breaker) -> None:
        self.put(BREAKER, values_of(breaker))

    def sightings(self, since: datetime) -> Sequence[Sighting]:
        """Those that last, began or ended since."""
        return [Sighting(**row) for row in self.rows(_SIGHTINGS, since=since.astimezone(UTC))]

    def keep_sightings(self, row: InstanceRow, parts: Mapping[str, str], now: datetime) -> None:
        """What is so already keeps its first time; what was over and is so again begins anew."""
        here = SIGHTING.c.instance_id == row.id
        known = {one["signature"]: Sighting(**one) for one in self.rows(_SIGHTINGS_ON, instance_id=row.id)}
        for signature, one in known.items():
            if one.ended_at is None and signature not in parts:
                self.run(update(SIGHTING).where(here & (SIGHTING.c.signature == signature)).values(ended_at=now))
        for signature, short in parts.items():
            before = known.get(signature)
            if before is None or before.ended_at is not None:
                made = Sighting(row.id, signature, row.group, row.slot, short, now)
                self.put(SIGHTING, values_of(made))
            elif (before.group, before.slot, before.short) != (row.group, row.slot, short):
                self.put(SIGHTING, values_of(replace(before, group=row.group, slot=row.slot, short=short)))

    def passes(self) -> Sequence[Pass]:
        return [Pass(**row) for row in self.rows(_PASSES)]

    def add_pass(self, one: Pass) -> None:
        """Where there are too many the oldest goes; of those in a row that saw nothing the last stays."""
        before = self.one(_LAST_PASS, group=one.group)
        if one.unseen and before is not None and before["unseen"]:
            self.run(_DROP_PASS, {"group": one.group, "at": before["at"]})
        self.put(PASS, values_of(one))
        self.run(_DROP_OLD_PASSES, {"group": one.group})

    def calls(self, since: datetime) -> Sequence[Calls]:
        return [Calls(**row) for row in self.rows(_CALLS, since=since.astimezone(UTC))]

    def count_calls(self, calls: Sequence[Calls]) -> None:
        for one in calls:
            row = self.one(_CALLS_OF, account=one.account, minute=one.minute)
            self.put(CALLS, values_of((Calls(**row) if row else Calls(one.account, one.minute, 0)) + one))
            self.run(_DROP_CALLS, {"before": one.minute - CALLS_FOR})

    def versions(self) -> Sequence[Version]:
        return [Version(**row) for row in self.rows(_VERSIONS)]

    def put_version(self, version: Version) -> None:
        self.put(VERSION, values_of(version))
