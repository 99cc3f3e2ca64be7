"""A notifier and a board in memory, and things to say; what they promise: ``driftd.testing.contracts.notifiers``."""

from __future__ import annotations

from dataclasses import dataclass, field

from driftd.core.cards import Button, Card, Press
from driftd.core.errors import DriftdError, NotFound
from driftd.core.findings import Severity
from driftd.core.memory import Message
from driftd.core.notices import Notice
from driftd.core.outbox import Delivery
from driftd.core.wording.notices import once_more

HOSTILE = (
    "<!channel> look",
    "<https://evil.example|click>",
    "*bold* _it_ `code` ~no~",
    "&lt;b&gt; <b>x</b>",
    "\x1b[31mred\x1b[0m",
    "a\udcffb",
    "=cmd()",
    "\u202egnp.exe",
    "x" * 20_000,
    "line\r\nSubject: other",
)


def notice(*texts: str, doubt: bool = False, severity: Severity = Severity.HIGH) -> Notice:
    """One notice of messages that say this."""
    messages = [Message(f"key/{text}", "drift", severity, text, "i-1", id=at) for at, text in enumerate(texts, 1)]
    return Notice(tuple(Delivery(one, 0, doubt) for one in messages), "web")


def card(text: str = "i-1 in web drifted", title: str = "web/1 in web: drifted", *, over: bool = False) -> Card:
    """One card that says this, with a button."""
    button = Button(Press.HOLD, "i-1", "web", f"{text[:40]} is held")
    return Card(
        key="instance/i-1",
        title=title,
        text=text,
        severity=Severity.HIGH,
        group="web",
        instance_id="i-1",
        fields=(("Server", "i-1"), ("Image", text)),
        changes=(text,),
        buttons=() if over else (button,),
        over=over,
    )


@dataclass
class FakeNotifier:
    """``driftd.core.ports.Notifier`` in memory. It keeps what it was told, and raises ``down`` where that is set."""

    notices: list[Notice] = field(default_factory=list)
    down: DriftdError | None = None

    def send(self, notice: Notice) -> None:
        """See ``Notifier.send``."""
        if self.down is not None:
            raise self.down
        self.notices.append(notice)


@dataclass
class Shown:
    """What stands in one place of a ``FakeBoard``: the card (None for a crowd), and what was said there."""

    card: Card | None
    lines: list[str] = field(default_factory=list)
    updates: int = 0


@dataclass
class FakeBoard:
    """``driftd.core.ports.Board`` in memory: places by ``ref``, in order. Raises ``down`` where that is set.

    With ``renames`` each update gives its place another ``ref``, and the old one is gone.
    """

    places: dict[str, Shown] = field(default_factory=dict)
    down: BaseException | None = None
    posts: int = 0
    renames: bool = False
    renamed: int = 0

    def _put(self, shown: Shown) -> str:
        self._check()
        self.posts += 1
        self.places[f"place-{self.posts}"] = shown
        return f"place-{self.posts}"

    def _check(self) -> None:
        if self.down is not None:
            raise self.down

    def _at(self, ref: str) -> Shown:
        self._check()
        if ref not in self.places:
            raise NotFound(f"nothing stands at {ref}")
        return self.places[ref]

    def post(self, card: Card, *, doubt: bool) -> str:
        """See ``Board.post``."""
        return self._put(Shown(card, [once_more(card.text)] if doubt else []))

    def crowd(self, notice: Notice) -> str:
        """See ``Board.crowd``."""
        return self._put(Shown(None, [notice.text]))

    def update(self, ref: str, card: Card) -> str:
        """See ``Board.update``."""
        place = self._at(ref)
        place.card, place.updates = card, place.updates + 1
        if not self.renames:
            return ref
        self.renamed += 1
        new = f"{ref.partition('#')[0]}#{self.renamed}"
        self.places[new] = self.places.pop(ref)
        return new

    def follow(self, ref: str, notice: Notice) -> None:
        """See ``Board.follow``."""
        self._at(ref).lines.append(notice.text)
