"""Announce: what waits in the outbox is said to people, each message once, with patience where nobody answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from driftd.core.errors import BadInput, ProviderError
from driftd.core.memory import Store
from driftd.core.notices import Notice, Pace
from driftd.core.outbox import Delivery
from driftd.core.ports import Notifier
from driftd.flows.outlets import A_ROUND, Book, Outlet, Patience, group_of, sealed

LOG = Outlet("log")


class Announcer:
    """Tells one outlet, oldest first. That a message is about to be said is written down before, that it was said
    after: a crash in between says it twice rather than never, and the second time says that it may be.

    When the notifier is away, all wait; when it refuses one message, only that one does. ``outlets`` names all.
    """

    def __init__(
        self,
        store: Store,
        notifier: Notifier,
        *,
        clock: Callable[[], datetime],
        outlet: Outlet = LOG,
        outlets: Sequence[str] = (LOG.name,),
    ) -> None:
        self._book = Book(store, outlet, outlets, clock)
        self._notifier = notifier
        self._patience = Patience()
        self._pace = Pace(outlet.singly)

    def tick(self) -> list[str]:
        """One round; what could not be said, in sentences."""
        book, now = self._book, self._book.clock()
        if self._patience.away(now):
            return []
        waiting = self._wanted(sealed(book.store, book.waiting(), now))
        due = self._patience.due(waiting, now)
        if not due:
            return []
        with book.store.read() as tx:
            grouped = [(group_of(tx, one.message), one) for one in due]
        said: list[str] = []
        for notice in self._pace.notices(grouped, now)[:A_ROUND]:
            book.begin(notice.messages)
            try:
                self._notifier.send(notice)
            except (ProviderError, BadInput) as error:
                book.failed(notice.deliveries, error)
                said.append(self._patience.failed(notice.messages, error, book.clock()))
                if self._patience.away(book.clock()):
                    break
            else:
                self._took(notice)
        return said

    def _wanted(self, waiting: Sequence[Delivery]) -> list[Delivery]:
        """Without those that are not severe enough for this outlet, which count as taken."""
        unwanted = [one.message for one in waiting if not self._book.outlet.wants(one.message)]
        if unwanted:
            with self._book.store.write() as tx:
                self._book.took(tx, unwanted)
        return [one for one in waiting if self._book.outlet.wants(one.message)]

    def _took(self, notice: Notice) -> None:
        self._patience.well(notice.messages)
        self._pace.said(notice, self._book.clock())
        with self._book.store.write() as tx:
            self._book.took(tx, notice.messages)
