"""A group whose slots own a data volume and a fixed address, a writer that never stops, and a check of what it wrote.

    with data_fleets(image_cache) as make:
        fleet = make()
        with fleet.daemon(), fleet.writers() as writers:
            rid = fleet.house.request_replacement("db/1", "because")
            fleet.wait(lambda: fleet.ended(rid))
        for writer in writers:
            print(writer.checked(fleet.log(writer.slot)))      # Written(lines=…, gap_s=…, hosts=[…])
        fleet.whole()

Behind HAProxy are those whose service is up (``/serving``); the writers go to the fixed addresses, where a write is
answered once or not at all.
"""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from pathlib import Path

from daemons import run_daemon, wait_for_end
from servers import fetch, free_port, wait_until

from driftd.core.facts import Instance
from driftd.core.ports import LaunchRequest, TargetState
from driftd.core.replacement import TERMINAL, Record
from driftd.doors.desks.baking import Source
from driftd.edges.providers.local import fleet as local_fleet
from driftd.edges.providers.local import image
from driftd.edges.ssh.keys import fingerprint
from driftd.settings import load
from driftd.wiring.house import WiredHouse

SLOTS = ("db/1", "db/2", "db/3")  # of two, none may be stopped before its newcomer serves
CONFIG = """\
store: sqlite:///driftd.db
manifests: manifests
pause_file: pause
trust: {{manifest_keys: [keys/release.pub], signing_key: keys/release}}
ssh: {{key: keys/driftd}}
metrics: {{listen: ""}}
daemon: {{tick: 100ms}}
breakers: {{observe_first: 0s}}
providers:
  local:
    dir: {home}/fleet
    images: {images}
    stop_grace_s: 5
    authorized_keys: [{person}]
    volumes:
      data-1: {{slot: db/1, size_mb: 32}}
      data-2: {{slot: db/2, size_mb: 32}}
      data-3: {{slot: db/3, size_mb: 32}}
    addresses: [db/1, db/2, db/3]
groups:
  db:
    provider: local
    image: {image}
    traffic: {{listen: "127.0.0.1:{port}", health: /serving}}
    health: {{http: "http://{{address}}:8080/serving"}}
    policy: [auto, shared-kernel, sessions, data-volume, db.yaml]
    enforce: replace
    every: 3s
    hooks: {{quiesce: [./tell, rest], serve: [./tell, serve], timeout: 10s}}
    replacing:
      dwell: 0s
      min_healthy: 2
      soak: 300ms
      park: 0s
      canary: {{soak: 300ms}}
      drain_timeout: 30s
      absent: 3s
      windows: always
      pace: {{between: 0s, per_hour: unlimited, per_day: unlimited, checkpoints: []}}
    sessions: {{any: replace, grace: 0s}}
"""
POLICY = """\
schema: driftd.policy/1
name: db
rules:
  - id: application
    match:
      listener: "tcp 0.0.0.0:8080"
      fields: {{user: root}}
    action: explain
    because: The application answers here.
  - id: person
    match: {{key: "root {fingerprint}"}}
    action: explain
    because: So that somebody can log in.
"""
TELL = """\
#!{python} -IS
import os, sys, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({{}}))
opener.open("http://%s:8080/%s" % (os.environ["DRIFTD_ADDRESS"], sys.argv[1]), timeout=5).read()
"""
HERE = Path(__file__).parent


def data_image(cache: Path) -> image.ImageInfo:
    """The web image with another application, which runs as root."""
    files = image.files("1")
    init = files["sbin/instance-init"][1]
    as_anybody = "setpriv --reuid=www-data --regid=www-data --clear-groups python3"
    assert as_anybody in init
    files["sbin/instance-init"] = (0o755, init.replace(as_anybody, "python3"))
    files["opt/web/web_app.py"] = files[image.APP_PATH]
    files[image.APP_PATH] = (0o644, (HERE / "data_app.py").read_text(encoding="utf-8"))
    return image.make(cache, image.ensure_base(cache), files, "data", image.finish)


@dataclass(frozen=True)
class Written:
    """What one log holds: how many lines, by whom in turns, and the longest time without an answered write."""

    lines: int
    hosts: list[str]
    gap_s: float


