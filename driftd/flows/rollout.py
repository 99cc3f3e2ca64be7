"""Rollout: asked for, carried on by a beat of the daemon, and gone back from.

The loop is dumb on purpose: read the group and the rollout's own replacements, decide (pure), write what was decided in
one transaction. All that is ever done to a server, the replacements do.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ulid import ULID

from driftd.core.errors import BadInput, ProviderError
from driftd.core.facts import Instance
from driftd.core.findings import Severity
from driftd.core.memory import LeaseHeld, Message, StaleRecord, Store, StoreUnavailable, Tx
from driftd.core.replacement import TERMINAL, Record
from driftd.core.rollout import (
    OVER,
    Answer,
    Begin,
    CallOff,
    Choice,
    Rollout,
    Stage,
    Stay,
    Strategy,
    Turn,
    View,
    decide,
    desired,
    turned,
)
from driftd.core.wording import rollouts as wording
from driftd.flows.groups import Group
from driftd.flows.opening import new_record, plan

STEPS_A_TICK = 10
_SEVERITY = {Stage.BACK: Severity.HIGH, Stage.STUCK: Severity.CRITICAL}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person asks for. ``share`` is the canary's part in percent, ``keep`` how long an old set is kept."""

    image: str
    strategy: Strategy = Strategy.CANARY
    share: int = 5
    keep: timedelta = timedelta(hours=2)
    reason: str = ""


# --- what people ask -------------------------------------------------------------------------------------------------


def ask(store: Store, group: Group, wish: Wish, who: str, now: datetime) -> Rollout:
    """Begin a rollout; the daemon carries it on. Raises ``BadInput`` with why it may not be, and ``ProviderError``."""
    if cannot := group.cannot_replace():
        raise BadInput(f"{group.name} cannot be rolled out: {cannot}", "configure a provider that can")
    members = group.members()
    if wish.strategy is Strategy.BLUE_GREEN and (why := _not_together(group)):
        raise BadInput(why, "roll it out with --how canary or --how rolling")
    with store.write() as tx:
        _none_under_way(tx, group.name)
        before = _before(tx, group, members)
        if members and all(one.image == wish.image for one in members):
            raise BadInput(wording.runs_already(group.name, wish.image), "there is nothing to do")
        made = Rollout(
            id=str(ULID.from_datetime(now)),
            group=group.name,
            image=wish.image,
            before=before,
            strategy=wish.strategy,
            share=wish.share,
            keep=wish.keep,
            asked_by=who,
            reason=wish.reason,
            created_at=now,
            entered_at=now,
        )
        remember(tx, group, before, now)
        _add(tx, made, now)
    return made


def go_back(store: Store, group: Group, who: str, reason: str, now: datetime) -> Rollout:
    """Turn back the rollout that is under way, or roll the last one out the other way. Raises ``BadInput``."""
    with store.write() as tx:
        for one in tx.open_rollouts(group.name):
            if not one.back_by and one.stage is not Stage.BACK:
                one = replace(one, back_by=who)  # noqa: PLW2901  # it is the same one
                tx.save_rollout(one)
                tx.journal("human", one.id, {"rollout": "back", "by": who, "why": reason}, now)
            return one
        done = next((one for one in tx.rollouts(group.name) if one.stage is Stage.DONE), None)
        if done is None:
            raise BadInput(wording.no_rollout(group.name), f"name the image: driftd rollout {group.name} --image …")
        made = Rollout(
            id=str(ULID.from_datetime(now)),
            group=group.name,
            image=done.before,
            before=done.image,
            strategy=done.strategy,
            share=done.share,
            keep=done.keep,
            asked_by=who,
            reason=reason,
            created_at=now,
            entered_at=now,
            of=done.id,
        )
        _add(tx, made, now)
    return made


def _add(tx: Tx, made: Rollout, now: datetime) -> None:
    if not tx.add_rollout(made):
        _none_under_way(tx, made.group)
    said = wording.begun(made.group, made.image, made.before, made.strategy, made.asked_by, made.reason)
    body = {"rollout": "begin", "group": made.group, "image": made.image, "before": made.before}
    tx.journal("human", made.id, body | {"how": made.strategy.value, "by": made.asked_by, "why": made.reason}, now)
    _say(tx, made, "begun", Severity.INFO, said, now)


