"""Alertmanager as a board: Debian's own sees each incident fire, stay one alert, and resolve."""

import json
import urllib.request
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from monitoring import alertmanager
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
    board.update(ref, replace(mine, severity=Severity.CRITICAL, last="i-7 is being replaced"))
    wait_until(lambda: firing(real, instance="i-7")[0]["annotations"].get("latest"), "the change")
    [alert] = firing(real, instance="i-7")
    assert alert["labels"]["severity"] == "high"
    assert alert["annotations"]["severity_now"] == "critical"
    board.update(ref, replace(mine, over=True))
    wait_until(lambda: not firing(real, instance="i-7"), "the end")


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
