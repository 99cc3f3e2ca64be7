"""Whom driftd tells, joined together: its log, and every outlet that is configured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from driftd.core.cards import Press
from driftd.core.errors import BadInput
from driftd.core.memory import Store
from driftd.core.ports import Board, Notifier
from driftd.doors.house import Beat
from driftd.edges import logs
from driftd.edges.http.alerting import RENEW, AlertBoard
from driftd.edges.http.cloudevents import Webhook
from driftd.edges.http.posting import post
from driftd.edges.http.server import Server
from driftd.flows.announce import LOG, Announcer
from driftd.flows.boarding import Boarder
from driftd.flows.outlets import Outlet
from driftd.flows.pressing import Presser
from driftd.settingnotify import MaySettings, WebhookSettings
from driftd.settings import Enforce, Settings
from driftd.wiring.pulse import Pulse

if TYPE_CHECKING:
    from driftd.edges.slack.buttons import Buttons
    from driftd.edges.slack.calls import Api
    from driftd.wiring.house import WiredHouse

# Often enough that a message is said within two seconds of what it tells of.
EVERY = timedelta(milliseconds=500)
CONNECT = timedelta(seconds=5)
SLACK = "slack"


class Notifying:
    """Every outlet of one house. Making it finds every mistake in the configuration: raises BadInput."""

    def __init__(self, house: WiredHouse, store: Store) -> None:
        self._house = house
        self._store = store
        self._said = house.settings.notify
        self._notifiers: Mapping[Outlet, Notifier] = dict(self._told())
        self._boards: Mapping[Outlet, Board] = dict(self._shown())
        self._buttons = self._pressed()
        self.names = [outlet.name for outlet in (*self._notifiers, *self._boards)]

    def _told(self) -> Iterator[tuple[Outlet, Notifier]]:
        yield LOG, logs.LogNotifier()
        taken = set()
        for number, one in enumerate(self._said.webhooks, 1):
            name = f"webhook-{one.name or number}"
            if name in taken:
                raise BadInput(f"two webhooks are called {one.name or number!r}", "give each a name of its own")
            taken.add(name)
            yield Outlet(name, one.at_least), self._webhook(one)
        if self._said.apprise.urls_file:
            yield from self._apprise()
        if self._said.slack.webhook_file:
            yield Outlet(SLACK, self._said.slack.at_least, self._said.slack.singly), self._slack_webhook()

    def _shown(self) -> Iterator[tuple[Outlet, Board]]:
        if self._said.slack.token_file:
            yield Outlet(SLACK, self._said.slack.at_least, self._said.slack.singly), self._slack()

        if self._said.alertmanager.post:
            yield Outlet("alertmanager", self._said.alertmanager.at_least), self._alertmanager()

    def _apprise(self) -> Iterator[tuple[Outlet, Notifier]]:
        from driftd.edges.longtail import AppriseNotifier, addresses  # noqa: PLC0415  # needs the extra

        said = self._said.apprise
        for name, url, line in addresses(self._house.settings.path(said.urls_file)):
            yield Outlet(name, said.at_least, said.singly), AppriseNotifier(url, line)

    def _alertmanager(self) -> Board:
        asked = self._house.settings.alertmanager
        if not asked.url:
            raise BadInput(
                "alerts are to be posted (notify: alertmanager), and nobody is there to take them",
                "name one: alertmanager: {url: …}",
            )
        timeout, token, ca = asked.timeout.total_seconds(), self._file(asked.token_file), self._file(asked.ca_file)
        return AlertBoard(Server(asked.url, timeout_s=timeout, token_file=token, ca_file=ca), self._house.now)

    def _webhook(self, said: WebhookSettings) -> Webhook:
        server = Server(
            said.url,
            timeout_s=said.timeout.total_seconds(),
            token_file=self._file(said.token_file),
            ca_file=self._file(said.ca_file),
        )
        return Webhook(server, source=self._source(), clock=self._house.now, secret_file=self._file(said.secret_file))

    def _slack_webhook(self) -> Notifier:
        from driftd.edges.slack.webhook import SlackWebhook, address  # noqa: PLC0415  # only who uses it needs it

        file = self._house.settings.path(self._said.slack.webhook_file)
        timeout = self._said.slack.timeout.total_seconds()
        server = Server(address(file), timeout_s=timeout, shown=f"the webhook in {file}")
        return SlackWebhook(partial(post, server, ""))

    def _slack(self) -> Board:
        from driftd.edges.slack.board import SlackBoard  # noqa: PLC0415  # needs the extra

        return SlackBoard(slack_api(self._house.settings), self._said.slack.channel)

    def _pressed(self) -> Buttons | None:
        said = self._said.slack
        if not said.app_token_file:
            return None
        api = slack_api(self._house.settings)
        from driftd.edges.slack.buttons import Buttons  # noqa: PLC0415  # needs the extra

        presser = Presser(self._store, SLACK, allowed(said.may), clock=self._house.now)
        return Buttons(api, self._house.settings.path(said.app_token_file), presser.press)

    def _source(self) -> str:
        """Which driftd it is: its store's id."""
        with self._store.read() as tx:
            return f"urn:driftd:{tx.store_facts().id}"

    def _file(self, name: str) -> Path | None:
        return self._house.settings.path(name) if name else None

    def asks(self, group: str) -> bool:
        """Whether the group asks a person about each replacement."""
        known = self._house.settings.groups.get(group)
        return known is not None and known.enforce is Enforce.APPROVE

    def beats(self) -> Sequence[Beat]:
        """A job for each outlet, so that one that answers late keeps no other waiting."""
        beats = []
        for one, notifier in self._notifiers.items():
            pulse = Pulse(self._house.now)
            run = Announcer(self._store, notifier, clock=pulse, outlet=one, outlets=self.names).tick
            beats.append(Beat(_job(one), EVERY, run, sign=pulse.sign))
        people = allowed(self._said.slack.may) if self._buttons else {}
        may = frozenset(one for one in Press if people.get(one))
        for one, board in self._boards.items():
            renew, pulse = RENEW if isinstance(board, AlertBoard) else None, Pulse(self._house.now)
            kept = Boarder(self._store, board, one, self.names, clock=pulse, asks=self.asks, may=may, renew=renew)
            beats.append(Beat(_job(one), EVERY, kept.tick, sign=pulse.sign))
        return [*beats, Beat("buttons", CONNECT, self._buttons.tick)] if self._buttons else beats

    def close(self) -> None:
        """Take no more clicks."""
        if self._buttons is not None:
            self._buttons.close()


def slack_api(settings: Settings) -> Api:
    """Slack as configured. Raises BadInput."""
    from driftd.edges.slack.calls import Api  # noqa: PLC0415  # needs the extra

    said = settings.notify.slack
    return Api(settings.path(said.token_file), url=said.url, timeout_s=said.timeout.total_seconds())


def _job(outlet: Outlet) -> str:
    return "announce" if outlet.name == LOG.name else f"announce-{outlet.name}"


def allowed(may: MaySettings) -> Mapping[Press, frozenset[str]]:
    """Who may press what."""
    return {one: frozenset(getattr(may, one.value)) for one in Press}
