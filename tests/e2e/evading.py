"""One real server to tamper with, and what driftd says of it under the packs that a configuration gets by itself."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from servers import LocalDeployment

from driftd.core.facts import Instance, Reach
from driftd.core.findings import Severity
from driftd.core.looks import Look
from driftd.core.manifest import Manifest, from_fingerprint
from driftd.core.whose import Visit
from driftd.edges.documents import load_policy
from driftd.edges.local import LocalLooker
from driftd.edges.ssh.looker import SshLooker
from driftd.edges.ssh.options import SshOptions
from driftd.flows.audit import Rules, audit

ENOUGH = 60.0
# What a configuration has by itself, and what is true of the tests' own servers: their kernel, their application.
POLICY = ("debian", "systemd", "sessions", "shared-kernel", "web.yaml")


def clock() -> datetime:
    return datetime.now(UTC)


@dataclass
class Suspect:
    """A running instance, driftd's key to it, and driftd's own visits so far."""

    deployment: LocalDeployment
    server: Instance
    manifest: Manifest
    key: Path
    visits: list[Visit] = field(default_factory=list)

    def for_image(self, _image: str) -> Manifest:
        """``Manifests``, of this one image."""
        return self.manifest

    def look(self) -> Look:
        """One look with a visit on record, as the daemon makes them."""
        looker = SshLooker(SshOptions(key_file=str(self.key)))
        rules = Rules(load_policy(POLICY, Path(__file__).parent.parent))
        mine = Visit(looker.own_key(self.server), clock())
        self.visits.append(mine)
        try:
            others = lambda: [one for one in self.visits if one is not mine]  # noqa: E731  # asked after the look
            return audit(self.server, looker, self, rules, others, clock, deadline_s=ENOUGH)
        finally:
            self.visits[self.visits.index(mine)] = replace(mine, closed=clock())

    def inside(self, script: str, **options: object) -> subprocess.CompletedProcess[bytes]:
        """Run a shell script there as root, without any login."""
        return subprocess.run(
            [*self.enter(), "sh", "-c", script], capture_output=True, check=True, timeout=ENOUGH, **options
        )

    def enter(self) -> list[str]:
        """The words before a command that is to run inside."""
        flags = ["--mount", "--pid", "--net", "--uts", "--ipc", "--root", "--wd=/"]
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return ["nsenter", "-t", str(self.pid()), *flags, "env", "-i", f"PATH={path}"]

    def pid(self) -> int:
        """Its first process, as this machine counts them."""
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                first = re.search(r"^NSpid:.*\t1$", (process / "status").read_text(errors="replace"), re.MULTILINE)
                if first and (process / "root/etc/hostname").read_text().startswith(self.server.id):
                    return int(process.name)
        raise AssertionError(f"no process of {self.server.id}")


def baked(image) -> Manifest:
    """The manifest of an image that nobody has touched."""
    seen = LocalLooker().look(Instance("image", "", "image", reach=Reach(root=str(image.rootfs))), deadline_s=ENOUGH)
    return from_fingerprint(seen, image.id, provisional=False)


@contextmanager
def suspect(image, cache, key, manifest: Manifest) -> Iterator[Suspect]:
    """A fresh instance in a deployment of its own; all of it ends with the block."""
    root = Path(tempfile.mkdtemp(prefix="de-"))
    deployment = LocalDeployment(root, cache, image, key)
    try:
        server = deployment.launch()
        time.sleep(max(0.0, 1.1 - time.time() % 1))
        yield Suspect(deployment, server, manifest, key)
    finally:
        deployment.clean()
        shutil.rmtree(root)


def told(look: Look) -> dict[bytes, Severity]:
    """Subject → worst severity of what counts."""
    found: dict[bytes, Severity] = {}
    for one in look.judgement.findings:
        if not one.suppressed_by:
            worst = found.get(one.subject, Severity.INFO)
            found[one.subject] = max(worst, one.severity, key=lambda level: level.rank)
    return found
