"""The demo's stage: real servers of the local provider, the shipped daemon, a load, and a person with an SSH client."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from driftd.core.errors import BadInput, DriftdError
from driftd.core.facts import Instance
from driftd.core.memory import InstanceRow, JournalLine, StoreUnavailable, Tx
from driftd.core.outlook import outlook
from driftd.core.ports import LaunchRequest, TargetState, Traffic
from driftd.core.replacement import Record
from driftd.core.wording import shown
from driftd.doors.demo.stage import Scene, Server, StepTime
from driftd.doors.desks.baking import Source
from driftd.edges.providers.local import fleet, image, userns
from driftd.edges.providers.local.provider import LocalProvider
from driftd.edges.ssh.keys import fingerprint
from driftd.edges.stage import daemon
from driftd.edges.stage.clients import Load, Served, person
from driftd.flows.survey import edges_of
from driftd.settings import load
from driftd.wiring.house import WiredHouse

SERVERS = 3
SLOW_S = 2.0
LONGEST_PLACE = 50  # HAProxy's socket lies below, and a socket's path is short
PORTS = (18080, 19477)
EDITED = "/opt/web/app.py"
SCRIPT = f"sed -i 's/^VERSION = .*/VERSION = \"hotfix\"/' {EDITED} && grep -n ^VERSION {EDITED}"

CONFIG = """\
# An ordinary configuration; only its times are short, so that you need not wait.
store: sqlite:///driftd.db
manifests: manifests
pause_file: pause
trust:
  manifest_keys: [keys/release.pub]
  signing_key: keys/release   # of a release pipeline's; here, so that the demo can bake
ssh:
  key: keys/driftd
metrics:
  listen: {metrics}
daemon:
  tick: 500ms
breakers:
  observe_first: 0s         # elsewhere a new driftd, new rules and a new manifest only observe for a day
providers:
  local:
    dir: {dir}/fleet
    images: {images}
    authorized_keys:
      - {person}
groups:
  web:
    provider: local
    image: {image}
    traffic:
      listen: {listen}
    health:
      http: "http://{{address}}:8080/healthz"
    policy: [auto, shared-kernel, sessions, web.yaml]
    enforce: replace        # without this line driftd only observes
    every: 2s
    replacing:
      dwell: 1s             # the second look
      min_healthy: 2
      soak: 2s
      canary:
        soak: 2s            # left out: half an hour for the first of its kind, and nobody follows meanwhile
      drain_timeout: 30s
      absent: 3s
      park: 0s              # left out: the old one is kept, stopped, for a quarter of an hour before it is ended
      windows: always       # left out: Monday to Thursday from 9 to 4, while people are awake
      pace:
        between: 0s         # left out: 5 minutes from one to the next,
        per_hour: unlimited #   6 an hour,
        per_day: unlimited  #   a fifth of the group in 24 hours,
        checkpoints: []     #   and a longer look after a fifth, a half and all of it
    sessions:
      any: replace          # left out: who logs in is only noted
      grace: 0s             # left out: half an hour after the last person left
"""


POLICY = """\
# What is true of these servers beyond what the packs say of every Debian server.
schema: driftd.policy/1
name: web
show:
  - path: /opt/web/app.py       # no secret is in it, so a finding may say what changed
rules:
  - id: application
    match:
      listener: "tcp 0.0.0.0:8080"
      fields:
        user: www-data
    action: explain
    because: The application answers here; HAProxy and driftd's health checks come to this port.

  - id: person
    match:
      key: "root {fingerprint}"
    action: explain
    because: The demo's person has a key to each server, so that somebody can log in.
"""


def directory() -> Path:
    """Where the demo lives: the first of a few places whose file system can carry an overlay's upper directory."""
    for place in _places():
        kind = _file_system(place)
        if kind and kind not in {"overlay", "overlayfs"} and len(str(place)) <= LONGEST_PLACE:
            return place / "driftd-demo"
    return _places()[0] / "driftd-demo"


def _places() -> list[Path]:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return [cache, Path.cwd() / ".cache", Path("/var/tmp"), Path("/dev/shm")]  # noqa: S108  # made with mode 0700


