"""The local provider keeps the contract, on real servers."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
from servers import LocalDeployment, wait_until

from driftd.testing import ProviderContract

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def deployment(golden_image, image_cache, login_key):
    root = Path(tempfile.mkdtemp(prefix="dd-"))
    deployment = LocalDeployment(root, image_cache, golden_image, login_key)
    try:
        yield deployment
        assert deployment.provider.compute.list({}) == []
    finally:
        deployment.clean()
        shutil.rmtree(root)


class TestLocal(ProviderContract):
    @pytest.fixture
    def provider(self, deployment):
        type(self).image = deployment.image.id
        type(self).deployment_ = deployment
        volumes = {f"data-{number}": {"slot": f"web/{number}", "size_mb": 16} for number in range(2)}
        return deployment.make(traffic=True, volumes=volumes, addresses=["web/0"], stop_grace_s=3, zones=("a", "b"))

    @contextmanager
    def request_in_flight(self, provider, instance):
        with socket.create_connection(("127.0.0.1", self.deployment_.port), timeout=20) as wire:
            wire.sendall(b"GET /slow?s=1.5 HTTP/1.1\r\nHost: test\r\n\r\n")
            yield
            answer = wire.recv(65536).decode()
            assert answer.startswith("HTTP/1.1 200"), answer
            assert instance.id in answer

    def leave_mark(self, provider, instance):
        self.deployment_.ready(instance)
        self.deployment_.ssh(instance, "echo here >/var/lib/mark && sync")

    def has_mark(self, provider, instance):
        self.deployment_.ready(instance)
        return self.deployment_.ssh(instance, "cat /var/lib/mark") == "here\n"

    def write(self, provider, instance, volume, text):
        self.deployment_.ready(instance)
        self.deployment_.ssh(instance, f"grep -q ' /data ' /proc/mounts && echo {text} >/data/text")

    def read(self, provider, instance, volume):
        self.deployment_.ready(instance)
        return self.deployment_.ssh(instance, "cat /data/text 2>/dev/null || true").strip()

    @contextmanager
    def volume_in_use(self, provider, instance, volume):
        self.deployment_.ready(instance)
        words = self.deployment_.ssh_command(instance, "exec 7>/data/open; echo ready; read -r line")
        user = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            assert user.stdout.readline() == "ready\n"
            yield
        finally:
            user.communicate("bye\n", timeout=20)
        wait_until(
            lambda: "/data/open" not in self.deployment_.ssh(instance, "ls -l /proc/[0-9]*/fd 2>/dev/null; true")
        )
