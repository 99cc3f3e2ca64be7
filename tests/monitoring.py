"""Prometheus and Alertmanager themselves, on loopback, each with a directory of its own; and a tiny exporter."""

from __future__ import annotations

import contextlib
import http.server
import json
import re
import subprocess
import sys
import threading
import time
import urllib.request
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from servers import answers, free_port, wait_until

BEAT = "200ms"


@dataclass
class Exporter:
    """Serves ``text`` as metrics, whatever it is set to."""

    text: str = ""
    port: int = 0

    def count(self, **series: float) -> None:
        """Set the text to series by name."""
        self.text = "".join(f"{name} {value}\n" for name, value in series.items())


@contextlib.contextmanager
def exporter(text: str = ""):
    """An exporter that Prometheus can scrape."""
    metrics = Exporter(text)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = metrics.text.encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    metrics.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield metrics
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


@contextlib.contextmanager
def _running(home: Path, port: int, command: list[str]):
    """The program, once it answers; ended by its own pid."""
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=home, stdout=log, stderr=subprocess.STDOUT)
    try:
        wait_until(lambda: process.poll() is not None or answers("127.0.0.1", port), command[0], 30)
        assert process.poll() is None, (home / "log").read_text()
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def prometheus(
    home: Path,
    scraped: Exporter,
    *,
    rules: str = "",
    alertmanager: str = "",
    job: str = "tests",
    beat: str = BEAT,
    rule_beat: str = BEAT,
):
    """The address of a Prometheus that scrapes ``scraped`` as ``job`` every ``beat``; rules have their own beat."""
    home.mkdir(exist_ok=True)
    port = free_port()
    (home / "rules.yml").write_text(rules or "groups: []\n")
    config = {
        "global": {"scrape_interval": beat, "scrape_timeout": beat, "evaluation_interval": rule_beat},
        "rule_files": [str(home / "rules.yml")],
        "scrape_configs": [{"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{scraped.port}"]}]}],
        "alerting": {
            "alertmanagers": [{"static_configs": [{"targets": [alertmanager.partition("//")[2]]}]}]
            if alertmanager
            else []
        },
    }
    (home / "prometheus.yml").write_text(json.dumps(config))
    command = [
        "prometheus",
        f"--config.file={home}/prometheus.yml",
        f"--storage.tsdb.path={home}/data",
        f"--web.listen-address=127.0.0.1:{port}",
        "--rules.alert.resend-delay=1s",  # what was sent before it had found its Alertmanager is lost
    ]
    with _running(home, port, command) as url:
        yield url


