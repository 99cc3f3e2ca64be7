"""A notifier and a board in memory; what they promise is in ``driftd.testing.contracts.notifiers``."""

from __future__ import annotations

from dataclasses import dataclass, field

from driftd.core.cards import Card
from driftd.core.errors import DriftdError, NotFound
from driftd.core.notices import Notice
from driftd.core.wording.notices import once_more


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
    """``driftd.core.ports.Board`` in memory: places by ``ref``, in order. Raises ``down`` where that is set."""

    places: dict[str, Shown] = field(default_factory=dict)
    down: BaseException | None = None
    posts: int = 0

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

    def update(self, ref: str, card: Card) -> None:
        """See ``Board.update``."""
        place = self._at(ref)
        place.card, place.updates = card, place.updates + 1

    def follow(self, ref: str, notice: Notice) -> None:
        """See ``Board.follow``."""
        self._at(ref).lines.append(notice.text)
