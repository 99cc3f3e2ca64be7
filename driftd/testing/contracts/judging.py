"""What every ``Judge`` and every ``Alerts`` promises.

    class TestMine(JudgeContract):
        @pytest.fixture
        def judge(self):
            yield make_mine()

``questions`` says, in the language of what is tested, how to ask for each kind of answer.
"""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from driftd.core.facts import Unseen
from driftd.core.matchers import Matcher
from driftd.core.ports import Alerts, Judge


class JudgeContract:
    """Subclass, override ``judge``, ``broken`` and ``questions``."""

    @pytest.fixture
    def judge(self) -> Judge:
        """The judge under test."""
        raise NotImplementedError("override the fixture judge()")

    @pytest.fixture
    def broken(self) -> Judge:
        """One that cannot be asked."""
        raise NotImplementedError("override the fixture broken()")

    @pytest.fixture
    def questions(self) -> Mapping[str, str]:
        """Queries by what they amount to: 2.5, scalar 7, none, several, nan, infinite, matrix, text, no language."""
        raise NotImplementedError("override the fixture questions()")

    @pytest.mark.parametrize(("kind", "number"), [("2.5", 2.5), ("scalar 7", 7.0), ("zero", 0.0), ("negative", -3.0)])
    def test_one_number_is_an_answer(
        self, judge: Judge, questions: Mapping[str, str], kind: str, number: float
    ) -> None:
        """Whether it is a scalar or one series."""
        assert judge.ask(questions[kind]) == number

    @pytest.mark.parametrize("kind", ["none", "several", "nan", "infinite", "matrix", "text", "no language"])
    def test_anything_else_is_unseen_with_a_sentence(
        self, judge: Judge, questions: Mapping[str, str], kind: str
    ) -> None:
        """No data is never 0."""
        answer = judge.ask(questions[kind])
        assert isinstance(answer, Unseen)
        assert answer.reason
        assert answer.reason.isprintable()

    def test_a_query_that_is_no_text_is_unseen(self, judge: Judge) -> None:
        """Names come from instances: bytes that are no UTF-8 among them."""
        assert isinstance(judge.ask('up{instance="\udcff"}'), Unseen)

    def test_one_that_cannot_be_asked_is_unseen(self, broken: Judge, questions: Mapping[str, str]) -> None:
        """And raises nothing."""
        assert isinstance(broken.ask(questions["2.5"]), Unseen)


class AlertsContract:
    """Subclass, override ``alerts``, ``broken``, ``fire`` and ``silence``."""

    @pytest.fixture
    def alerts(self) -> Alerts:
        """The source under test, where nothing fires yet."""
        raise NotImplementedError("override the fixture alerts()")

    @pytest.fixture
    def broken(self) -> Alerts:
        """One that cannot be asked."""
        raise NotImplementedError("override the fixture broken()")

    def fire(self, alerts: Alerts, **labels: str) -> None:
        """Let an alert fire; ``alertname`` is among its labels."""
        raise NotImplementedError("override fire()")

    def silence(self, alerts: Alerts, alertname: str) -> None:
        """Silence alerts of this name. Returns when it holds."""
        raise NotImplementedError("override silence()")

    def names(self, alerts: Alerts, *matchers: Matcher) -> list[str]:
        """The names of those that fire, sorted."""
        answer = alerts.firing(matchers)
        assert not isinstance(answer, Unseen), answer.reason
        return sorted(one.name for one in answer)

    def test_nothing_fires(self, alerts: Alerts) -> None:
        """That is an answer, and not an unknown."""
        assert self.names(alerts, Matcher("group", "=", "web")) == []

    def test_all_matchers_hold(self, alerts: Alerts) -> None:
        """Of every kind; a label that is not there is empty."""
        self.fire(alerts, alertname="Slow", group="web", severity="page")
        self.fire(alerts, alertname="Full", group="db", severity="page")
        web, page = Matcher("group", "=", "web"), Matcher("severity", "=", "page")
        assert self.names(alerts, web, page) == ["Slow"]
        assert self.names(alerts, page) == ["Full", "Slow"]
        assert self.names(alerts, web, Matcher("severity", "!=", "page")) == []
        assert self.names(alerts, Matcher("group", "=~", "w.b|x")) == ["Slow"]
        assert self.names(alerts, Matcher("group", "=~", "w")) == []
        assert self.names(alerts, page, Matcher("group", "!~", "w.*")) == ["Full"]
        assert self.names(alerts, page, Matcher("team", "=", "")) == ["Full", "Slow"]

    @pytest.mark.parametrize("value", ['a"b', "a\\b", "a,b}", "a\nb", "ü {x}", 'x", severity="page'])
    def test_a_value_is_never_syntax(self, alerts: Alerts, value: str) -> None:
        """Whatever stands in it."""
        self.fire(alerts, alertname="Slow", group=value)
        self.fire(alerts, alertname="Other", group="x", severity="page")
        assert self.names(alerts, Matcher("group", "=", value)) == ["Slow"]

    def test_what_is_silenced_does_not_count(self, alerts: Alerts) -> None:
        """Somebody knows of it and took it on."""
        self.fire(alerts, alertname="Slow", group="web")
        self.fire(alerts, alertname="Full", group="web")
        self.silence(alerts, "Slow")
        assert self.names(alerts, Matcher("group", "=", "web")) == ["Full"]

    def test_one_that_cannot_be_asked_is_unseen(self, broken: Alerts) -> None:
        """And not "nothing fires"."""
        answer = broken.firing([Matcher("group", "=", "web")])
        assert isinstance(answer, Unseen)
        assert answer.reason.isprintable()