def _none_under_way(tx: Tx, group: str) -> None:
    for one in tx.open_rollouts(group):
        hint = f"wait for it, or: driftd rollout {group} --back"
        raise BadInput(wording.one_is_under_way(group, one.image, one.note or one.stage.value), hint)


def _before(tx: Tx, group: Group, members: Sequence[Instance]) -> str:
    """The image that is gone back to: the group's, or the one that all of its instances run."""
    wanted = desired(group.image, tx.choices(group.name))
    runs = {one.image for one in members}
    if not wanted and len(runs) != 1:
        raise BadInput(wording.no_before(group.name, sorted(runs)), f"name it in groups.{group.name}.image")
    return wanted or runs.pop()


def remember(tx: Tx, group: Group, image: str, now: datetime) -> None:
    """That the group is to run ``image``, by its configuration, unless that is known."""
    chosen = tx.choices(group.name)
    if not chosen or desired(group.image, chosen) != image or chosen[-1].configured != group.image:
        tx.choose(Choice(group.name, image, group.image, now))


def _not_together(group: Group) -> str:
    """Why the group cannot have two whole sets; "" when it can. Raises ``ProviderError``."""
    if group.manner.delete_first:
        return wording.no_gap_together(group.name)
    slots = {one.slot for one in group.members() if one.slot}
    volumes, addresses = group.provider.volumes, group.provider.addresses
    owned = [f"volume {one.id}" for one in (volumes.list() if volumes else ()) if one.slot in slots]
    owned += [f"address {one.address}" for one in (addresses.list() if addresses else ()) if one.slot in slots]
    return wording.cannot_together(group.name, f"its slots own {owned[0]}") if owned else ""


# --- what the timer asks ---------------------------------------------------------------------------------------------


class Roller:
    """Carries each rollout that is under way as far as it goes. ``fence`` raises ``LeaseHeld`` when the lease is lost;
    ``pause`` returns the sentence of a stop from outside the store, or "".
    """

    def __init__(
        self,
        store: Store,
        groups: Mapping[str, Group],
        *,
        clock: Callable[[], datetime],
        pause: Callable[[str], str] = lambda _group: "",
    ) -> None:
        self._store = store
        self._groups = groups
        self._clock = clock
        self._pause = pause
        self._fresh = True

    def tick(self) -> list[str]:
        """What happened, in sentences. Raises ``StoreUnavailable`` and ``LeaseHeld``."""
        if self._fresh:
            self._remember()
        with self._store.read() as tx:
            opened = tx.open_rollouts()
        said: list[str] = []
        for one in opened:
            try:
                said += self._carry(one)
            except (StoreUnavailable, LeaseHeld):
                raise
            except StaleRecord:
                continue  # somebody turned it back: the next tick reads it again
            except ProviderError as error:
                self._note(one, str(error))
            except Exception as error:  # noqa: BLE001  # per rollout: one that breaks us must not stop the others
                _log.exception("rollout %s: a step failed in a way nobody foresaw", one.id)
                said.append(f"rollout {one.id}: {type(error).__name__} in a step; it is tried again")
        return said

    def _remember(self) -> None:
        """Which image each group is configured to run: that changes only with the daemon's start."""
        with self._store.write() as tx:
            for group in self._groups.values():
                if group.image:
                    remember(tx, group, desired(group.image, tx.choices(group.name)), self._clock())
        self._fresh = False

    def _carry(self, rollout: Rollout) -> list[str]:
        said: list[str] = []
        group = self._groups.get(rollout.group)
        if group is None:
            self._note(rollout, f"{rollout.group} is not in the configuration any more")
            return said
        for _ in range(STEPS_A_TICK):
            members = group.members()
            with self._store.write() as tx:
                now = self._clock()
                view = _view(tx, rollout, members)
                answer = decide(rollout, view)
                held = self._held(tx, rollout) if isinstance(answer, (Begin, Turn)) else ""
                after = _noted(rollout, held) if held else _apply(tx, group, rollout, answer, members, now)
                if after != rollout:
                    tx.save_rollout(after)
                    after = replace(after, version=rollout.version + 1)
            if held or isinstance(answer, Stay):
                return said
            said.append(f"rollout {rollout.id}: {answer.why}")
            rollout = after
            if rollout.stage in OVER:
                break
        return said

    def _held(self, tx: Tx, rollout: Rollout) -> str:
        """Why nothing new is begun now; turning back is never held up."""
        if rollout.stage is Stage.BACK or rollout.back_by:
            return ""
        outside = self._pause(rollout.group)
        pauses = [one for one in tx.pauses() if one.group in {"", rollout.group}]
        return outside or next((f"paused by {one.owner}: {one.reason}" for one in pauses), "")

    def _note(self, rollout: Rollout, why: str) -> None:
        with self._store.write() as tx:
            tx.save_rollout(_noted(rollout, why))


