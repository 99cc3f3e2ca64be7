"""Pristine servers with an ordinary life, under the daemon and the default packs: nobody cries wolf.

nginx, PostgreSQL and the application serve, logs are rotated, cron's and apt's jobs run, the server is restarted. What
a day brings by the clock is done by hand here; the soak does it again and again for an hour.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from changing import shown
from daemons import run_daemon, wait_for_end
from packed import packed_image
from servers import LocalDeployment, fetch, pid_of, wait_until

from driftd.core.findings import Verdict
from driftd.core.memory import InstanceRow, StoreUnavailable
from driftd.doors.desks.baking import Source
from driftd.doors.desks.calibration import Wish
from driftd.settings import load
from driftd.wiring.house import WiredHouse

pytestmark = [pytest.mark.machine, pytest.mark.servers, pytest.mark.timeout(300)]

CONFIG = """\
store: sqlite:///driftd.db
trust: {{unsigned: look}}
ssh: {{key: {key}}}
metrics: {{listen: ""}}
daemon: {{tick: 100ms}}
providers: {{local: {{dir: {dir}, images: {images}}}}}
groups:
  web:
    provider: local
    image: {image}
    policy: {policy}
    every: 1s
"""
HOUR_S = float(os.environ.get("DRIFTD_SOAK_S", "3600"))
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

SQL = 'cd /; psql -qc "CREATE TABLE IF NOT EXISTS day (t text)" -c "INSERT INTO day VALUES (1)"'

# What happens on an ordinary day, in an order that it may have. Each is a script for the server's own root.
DAY = {
    "package-lists": "apt-get -qq update; /usr/lib/apt/apt.systemd.daily update; apt-get -qq clean",
    "copies-of-the-package-database": "/etc/cron.daily/dpkg; /usr/libexec/dpkg/dpkg-db-backup",
    "rotation": "/etc/cron.daily/logrotate; logrotate --force /etc/logrotate.conf",
    "rotation-again": "logger -t day one more line; logrotate --force /etc/logrotate.conf",
    "and-again": "logger -t day and another; logrotate --force /etc/logrotate.conf",
    "data": f"su postgres -c '{SQL}'",
    "library-cache": "ldconfig",
    "scratch": "mktemp -d; mktemp; d=$(mktemp -d); echo x >$d/y; rm -r $d; echo cache >/var/cache/day",
    "python": "python3 -c 'import random, subprocess, tempfile'; for o in -O -OO; do python3 $o -c 'import csv'; done",
    "wrong-password": "logger -p auth.info -t sshd 'Failed password for invalid user x from 192.0.2.1 port 9 ssh2'",
    "reload": "nginx -s reload; kill -HUP $(cat /run/rsyslogd.pid)",
    "log-daemon-restarted": "kill $(cat /run/rsyslogd.pid); sleep 1; rsyslogd",
    "time-goes-by": "touch /etc/hosts /etc/hostname /var/log /usr/bin; cat /etc/shadow /usr/bin/* >/dev/null",
}


@dataclass
class Server:
    """A daemon that looks every second at one server that nobody logs in to."""

    deployment: LocalDeployment
    house: WiredHouse
    daemon: int

    @property
    def instance(self):
        (found,) = self.house.provider("web").inventory.find("web")
        return found

    def inside(self, script: str) -> None:
        """Without any login, as a timer would."""
        flags = ["--mount", "--pid", "--net", "--uts", "--ipc", "--root", "--wd=/"]
        words = ["nsenter", "-t", str(pid_of(self.instance)), *flags, "env", "-i", PATH, "sh", "-c", script]
        done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, (script, done.stdout, done.stderr)

    def serves(self, times: int = 20) -> None:
        for _ in range(times):
            fetch(self.instance.address, 80)
            fetch(self.instance.address, 8080)

    def row(self) -> InstanceRow:
        with self.house.store(read_only=True) as store, store.read() as tx:
            (row,) = tx.instances()
            return row

    def looked(self) -> InstanceRow:
        """What the second look from now on says: the first may have begun already."""
        row = self.row()
        for _ in range(2):
            before = row.looked_at
            row = wait_until(lambda before=before: (now := self.row()).looked_at != before and now, "a look", 60)
        return row

    def quiet(self) -> None:
        row = self.looked()
        with self.house.store(read_only=True) as store, store.read() as tx:
            findings = [shown(one.finding) for one in tx.open_findings()]
        assert (findings, row.taint) == ([], ""), row.reason
        assert row.verdict in (Verdict.CLEAN, Verdict.EXPLAINED), row.reason

    def restart(self) -> None:
        compute = self.house.provider("web").compute
        compute.stop(self.instance.id)
        compute.start(self.instance.id)
        self.deployment.ready(self.instance)
        wait_until(self.listens, "the services", 60)

    def listens(self) -> bool:
        """Whether both services take connections: sshd is up before them."""
        with contextlib.suppress(OSError):
            self.serves(1)
            return True
        return False


@contextlib.contextmanager
def server_of(
    image_cache: Path, login_key: Path, policy: str, rules: str, *, calibrated: bool = False
) -> Iterator[Server]:
    root = Path(tempfile.mkdtemp(prefix="do-"))
    image = packed_image(image_cache)
    deployment = LocalDeployment(root, image_cache, image, login_key)
    config = root / "driftd.yaml"
    options = {"key": login_key, "dir": deployment.dir, "images": image_cache, "image": image.id, "policy": policy}
    config.write_text(CONFIG.format(**options))
    (root / "mine.yaml").write_text(rules)
    (root / "manifests").mkdir()
    pid = 0
    try:
        house = WiredHouse(load(config), config)
        house.baking().bake(Source(root=image.rootfs), image.id, house.manifests.path_for(image.id))
        if calibrated:
            house.calibrating().calibrate(Wish("web", wait=timedelta(seconds=30)), lambda *_: None)
        deployment.launch()
        pid = run_daemon(config)
        server = Server(deployment, house, pid)
        wait_until(lambda: knows(house), "the first look", 60)
        yield server
    finally:
        if pid:
            os.kill(pid, signal.SIGTERM)
            wait_for_end(pid)
        deployment.clean()
        shutil.rmtree(root)


def knows(house: WiredHouse) -> bool:
    """Whether the daemon has looked once; it makes the store when it starts."""
    with contextlib.suppress(StoreUnavailable), house.store(read_only=True) as store, store.read() as tx:
        return any(row.looked_at for row in tx.instances())
    return False


RULES = """\
schema: driftd.policy/1
name: mine
rules:
  - id: application
    match:
      listener: "tcp 0.0.0.0:8080"
      fields:
        user: www-data
    action: explain
    because: The application answers here.
