"""A plan that is made, applied and carried out on the fake: what it said beside what the controller then did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from simulation import BEAT_S, LIMITS, Simulation
from store_rows import instance

from driftd.core.findings import Action, Verdict
from driftd.core.guards.case import AtOnce
from driftd.core.planning.choosing import choose
from driftd.core.planning.document import as_document
from driftd.core.planning.plan import Plan, plan
from driftd.core.planning.reading import Reading
from driftd.core.replacement import TERMINAL, State
from driftd.core.world import Limits, Manner
from driftd.flows import applying
from driftd.flows.planning import Origin, read
from driftd.flows.stops import no_pause

ORIGINS = {"web": Origin("configuration", "policy", {"budget": "1"})}


@dataclass(frozen=True)
class Shape:
    """A group: how many servers, which of them drifted, what they own, where they are, and how many may go at once."""

    servers: int
    drifted: Sequence[int]
    percent: int = 10
    owning: bool = False
    delete_first: bool = False
    zones: Sequence[str] = ()
    min_healthy: int = 1
    tampered: Sequence[int] = ()


class Fleet(Simulation):
    """``Simulation`` with a group of any shape."""

    def __init__(self, home: Path, shape: Shape, limits: Limits = LIMITS) -> None:
        manner = Manner(delete_first=shape.delete_first, allow_gap=shape.delete_first)
        super().__init__(
            home,
            servers=shape.servers,
            min_healthy=shape.min_healthy,
            limits=limits,
            manner=manner,
            owning=shape.owning,
        )
        rules = replace(self.group.rules, at_once=AtOnce(shape.percent, 5, 10), allow_singleton=True)
        self.group = replace(self.group, rules=rules)
        for number, zone in enumerate(shape.zones):
            self.provider.zones[f"web/{number}"] = zone
        self.drifted = {self.servers[number] for number in shape.drifted}
        with self.store.write() as tx:
            for number, name in enumerate(self.servers):
                zone = shape.zones[number] if shape.zones else ""
                drifts = {"verdict": Verdict.DRIFTED, "action": Action.REPLACE, "reason": "1 finding"}
                if number in shape.tampered:
                    drifts["verdict"] = Verdict.TAMPERED
                more = drifts if name in self.drifted else {}
                tx.put_instance(instance(name, slot=f"web/{number}", image="golden", zone=zone, **more))
        self.restart()

    def read(self) -> Reading:
        return read(self.store, {"web": self.group}, ORIGINS, self.clock(), no_pause)

    def plan(self, *names: str, reason: str = "", everything: bool = False, by_hand: bool = True) -> Plan:
        reading = self.read()
        return plan(reading, choose(reading, names, everything=everything, reason=reason), by_hand=by_hand)

    def document(self, *names: str, **more) -> dict:
        return as_document(self.plan(*names, **more), by="ann", version="0")

    def apply(self, document: Mapping, who: str = "bob") -> Sequence[str]:
        groups = {"web": self.group}
        reading = applying.check(self.store, document, groups, ORIGINS, self.clock(), no_pause)
        return applying.apply(self.store, document, reading, groups, who, self.clock()).rids

    def carry_out(self, rids: Sequence[str], horizon: int = 3600) -> None:
        """Until all of them are over."""
        for _ in range(horizon // BEAT_S):
            if all(self.record(rid).state in TERMINAL for rid in rids):
                return
            self.tick()
        raise AssertionError([(self.record(rid).slot, self.record(rid).state, self.record(rid).note) for rid in rids])

    def done(self) -> list[tuple[str, int]]:
        """By the journal: whom the controller let in, in that order, each with its wave."""
        with self.store.read() as tx:
            lines = tx.journal_lines()
            slots = {one.rid: one.slot for one in tx.replacements(1000)}
        order: dict[str, int] = {}
        ended = 0
        for line in lines:
            if line.body.get("from") == State.ADMITTING and line.body.get("to") == State.PLANNING:
                order.pop(line.subject, None)  # let in again after it could not be planned
                order[line.subject] = ended + 1
            if line.body.get("to") == State.SUCCEEDED:
                ended = max(ended, order[line.subject])
        return [(slots[rid], wave) for rid, wave in order.items()]

    def calls(self, rid: str) -> list[tuple[str, str, str]]:
        """By the journal: every call that was made for one, on whom, about which thing."""
        record = self.record(rid)
        roles = {record.old_id: "old", record.new_id: "new"}
        with self.store.read() as tx:
            intents = [line.body for line in tx.journal_lines(rid) if line.kind == "intent"]
        found = []
        for body in intents:
            on = str(body.get("instance") or (body.get("expected", "") if body["call"] == "detach" else ""))
            role = "new" if body["call"] == "launch" else roles.get(on, on)
            found.append((str(body["call"]), role, str(body.get("thing", ""))))
        return found
