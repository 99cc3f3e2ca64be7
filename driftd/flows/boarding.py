"""Boarding: incidents are shown on a board, each in one place; what comes later changes it and stands below it.

A message that others may still join is shown at once, since what is shown can change; it counts as taken once it is
sealed. Of many incidents of one group within a minute there is one notice, and none of them has a place of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from driftd.core.cards import Card, Press, card_of, key_of
from driftd.core.errors import BadInput, DriftdError, NotFound, ProviderError, Refused
from driftd.core.memory import Message, Store, Tx
from driftd.core.notices import CROWD, Notice, Pace
from driftd.core.outbox import Delivery, Ended, Incident
from driftd.core.ports import Board
from driftd.flows.outlets import A_ROUND, Book, Outlet, Patience, group_of, sealed, surely_unsaid
from driftd.flows.scenes import Scenes
from driftd.flows.steps import untold

GLANCE = timedelta(minutes=1)


class Boarder:
    """Keeps one board. ``asks`` says whether a group asks a person about each replacement; ``may`` is what somebody
    may press; with ``renew`` each incident is shown again so often though nothing changed.
    """

    def __init__(
        self,
        store: Store,
        board: Board,
        outlet: Outlet,
        outlets: Sequence[str],
        *,
        clock: Callable[[], datetime],
        asks: Callable[[str], bool],
        may: frozenset[Press] = frozenset(),
        renew: timedelta | None = None,
    ) -> None:
        self._book = Book(store, outlet, outlets, clock)
        self._board = board
        self._patience = Patience()
        self._pace = Pace(outlet.singly)
        self._asks = asks
        self._may = may
        self._renew = renew
        self._seen = -1
        self._looked_at: datetime | None = None

    def tick(self) -> list[str]:
        """One round; what could not be said, in sentences."""
        now = self._book.clock()
        if self._patience.away(now):
            return []
        said: list[str] = []
        pending: set[str] = set()
        if waiting := self._book.waiting():
            said = self._tell(waiting, now)
            pending = {key_of(one.message) for one in self._book.waiting()}
        return said if self._patience.away(self._book.clock()) else said + self._show(pending)

    # --- messages ---

    def _tell(self, waiting: Sequence[Delivery], now: datetime) -> list[str]:
        ready = sealed(self._book.store, waiting, now)
        early = [one for one in waiting if one.message.id not in {done.message.id for done in ready}]
        ready, early = self._known(self._patience.due(ready, now), self._patience.due(early, now))
        said = self._tell_later(ready)
        return said if self._patience.away(self._book.clock()) else said + self._tell_first(ready, early)

    def _open(self, tx: Tx) -> dict[str, Incident]:
        return {one.key: one for one in tx.incidents(self._book.outlet.name)}

    def _known(self, ready: Sequence[Delivery], early: Sequence[Delivery]) -> tuple[list[Delivery], list[Delivery]]:
        """Without what needs no word: what is shown already and may have changed, and what is not severe enough."""
        with self._book.store.read() as tx:
            shown = self._open(tx)
        begun = [one for one in (*ready, *early) if _began(shown, one.message)]
        wants = self._book.outlet.wants
        told = {*shown, *(key_of(one.message) for one in (*ready, *early) if wants(one.message))}
        over = [one for one in ready if key_of(one.message) not in told]
        done = {one.message.id for one in (*begun, *over)}
        changed = [one for one in begun if _with(shown[key_of(one.message)], one.message) != shown[key_of(one.message)]]
        if changed or over:
            with self._book.store.write() as tx:
                for one in changed:
                    tx.put_incident(_with(shown[key_of(one.message)], one.message))
                taken = [one.message for one in (*changed, *over) if one.message.due is None]
                self._book.took(tx, taken)
            self._looked_at = None
        wanted = [one for one in early if wants(one.message)]
        return [one for one in ready if one.message.id not in done], [
            one for one in wanted if one.message.id not in done
        ]

    def _tell_later(self, ready: Sequence[Delivery]) -> list[str]:
        """What came after an incident was shown goes below it, all of one place at once."""
        with self._book.store.read() as tx:
            shown = self._open(tx)
        places: dict[str, list[Delivery]] = {}
        for one in ready:
            if (incident := shown.get(key_of(one.message))) is not None:
                places.setdefault(incident.ref, []).append(one)
        said: list[str] = []
        for ref, mine in list(places.items())[:A_ROUND]:
            notice = Notice(tuple(mine[:CROWD]), shown[key_of(mine[0].message)].group)
            self._book.begin(notice.messages)
            try:
                self._board.follow(ref, notice)
            except NotFound as error:
                said += self._lost(ref, notice, error)
            except (ProviderError, BadInput) as error:
                said.append(self._failed(notice, error))
                break
            else:
                self._followed(notice, shown)
        return said

    def _followed(self, notice: Notice, shown: Mapping[str, Incident]) -> None:
        self._patience.well(notice.messages)
        newest = {key_of(message): message for message in notice.messages}
        with self._book.store.write() as tx:
            for key, message in newest.items():
                worst = max(shown[key].severity, message.severity, key=lambda one: one.rank)
                tx.put_incident(replace(shown[key], last=message.text, rid=message.rid, severity=worst))
            self._book.took(tx, notice.messages)
        self._looked_at = None

    def _tell_first(self, ready: Sequence[Delivery], early: Sequence[Delivery]) -> list[str]:
        """What nothing is shown of yet."""
        with self._book.store.read() as tx:
            shown = self._open(tx)
            fresh: dict[str, tuple[str, Delivery]] = {}
            for one in sorted((*ready, *early), key=lambda each: each.message.id):
                if key_of(one.message) not in shown and self._book.outlet.wants(one.message):
                    fresh.setdefault(key_of(one.message), (group_of(tx, one.message), one))
        said: list[str] = []
        now = self._book.clock()
        for planned in self._pace.notices(fresh.values(), now)[:A_ROUND]:
            notice = planned
            if len(planned.deliveries) > 1:  # what others may still join cannot change among many
                notice = Notice(tuple(one for one in planned.deliveries if one.message.due is None), planned.group)
            if not notice.deliveries:
                continue
            try:
                self._first(notice)
            except (ProviderError, BadInput) as error:
                said.append(self._failed(notice, error))
                if self._patience.away(self._book.clock()):
                    break
            else:
                self._pace.said(planned, self._book.clock())
        return said

    def _first(self, notice: Notice) -> None:
        now, crowd = self._book.clock(), len(notice.deliveries) > 1
        begun = [self._incident(message, notice.group, now) for message in notice.messages]
        with self._book.store.read() as tx:
            card = self._card(Scenes(tx, now, self._asks), begun[0])
        self._book.begin(notice.messages)
        ref = self._board.crowd(notice) if crowd else self._board.post(card, doubt=notice.doubt)
        self._patience.well(notice.messages)
        with self._book.store.write() as tx:
            for one in begun:
                done = now if crowd and self._card(Scenes(tx, now, self._asks), one).over else None
                tx.put_incident(replace(one, ref=ref, crowd=crowd, digest="" if crowd else card.digest, closed_at=done))
            self._book.took(tx, [one for one in notice.messages if one.due is None])
            open_still = [one.id for one in notice.messages if one.due is not None]
            tx.end_delivery(self._book.outlet.name, open_still, Ended.UNSAID, now)
        self._looked_at = None

    def _incident(self, message: Message, group: str, now: datetime) -> Incident:
        return Incident(
            outlet=self._book.outlet.name,
            key=key_of(message),
            ref="",
            group=group,
            severity=message.severity,
            text=message.text,
            opened_at=now,
            changed_at=now,
            instance_id=message.instance_id,
            rid=message.rid,
            message_id=0 if message.due is None else message.id,
        )

    def _failed(self, notice: Notice, error: DriftdError) -> str:
        self._book.failed(notice.deliveries, error)
        return self._patience.failed(notice.messages, error, self._book.clock())

    def _lost(self, ref: str, notice: Notice, error: NotFound) -> list[str]:
        """Somebody deleted what was shown: what comes now begins anew."""
        self._book.failed(notice.deliveries, error)
        with self._book.store.write() as tx:
            for one in tx.incidents(self._book.outlet.name):
                if one.ref == ref:
                    tx.put_incident(replace(one, closed_at=self._book.clock()))
        return []

    # --- what is shown ---

    def _show(self, pending: set[str]) -> list[str]:
        """Bring up to date what changed, and let go of what is over and has nothing more to come."""
        now = self._book.clock()
        with self._book.store.read() as tx:
            last = tx.last_line()
            seq = last.seq if last else 0
            recently = self._looked_at is not None and now < self._looked_at + GLANCE
            if recently and seq == self._seen:
                return []
            scenes = Scenes(tx, now, self._asks)
            cards = [(one, self._card(scenes, one)) for one in tx.incidents(self._book.outlet.name)]
        said: list[str] = []
        stale = [(one, card) for one, card in cards if self._is_stale(one, card, pending, now)]
        for one, card in stale[:A_ROUND]:
            self._book.clock()  # a sign of life: each answer may take its time
            after = replace(one, digest=card.digest, closed_at=now if card.over and one.key not in pending else None)
            try:
                after = self._step(one, after)
                if not one.crowd and (card.digest != one.digest or self._renews(one, now)):
                    after = replace(after, ref=self._board.update(one.ref, card), changed_at=now)
            except NotFound:
                after = replace(after, closed_at=now)
            except Refused as error:  # this card will not be taken: its next change is tried again
                said.append(self._patience.failed([_spoken(one)], error, now))
                after = replace(after, changed_at=now)
            except (ProviderError, BadInput) as error:
                if surely_unsaid(error) or after.step != one.step:
                    with self._book.store.write() as tx:
                        tx.put_incident(replace(one, step=after.step, stepping=after.stepping))
                said.append(self._patience.failed([_spoken(one)], error, now))
                return said
            with self._book.store.write() as tx:
                tx.put_incident(after)
        self._seen, self._looked_at = seq, None if len(stale) > A_ROUND else now
        return said

    def _step(self, one: Incident, after: Incident) -> Incident:
        """What its replacement went through since is told below it, written down before and after as any message."""
        with self._book.store.read() as tx:
            open_now = [record.rid for record in tx.open_replacements(one.group) if record.old_id == one.instance_id]
            notice, upto = untold(tx, one, open_now[0] if open_now else one.rid)
        if notice is not None:
            with self._book.store.write() as tx:
                tx.put_incident(replace(one, stepping=True))
            self._board.follow(one.ref, notice)
        return replace(after, step=upto, stepping=False)

    def _card(self, scenes: Scenes, incident: Incident) -> Card:
        return card_of(incident, scenes.of(incident), self._may)

    def _renews(self, one: Incident, now: datetime) -> bool:
        return self._renew is not None and now >= one.changed_at + self._renew

    def _is_stale(self, one: Incident, card: Card, pending: set[str], now: datetime) -> bool:
        closes = card.over and one.key not in pending
        changed = not one.crowd and (card.digest != one.digest or self._renews(one, now))
        return closes or changed


def _began(shown: Mapping[str, Incident], message: Message) -> bool:
    incident = shown.get(key_of(message))
    return incident is not None and incident.message_id == message.id


def _with(incident: Incident, message: Message) -> Incident:
    """The incident as the message that began it says it now."""
    still = 0 if message.due is None else message.id
    return replace(incident, text=message.text, severity=message.severity, message_id=still)


def _spoken(one: Incident) -> Message:
    return Message(one.key, "incident", one.severity, one.text, one.instance_id, one.rid)
