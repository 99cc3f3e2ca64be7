"""The question of docs/canary.md, put to Prometheus about HAProxy; and an alert's whole way to a group."""

from __future__ import annotations

import contextlib
import http.server
import re
import subprocess
import threading
import urllib.request
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from monitoring import Exporter, alertmanager, exporter, prometheus
from servers import answers, free_port, wait_until

from driftd import settings
from driftd.core.facts import Instance
from driftd.core.guards.case import GroupRules
from driftd.core.matchers import parse
from driftd.core.ports import Target, TargetState
from driftd.core.replacement import Record, State
from driftd.edges.http.alertmanager import Alertmanager
from driftd.edges.http.prometheus import Prometheus
from driftd.edges.http.server import Server
from driftd.flows.groups import Group
from driftd.flows.judging import alarm, judged
from driftd.flows.survey import Survey
from driftd.wiring import judging

pytestmark = pytest.mark.servers

PAGE = (Path(__file__).parents[2] / "docs" / "canary.md").read_text()
CONFIGURED = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[1]
BEGAN = datetime(2030, 1, 1, tzinfo=UTC)


@contextlib.contextmanager
def application():
    """Answers 200, or whatever its ``status`` says."""
    app = SimpleNamespace(status=200, port=0)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(app.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *words):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    app.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield app
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


@contextlib.contextmanager
def haproxy(home, servers):
    """HAProxy with one backend, ``web``, and its own exporter; (port for clients, port for Prometheus)."""
    clients, metrics = free_port(), free_port()
    lines = "".join(f"    server {name} 127.0.0.1:{app.port}\n" for name, app in servers.items())
    (home / "haproxy.cfg").write_text(
        "defaults\n    mode http\n    timeout connect 2s\n    timeout client 5s\n    timeout server 5s\n"
        f"frontend in\n    bind 127.0.0.1:{clients}\n    default_backend web\n"
        f"frontend metrics\n    bind 127.0.0.1:{metrics}\n"
        "    http-request use-service prometheus-exporter if { path /metrics }\n"
        f"backend web\n    balance roundrobin\n{lines}"
    )
    process = subprocess.Popen(["haproxy", "-db", "-f", home / "haproxy.cfg"])
    try:
        wait_until(lambda: answers("127.0.0.1", clients) and answers("127.0.0.1", metrics), "HAProxy")
        yield clients, metrics
    finally:
        process.terminate()
        process.wait(10)


def serve(port, times=60):
    for _ in range(times):
        with contextlib.suppress(urllib.error.HTTPError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).close()


def group_with(tmp_path, url):
    """The group of docs/canary.md; only where Prometheus is, and its token, are of this machine."""
    file = tmp_path / "driftd.yaml"
    text = CONFIGURED.replace("https://prometheus.example:9090", url)
    file.write_text(re.sub(r"  token_file: .*\n", "", text))
    loaded = settings.load(file)
    judge = Prometheus(Server(url))
    canary = judging.canary_of("web", loaded.group("web"), judge)
    return Group("web", SimpleNamespace(name="test"), GroupRules("web"), judge=judge, canary=canary)


def test_a_canary_is_judged_by_what_haproxy_counted(tmp_path):
    names = ["i-old", "i-new", "i-2", "i-3"]
    record = Record(
        "r", "web", "web/0", "img", "i-old", "drift", State.SOAKING, BEGAN, BEGAN, new_id="i-new", canary=True
    )
    seen = Survey(
        {name: Instance(name, "web", "img", address="127.0.0.1") for name in names},
        {name: Target(name, TargetState.HEALTHY) for name in names},
    )
    end = BEGAN + timedelta(minutes=30)
    with contextlib.ExitStack() as stack:
        apps = {name: stack.enter_context(application()) for name in names}
        clients, metrics = stack.enter_context(haproxy(tmp_path, apps))
        url = stack.enter_context(prometheus(tmp_path / "prometheus", Exporter(port=metrics)))
        group = group_with(tmp_path, url)

        def says():
            return judged(record, group, seen.instances["i-new"], seen, end)

        count = 'sum(haproxy_server_http_responses_total{proxy="web"})'
        wait_until(lambda: group.judge.ask(count) == 0, "a scrape")
        assert "no number for the canary" in says(), "without traffic it has proven nothing"
        assert judged(record, group, seen.instances["i-new"], seen, end - timedelta(minutes=1)) is None

        serve(clients)
        wait_until(lambda: says() == "", "a good judgement")

        for name in ("i-2", "i-3"):
            apps[name].status = 503
        serve(clients, 8)
        wait_until(lambda: group.judge.ask(count) == 68, "a scrape")
        assert says() == "", "the peers are ill, and the canary is not"

        apps["i-new"].status = 500
        serve(clients, 40)
        said = wait_until(says, "a bad judgement")
        assert re.fullmatch(r"the judge answers 0\.\d+, and good is below 0\.01", said)


RULES = """
groups:
  - name: tests
    rules:
      - alert: ErrorsInWeb
        expr: errors > 0
        labels: {severity: page, service: web}
      - alert: Watchdog
        expr: vector(1)
"""


def test_an_alert_stops_the_group_from_the_rule_to_the_sentence(tmp_path):
    with (
        exporter("errors 0\n") as source,
        alertmanager(tmp_path / "am") as manager,
        prometheus(tmp_path / "prometheus", source, rules=RULES, alertmanager=manager.url),
    ):
        alerts = Alertmanager(Server(manager.url), parse('alertname="Watchdog"'))
        lines = (parse('severity="page", service="{group}"'),)
        group = Group("web", SimpleNamespace(name="test"), GroupRules("web"), alerts=alerts, block_on=lines)
        other = replace(group, name="db")
        wait_until(lambda: alarm(group) == "", "the watchdog")
        source.text = "errors 3\n"
        said = wait_until(lambda: alarm(group), "the alert")
        assert said == '1 alert fires that block web (severity="page", service="web"): ErrorsInWeb'
        assert alarm(other) == ""
        manager.silence("ErrorsInWeb")
        wait_until(lambda: alarm(group) == "", "the silence")
    assert "nothing listens there" in alarm(group)
