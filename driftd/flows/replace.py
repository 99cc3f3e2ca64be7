"""Replace: carry each open replacement one decision further, again and again.

The loop is dumb on purpose. Observe the world, decide (pure), write the intent down, ask once more whether somebody
paused, make the call, write the outcome. A crash anywhere leaves either an intent without outcome or nothing; the next
run observes and decides as ever, and every call is a no-op where the world already agrees.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from ulid import ULID

from driftd.core import wording
from driftd.core.decide import decide, learn, needs
from driftd.core.errors import BadInput, NotFound, ProviderError, Refused
from driftd.core.facts import Instance
from driftd.core.findings import Severity
from driftd.core.journal import canonical
from driftd.core.memory import LeaseHeld, Message, StaleRecord, Store, StoreUnavailable, Tx
from driftd.core.moves import announced, answered, moved, unanswered, waiting, withdrawn
from driftd.core.replacement import TERMINAL, Record, State
from driftd.core.world import Advance, Call, Do, Finish, Halt, Verb, Wait, World
from driftd.flows.groups import Group
from driftd.flows.observe import UNSTARTED, LookAt, edges_of, observe
from driftd.flows.stops import stops

STEPS_A_TICK = 40

_log = logging.getLogger(__name__)


def _nothing() -> None:
    """No lease to check."""


def _never(_group: str) -> str:
    return ""


def _not_yet() -> bool:
    return False


class Replacer:
    """Drives replacements. One at a time uses one store: the daemon holds the lease, ``fence`` proves it before calls.

    ``look`` sees an instance (with a visit open, so that driftd's own login is known as such). ``pause`` returns the
    sentence of a stop from outside the store (the pause file), or "": it stops undoing, too. ``fence`` raises
    ``LeaseHeld`` when the lease is lost. ``clock`` gives the aware time. Once ``stopping`` says so, no further step is
    begun.
    """

    def __init__(
        self,
        store: Store,
        groups: Mapping[str, Group],
        look: LookAt,
        *,
        clock: Callable[[], datetime],
        pause: Callable[[str], str] = _never,
        fence: Callable[[], None] = _nothing,
        stopping: Callable[[], bool] = _not_yet,
    ) -> None:
        self._store = store
        self._groups = groups
        self._look = look
        self._stopping = stopping
        self._clock = clock
        self._pause = pause
        self._fence = fence

    # --- what people ask ---

    def request(self, instance: Instance, why: str, *, manual: bool = True) -> str:
        """Open a replacement and return its id. Raises ``BadInput`` with the reason when it may not be."""
        group = self._groups.get(instance.group)
        if group is None:
            raise BadInput(wording.unknown_group(instance.group), "see the groups in the configuration")
        if cannot := group.cannot_replace():
            raise BadInput(f"{instance.id} cannot be replaced: {cannot}", "configure a provider that can")
        record = new_record(instance, group, why, self._clock(), manual=manual)
        with self._store.write() as tx:
            if not plan(tx, record, self._clock()):
                raise BadInput(wording.replaced_already(instance.id, instance.slot), "see: driftd status")
        return record.rid

    def cancel(self, rid: str, who: str) -> str:
        """Ask for ``rid`` (an id, or a slot or old instance with an open replacement) to be undone; one sentence."""
        return cancel(self._store, rid, who, self._clock())

    # --- what the timer asks ---

    def tick(self) -> list[str]:
        """Carry every due replacement as far as it goes without waiting; what happened, in sentences.

        Raises ``StoreUnavailable`` and ``LeaseHeld``: then nothing more may be changed.
        """
        with self._store.read() as tx:
            records = tx.open_replacements()
        began, said = self._clock(), []
        # Those under way first; who waits for a second look takes turns, longest due first.
        for record in sorted(records, key=lambda r: (r.state in UNSTARTED, r.next_at or r.created_at)):
            if self._stopping() or (record.state in UNSTARTED and self._overdue(records, began)):
                break
            if self._due(record):
                said += self._carry(record)
        return said

    def _overdue(self, records: Sequence[Record], began: datetime) -> bool:
        """A host that answers late, or never, must not keep those under way waiting for their next beat."""
        polls = [g.limits.poll for r in records if r.state not in UNSTARTED and (g := self._groups.get(r.group))]
        return bool(polls) and self._clock() >= began + min(polls)

    def _due(self, record: Record) -> bool:
        """A timer that beats as often as we poll must not miss every second beat by a hair."""
        group = self._groups.get(record.group)
        slack = group.limits.poll / 2 if group else timedelta(0)
        return record.next_at is None or record.next_at <= self._clock() + slack

    def _carry(self, record: Record) -> list[str]:
        said: list[str] = []
        group = self._groups.get(record.group)
        for _ in range(STEPS_A_TICK):
            if self._stopping():
                break
            try:
                if group is None:
                    self._hold(record, wording.unknown_group(record.group))
                    break
                after = self._step(record, group, said)
            except (StoreUnavailable, LeaseHeld):
                raise
            except StaleRecord:
                break  # somebody (a cancel) moved it: the next tick reads it again
            except ProviderError as error:
                self._hold(record, wording.cannot_observe(record.group, str(error)))
                break
            except Exception as error:  # noqa: BLE001  # per step: one broken replacement must not stop the others
                _log.exception("replacement %s: a step failed in a way nobody foresaw", record.rid)
                said.append(f"replacement {record.rid}: {type(error).__name__} in a step; it is tried again")
                self._hold(record, f"a step failed in a way nobody foresaw: {type(error).__name__}")
                break
            record = after
            if record.state in TERMINAL or record.next_at is not None:
                break
        return said

    def _hold(self, record: Record, why: str) -> None:
        """It could not even decide: say so on the record and come back later. Nothing else is changed."""
        group = self._groups.get(record.group)
        poll = group.limits.poll if group else timedelta(minutes=1)
        with self._store.write() as tx:
            current = tx.replacement(record.rid)
            if current is not None and current.state not in TERMINAL:
                tx.save_replacement(replace(current, note=why, next_at=self._clock() + poll))

    def _step(self, before: Record, group: Group, said: list[str]) -> Record:
        """Observe, decide, and do what was decided. Returns the record as it now stands in the store."""
        wanted = needs(before, self._clock(), group.limits)
        held = stops(self._store, before.group, self._pause)
        world = observe(before, group, self._store, self._look, wanted, held.any, self._clock())
        world = replace(world, paused=held.paused, frozen=held.frozen)
        now = self._clock()
        record = learn(before, world)
        answer = decide(record, world, now, group.limits)
        if isinstance(answer, Do):
            return self._do(record, answer, world, group, said)
        after = waiting(record, answer, now) if isinstance(answer, Wait) else moved(record, answer, now)
        with self._store.write() as tx:
            after = _closed(tx, after, now)
            if not isinstance(answer, Wait):
                _write_move(tx, record, answer, now)
                said.append(f"replacement {record.rid}: {answer.state}, since {answer.why}")
            if after != before:
                tx.save_replacement(after)
                after = replace(after, version=after.version + 1)
        return after

    # --- acting ---

    def _do(self, record: Record, answer: Do, world: World, group: Group, said: list[str]) -> Record:
        """Intent, pause, call, outcome: in this order, each durable before the next."""
        call, now = answer.call, self._clock()
        body = call.as_body()
        intended = announced(record, call, canonical(body).decode(), answer.why, now)
        with self._store.write() as tx:
            _closed(tx, record, now)
            tx.journal("intent", record.rid, {**body, "why": answer.why, "guards": _guards(record, world)}, now)
            tx.save_replacement(intended)
        intended = replace(intended, version=intended.version + 1)
        self._fence()
        held = stops(self._store, record.group, self._pause)
        if stopped := held.against(undoing=record.state is State.UNDOING):
            return self._withdraw(intended, record, call, stopped)
        try:
            made = _make(call, group, world)
        except ProviderError as error:
            refused = isinstance(error, Refused)
            after = unanswered(intended, call, str(error), group.limits, self._clock(), refused=refused)
            outcome = {"outcome": "refused" if refused else "no answer", "why": str(error)}
        else:
            after = answered(intended, call, made)
            outcome = {"outcome": "done", **({"made": made} if made else {})}
        said.append(f"replacement {record.rid}: {answer.why}: {outcome.get('why', 'done')}")
        return self._outcome(after, call, outcome)

    def _withdraw(self, intended: Record, before: Record, call: Call, stopped: str) -> Record:
        after = replace(withdrawn(intended, before), intent="", next_at=self._clock(), note=f"stopped: {stopped}")
        return self._outcome(after, call, {"outcome": "not sent", "why": f"stopped: {stopped}"})

    def _outcome(self, after: Record, call: Call, outcome: Mapping[str, object]) -> Record:
        try:
            with self._store.write() as tx:
                tx.journal("result", after.rid, {"call": call.verb.value, **outcome}, self._clock())
                tx.save_replacement(after)
        except LeaseHeld as error:
            # Too late: the successor decides by what it sees. This log is the only place that may still say it.
            _log.warning("replacement %s: a late result, not written: %s %s: %s", after.rid, call.verb, outcome, error)
            raise
        return replace(after, version=after.version + 1)


# --- the store's side ------------------------------------------------------------------------------------------------


def new_record(instance: Instance, group: Group, why: str, now: datetime, *, manual: bool) -> Record:
    """A replacement that has not begun."""
    return Record(
        rid=str(ULID.from_datetime(now)),
        group=instance.group,
        slot=instance.slot,
        image=group.image or instance.image,
        old_id=instance.id,
        why=why,
        state=State.CONFIRMING,
        created_at=now,
        entered_at=now,
        manual=manual,
    )


def plan(tx: Tx, record: Record, now: datetime) -> bool:
    """Write a new replacement and its first journal line; False when slot or instance has an open one."""
    if not tx.add_replacement(record):
        return False
    body = {"to": record.state.value, "old": record.old_id, "slot": record.slot, "image": record.image}
    tx.journal("human" if record.manual else "decision", record.rid, {**body, "why": record.why}, now)
    text = wording.replacement_planned(record.old_id, record.group, record.why)
    tx.say(_message(record, record.state, Severity.MEDIUM, text), now)
    return True


def cancel(store: Store, name: str, who: str, now: datetime) -> str:
    """Ask for the open replacement ``name`` (id, slot or old instance) to be undone; one sentence.

    Raises ``BadInput`` when there is none, or it is past the point of no return.
    """
    with store.write() as tx:
        found = [r for r in tx.open_replacements() if name in {r.rid, r.old_id} or (r.slot and name == r.slot)]
        if not found:
            raise BadInput(wording.no_open_replacement(name), "see: driftd status")
        record = found[0]
        if record.committed or record.state is State.SETTLING:
            raise BadInput(wording.too_late_to_cancel(record.rid, record.old_id), "see: driftd status")
        if not record.cancel_requested:
            tx.save_replacement(replace(record, cancel_requested=True, next_at=None))
            tx.journal("human", record.rid, {"cancel": True, "by": who}, now)
    return wording.cancel_requested(record.rid, record.old_id)


def _closed(tx: Tx, record: Record, now: datetime) -> Record:
    """Write down that an announced call has no outcome on record: the process died, and the world decides."""
    if not record.intent:
        return record
    tx.journal("result", record.rid, {"outcome": "unknown", "why": wording.interrupted(), "intent": record.intent}, now)
    return replace(record, intent="")


def _write_move(tx: Tx, record: Record, answer: Advance | Finish | Halt, now: datetime) -> None:
    body = {"from": record.state.value, "to": answer.state.value, "why": answer.why}
    if isinstance(answer, Halt):
        body["hint"] = answer.hint
    tx.journal("decision", record.rid, body, now)
    if answer.state is State.LAUNCHING:
        text = wording.replacement_begun(record.old_id, record.group, record.why)
        tx.say(_message(record, answer.state, Severity.INFO, text), now)
    elif answer.state is State.UNDOING:
        text = wording.replacement_undone(record.old_id, answer.why)
        tx.say(_message(record, answer.state, Severity.MEDIUM, text), now)
    elif answer.state in TERMINAL:
        text = wording.replacement_over(record.old_id, answer.state.value, answer.why)
        tx.say(_message(record, answer.state, _SEVERITY.get(answer.state, Severity.MEDIUM), text), now)
    if answer.state is State.SUCCEEDED and (row := tx.instance(record.old_id)) is not None and row.gone_at is None:
        tx.put_instance(replace(row, gone_at=now, state="terminated"))
        for finding in tx.open_findings(record.old_id):
            tx.resolve_finding(finding.id, now)


_SEVERITY = {State.SUCCEEDED: Severity.INFO, State.CANCELLED: Severity.INFO, State.STUCK: Severity.CRITICAL}


def _message(record: Record, state: State, severity: Severity, text: str) -> Message:
    return Message(
        key=f"replacement/{record.rid}/{state}",
        code=f"replacement-{state}",
        severity=severity,
        text=text,
        instance_id=record.old_id,
        rid=record.rid,
    )


def _guards(record: Record, world: World) -> dict[str, object]:
    """What was read, live, right before a call: the proof that it was allowed."""
    old, new = world.targets.get(record.old_id), world.targets.get(record.new_id)
    return {
        "in_service": world.facts.in_service,
        "min_healthy": world.rules.min_healthy,
        "old": {"exists": not world.old_gone, "target": old.state.value if old else "", "connections": _count(old)},
        "new": {"id": record.new_id, "target": new.state.value if new else "", "verified": record.verified},
    }


def _count(target: object) -> int:
    return int(getattr(target, "connections", 0))


# --- the provider's side ---------------------------------------------------------------------------------------------


def _make(call: Call, group: Group, world: World) -> str:
    """Make one call; the id of what a launch made. An end that finds nothing is an end."""
    compute, traffic = edges_of(group)
    if call.verb is Verb.LAUNCH and call.launch is not None:
        return compute.launch(call.launch).id
    if call.verb is Verb.REGISTER:
        known = [i for i in (world.old, *world.newcomers) if i is not None and i.id == call.instance_id]
        traffic.register(group.name, known[0])
    elif call.verb is Verb.DRAIN:
        traffic.drain(group.name, call.instance_id)
    elif call.verb is Verb.DEREGISTER:
        traffic.deregister(group.name, call.instance_id)
    elif call.verb is Verb.TAG:
        compute.tag(call.instance_id, call.tags)
    elif call.verb is Verb.TERMINATE:
        try:
            compute.terminate(call.instance_id)
        except NotFound:
            _log.debug("%s is gone already", call.instance_id)
    return ""
