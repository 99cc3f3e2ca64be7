"""A configured directory, its daemon, and the account of the emulator that it is about."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import accounts

from driftd.core.replacement import TERMINAL
from driftd.doors.desks.baking import Source
from driftd.edges.providers.aws import permissions
from driftd.edges.providers.aws.cloud import action_of
from driftd.settings import load
from driftd.wiring.house import WiredHouse

CONFIG = """\
store: sqlite:///driftd.db
manifests: manifests
pause_file: pause
metrics: {{listen: ""}}
trust: {{manifest_keys: [release.pub], signing_key: release}}
ssh: {{key: "{key}"}}
daemon: {{tick: 200ms}}
breakers: {{observe_first: 0s}}
providers:
  aws:
    region: eu-central-1
    endpoint: "{url}"
    groups: {{web: {{launch: {{template: web, subnets: [{subnet}]}}}}}}
groups:
  web:
    provider: aws
    image: {image}
    select: {{"tag:role": web}}
    traffic: {{{balancer}: web}}
    health: {{http: "http://{{address}}:8080/healthz"}}
    policy: [auto, shared-kernel, sessions, web.yaml]
    enforce: replace
    every: 1s
    replacing:
      dwell: 0s
      min_healthy: 2
      soak: 300ms
      canary: {{soak: 300ms}}
      drain_timeout: 30s
      absent: 3s
      park: 0s
      windows: always
      pace: {{between: 0s, per_hour: unlimited, per_day: unlimited, checkpoints: []}}
    sessions: {{any: replace, grace: 0s}}
"""
RULES = """\
schema: driftd.policy/1
name: web
rules:
  - id: application
    match: {listener: "tcp 0.0.0.0:8080", fields: {user: www-data}}
    action: explain
    because: The application answers here.
"""


class Place:
    """A configured directory, its daemon, and the account that it is about."""

    def __init__(self, account: accounts.Account, home: Path) -> None:
        self.account, self.home = account, home
        deployment = account.behind.deployment
        self.config = home / "driftd.yaml"
        values = {"key": deployment.key, "url": account.url, "subnet": account.subnets[0], "image": account.image}
        values["balancer"] = "load_balancer" if account.classic else "target_group"
        self.config.write_text(CONFIG.format(**values))
        (home / "web.yaml").write_text(RULES)
        (home / "manifests").mkdir()
        subprocess.run([sys.executable, "-m", "driftd", "manifest", "keygen", "release"], cwd=home, check=True)
        self.house = WiredHouse(load(self.config), self.config)
        file = self.house.manifests.path_for(account.image)
        self.house.baking().bake(Source(root=deployment.image.rootfs), account.image, file)
        self.house.trust().sign(file)

    def verdicts(self) -> dict[str, tuple[str, str]]:
        with self.house.store() as store, store.read() as tx:
            return {row.id: (str(row.verdict), row.reason) for row in tx.instances() if row.gone_at is None}

    def replaced(self):
        with self.house.store() as store, store.read() as tx:
            return [one for one in tx.replacements() if one.state in TERMINAL]

    def wait(self, what, limit_s: float = 120.0):
        """Until it is so; what a failing test should show, otherwise."""
        ends = time.monotonic() + limit_s
        while not (value := what()):
            assert time.monotonic() < ends, (self.verdicts(), self.log())
            time.sleep(0.2)
        return value

    def log(self) -> str:
        file = self.home / "driftd.log"
        return file.read_text(errors="replace")[-4000:] if file.exists() else ""


def permitted(*modes: str) -> set[str]:
    """The operations that these policies permit."""
    return {action_of(*one).partition(":")[2] for mode in modes for one in permissions.MODES[mode]}


def findings(place, aws_id: str) -> dict[bytes, str]:
    """What is found of one now, and who it is said to be where it is somebody."""
    with place.house.store() as store, store.read() as tx:
        found = [one.finding for one in tx.open_findings(aws_id)]
        return {one.subject: str(one.actual.get("key_id", "")) for one in found}