@dataclass
class Writer:
    """Writes one number after the other to a slot's fixed address; a number is sent once, whatever comes of it.

    ``before`` is the last number that an earlier writer wrote there.
    """

    slot: str
    address: str
    before: int = 0
    answered: dict[int, int] = field(default_factory=dict)
    unanswered: set[int] = field(default_factory=set)
    gap_s: float = 0.0
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._write, name=f"writer of {self.slot}")
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        if self._thread:
            self._thread.join()

    def _write(self) -> None:
        last, number = time.monotonic(), self.before
        while not self._over.is_set():
            number += 1
            try:
                self.answered[number] = int(fetch(self.address, 8080, f"/append/{number}", timeout_s=2))
            except (OSError, AssertionError, ValueError):
                self.unanswered.add(number)
                time.sleep(0.02)
                continue
            self.gap_s, last = max(self.gap_s, time.monotonic() - last), time.monotonic()
            time.sleep(0.01)

    def checked(self, log: str) -> Written:
        """Every write that was answered is in the log, once, where its answer said; nothing else is but what may be."""
        rows = [(int(a), int(b), c) for a, b, c in (line.split() for line in log.splitlines())]
        sequences = [sequence for sequence, _, _ in rows]
        assert sequences == list(range(1, len(rows) + 1)), "two wrote at once, or one to an old copy"
        numbers = [number for _, number, _ in rows]
        assert numbers == sorted(set(numbers)), "a write was doubled"
        held = {number: sequence for sequence, number, _ in rows}
        lost = {number for number, sequence in self.answered.items() if held.get(number) != sequence}
        assert not lost, f"{len(lost)} writes were lost, {min(lost)} the first"
        assert {n for n in numbers if n > self.before} <= self.answered.keys() | self.unanswered, "nobody wrote that"
        return Written(len(rows), [host for host, _ in groupby(host for _, _, host in rows)], self.gap_s)


