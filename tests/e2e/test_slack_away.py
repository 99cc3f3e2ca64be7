"""The shipped daemon while no click can come: whoever is on call sees a job that fails, and the log says why."""

import os
import signal
import urllib.request
from datetime import timedelta
from pathlib import Path

import pytest
from daemons import run_daemon, wait_for_end
from prometheus_client.parser import text_string_to_metric_families
from servers import free_port, wait_until
from slackd import APP, BOT, slackd

from driftd.wiring import notifying

CONFIG = """\
metrics: {{listen: "127.0.0.1:{port}"}}
notify: {{slack: {{channel: "#fleet", token_file: bot, app_token_file: app, url: "{url}", may: {{hold: [U1]}}}}}}
"""


def jobs(port: int, name: str) -> dict[str, float]:
    """A metric of each job, by its name; empty before the daemon serves."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            families = text_string_to_metric_families(answer.read().decode())
    except OSError:
        return {}
    return {one.labels["name"]: one.value for family in families for one in family.samples if one.name == name}


def test_buttons_that_are_not_connected_are_a_job_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(notifying, "CONNECT", timedelta(seconds=0.2))
    (tmp_path / "bot").write_text(BOT)
    (tmp_path / "app").write_text("xapp-of-another-app")
    port, config, log = free_port(), tmp_path / "driftd.yaml", tmp_path / "driftd.log"

    def failed() -> float:
        return jobs(port, "driftd_job_failures_total").get("buttons", 0)

    def worked() -> float:
        return jobs(port, "driftd_job_last_success_timestamp_seconds")["buttons"]

    with slackd() as slack:
        config.write_text(CONFIG.format(port=port, url=slack.url))
        pid = run_daemon(config)
        try:
            wait_until(lambda: failed() > 3, "failures of the wrong token", 60)
            began = worked()
            assert {job for job, count in jobs(port, "driftd_job_failures_total").items() if count} == {"buttons"}
            (tmp_path / "app").write_text(APP)
            wait_until(lambda: worked() > began, "the connection", 60)
            before = failed()
            slack._ws_port = free_port()
            slack.connections[-1].close()
            wait_until(lambda: "the connection of its buttons: Connection refused" in log.read_text(), "the reason", 60)
            wait_until(lambda: failed() > before + 3, "failures of the network", 60)
        finally:
            os.kill(pid, signal.SIGTERM)
            assert wait_for_end(pid) == 0
    assert "Slack refuses apps.connections.open: invalid_auth" in log.read_text()
    assert "xapp" not in log.read_text()