def _noted(rollout: Rollout, why: str) -> Rollout:
    return replace(rollout, note=why)


def _view(tx: Tx, rollout: Rollout, members: Sequence[Instance]) -> View:
    opened = tx.open_replacements(rollout.group)
    newcomers = {one.new_id for one in opened if one.new_id}
    others = frozenset(one.old_id for one in opened if one.rollout != rollout.id)
    fill = sorted((one for one in members if one.id not in newcomers), key=lambda one: (one.slot, one.id))
    going = {one.old_id for one in opened}
    runs = {one.id: one.image for one in fill if one.id in going or not one.state.ending}
    return View(runs, tx.rollout_records(rollout.id), others)


def _apply(
    tx: Tx, group: Group, rollout: Rollout, answer: Answer, members: Sequence[Instance], now: datetime
) -> Rollout:
    """Write down what was decided; the rollout as it then stands."""
    if isinstance(answer, Stay):
        return _noted(rollout, answer.why)
    tx.journal("decision", rollout.id, _body(answer), now)
    if isinstance(answer, Begin):
        _begin(tx, group, rollout, answer, members, now)
        return _noted(rollout, answer.why)
    if isinstance(answer, CallOff):
        _call_off(tx, answer)
        return _noted(rollout, answer.why)
    after = turned(rollout, answer, now)
    if after.stage is not rollout.stage:
        severity = _SEVERITY.get(after.stage, Severity.MEDIUM if after.fault else Severity.INFO)
        _say(tx, after, after.stage.value, severity, f"rollout of {after.group}: {after.note}", now)
    if after.stage in {Stage.DONE, Stage.UNDONE}:
        _choose(tx, group, after, now)
    return after


def _body(answer: Begin | CallOff | Turn) -> dict[str, object]:
    if isinstance(answer, Begin):
        return {"begin": list(answer.ids), "image": answer.image, "why": answer.why}
    if isinstance(answer, CallOff):
        return {"call_off": list(answer.rids), "why": answer.why}
    return {"stage": answer.stage.value, "gate": answer.gate.name.lower(), "why": answer.why}


def _begin(tx: Tx, group: Group, rollout: Rollout, answer: Begin, members: Sequence[Instance], now: datetime) -> None:
    by_id = {one.id: one for one in members}
    forward = answer.image == rollout.image
    for at, instance_id in enumerate(answer.ids):
        record = new_record(by_id[instance_id], group, answer.why, now, manual=True, image=answer.image)
        together = rollout.together and forward
        plan(
            tx,
            replace(
                record,
                rollout=rollout.id,
                canary=at < answer.canaries,
                together=together,
                keep_s=int(rollout.keep.total_seconds()) if together else 0,
            ),
            now,
        )


def _call_off(tx: Tx, answer: CallOff) -> None:
    for rid in answer.rids:
        record = tx.replacement(rid)
        if record is not None and record.state not in TERMINAL:
            tx.save_replacement(_cancelled(record))


def _cancelled(record: Record) -> Record:
    return replace(record, cancel_requested=True, next_at=None)


def _choose(tx: Tx, group: Group, rollout: Rollout, now: datetime) -> None:
    """From now on the group is to run what it ended on. Where it turned back, it is remembered from what."""

    def choice(image: str, *, back: bool) -> None:
        tx.choose(Choice(group.name, image, group.image, now, rollout.id, back))

    if rollout.stage is Stage.UNDONE:
        choice(rollout.image, back=False)
        choice(rollout.before, back=True)
    else:
        choice(rollout.image, back=bool(rollout.of))


def _say(tx: Tx, rollout: Rollout, what: str, severity: Severity, text: str, now: datetime) -> None:
    tx.say(Message(f"rollout/{rollout.id}/{what}", f"rollout-{what}", severity, text), now)