def _file_system(place: Path) -> str:
    """The type of the file system that ``place`` is, or would be, on; "" when it cannot be written to."""
    while not place.exists():
        place = place.parent
    if not os.access(place, os.W_OK):
        return ""
    done = subprocess.run(["stat", "-f", "-c", "%T", str(place)], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def inside(*, keep: bool) -> int | None:
    """Run this command again in a user namespace where that is needed; None where it is not.

    Raises BadInput with the one sentence of what is missing. Packages are fetched first: inside there is no network.
    """
    lacking, _, remedy = userns.missing().partition("; ")
    if lacking:
        raise BadInput(lacking, remedy)
    if not userns.needed():
        return None
    image.ensure_base(say=_say)
    return userns.reexec_in_user_namespace([sys.executable, "-m", "driftd", *sys.argv[1:]], stay=keep)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def clean() -> list[str]:
    """End and remove everything of an earlier demo, wherever it was; a line for each thing."""
    return [line for place in _places() for line in _remove(place / "driftd-demo")]


def _remove(home: Path) -> list[str]:
    if not home.is_dir():
        return []
    said = ["ended the daemon"] if daemon.end(home / "daemon.pid") else []
    said += [f"removed {what}" for what in fleet.clean(home / "fleet")]
    shutil.rmtree(home)
    return [f"{line} of an earlier demo" for line in said]


def _port(wanted: int) -> int:
    """``wanted`` where it is free on loopback, else one that is."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class DemoStage:
    """Implements ``driftd.doors.demo.stage.Stage``."""

    def __init__(
        self,
        home: Path | None = None,
        images: Path | None = None,
        template: str = CONFIG,
        ports: tuple[int, int] = PORTS,
    ) -> None:
        """``ports`` are those wanted for the service and the metrics; 0 is any that is free."""
        self._home = home or directory()
        self._images = images or image.default_cache()
        self._template = template
        self._listen = f"127.0.0.1:{_port(ports[0])}"
        self._metrics = f"127.0.0.1:{_port(ports[1])}"
        self._image: image.ImageInfo | None = None
        self._daemon: daemon.Daemon | None = None
        self._load: Load | None = None
        self._house: WiredHouse | None = None
        self._victim = ""
        self._comparisons: dict[int, tuple[str, ...]] = {}

    def clean(self) -> list[str]:
        return _remove(self._home)

    @property
    def config(self) -> Path:
        """The configuration that the demo wrote."""
        return self._home / "driftd.yaml"

    def image(self, say: Callable[[str], None]) -> str:
        began = time.monotonic()
        self._image = image.ensure(self._images, say=say)
        self._home.mkdir(parents=True, mode=0o700, exist_ok=True)
        keys, manifests = self._home / "keys", self._home / "manifests"
        for folder in (keys, manifests):
            folder.mkdir(mode=0o700)
        for name in ("driftd", "somebody"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(keys / name)], check=True
            )
        self._write_config()
        self.house.trust().keygen(keys / "release")
        path = self.house.manifests.path_for(self._image.id)
        made = self.house.baking().bake(Source(root=self._image.rootfs), self._image.id, path)
        lines = made.text.count(b"\n")
        ready = f"ready after {time.monotonic() - began:.1f} s"
        return f"{self._image.id}: {lines:,} lines of manifest, signed, {ready}\n{path}"

    def _write_config(self) -> None:
        assert self._image is not None  # noqa: S101  # image() comes first
        public = (self._home / "keys" / "somebody.pub").read_text(encoding="ascii").strip()
        text = self._template.format(
            dir=self._home,
            images=self._images,
            person=public,
            image=self._image.id,
            listen=self._listen,
            metrics=self._metrics,
        )
        self.config.write_text(text, encoding="utf-8")
        policy = POLICY.format(fingerprint=fingerprint(base64.b64decode(public.split()[1])))
        (self._home / "web.yaml").write_text(policy, encoding="utf-8")

    @property
    def house(self) -> WiredHouse:
        """The house as the configuration describes it: the same that every command would get."""
        if self._house is None:
            self._house = WiredHouse(load(self.config), self.config)
        return self._house

    @property
    def provider(self) -> LocalProvider:
        """The local provider, as the configuration describes it."""
        provider = self.house.provider("web")
        if not isinstance(provider, LocalProvider):
            raise DriftdError(f"the demo plays on the local provider, and the entry point gave {type(provider)}")
        return provider

    def launch(self) -> str:
        assert self._image is not None  # noqa: S101  # image() comes first
        self.provider.up()
        compute, traffic = edges_of(self.house.groups["web"])
        began = time.monotonic()
        made = []
        for number in range(1, SERVERS + 1):
            slot = f"web/{number}"
            request = LaunchRequest("web", slot, self._image.id, f"demo-{slot}", {"driftd:slot": slot})
            instance = compute.launch(request)
            traffic.register("web", instance)
            made.append(instance)
        _wait(lambda: _healthy(traffic) == SERVERS, 30, f"{SERVERS} servers healthy behind the load balancer")
        addresses = ", ".join(f"{i.slot} {i.address}" for i in made)
        return f"{addresses}; in service after {time.monotonic() - began:.1f} s, HAProxy on {self._listen}"

    def configure(self) -> str:
        return f"{self.config}\n\n{self.config.read_text(encoding='utf-8')}"

    def start_daemon(self) -> str:
        log = self._home / "driftd.log"
        self._daemon = daemon.Daemon(self.config, log, self._home / "daemon.pid")
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
                return _scene(tx, self._victim, self.house, told, served, self._says)
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
        words = daemon.command(self.config, "journal", "verify", "--json")
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        try:
            answer = json.loads(done.stdout)
        except ValueError:
            return {"ok": False, "said": done.stderr.strip() or done.stdout.strip()}
        return answer if isinstance(answer, dict) else {"ok": False, "said": done.stdout.strip()}

    def stop_daemon(self) -> int:
        return self._daemon.stop() if self._daemon else 0

    def hints(self) -> Sequence[tuple[str, str]]:
        enter = userns.enter_hint()
        enter = f"{enter} " if enter else ""
        program = "driftd" if shutil.which("driftd") else str(Path(sys.executable).with_name("driftd"))
        driftd = f"{enter}{program} --config {self.config}"
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


def _healthy(traffic: Traffic) -> int:
    return sum(1 for target in traffic.targets("web") if target.state is TargetState.HEALTHY)


def _wait(ready: Callable[[], bool], limit_s: float, what: str) -> None:
    ends = time.monotonic() + limit_s
    while not ready():
        if time.monotonic() > ends:
            raise DriftdError(f"after {limit_s:.0f} s still not: {what}", "see that the machine is not overloaded")
        time.sleep(0.02)


def _scene(
    tx: Tx,
    victim: str,
    house: WiredHouse,
    told: Sequence[tuple[datetime, str]],
    served: Served,
    says: Callable[[int], Sequence[str]],
) -> Scene:
    """One read of the store, as the view shows it."""
    rows = sorted(tx.instances("web"), key=lambda row: (row.slot, row.id))
    record = next((r for r in tx.replacements() if r.old_id == victim), None) if victim else None
    open_records = {i: r for r in tx.open_replacements() for i in (r.old_id, r.new_id) if i}
    findings = [
        {
            "kind": row.finding.kind,
            "subject": shown(row.finding.subject),
            "change": row.finding.change,
            "severity": row.finding.severity,
            "signature": row.finding.signature,
            "expected": dict(row.finding.expected),
            "actual": dict(row.finding.actual),
            "because": row.finding.because,
            "says": says(row.id) if row.finding.kind == "file" else (),
        }
        for row in (tx.open_findings(victim) if victim else ())
    ]
    sessions = [
        f"{s.session.user} from {s.session.source} by {s.session.door}, key {s.session.key or 'unknown'}"
        for s in (tx.sessions(victim) if victim else ())
        if not s.own
    ]
    return Scene(
        servers=[_server(row, open_records.get(row.id), tx, house) for row in rows],
        findings=findings,
        sessions=sessions,
        messages=told,
        replacement=record.state if record else "",
        replacement_note=record.note if record else "",
        steps=_steps(tx.journal_lines(record.rid)) if record else (),
        requests=served.requests,
        failed=served.failed,
    )


def _server(row: InstanceRow, record: Record | None, tx: Tx, house: WiredHouse) -> Server:
    ahead = outlook(row, record, tx.pauses(), house.enforce("web"), house.every("web"), datetime.now(UTC))
    return Server(row.slot, row.id, row.address, row.verdict, ahead.why_not or ahead.next)


def _steps(lines: Sequence[JournalLine]) -> list[StepTime]:
    """Each state that was left, how long it lasted, and why it was left."""
    steps, entered = [], None
    for line in lines:
        if entered is not None and "from" in line.body:
            steps.append(StepTime(str(line.body["from"]), _seconds(line.at - entered), str(line.body.get("why", ""))))
        if "to" in line.body:
            entered = line.at
    return steps


def _seconds(length: timedelta) -> float:
    return round(length.total_seconds(), 2)
