"""Gatekeep: whom others launched waits at its group's gate until a look has shown that it is as baked.

Nobody is turned away here: one that drifted waits on, and the controller replaces it as it replaces any other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from driftd.core import gate
from driftd.core.asides import Gated
from driftd.core.errors import ProviderError
from driftd.core.findings import Severity
from driftd.core.memory import Message, Store, Tx
from driftd.core.replacement import Record
from driftd.core.wording import gate as wording
from driftd.flows.groups import Group
from driftd.flows.stops import no_fence, no_pause, stops

LONG = timedelta(minutes=15)  # who waits for longer is told of: somebody expects it to serve


class Gatekeeper:
    """Keeps the gates of those groups that have one, where policy may replace: elsewhere driftd changes nothing."""

    def __init__(
        self,
        store: Store,
        groups: Mapping[str, Group],
        *,
        clock: Callable[[], datetime],
        pause: Callable[[str], str] = no_pause,
        fence: Callable[[], None] = no_fence,
    ) -> None:
        self._store = store
        self._groups = groups
        self._clock = clock
        self._pause = pause
        self._fence = fence
        self._since: dict[str, datetime] = {}

    @property
    def keeps(self) -> bool:
        """Whether any group may have a gate."""
        return any(isinstance(group.provider, Gated) for group in self._groups.values())

    def tick(self) -> list[str]:
        """One round through all gates; what was done, and why not, in sentences."""
        said: list[str] = []
        met: set[str] = set()
        for group in self._groups.values():
            if not isinstance(group.provider, Gated) or not group.rules.replaces:
                continue
            try:
                waiting = group.provider.waiting(group.name)
            except ProviderError as error:
                said.append(wording.unknown(group.name, f"{error}"))
                continue
            met |= set(waiting)
            said += [self._answer_safely(group, group.provider, one) for one in waiting]
        self._since = {one: at for one, at in self._since.items() if one in met}
        return said

    def _answer_safely(self, group: Group, provider: Gated, instance_id: str) -> str:
        """One that cannot be answered keeps no other waiting."""
        try:
            return self._answer(group, provider, instance_id)
        except ProviderError as error:
            return wording.unanswered(instance_id, group.name, f"{error}")

    def _answer(self, group: Group, provider: Gated, instance_id: str) -> str:
        now = self._clock()
        since = self._since.setdefault(instance_id, now)
        if stopped := stops(self._store, group.name, self._pause).any:
            return wording.waits(instance_id, group.name, stopped)
        with self._store.read() as tx:
            record = _replacement_of(tx, instance_id)
            answer = gate.decide(instance_id, tx.instance(instance_id), record, group.every, now)
        self._fence()
        if not answer.admits:
            provider.keep_waiting(group.name, instance_id)
            return self._kept(group.name, instance_id, answer.why, since, now)
        self._note(instance_id, "intent", {"call": "admit", "group": group.name, "why": answer.why})
        try:
            provider.admit(group.name, instance_id)
        except ProviderError as error:
            self._note(instance_id, "result", {"call": "admit", "outcome": "no answer", "why": str(error)})
            raise
        self._note(instance_id, "result", {"call": "admit", "outcome": "done"})
        return wording.admitted(instance_id, group.name, answer.why)

    def _kept(self, group: str, instance_id: str, why: str, since: datetime, now: datetime) -> str:
        sentence = wording.waits(instance_id, group, why)
        key = f"gate/{instance_id}"
        if now - since >= LONG:
            with self._store.write() as tx:
                if not tx.message_id(key):
                    tx.say(Message(key, "gate", Severity.HIGH, sentence, instance_id), now)
        return sentence

    def _note(self, instance_id: str, kind: str, body: Mapping[str, object]) -> None:
        with self._store.write() as tx:
            tx.journal(kind, f"gate/{instance_id}", body, self._clock())


def _replacement_of(tx: Tx, instance_id: str) -> Record | None:
    return next((one for one in tx.open_replacements() if instance_id in {one.new_id, one.old_id}), None)