class DataFleet:
    """Three servers with a volume and an address each, a configuration, and what there is to know about them."""

    def __init__(self, home: Path, images: Path, template: str = CONFIG) -> None:
        self.home = home
        self.image = data_image(images)
        self.port = free_port()
        self._prepare(images, template)
        self.house = WiredHouse(load(self.config), self.config)
        self.house.trust().keygen(home / "keys/release")
        manifest = self.house.manifests.path_for(self.image.id)
        self.house.baking().bake(Source(root=self.image.rootfs), self.image.id, manifest)
        self.provider = self.house.provider("db")
        self.pid = 0

    @property
    def config(self) -> Path:
        return self.home / "driftd.yaml"

    def _prepare(self, images: Path, template: str) -> None:
        for name in ("keys", "manifests"):
            (self.home / name).mkdir(mode=0o700)
        for name in ("driftd", "somebody"):
            words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(self.home / "keys" / name)]
            subprocess.run(words, check=True)
        person = (self.home / "keys/somebody.pub").read_text().strip()
        self.config.write_text(
            template.format(home=self.home, images=images, image=self.image.id, port=self.port, person=person)
        )
        (self.home / "db.yaml").write_text(POLICY.format(fingerprint=fingerprint(base64.b64decode(person.split()[1]))))
        (self.home / "tell").write_text(TELL.format(python=sys.executable))
        (self.home / "tell").chmod(0o755)

    def launch(self) -> None:
        """Every slot filled, with what it owns, behind the load balancer."""
        self.provider.up()
        for slot in SLOTS:
            made = self.provider.compute.launch(
                LaunchRequest("db", slot, self.image.id, f"first-{slot}", {"driftd:slot": slot})
            )
            self.provider.volumes.attach(self.volume(slot).id, made.id)
            self.provider.addresses.associate(self.address(slot), made.id)
            self.provider.traffic.register("db", made)
        wait_until(lambda: self.healthy() == set(self.instances().values()), "service")

    # --- looking ---

    def instances(self) -> dict[str, str]:
        """Ids by slot."""
        return {instance.slot: instance.id for instance in self.provider.inventory.find("db")}

    def instance(self, slot: str) -> Instance:
        return self.provider.compute.describe(self.instances()[slot])

    def volume(self, slot: str):
        return next(volume for volume in self.provider.volumes.list() if volume.slot == slot)

    def address(self, slot: str) -> str:
        return next(address.address for address in self.provider.addresses.list() if address.slot == slot)

    def healthy(self) -> set[str]:
        return {t.instance_id for t in self.provider.traffic.targets("db") if t.state is TargetState.HEALTHY}

    def log(self, slot: str) -> str:
        """What is on the slot's volume, as its fixed address tells it."""
        return wait_until(lambda: self._log(slot), f"the log of {slot}")

    def _log(self, slot: str) -> str | None:
        """None where nobody answers: that is no empty log."""
        try:
            return fetch(self.address(slot), 8080, "/log")
        except (OSError, AssertionError):
            return None

    def _last(self, slot: str) -> int:
        [log] = wait_until(lambda: [log] if (log := self._log(slot)) is not None else [], f"the log of {slot}")
        return int(log.splitlines()[-1].split()[1]) if log else 0

    def replacements(self) -> list[Record]:
        with self.house.store() as store, store.read() as tx:
            return list(tx.replacements())

    def ended(self, rid: str) -> Record | None:
        return next((r for r in self.replacements() if r.rid == rid and r.state in TERMINAL), None)

    def steps(self, rid: str) -> list[tuple[str, float]]:
        """Each state that a replacement went through, and for how many seconds."""
        with self.house.store() as store, store.read() as tx:
            entered = [(str(line.body["to"]), line.at) for line in tx.journal_lines(rid) if "to" in line.body]
        return [(state, (after - at).total_seconds()) for (state, at), (_, after) in pairwise(entered)]

    def wait(self, what: Callable[[], object], limit_s: float = 60.0):
        ends = time.monotonic() + limit_s
        while not (value := what()):
            assert time.monotonic() < ends, f"not within {limit_s} s; {self.tale()}"
            time.sleep(0.1)  # what is asked costs the daemon's core more than the wait
        return value

    def tale(self) -> str:
        """What a failing test should show."""
        rows = [f"{r.slot} {r.state}: {r.note}" for r in self.replacements()]
        log = self.home / "driftd.log"
        tail = log.read_text(errors="replace").splitlines()[-15:] if log.exists() else []
        return "\n".join([*rows, *tail])

    def whole(self) -> None:
        """One instance a slot, each with its own volume and address and in service; no mark, and a valid chain."""
        found = list(self.provider.inventory.find("db"))
        now = {instance.slot: instance.id for instance in found}
        assert (len(found), sorted(now)) == (len(SLOTS), sorted(SLOTS))
        assert {volume.slot: volume.attached_to for volume in self.provider.volumes.list()} == now
        assert {address.slot: address.attached_to for address in self.provider.addresses.list()} == now
        assert self.healthy() == set(now.values()) == {t.instance_id for t in self.provider.traffic.targets("db")}
        assert {path.name for path in (self.home / "fleet/instances").iterdir()} == set(now.values())
        assert not [tag for one in found for tag in one.tags if tag in {"driftd:role", "driftd:rid", "driftd:attempt"}]
        with self.house.store():  # the first to need it makes it
            pass
        assert self.house.keeping().verify()["ok"]

    # --- doing ---

    @contextmanager
    def daemon(self) -> Iterator[None]:
        """The shipped daemon inside the block, in a forked child; ``self.pid`` is its process."""
        self.pid = run_daemon(self.config)
        try:
            yield
        finally:
            os.kill(self.pid, 15)
            assert wait_for_end(self.pid) == 0, self.tale()

    @contextmanager
    def writers(self, slots: Sequence[str] = SLOTS) -> Iterator[list[Writer]]:
        """Writers that write inside the block, each to its slot's address."""
        made = [Writer(slot, self.address(slot), self._last(slot)) for slot in slots]
        for writer in made:
            writer.start()
        try:
            yield made
        finally:
            for writer in made:
                writer.stop()


@contextmanager
def data_fleets(image_cache: Path) -> Iterator[Callable[..., DataFleet]]:
    """Make fleets that run, each in a directory of its own, with no daemon yet; all of it ends with the block."""
    homes: list[Path] = []

    def make(template: str = CONFIG, before: Callable[[Path], object] = bool) -> DataFleet:
        home = Path(tempfile.mkdtemp(prefix="dd-"))
        homes.append(home)
        before(home)
        made = DataFleet(home, image_cache, template)
        made.launch()
        return made

    try:
        yield make
    finally:
        for home in homes:
            local_fleet.clean(home / "fleet")
            shutil.rmtree(home, ignore_errors=True)
