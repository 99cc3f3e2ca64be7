"""Real servers for tests. The fixtures that hand them out stand in tests/conftest.py.

    @pytest.mark.servers
    def test_something(local_deployment):
        server = local_deployment.launch("web/0")          # a running instance that answers on SSH and HTTP
        local_deployment.ssh(server, "echo hello >/etc/motd")

``local_deployment.make(traffic=True, …)`` gives a provider; ``options()`` what a configuration file would say. All is
ended and removed after the test, whatever it did.
"""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from driftd.core.facts import Instance
from driftd.core.ports import LaunchRequest
from driftd.edges.providers.local import fleet
from driftd.edges.providers.local.image import ImageInfo
from driftd.edges.providers.local.provider import LocalProvider, create


def wait_until(true, what="it", timeout_s=20.0):
    """Poll until true; the value that was true is returned."""
    deadline, pause = time.monotonic() + timeout_s, 0.02
    while not (value := true()):
        assert time.monotonic() < deadline, f"{what} did not come within {timeout_s:g} s"
        time.sleep(pause)
        pause = min(pause * 1.5, 0.2)  # what takes long may cost a core to be asked for
    return value


def free_port() -> int:
    """A TCP port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(address: str, port: int) -> bool:
    """Does somebody accept connections there?"""
    try:
        socket.create_connection((address, port), timeout=1).close()
    except OSError:
        return False
    return True


def fetch(address: str, port: int, path: str = "/", timeout_s: float = 20.0) -> str:
    """One HTTP request; the answer's text, or an AssertionError."""
    with socket.create_connection((address, port), timeout=timeout_s) as wire:
        wire.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".encode())
        parts = []
        while part := wire.recv(65536):
            parts.append(part)
    head, _, body = b"".join(parts).decode().partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 200"), head
    return body


def pid_of(server) -> int:
    """The instance's first process: number 1 in its own PID namespace, with the instance's name in its root."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            first = re.search(r"^NSpid:.*\t1$", (process / "status").read_text(errors="replace"), re.MULTILINE)
            if first and (process / "root/etc/hostname").read_text().strip() == server.id:
                return int(process.name)
    raise AssertionError(f"no process of {server.id}")


@dataclass
class LocalDeployment:
    """A deployment of the local provider in a directory of its own, with a key that may log in as root."""

    root: Path
    images: Path
    image: ImageInfo
    key: Path
    port: int = field(default_factory=free_port)
    provider: LocalProvider | None = None

    @property
    def dir(self) -> Path:
        return self.root / "d"

    def options(self, *, traffic: bool = False, zones: tuple[str, ...] = (), **settings: object) -> dict[str, object]:
        """What ``driftd.edges.providers.load("local", …)`` takes: one group, ``web``."""
        group: dict[str, object] = {"image": self.image.id, "reach": {"ssh": {"user": "root", "key": str(self.key)}}}
        if traffic:
            group["traffic"] = {"listen": f"127.0.0.1:{self.port}"}
        if zones:
            group["zones"] = list(zones)
        return {
            "settings": {"dir": str(self.dir), "images": str(self.images), **settings},
            "groups": {"web": group},
        }

    def make(self, **options: object) -> LocalProvider:
        self.provider = create(self.options(**options))
        self.provider.up()
        return self.provider

    def launch(self, slot: str = "web/0", image: str = "", wait: bool = True, **tags: str) -> Instance:
        provider = self.provider or self.make()
        instance = provider.compute.launch(LaunchRequest("web", slot, image or self.image.id, uuid4().hex, tags))
        if wait:
            self.ready(instance)
        return instance

    def ready(self, instance: Instance) -> None:
        """Wait until it answers on SSH and HTTP."""
        for port in (22, 8080):
            wait_until(lambda port=port: answers(instance.address, port), f"port {port} of {instance.id}")

    def upper(self, instance: Instance) -> Path:
        """What differs from the image, as the kernel keeps it."""
        return self.dir / "instances" / instance.id / "upper"

    def ssh_command(self, instance: Instance, *words: str, key: Path | None = None) -> list[str]:
        known = self.root / f"known-{instance.id}"
        known.write_text("".join(f"{instance.address} {host_key}\n" for host_key in instance.reach.host_keys))
        options = ["BatchMode=yes", "StrictHostKeyChecking=yes", f"UserKnownHostsFile={known}", "IdentitiesOnly=yes"]
        flags = [word for option in options for word in ("-o", option)]
        return ["ssh", "-i", str(key or self.key), *flags, f"{instance.reach.user}@{instance.address}", *words]

    def ssh(self, instance: Instance, script: str, key: Path | None = None) -> str:
        """Run a shell script there, as a person would; its output."""
        done = subprocess.run(
            self.ssh_command(instance, script, key=key), capture_output=True, text=True, timeout=170, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def clean(self) -> list[str]:
        return fleet.clean(self.dir)