@dataclass
class RealAlertmanager:
    """An Alertmanager and what a test lets happen there."""

    url: str
    fired: list[dict[str, str]] = field(default_factory=list)

    def fire(self, labels: dict[str, str], *, lasts_s: float = 600) -> None:
        now = datetime.now(UTC)
        self.fired.append(labels)
        self._post("alerts", [{"labels": labels, "startsAt": now.isoformat(), "endsAt": _in(now, lasts_s)}])

    def silence(self, alertname: str) -> str:
        now = datetime.now(UTC)
        matcher = {"name": "alertname", "value": alertname, "isRegex": False, "isEqual": True}
        body = {
            "matchers": [matcher],
            "startsAt": now.isoformat(),
            "endsAt": _in(now, 600),
            "createdBy": "tests",
            "comment": "known",
        }
        return self._post("silences", body)["silenceID"]

    def quiet(self) -> None:
        """Resolve what fired and end every silence."""
        for labels in self.fired:
            now = datetime.now(UTC)
            ended = {"labels": labels, "startsAt": _in(now, -60), "endsAt": _in(now, -1)}
            self._post("alerts", [ended])
        self.fired.clear()
        for silence in json.load(urllib.request.urlopen(f"{self.url}/api/v2/silences", timeout=10)):
            asked = urllib.request.Request(f"{self.url}/api/v2/silence/{silence['id']}", method="DELETE")
            urllib.request.urlopen(asked, timeout=10).close()

    def _post(self, what: str, body: object):
        asked = urllib.request.Request(
            f"{self.url}/api/v2/{what}", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(asked, timeout=10) as answer:
            text = answer.read()
        return json.loads(text) if text else {}


def _in(now: datetime, seconds: float) -> str:
    return (now + timedelta(seconds=seconds)).isoformat()


@contextlib.contextmanager
def alertmanager(home: Path, *, webhook: str = "", group_wait: str = "100ms"):
    """An Alertmanager that tells ``webhook``, or nobody; a critical alert inhibits the warnings of its group there."""
    home.mkdir(exist_ok=True)
    port = free_port()
    config = {
        "route": {"receiver": "tests", "group_wait": group_wait, "group_interval": "200ms", "group_by": ["..."]},
        "receivers": [{"name": "tests", "webhook_configs": [{"url": webhook}] if webhook else []}],
        "inhibit_rules": []
        if webhook
        else [
            {
                "source_matchers": ['severity="critical"'],
                "target_matchers": ['severity="warning"'],
                "equal": ["group"],
            }
        ],
    }
    (home / "alertmanager.yml").write_text(json.dumps(config))
    command = [
        "prometheus-alertmanager",
        f"--config.file={home}/alertmanager.yml",
        f"--storage.path={home}/data",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    with _running(home, port, command) as url:
        yield RealAlertmanager(url)


# --- driftd's own metrics and alerts ----------------------------------------------------------------------------------

# SQLite's locks on a write-ahead log's index (byte 120: writing; 123 to 127: reading), as whoever recovers it has them.
_LOCK = """
import fcntl, sys
index = open(sys.argv[1] + "-shm", "r+b")
fcntl.lockf(index, fcntl.LOCK_EX, 8, 120)
print("locked", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def locked(store: Path):
    """Another process has the store to itself: nobody reads or writes it meanwhile."""
    holder = subprocess.Popen(
        [sys.executable, "-c", _LOCK, str(store)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "locked\n"
        yield
    finally:
        holder.stdin.close()
        holder.stdout.close()
        holder.wait(10)


def shortened(rules: str, by: int) -> str:
    """Alert rules with every ``for``, every range and every ``N * 60`` divided: the same rules for impatient people."""
    seconds = {"s": 1, "m": 60, "h": 3600, "d": 86400}

    def milliseconds(count: str, unit: str) -> str:
        return f"{int(count) * seconds[unit] * 1000 // by}ms"

    text = re.sub(r"(?<=for: )(\d+)([smhd])$", lambda one: milliseconds(one[1], one[2]), rules, flags=re.MULTILINE)
    text = re.sub(r"\[(\d+)([smhd])\]", lambda one: f"[{milliseconds(one[1], one[2])}]", text)
    return re.sub(r"\b(\d+) \* 60\b", lambda one: f"{int(one[1]) * 60 / by:g}", text)


@dataclass
class Told:
    """One alert as it was told to a webhook."""

    status: str
    labels: dict[str, str]
    annotations: dict[str, str]
    at: float


@dataclass
class Receiver:
    """What an Alertmanager told a webhook."""

    url: str = ""
    told: list[Told] = field(default_factory=list)

    def fires(self, alertname: str) -> bool:
        """By what was told last of each alert of this name."""
        return any(one.status == "firing" for one in self._last(alertname))

    def resolved(self, alertname: str) -> bool:
        last = self._last(alertname)
        return bool(last) and all(one.status == "resolved" for one in last)

    def _last(self, alertname: str) -> list[Told]:
        mine = [one for one in list(self.told) if one.labels["alertname"] == alertname]
        return [*{json.dumps(one.labels, sort_keys=True): one for one in mine}.values()]


@contextlib.contextmanager
def receiver():
    """A webhook for Alertmanager."""
    kept = Receiver()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            now = time.time()
            kept.told += [Told(one["status"], one["labels"], one["annotations"], now) for one in body["alerts"]]
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *words):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    kept.url = f"http://127.0.0.1:{server.server_address[1]}/"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield kept
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
