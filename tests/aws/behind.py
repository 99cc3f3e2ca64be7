"""What stands behind the emulator of AWS: real servers, volumes and HAProxy of the ``local`` provider.

Each instance that EC2 hands out is one of these servers, under the address that the server has; a volume is one of the
local provider's, by the order in which they are asked for; HAProxy follows the target group.
"""

from __future__ import annotations

import base64
import json
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import uuid4

from servers import LocalDeployment, answers, pid_of, wait_until

from driftd.core.errors import NotFound, ProviderError, Refused
from driftd.core.facts import Instance
from driftd.core.ports import LaunchRequest, TargetState

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SPACES = ("--mount", "--pid", "--net", "--uts", "--ipc", "--root", "--wd=/")
PLUGIN = "awsrunShellScript/0.awsrunShellScript"
IN = frozenset({"initial", "healthy", "unhealthy"})


class Busy(Exception):
    """It is in use; the emulator answers as AWS does then."""


@dataclass
class Behind:
    """Does what the emulator says. ``deployment`` has traffic, and one volume for each that AWS will have."""

    deployment: LocalDeployment
    quarantined: str = "-quarantine"
    ours: dict[str, str] = field(default_factory=dict)  # local ids by AWS's
    disks: dict[str, str] = field(default_factory=dict)  # local volumes by AWS's
    agent: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None  # who runs commands instead; may call ``run``
    keyless: bool = False  # what is launched from now on lets nobody log in
    lock: threading.RLock = field(default_factory=threading.RLock)

    # --- what a test asks ---

    def server(self, aws_id: str) -> Instance:
        """The server behind an instance."""
        return self.deployment.provider.compute.describe(self.ours[aws_id])

    def _inside(self, aws_id: str) -> list[str]:
        """The words before a command that is to run on the server, without a login."""
        return ["nsenter", "-t", str(pid_of(self.server(aws_id))), *SPACES, "env", "-i", "--chdir=/", PATH]

    def changed(self, aws_id: str, script: str) -> None:
        """Somebody changes something there, and nobody logs in for it."""
        subprocess.run([*self._inside(aws_id), "sh", "-ec", script], check=True, timeout=60)

    # --- what the emulator says ---

    def told(self, said: Mapping[str, Any]) -> Mapping[str, Any]:
        """One order or question."""
        if said["do"] == "command":  # it may last long, and nobody waits for it
            return (self.agent or self.run)(said)
        done: Callable[[Mapping[str, Any]], Mapping[str, Any] | None] | None = getattr(self, f"_{said['do']}", None)
        if done is None:
            raise LookupError(f"nobody does {said['do']} here")
        with self.lock:
            return done(said) or {}

    def _launch(self, said: Mapping[str, Any]) -> Mapping[str, Any]:
        compute = self.deployment.provider.compute
        made = compute.launch(LaunchRequest("web", "web/0", self.deployment.image.id, said["id"]))
        self.ours[said["id"]] = made.id
        if self.keyless:
            wait_until(lambda: answers(compute.describe(made.id).address, 22), "a server")
            self.changed(said["id"], "rm -r /root/.ssh")
        return {"address": compute.describe(made.id).address}

    def _stop(self, said: Mapping[str, Any]) -> None:
        self.deployment.provider.compute.stop(self.ours[said["id"]])

    def _start(self, said: Mapping[str, Any]) -> None:
        self.deployment.provider.compute.start(self.ours[said["id"]])

    def _terminate(self, said: Mapping[str, Any]) -> None:
        if said["id"] in self.ours:
            self.deployment.provider.compute.terminate(self.ours[said["id"]])

    def _groups(self, said: Mapping[str, Any]) -> None:
        """A quarantine group cuts the network, for good: that is the only use of groups here."""
        if said["names"] and all(one.endswith(self.quarantined) for one in said["names"]):
            self.deployment.provider.isolate(self.ours[said["id"]])

    def _disk(self, volume: str) -> str:
        free = [one.id for one in self.deployment.provider.volumes.list() if one.id not in self.disks.values()]
        return self.disks.setdefault(volume, free[0] if volume not in self.disks else "")

    def _attach(self, said: Mapping[str, Any]) -> None:
        self._moved(lambda volumes: volumes.attach(self._disk(said["volume"]), self.ours[said["id"]]))

    def _detach(self, said: Mapping[str, Any]) -> None:
        self._moved(lambda volumes: volumes.detach(self._disk(said["volume"])))

    def _moved(self, move: Callable[[Any], None]) -> None:
        try:
            move(self.deployment.provider.volumes)
        except Refused as error:
            raise Busy(str(error)) from error

    def _address(self, said: Mapping[str, Any]) -> None:
        """Elastic addresses are records only here."""

    def _health(self, said: Mapping[str, Any]) -> Mapping[str, Any]:
        """HAProxy's own checks are those of the load balancer: what it finds healthy is what it sends requests to."""
        there = {one.instance_id: one.state for one in self.deployment.provider.traffic.targets("web")}
        state = there.get(self.ours[said["id"]])
        return {"healthy": state is TargetState.HEALTHY, "why": f"HAProxy says {state}"}

    def _targets(self, said: Mapping[str, Any]) -> None:
        """HAProxy follows the target group: one that drains gets nothing new, and one that is none is taken out."""
        traffic, now = self.deployment.provider.traffic, {one["id"]: one["state"] for one in said["targets"]}
        there = {one.instance_id: one.state for one in traffic.targets("web")}
        for aws_id, local_id in self.ours.items():
            state = now.get(aws_id)
            if state in IN and there.get(local_id) in {None, TargetState.DRAINING}:
                traffic.register("web", self.deployment.provider.compute.describe(local_id))
            elif state == "draining":
                traffic.drain("web", local_id)
            elif state is None and local_id in there:
                self._out(traffic, local_id)

    def _out(self, traffic: Any, local_id: str) -> None:
        """After its delay a target is cut off, whatever is in flight."""
        traffic.drain("web", local_id)
        try:
            traffic.deregister("web", local_id)
        except (Refused, NotFound):
            traffic.drain("web", local_id)

    def _console(self, said: Mapping[str, Any]) -> Mapping[str, Any]:
        """What cloud-init would have written there when the server first booted."""
        keys = "\n".join(f"{key} root@{said['id']}" for key in self.server(said["id"]).reach.host_keys)
        return {"text": f"-----BEGIN SSH HOST KEY KEYS-----\n{keys}\n-----END SSH HOST KEY KEYS-----\n"}

    def _image(self, said: Mapping[str, Any]) -> Mapping[str, Any]:
        """The disk of a data volume; a root is an overlay here, and becomes a disk of its own."""
        if said["volume"] not in self.disks:
            return {"file": self._root_disk(self.ours[said["of"]])} if said.get("of") in self.ours else {}
        found = sorted((self.deployment.dir / "volumes" / self.disks[said["volume"]]).glob("disk-*.img"))
        return {"file": str(found[0])} if found else {}

    def _root_disk(self, local_id: str) -> str:
        """An ext4 file system with all that the server's root has now."""
        home, place = self.deployment.dir / "instances" / local_id, self.deployment.root
        disk, merged = place / f"root-{local_id}.img", place / f"root-{local_id}"
        merged.mkdir(exist_ok=True)
        disk.unlink(missing_ok=True)
        layers = f"ro,lowerdir={home / 'upper'}:{self.deployment.image.rootfs}"
        words = ["mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", "-d", str(merged), str(disk), "600M"]
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, str(merged)], check=True, timeout=60)
        try:
            subprocess.run(words, check=True, timeout=60)
        finally:
            subprocess.run(["umount", str(merged)], check=True, timeout=60)
        if not (self.deployment.image.rootfs / "lost+found").exists():
            subprocess.run(["debugfs", "-w", "-R", "rmdir /lost+found", str(disk)], check=True, capture_output=True)
        return str(disk)

    def _key(self, said: Mapping[str, Any]) -> None:
        """There is no agent that would take a pushed key: it is only recorded."""

    def run(self, said: Mapping[str, Any]) -> Mapping[str, Any]:
        """As the agent does: root, by ``sh -c`` of a script in a directory of the command's own, which stays."""
        script = "\n".join(said["commands"]) + "\n"
        folder = f"/var/lib/amazon/ssm/{said['id']}/document/orchestration/{uuid4()}/{PLUGIN}"
        start = f"umask 077; mkdir -p {folder}; cat >{folder}/_script.sh; chmod 700 {folder}/_script.sh"
        words = [*self._inside(said["id"]), "sh", "-c", f"{start}; exec sh -c {folder}/_script.sh"]
        try:
            done = subprocess.run(
                words, input=script.encode(), capture_output=True, timeout=said.get("timeout") or 60, check=False
            )
        except subprocess.TimeoutExpired:
            return {"status": -1, "out": "", "err": ""}
        out, err = (base64.b64encode(one).decode() for one in (done.stdout, done.stderr))
        return {"status": done.returncode, "out": out, "err": err}


class _Handler(BaseHTTPRequestHandler):
    behind: Behind

    def do_POST(self) -> None:
        said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        try:
            status, answer = 200, self.behind.told(said)
        except Busy as error:
            status, answer = 409, {"why": str(error)}
        except (ProviderError, LookupError) as error:
            status, answer = 500, {"why": f"{type(error).__name__}: {error}"}
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Tests say themselves what went wrong."""


@contextmanager
def listening(behind: Behind) -> Iterator[str]:
    """It answers at this URL, inside the block."""
    handler = type("Handler", (_Handler,), {"behind": behind})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
