"""Whom driftd tells, joined together: its log, and every outlet that is configured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from driftd.core.errors import BadInput
from driftd.core.memory import Store
from driftd.core.ports import Notifier
from driftd.doors.house import Beat
from driftd.edges import logs
from driftd.edges.http.cloudevents import Webhook
from driftd.edges.http.server import Server
from driftd.flows.announce import LOG, Announcer
from driftd.flows.outlets import Outlet
from driftd.settingnotify import WebhookSettings

if TYPE_CHECKING:
    from driftd.wiring.house import WiredHouse

EVERY = timedelta(milliseconds=500)
_JOB = {LOG.name: "announce"}


class Notifying:
    """Every outlet of one house. Making it finds every mistake in the configuration: raises BadInput."""

    def __init__(self, house: WiredHouse, store: Store) -> None:
        self._house = house
        self._store = store
        self._said = house.settings.notify
        self._notifiers: Mapping[Outlet, Notifier] = dict(self._made())

    def _made(self) -> Iterator[tuple[Outlet, Notifier]]:
        yield LOG, logs.LogNotifier()
        taken = set()
        for number, one in enumerate(self._said.webhooks, 1):
            name = f"webhook-{one.name or number}"
            if name in taken:
                raise BadInput(f"two webhooks are called {one.name or number!r}", "give each a name of its own")
            taken.add(name)
            yield Outlet(name, one.at_least), self._webhook(one)

    def _webhook(self, said: WebhookSettings) -> Webhook:
        server = Server(
            said.url,
            timeout_s=said.timeout.total_seconds(),
            token_file=self._file(said.token_file),
            ca_file=self._file(said.ca_file),
        )
        return Webhook(server, source=self._source(), clock=self._house.now, secret_file=self._file(said.secret_file))

    def _source(self) -> str:
        """Which driftd it is: its store's id."""
        with self._store.read() as tx:
            return f"urn:driftd:{tx.store_facts().id}"

    def _file(self, name: str) -> Path | None:
        return self._house.settings.path(name) if name else None

    def beats(self) -> Sequence[Beat]:
        """A job for each outlet, so that one that answers late keeps no other waiting."""
        names = [outlet.name for outlet in self._notifiers]
        return [
            Beat(_JOB.get(outlet.name, f"announce-{outlet.name}"), EVERY, announcer.tick)
            for outlet, announcer in (
                (one, Announcer(self._store, notifier, clock=self._house.now, outlet=one, outlets=names))
                for one, notifier in self._notifiers.items()
            )
        ]
