"""What every ``Notifier`` promises.

    class TestMine(NotifierContract):
        @pytest.fixture
        def notifier(self):
            yield make_mine()

``heard`` and ``trouble`` are the far end's side of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from driftd.core.errors import Refused, Throttled, Unavailable, Unreached
from driftd.core.findings import Severity
from driftd.core.memory import Message
from driftd.core.notices import Notice
from driftd.core.outbox import Delivery
from driftd.core.ports import Notifier

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
