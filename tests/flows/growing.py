"""A tree on a disk, looked at again and again with marks kept from look to look, as the store keeps them."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from trees import NOW, SEAL

from driftd.core.facts import Instance, Reach, Unseen
from driftd.core.looks import Look
from driftd.core.manifest import Manifest, from_fingerprint
from driftd.core.marks import Mark, Past
from driftd.core.policy import Policy
from driftd.edges.documents import load_policy
from driftd.edges.local import LocalLooker
from driftd.flows.audit import Rules, audit

HEAD = "schema: driftd.policy/1\nname: logs\nrules:\n"
LOGS = (
    HEAD
    + """\
  - id: log
    match: {path: /var/log/x.log}
    expect: growing
    because: It is appended to.
  - id: rotated
    match: {path: ["/var/log/x.log.*", "/var/log/x.log-*"]}
    expect: rotated
    because: logrotate moves it.
"""
)


class Server:
    """``root`` is its tree, ``log`` its log; looks are ``apart`` from each other."""

    def __init__(self, place: Path, rules: str = LOGS, apart: timedelta = timedelta(minutes=5)) -> None:
        self.place = place
        self.root = place / "root"
        self.log = self.root / "var/log/x.log"
        self.log.parent.mkdir(parents=True, mode=0o755)
        file = place / "rules.yaml"
        file.write_text(rules, encoding="utf-8")
        self.policy: Policy = load_policy([str(file)])
        self.apart = apart
        self.now = NOW
        self.marks: dict[bytes, Mark] = {}
        self.manifest: Manifest | None = None
        self.lines = 0
        self.rotated = 0
        self.looker = LocalLooker()
        self.instance = Instance("i-1", "web", "golden", reach=Reach(root=str(self.root)), launched_at=NOW)

    def bake(self) -> None:
        seen = self.looker.look(self.instance, deadline_s=30)
        assert not isinstance(seen, Unseen), seen
        made = from_fingerprint(seen, "golden", provisional=False, partial=os.geteuid() != 0)
        self.manifest = replace(made, seal=SEAL)

    def for_image(self, _image: str) -> Manifest:
        assert self.manifest is not None
        return self.manifest

    def clock(self) -> datetime:
        return self.now

    def look(self) -> Look:
        """The next look; what it leaves is what the one after is told."""
        self.now += self.apart
        rules = Rules(self.policy)
        look = audit(self.instance, self.looker, self, rules, tuple, self.clock, past=Past(dict(self.marks)))
        self.marks = {mark.path: mark for mark in look.marks}
        return look

    def write(self, lines: int = 20) -> None:
        """Append to the log, as a program that holds it open does."""
        with self.log.open("a", encoding="utf-8") as stream:
            for _ in range(lines):
                self.lines += 1
                stream.write(f"line {self.lines} of a log\n")

    def rotate(self, *how: str) -> None:
        """Once, by the real logrotate, whatever its times say."""
        while "dateext" in how and time.time() < self.rotated + 1.1:
            time.sleep(0.02)  # what is named by the second is rotated once in one, and time(2) lags behind a little
        text = "\n".join([f"{self.log} {{", "su root root" if os.geteuid() == 0 else "", "missingok", *how, "}"])
        config = self.place / "logrotate.conf"
        config.write_text(text + "\n", encoding="utf-8")
        config.chmod(0o644)
        command = ["logrotate", "--force", "--state", str(self.place / "state"), str(config)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        self.rotated = int(time.time())


def told(look: Look) -> dict[str, str]:
    """The findings, path to why."""
    return {one.subject.decode(): one.because for one in look.judgement.findings}