"""


@pytest.fixture(scope="module")
def server(image_cache, login_key) -> Iterator[Server]:
    with server_of(image_cache, login_key, "[auto, shared-kernel, sessions, mine.yaml]", RULES) as found:
        yield found


def test_it_is_quiet_after_the_boot(server: Server) -> None:
    server.serves()
    server.quiet()


@pytest.mark.parametrize("what", DAY)
def test_it_stays_quiet(server: Server, what: str) -> None:
    server.serves(2)
    server.inside(DAY[what])
    server.serves(2)
    server.quiet()


def test_it_is_quiet_after_a_restart(server: Server) -> None:
    server.restart()
    server.serves()
    server.quiet()
    server.inside(DAY["rotation"])
    server.quiet()


def test_and_it_does_look(server: Server) -> None:
    """Last: a change is found all the same."""
    server.inside("echo '# x' >>/etc/nginx/nginx.conf")
    row = server.looked()
    assert row.verdict is Verdict.DRIFTED
    assert "/etc/nginx/nginx.conf" in row.reason


@pytest.mark.soak
@pytest.mark.timeout(5400)
@pytest.mark.parametrize("calibrated", [False, True], ids=["with-the-packs", "and-calibrated"])
def test_an_hour_is_quiet(image_cache, login_key, calibrated: bool) -> None:
    policy = "[auto, shared-kernel, sessions, mine.yaml]"
    with server_of(image_cache, login_key, policy, RULES, calibrated=calibrated) as server:
        ends = time.monotonic() + HOUR_S
        while time.monotonic() < ends:
            for script in DAY.values():
                server.serves(5)
                server.inside(script)
                server.quiet()
            server.restart()
            server.quiet()
