"""Alertmanager as a board: Debian's own sees each incident fire, stay one alert, and resolve."""

import json
import urllib.request
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from monitoring import alertmanager, receiver
from servers import free_port, wait_until

from driftd.core.errors import Unreached
from driftd.core.findings import Severity
from driftd.core.matchers import parse
from driftd.edges.http.alerting import AlertBoard
from driftd.edges.http.alertmanager import Alertmanager
from driftd.edges.http.server import Server
from driftd.testing.notifying import HOSTILE, card, notice


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    with alertmanager(tmp_path_factory.mktemp("alertmanager")) as made:
        yield made


def now():
    return datetime.now(UTC)


@pytest.fixture
def board(real):
    return AlertBoard(Server(real.url), now)


def firing(real, **labels):
    """The alerts that fire, with these labels."""
    with urllib.request.urlopen(f"{real.url}/api/v2/alerts?active=true", timeout=10) as answer:
        found = json.load(answer)
    return [one for one in found if labels.items() <= one["labels"].items()]


@pytest.mark.servers
def test_an_incident_fires_changes_as_one_alert_and_resolves(real, board):
    mine = replace(card(), key="instance/i-7", instance_id="i-7", opened_at=now())
    ref = board.post(mine, doubt=False)
    wait_until(lambda: firing(real, instance="i-7"), "the alert")
    [alert] = firing(real, instance="i-7")
    assert alert["labels"] == {
        "alertname": "DriftdIncident",
        "reporter": "driftd",
        "severity": "high",
        "group": "web",
        "instance": "i-7",
        "incident": "instance/i-7",
    }
    assert alert["annotations"]["summary"] == "web/1 in web: drifted"
    board.follow(ref, notice("i-7 is being replaced"))
    assert board.update(ref, replace(mine, last="i-7 is being replaced")) == ref
    wait_until(lambda: firing(real, instance="i-7")[0]["annotations"].get("latest"), "the change")
    [alert] = firing(real, instance="i-7")
    assert alert["labels"]["severity"] == "high"
    assert board.update(ref, replace(mine, over=True)) == ref
    wait_until(lambda: not firing(real, instance="i-7"), "the end")


@pytest.mark.servers
def test_an_incident_of_another_severity_is_routed_anew_and_stays_one(tmp_path):
    """Who is called for what is critical is called; whoever was told of it before hears that this is over, and why."""
    with receiver() as told, alertmanager(tmp_path / "am", webhook=told.url) as real:
        board = AlertBoard(Server(real.url), now)
        mine = replace(card(), key="instance/i-9", instance_id="i-9", opened_at=now())

        def severities():
            return [one["labels"]["severity"] for one in firing(real, instance="i-9")]

        def heard():
            """What each severity's receiver was told last."""
            return {one.labels["severity"]: (one.status, one.annotations.get("latest", "")) for one in told.told}

        ref = board.post(mine, doubt=False)
        wait_until(lambda: heard() == {"high": ("firing", "")}, "the first")
        worse = replace(mine, severity=Severity.CRITICAL, last="it is root")
        for _ in range(2):  # the second time as after a crash, before the first answer was written down
            again = board.update(ref, worse)
            assert severities() == ["critical"]
        over = ("resolved", "not over: it goes on as critical")
        wait_until(lambda: heard() == {"high": over, "critical": ("firing", "it is root")}, "the worse one")
        assert board.update(again, worse) == again
        assert severities() == ["critical"]
        back = board.update(again, mine)
        wait_until(lambda: (heard()["high"][0], heard()["critical"][0]) == ("firing", "resolved"), "the way back")
        board.update(back, replace(mine, severity=Severity.CRITICAL, over=True))
        wait_until(lambda: heard()["high"][0] == "resolved", "the end")
        assert severities() == []
        assert heard()["critical"][0] == "resolved"


@pytest.mark.servers
@pytest.mark.parametrize("text", HOSTILE)
def test_any_text_is_taken(real, board, text):
    mine = replace(card(text, text), key=f"message/{text}", group=text[:30], over=True)
    board.post(mine, doubt=False)
    wait_until(lambda: any(a["annotations"]["description"][:9] for a in firing(real, alertname="DriftdMessage")), "it")


@pytest.mark.servers
def test_what_driftd_says_itself_is_no_reason_to_stop_it(real, board):
    """A group may be told to wait while anything critical fires: its own drift is not meant."""
    board.post(replace(card(), key="instance/i-8", instance_id="i-8"), doubt=False)
    wait_until(lambda: firing(real, instance="i-8"), "the alert")
    real.fire({"alertname": "Slow", "severity": "high"})
    asked = Alertmanager(Server(real.url))
    wait_until(lambda: asked.firing(parse('severity="high"')), "a stranger's")
    assert [one.name for one in asked.firing(parse('severity="high"'))] == ["Slow"]


def test_one_that_is_not_there_was_surely_not_told():
    board = AlertBoard(Server(f"http://127.0.0.1:{free_port()}"), now)
    with pytest.raises(Unreached):
        board.post(card(), doubt=False)
