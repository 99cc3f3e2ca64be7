"""Sweep: look at every instance in turn, and write what was seen, what it means and what is planned in one transaction.

Looks wait in the queue, one job an instance; discovery puts them there. A look that confirms what is known changes one
row and adds no journal line.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import datetime, timedelta

from driftd.core import wording, zones
from driftd.core.asides import Hearing
from driftd.core.breakers.limits import DEFAULTS
from driftd.core.errors import ProviderError
from driftd.core.facts import Instance
from driftd.core.findings import Severity, Verdict
from driftd.core.journal import instant
from driftd.core.looks import Look
from driftd.core.memory import InstanceRow, Job, LeaseHeld, Message, Queue, Store, StoreUnavailable, Tx
from driftd.core.replacement import TERMINAL, UNSTARTED, Record, State
from driftd.core.world import TAG_RID
from driftd.flows.groups import Group
from driftd.flows.observe import LookAt
from driftd.flows.passes import blind_pass, seen_pass
from driftd.flows.record import Told, record_look
from driftd.flows.tainting import learn

KIND = "look"
LEASE_S = 900.0
AN_HOUR = timedelta(hours=1)

_log = logging.getLogger(__name__)


def _never() -> bool:
    return False


class Sweeper:
    """Discovers instances and looks at those that are due, ``lookers`` at once.

    Once ``stopping`` says so, no further look is begun and what the others see is not written. It is the only one that
    takes looks from the queue. ``patience_s`` is how long a tick waits for the next look to end, ``within`` how old the
    last look at an instance may be before a pass counts it as not seen, ``pool`` what looks run in (None: threads).
    """

    def __init__(
        self,
        store: Store,
        groups: Mapping[str, Group],
        look: LookAt,
        queue: Queue,
        *,
        clock: Callable[[], datetime],
        lookers: int = 8,
        stopping: Callable[[], bool] = _never,
        patience_s: float = 1.0,
        within: timedelta = DEFAULTS.reported_within,
        pool: Executor | None = None,
    ) -> None:
        self._store = store
        self._groups = groups
        self._look = look
        self._queue = queue
        self._clock = clock
        self._lookers = lookers
        self._stopping = stopping
        self._patience_s = patience_s
        self._within = within
        self._pool = pool or ThreadPoolExecutor(lookers, thread_name_prefix="look")
        self._running: dict[Future[list[str]], Job] = {}
        self._unsure = self._fresh = True
        self._known: dict[str, Instance] = {}
        self._missing: dict[str, set[str]] = {}
        self._discovered: dict[str, datetime] = {}
        self._soon: set[str] = set()

    def rediscover(self, groups: Iterable[str]) -> None:
        """Read the inventories of these groups at the next tick. From any thread."""
        self._soon = self._soon | set(groups)

    def tick(self) -> list[str]:
        """Discover what is due to be discovered, look at what is due; what happened, in sentences."""
        said: list[str] = []
        soon, self._soon = self._soon, set()
        for group in self._groups.values():
            last = self._discovered.get(group.name)
            if last is None or group.name in soon or self._clock() >= last + group.every:
                said += self._discover_safely(group.name)
        return said + self.sweep()

    def _discover_safely(self, name: str) -> list[str]:
        try:
            return self.discover(name)
        except (StoreUnavailable, LeaseHeld):
            raise
        except Exception as error:  # noqa: BLE001  # per group: a provider that breaks its promises blinds its own alone
            _log.exception("the inventory of %s failed in a way nobody foresaw", name)
            self._discovered[name] = self._clock()
            why = f"{type(error).__name__} in its provider"
            self._unread(self._groups[name], why)
            return [wording.no_inventory(name, why)]

    def _unread(self, group: Group, why: str) -> None:
        with self._store.write() as tx:
            blind_pass(tx, group, why, self._clock())

    def known(self) -> Mapping[str, Instance]:
        """The instances that the inventories had last, by id."""
        return self._known

    # --- which there are ---

    def discover(self, name: str) -> list[str]:
        """Read the inventory of one group. New instances are to be looked at now; vanished ones are marked gone.

        Gone is who is missing twice in a row. An inventory that is empty where instances were known marks nobody.
        """
        group = self._groups[name]
        try:
            found = {instance.id: instance for instance in group.members()}
        except ProviderError as error:
            self._unread(group, str(error))
            return [wording.no_inventory(name, str(error))]
        now = self._clock()
        self._discovered[name] = now
        said: list[str] = []
        with self._store.write() as tx:
            rows = {row.id: row for row in tx.instances(name)}
            opened = tx.open_replacements(name)
            tx.add_pass(seen_pass(group, found.values(), [*rows.values()], opened, now, within=self._within))
            if rows and not found:
                text = wording.inventory_empty(name, len(rows))
                hour = now.replace(minute=0, second=0, microsecond=0)
                tx.say(
                    Message(f"inventory-empty/{name}/{hour:%Y-%m-%dT%H}", "inventory-empty", Severity.HIGH, text), now
                )
                return [text]
            for instance in found.values():
                said += self._met(tx, instance, rows.get(instance.id), now)
            missing = rows.keys() - found.keys()
            ended = {instance_id for record in tx.replacements() for instance_id in _ended_by(record)}
            for gone in sorted(missing & self._missing.get(name, set())):
                said.append(_gone(tx, rows[gone], now, ours=gone in ended))
            self._missing[name] = set(missing)
        self._known = {key: one for key, one in self._known.items() if one.group != name} | found
        for instance_id in found:
            self._queue.put(KIND, f"{KIND}/{instance_id}", now, now)
        return said

    def _met(self, tx: Tx, instance: Instance, row: InstanceRow | None, now: datetime) -> list[str]:
        if row is None:
            row = tx.instance(instance.id)  # one that was gone, and is back
        if row is None:
            tx.put_instance(_new_row(instance, now))
            return [wording.discovered(instance.id, instance.group, instance.slot)]
        known = replace(
            row,
            slot=instance.slot,
            address=instance.address,
            state=instance.state.value,
            zone=zones.named(instance.zone),
            gone_at=None,
        )
        if known != row:
            tx.put_instance(known)
        return []

    # --- how they are ---

    def sweep(self) -> list[str]:
        """Begin a look at every instance that is due, and wait a little for them to end; what the ended ones said.

        A look that takes long goes on meanwhile, in its own place of ``lookers``: a host that does not answer keeps
        no other from being looked at, and no inventory from being read.
        """
        said = self._ended(0.0)
        began = self._clock()
        self._reclaim()
        if self._fresh:
            # Nothing is changed before each was seen again, and nobody has seen what happened meanwhile.
            self._queue.hurry(KIND, began)
            self._fresh = False
        while not self._stopping():
            room = self._lookers - len(self._running)
            for job in self._queue.take(KIND, room, LEASE_S, began) if room else ():
                self._running[self._pool.submit(self._job, job)] = job
            if not self._running:
                break
            count = len(self._running)
            said += self._ended(self._patience_s)
            if len(self._running) == count:
                break  # those that are left take long
        return said

    def close(self) -> None:
        """Wait for the looks that are under way. To be called last."""
        self._pool.shutdown(wait=True)

    def _ended(self, patience_s: float) -> list[str]:
        """What those looks said that have ended, having waited for one to end. Raises what one of them raised."""
        done, _ = wait(self._running, timeout=patience_s, return_when=FIRST_COMPLETED)
        for look in done:
            del self._running[look]
        errors = [error for look in done if (error := look.exception()) is not None]
        if errors:
            self._unsure = True
            raise errors[0]
        return [sentence for look in done for sentence in look.result()]

    def _reclaim(self) -> None:
        """Jobs that a crash, or a store that could not be written, left leased: nobody works on them any more."""
        if self._unsure and not self._running:
            self._queue.reclaim(KIND)
            self._unsure = False

    def _job(self, job: Job) -> list[str]:
        instance = self._known.get(job.key.removeprefix(f"{KIND}/"))
        if instance is None or instance.group not in self._groups:
            self._queue.done(job)
            return []
        try:
            return self.sweep_one(instance)
        except (StoreUnavailable, LeaseHeld):
            raise
        except Exception as error:  # noqa: BLE001  # per instance: one that breaks us must not stop the others
            _log.exception("%s: a look failed in a way nobody foresaw", instance.id)
            return [f"{instance.id}: {type(error).__name__} in a look; it is tried again"]
        finally:
            self._queue.retry(job, self._clock() + self._groups[instance.group].every)

    def sweep_one(self, instance: Instance) -> list[str]:
        """One look at one instance, and all that follows from it, in one transaction."""
        group = self._groups[instance.group]
        with self._store.read() as tx:
            if why := left_alone(instance, tx):
                _log.debug("%s is not looked at: %s", instance.id, why)
                return []
        look = self._look(instance)
        if self._stopping():
            return []  # a look that was cut off is no news
        now = self._clock()
        with self._store.write() as tx:
            if left_alone(instance, tx):
                return []  # it was ended while we looked, so that we saw it go
            row = tx.instance(instance.id) or _new_row(instance, now)
            learn(tx, look.instance, now)
            told = record_look(tx, group, row, look, now)
        if isinstance(group.provider, Hearing):
            group.provider.taken(instance.id, look.at)
        return _sentences(look, told)


def left_alone(instance: Instance, tx: Tx) -> str:
    """Why sweeping passes over an instance: its replacement looks at it, or ends it, or it is gone."""
    row = tx.instance(instance.id)
    if row is not None and row.gone_at is not None:
        return "it is gone, unless the inventory has it again"
    for record in tx.open_replacements(instance.group):
        newcomer = instance.id == record.new_id or instance.tags.get(TAG_RID) == record.rid
        if newcomer and not record.verified and record.state not in UNSTARTED:
            return f"it is the newcomer of {record.rid} and not verified yet"
        if instance.id == record.old_id and record.state in {State.RETIRING, State.SETTLING}:
            return f"it is being ended by {record.rid}"
    return ""


def _new_row(instance: Instance, now: datetime) -> InstanceRow:
    return InstanceRow(
        id=instance.id,
        group=instance.group,
        slot=instance.slot,
        image=instance.image,
        address=instance.address,
        state=instance.state.value,
        verdict=Verdict.UNKNOWN,
        reason=wording.not_looked_at(),
        root="",
        verdict_since=now,
        looked_at=None,
        first_seen=now,
        zone=zones.named(instance.zone),
    )


def _ended_by(record: Record) -> tuple[str, ...]:
    """What a replacement ends: the old one once that was announced, the newcomer when it is undone."""
    undone = record.state in {State.UNDOING, *TERMINAL} and record.state is not State.SUCCEEDED
    return (record.old_id,) * record.committed + (record.new_id,) * undone


def _gone(tx: Tx, row: InstanceRow, now: datetime, *, ours: bool) -> str:
    """It does not exist any more, so nothing about it is open. People are told, unless ``ours`` is what ended it."""
    tx.put_instance(replace(row, gone_at=now, state="terminated"))
    for finding in tx.open_findings(row.id):
        tx.resolve_finding(finding.id, now)
    tx.journal("observation", row.id, {"gone": True}, now)
    if ours:
        return wording.vanished(row.id, row.group)
    text = wording.vanished_by_itself(row.id, row.group)
    tx.say(Message(f"gone/{row.id}/{instant(now)}", "gone", Severity.MEDIUM, text, row.id), now)
    return text


def _sentences(look: Look, told: Told) -> list[str]:
    said = list(told.sentences)
    if told.changed:
        said.insert(0, f"{look.instance.id} is {look.judgement.verdict}: {look.judgement.reason}")
    return said
