"""What every demo has: the shipped daemon and commands, a load, a person with an SSH client, what the view shows."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from driftd.core.facts import Instance
from driftd.core.memory import StoreUnavailable
from driftd.core.ports import Provider
from driftd.doors.demo.stage import Scene
from driftd.doors.desks.baking import Source
from driftd.edges.providers.local import image as images
from driftd.edges.providers.local import userns
from driftd.edges.ssh.keys import fingerprint
from driftd.edges.stage import running
from driftd.edges.stage.clients import Load, Served, person
from driftd.settings import load
from driftd.wiring.house import WiredHouse
from driftd.wiring.stage.places import DAEMON, directory, port, remove
from driftd.wiring.stage.reading import scene_of
from driftd.wiring.stage.texts import POLICY

SERVERS = 3
SLOW_S = 2.0
PORTS = (18080, 19477)
EDITED = "/opt/web/app.py"
SCRIPT = f"sed -i 's/^VERSION = .*/VERSION = \"hotfix\"/' {EDITED} && grep -n ^VERSION {EDITED}"


class FleetStage(ABC):
    """Implements ``driftd.doors.demo.stage.Stage``, but for where the servers are."""

    template: str  # of its configuration
    environment: Mapping[str, str] = {}  # what driftd needs there besides

    def __init__(
        self,
        home: Path | None = None,
        cache: Path | None = None,
        template: str = "",
        ports: tuple[int, int] = PORTS,
    ) -> None:
        """``ports`` are those wanted for the service and the metrics; 0 is any that is free."""
        self._home = home or directory()
        self._images = cache or images.default_cache()
        self._template = template or self.template
        self._listen = f"127.0.0.1:{port(ports[0])}"
        self._metrics = f"127.0.0.1:{port(ports[1])}"
        self._image_id = ""
        self._daemon: running.Daemon | None = None
        self._load: Load | None = None
        self._house: WiredHouse | None = None
        self._victim = ""
        self._comparisons: dict[int, tuple[str, ...]] = {}

    def clean(self) -> list[str]:
        return remove(self._home)

    @property
    def config(self) -> Path:
        """The configuration that the demo wrote."""
        return self._home / "driftd.yaml"

    def image(self, say: Callable[[str], None]) -> str:
        began = time.monotonic()
        golden = images.ensure(self._images, say=say)
        self._home.mkdir(parents=True, mode=0o700, exist_ok=True)
        keys, manifests = self._home / "keys", self._home / "manifests"
        for folder in (keys, manifests):
            folder.mkdir(mode=0o700)
        for name in ("driftd", "somebody"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(keys / name)], check=True
            )
        self._open(golden, say)
        self._write_config()
        self.house.trust().keygen(keys / "release")
        path = self.house.manifests.path_for(self._image_id)
        made = self.house.baking().bake(Source(root=golden.rootfs), self._image_id, path)
        lines = made.text.count(b"\n")
        ready = f"ready after {time.monotonic() - began:.1f} s"
        return f"{self._image_id}: {lines:,} lines of manifest, signed, {ready}\n{path}"

    def _open(self, golden: images.ImageInfo, _say: Callable[[str], None]) -> None:
        """Make ready what the configuration names, ``_image_id`` among it."""
        self._image_id = golden.id

    def _values(self) -> Mapping[str, object]:
        """What stands in the configuration's braces."""
        return {"image": self._image_id, "listen": self._listen, "metrics": self._metrics}

    def _public(self) -> str:
        """The person's public key."""
        return (self._home / "keys" / "somebody.pub").read_text(encoding="ascii").strip()

    def _write_config(self) -> None:
        self.config.write_text(self._template.format_map(self._values()), encoding="utf-8")
        policy = POLICY.format(fingerprint=fingerprint(base64.b64decode(self._public().split()[1])))
        (self._home / "web.yaml").write_text(policy, encoding="utf-8")

    @property
    def house(self) -> WiredHouse:
        """The house as the configuration describes it: the same that every command would get."""
        if self._house is None:
            self._house = WiredHouse(load(self.config), self.config)
        return self._house

    @property
    def provider(self) -> Provider:
        """The group's, as the configuration describes it."""
        return self.house.provider("web")

    @abstractmethod
    def launch(self) -> str:
        """The group as an operator has it, in service; says where."""

    def configure(self) -> str:
        return f"{self.config}\n\n{self.config.read_text(encoding='utf-8')}"

    def start_daemon(self) -> str:
        log = self._home / "driftd.log"
        self._daemon = running.Daemon(self.config, log, self._home / f"{DAEMON}.pid")
        return f"driftd --config {self.config} run (log: {log})"

    def start_load(self) -> str:
        self._load = Load(f"http://{self._listen}", slow_seconds=SLOW_S)
        return f"kept-alive connections to http://{self._listen}, quick requests and requests that last {SLOW_S:g} s"

    def intrude(self) -> tuple[str, str]:
        victim = self._instances()[1]
        self._victim = victim.id
        key = self._home / "keys" / "somebody"
        person(victim, key, self._home / "somebody.known_hosts", SCRIPT)
        return victim.id, f"ssh root@{victim.address} ({victim.slot}, {victim.id})\n# {SCRIPT}"

    def _instances(self) -> list[Instance]:
        return list(self.provider.inventory.find("web"))

    # --- watching ---

    def scene(self) -> Scene:
        served = self._load.served if self._load else Served()
        told = self._daemon.messages() if self._daemon else ()
        try:
            with self.house.store(read_only=True) as store, store.read() as tx:
                return scene_of(tx, self._victim, self.house, told, served, self._says)
        except StoreUnavailable:
            return Scene(
                messages=told, requests=served.requests, failed=served.failed
            )  # the daemon has not made it yet

    def _says(self, number: int) -> Sequence[str]:
        """What a finding shows of a file, line by line."""
        if number not in self._comparisons:
            (made,) = self.house.explaining().explain(str(number)).explanations
            lines = made.exhibit.comparison.lines if made.exhibit else ()
            changed = [line for line in lines if line[:1] in "-+" and line[:3] not in ("---", "+++")]
            self._comparisons[number] = tuple(changed)
        return self._comparisons[number]

    def daemon_ended(self) -> str:
        return self._daemon.ended() if self._daemon else ""

    def stop_load(self) -> tuple[int, int, int, Sequence[str]]:
        if self._load is None:
            return 0, 0, 0, ()
        served = self._load.stop()
        return served.requests, served.failed, served.slow, served.failures

    def verify_journal(self) -> Mapping[str, object]:
        words = running.command(self.config, "journal", "verify", "--json")
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        try:
            answer = json.loads(done.stdout)
        except ValueError:
            return {"ok": False, "said": done.stderr.strip() or done.stdout.strip()}
        return answer if isinstance(answer, dict) else {"ok": False, "said": done.stdout.strip()}

    def stop_daemon(self) -> int:
        return self._daemon.stop() if self._daemon else 0

    def hints(self) -> Sequence[tuple[str, str]]:
        if not self.config.exists():
            return ()
        enter = userns.enter_hint()
        enter = f"{enter} " if enter else ""
        before = "".join(f"{name}={value} " for name, value in self.environment.items())
        program = "driftd" if shutil.which("driftd") else str(Path(sys.executable).with_name("driftd"))
        driftd = f"{before}{enter}{program} --config {self.config}"
        some = self._instances()
        address = some[0].address if some else "ADDRESS"
        return (
            (f"{driftd} status", "each server's verdict, and what happens next"),
            (f"{driftd} audit web", "look now"),
            (f"{driftd} findings", "what is open; `driftd explain NUMBER` tells all of one"),
            (f"{driftd} calibrate web", "what pristine servers do by themselves"),
            (f"{driftd} journal show", "every decision and call, hash-chained"),
            (f"{enter}curl -s http://{self._metrics}/metrics | grep ^driftd_", "what Prometheus sees"),
            (f"{enter}ssh -i {self._home}/keys/somebody root@{address}", "be the person who logs in, and watch"),
            ("Ctrl-C" if enter else f"{program} demo --clean", "end it all"),
        )
