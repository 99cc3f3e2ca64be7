"""What every ``Notifier`` and every ``Board`` promises.

    class TestMine(NotifierContract):
        @pytest.fixture
        def notifier(self):
            yield make_mine()

``heard`` and ``trouble`` are the far end's side of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from driftd.core.errors import NotFound, Refused, Throttled, Unavailable, Unreached
from driftd.core.ports import Board, Notifier
from driftd.testing.notifying import HOSTILE, card, notice


class NotifierContract:
    """Subclass, override ``notifier``, ``broken``, ``heard`` and ``trouble``."""

    troubles = ("later", "often", "never")
    """Those of ``trouble`` that the far end can make."""

    @pytest.fixture
    def notifier(self) -> Notifier:
        """The notifier under test, whose far end takes everything."""
        raise NotImplementedError("override the fixture notifier()")

    @pytest.fixture
    def broken(self) -> Notifier:
        """One whose far end is not there."""
        raise NotImplementedError("override the fixture broken()")

    def heard(self) -> Sequence[str]:
        """What the far end was told, as text."""
        raise NotImplementedError("override heard()")

    def trouble(self, what: str) -> None:
        """The far end answers so from now on: "later" (an error of its own), "often" (wait for 7 s), "never"."""
        raise NotImplementedError("override trouble()")

    def test_what_is_sent_is_heard(self, notifier: Notifier) -> None:
        """All of it."""
        notifier.send(notice("i-1 in web drifted"))
        notifier.send(notice("one of many", "two of many"))
        said = "\n".join(self.heard())
        assert all(text in said for text in ("i-1 in web drifted", "one of many", "two of many"))

    def test_what_may_be_said_twice_says_so(self, notifier: Notifier) -> None:
        """And nothing else does."""
        notifier.send(notice("first"))
        assert not self.says_twice("\n".join(self.heard()))
        notifier.send(notice("second", doubt=True))
        assert self.says_twice("\n".join(self.heard()))

    def says_twice(self, said: str) -> bool:
        """Whether it says so, in the far end's words."""
        return "may be said twice" in said

    @pytest.mark.parametrize("text", HOSTILE)
    def test_any_text_is_taken(self, notifier: Notifier, text: str) -> None:
        """Whatever an instance put into it."""
        notifier.send(notice(text))
        assert self.heard()

    def test_one_that_is_not_there_was_surely_not_told(self, broken: Notifier) -> None:
        """And may be, later."""
        with pytest.raises(Unreached) as raised:
            broken.send(notice("a"))
        assert str(raised.value).isprintable()

    def test_trouble_over_there_leaves_it_open(self, notifier: Notifier) -> None:
        """Nobody knows whether it was said."""
        self.trouble("later")
        with pytest.raises(Unavailable) as raised:
            notifier.send(notice("a"))
        assert not isinstance(raised.value, Unreached | Throttled)

    def test_one_that_is_asked_too_often_says_for_how_long_to_wait(self, notifier: Notifier) -> None:
        """In seconds."""
        if "often" in self.troubles:
            self.trouble("often")
            with pytest.raises(Throttled) as raised:
                notifier.send(notice("a"))
            assert raised.value.retry_after_s == 7

    def test_what_it_will_never_take_is_refused(self, notifier: Notifier) -> None:
        """So that it holds up no other."""
        if "never" in self.troubles:
            self.trouble("never")
            with pytest.raises(Refused):
                notifier.send(notice("a"))


class BoardContract:
    """Subclass, override ``board``, ``broken``, ``shown``, ``forget`` and ``trouble``."""

    @pytest.fixture
    def board(self) -> Board:
        """The board under test, which takes everything."""
        raise NotImplementedError("override the fixture board()")

    @pytest.fixture
    def broken(self) -> Board:
        """One that is not there."""
        raise NotImplementedError("override the fixture broken()")

    def shown(self) -> Sequence[str]:
        """What it shows, as text: what follows a card stands after it."""
        raise NotImplementedError("override shown()")

    def forget(self) -> None:
        """Somebody deletes all that it shows."""
        raise NotImplementedError("override forget()")

    def trouble(self, what: str) -> None:
        """See ``NotifierContract.trouble``."""
        raise NotImplementedError("override trouble()")

    def test_a_card_is_shown_once_and_changes_in_place(self, board: Board) -> None:
        """However often it is updated."""
        ref = board.post(card(), doubt=False)
        for _ in range(2):
            ref = board.update(ref, card(title="web/1 in web: clean", over=True))
        [said] = self.shown()
        assert "web/1 in web: clean" in said
        assert "web/1 in web: drifted" not in said

    def test_what_follows_stands_there_too(self, board: Board) -> None:
        """After the card, all of it."""
        ref = board.post(card(), doubt=False)
        board.follow(ref, notice("i-1 is being replaced"))
        board.follow(ref, notice("one of many", "two of many"))
        said = "\n".join(self.shown())
        assert all(text in said for text in ("i-1 in web drifted", "i-1 is being replaced", "one of", "two of many"))

    def test_a_crowd_is_one_and_none_of_it_is_lost(self, board: Board) -> None:
        """A hundred messages of some length."""
        texts = [f"i-{number} in web drifted: {'x' * 150} {number} ends" for number in range(100)]
        board.crowd(notice(*texts))
        [said] = self.shown()
        assert all(f" {number} ends" in said for number in range(100))

    def test_what_may_be_posted_twice_says_so(self, board: Board) -> None:
        """And nothing else does."""
        board.post(card(), doubt=False)
        assert "may be said twice" not in "\n".join(self.shown())
        board.post(card(), doubt=True)
        assert "may be said twice" in "\n".join(self.shown())

    @pytest.mark.parametrize("text", HOSTILE)
    def test_any_text_is_taken(self, board: Board, text: str) -> None:
        """Whatever an instance put into it."""
        ref = board.post(card(text, text), doubt=True)
        ref = board.update(ref, card(text, text, over=True))
        board.follow(ref, notice(text))
        board.crowd(notice(*[text] * 100))

    def test_what_is_gone_is_not_found(self, board: Board) -> None:
        """So that it is begun anew."""
        ref = board.post(card(), doubt=False)
        self.forget()
        with pytest.raises(NotFound):
            board.update(ref, card())
        with pytest.raises(NotFound):
            board.follow(ref, notice("a"))

    def test_one_that_is_not_there_was_surely_not_told(self, broken: Board) -> None:
        """And may be, later."""
        with pytest.raises(Unreached) as raised:
            broken.post(card(), doubt=False)
        assert str(raised.value).isprintable()

    def test_trouble_says_whether_it_was_said(self, board: Board) -> None:
        """As a notifier's does."""
        self.trouble("later")
        with pytest.raises(Unavailable) as raised:
            board.post(card(), doubt=False)
        assert not isinstance(raised.value, Unreached | Throttled)
        self.trouble("often")
        with pytest.raises(Throttled) as often:
            board.post(card(), doubt=False)
        assert often.value.retry_after_s == 7
        self.trouble("never")
        with pytest.raises(Refused):
            board.post(card(), doubt=False)
