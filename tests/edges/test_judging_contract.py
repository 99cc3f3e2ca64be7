"""Judges and alerts: the fakes keep the contracts first, then Prometheus and Alertmanager themselves."""

import math

import pytest
from monitoring import alertmanager, exporter, prometheus
from servers import free_port, wait_until

from driftd.core import promql
from driftd.core.facts import Unseen
from driftd.core.matchers import Matcher, parse
from driftd.core.ports import Alert
from driftd.edges.http.alertmanager import Alertmanager
from driftd.edges.http.prometheus import Prometheus
from driftd.edges.http.server import Server
from driftd.testing import AlertsContract, FakeAlerts, FakeJudge, JudgeContract

KINDS = ["2.5", "scalar 7", "zero", "negative", "none", "several", "nan", "infinite", "matrix", "text", "no language"]
HOSTILE = ['a"b', "a'b", "a\\b", "a\nb", "a{b}", 'x"} or vector(1)', "i.1|i.2", "(", "ü", "a\\", "`", "#", "%s {group}"]


class TestFakeJudge(JudgeContract):
    @pytest.fixture
    def judge(self):
        fake = FakeJudge()
        fake.answers |= {"2.5": 2.5, "scalar 7": 7.0, "zero": 0.0, "negative": -3.0}
        return fake

    @pytest.fixture
    def broken(self):
        return FakeJudge(Unseen("Prometheus did not answer within 5 s"))

    @pytest.fixture
    def questions(self):
        return {kind: kind for kind in KINDS}


class TestFakeAlerts(AlertsContract):
    @pytest.fixture
    def alerts(self):
        return FakeAlerts()

    @pytest.fixture
    def broken(self):
        return FakeAlerts(down="Alertmanager did not answer within 5 s")

    def fire(self, alerts, **labels):
        alerts.alerts.append(Alert(labels["alertname"], labels))

    def silence(self, alerts, alertname):
        alerts.muted.add(alertname)


def exposed(name):
    return name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


METRICS = (
    'probe{kind="2.5"} 2.5\nprobe{kind="zero"} 0\nprobe{kind="negative"} -3\nprobe{kind="nan"} NaN\n'
    'probe{kind="infinite"} +Inf\n'
    + "".join(f'named{{name="{exposed(name)}"}} {number}\n' for number, name in enumerate(HOSTILE))
)


@pytest.fixture(scope="module")
def metrics(tmp_path_factory):
    """A Prometheus that has seen METRICS."""
    with exporter(METRICS) as source, prometheus(tmp_path_factory.mktemp("prometheus"), source) as url:
        judge = Prometheus(Server(url))
        wait_until(lambda: judge.ask("count(named)") == len(HOSTILE), "a scrape")
        yield judge


@pytest.mark.servers
class TestPrometheus(JudgeContract):
    @pytest.fixture
    def judge(self, metrics):
        return metrics

    @pytest.fixture
    def broken(self):
        return Prometheus(Server(f"http://127.0.0.1:{free_port()}", timeout_s=1))

    @pytest.fixture
    def questions(self):
        asked = {kind: f'probe{{kind="{kind}"}}' for kind in KINDS}
        return asked | {
            "scalar 7": "7",
            "several": "probe",
            "matrix": 'probe{kind="zero"}[1m]',
            "text": '"text"',
            "no language": "sum((",
        }

    @pytest.mark.parametrize(
        "query",
        [
            'named{{name="{place}"}}',
            "named{{name='{place}'}}",
            'named{{name=~"{place}"}}',
            "named{{x!='{place}',name=~'{place}'}}",
        ],
    )
    def test_a_name_is_that_name_and_nobody_elses(self, judge, query):
        template = promql.parse(query.format(place="{instance}"))
        for number, name in enumerate(HOSTILE):
            assert judge.ask(template.fill({"instance": [name]})) == number, name

    def test_peers_are_those_and_no_others(self, judge):
        template = promql.parse('sum(named{name=~"{peers}"}) * 0 + count(named{name=~"{peers}"})')
        for count in range(1, len(HOSTILE)):
            assert judge.ask(template.fill({"peers": HOSTILE[:count]})) == count

    def test_what_a_sum_of_nothing_says_is_no_number(self, judge):
        """The commonest mistake in a query: a rate of a counter that nobody has counted yet."""
        for query in ("sum(rate(nothing[5m])) / sum(rate(nothing[5m]))", "vector(0) / 0", 'probe{kind="nan"}'):
            assert isinstance(judge.ask(query), Unseen)
        assert judge.ask("sum(rate(nothing[5m])) or vector(0)") == 0

    def test_its_own_words_are_in_the_sentence(self, judge):
        assert "parse error" in judge.ask("sum((").reason
        assert "5 series" in judge.ask("probe").reason
        assert "has no data" in judge.ask("nothing").reason
        assert math.isclose(judge.ask("sum(named) / count(named)"), (len(HOSTILE) - 1) / 2)


@pytest.fixture(scope="module")
def manager(tmp_path_factory):
    with alertmanager(tmp_path_factory.mktemp("alertmanager")) as real:
        yield real


@pytest.mark.servers
class TestAlertmanager(AlertsContract):
    @pytest.fixture
    def alerts(self, manager):
        self.real = manager
        alerts = Alertmanager(Server(manager.url))
        yield alerts
        manager.quiet()
        wait_until(lambda: alerts.firing(parse("alertname=~'.+'".replace("'", '"'))) == [], "quiet")

    @pytest.fixture
    def broken(self):
        return Alertmanager(Server(f"http://127.0.0.1:{free_port()}", timeout_s=1))

    def fire(self, alerts, **labels):
        self.real.fire(labels)
        wanted = [Matcher(name, "=", value) for name, value in labels.items()]
        wait_until(lambda: alerts.firing(wanted), "the alert")

    def silence(self, alerts, alertname):
        self.real.silence(alertname)
        wait_until(lambda: alerts.firing([Matcher("alertname", "=", alertname)]) == [], "the silence")

    def test_what_is_inhibited_does_not_count(self, alerts):
        self.fire(alerts, alertname="Slow", group="web", severity="warning")
        assert self.names(alerts, Matcher("group", "=", "web")) == ["Slow"]
        self.fire(alerts, alertname="Down", group="web", severity="critical")
        wait_until(lambda: self.names(alerts, Matcher("group", "=", "web")) == ["Down"], "the inhibition")

    def test_an_alert_tells_since_when_and_its_labels(self, alerts):
        self.fire(alerts, alertname="Slow", group="web", severity="page")
        (alert,) = alerts.firing([Matcher("group", "=", "web")])
        assert alert.labels == {"alertname": "Slow", "group": "web", "severity": "page"}
        assert alert.since is not None
        assert alert.since.tzinfo is not None

    def test_silence_proves_nothing_where_a_watchdog_should_bark(self, alerts):
        watched = Alertmanager(Server(self.real.url), parse('alertname="Watchdog"'))
        answer = watched.firing([Matcher("group", "=", "web")])
        assert isinstance(answer, Unseen)
        assert "the alert that always fires" in answer.reason
        self.fire(alerts, alertname="Watchdog")
        assert watched.firing([Matcher("group", "=", "web")]) == []
        self.silence(alerts, "Watchdog")
        assert watched.firing([Matcher("group", "=", "web")]) == []
