"""The provider contract's hooks for whoever has the local provider's servers, be it behind another one's records."""

from __future__ import annotations

import socket
import subprocess
from contextlib import contextmanager

from servers import LocalDeployment, wait_until

from driftd.core.facts import Instance
from driftd.testing.hooks import ContractHooks


class Served(ContractHooks):
    """To mix a contract with. Set ``deployment_``; override ``server`` where the provider's instance is not the
    server's own record.
    """

    deployment_: LocalDeployment

    def server(self, instance: Instance) -> Instance:
        """The server behind an instance."""
        return instance

    def ssh(self, instance, script):
        """Run it there, once it lets anybody in."""
        self.deployment_.ready(self.server(instance))
        return self.deployment_.ssh(self.server(instance), script)

    @contextmanager
    def request_in_flight(self, provider, instance):
        with socket.create_connection(("127.0.0.1", self.deployment_.port), timeout=20) as wire:
            wire.sendall(b"GET /slow?s=1.5 HTTP/1.1\r\nHost: test\r\n\r\n")
            yield
            answer = wire.recv(65536).decode()
            assert answer.startswith("HTTP/1.1 200"), answer
            assert self.server(instance).id in answer

    def leave_mark(self, provider, instance):
        self.ssh(instance, "echo here >/var/lib/mark && sync")

    def has_mark(self, provider, instance):
        return self.ssh(instance, "cat /var/lib/mark") == "here\n"

    def write(self, provider, instance, volume, text):
        self.ssh(instance, f"grep -q ' /data ' /proc/mounts && echo {text} >/data/text")

    def read(self, provider, instance, volume):
        return self.ssh(instance, "cat /data/text 2>/dev/null || true").strip()

    @contextmanager
    def volume_in_use(self, provider, instance, volume):
        server = self.server(instance)
        self.deployment_.ready(server)
        words = self.deployment_.ssh_command(server, "exec 7>/data/open; echo ready; read -r line")
        user = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            assert user.stdout.readline() == "ready\n"
            yield
        finally:
            user.communicate("bye\n", timeout=20)
        wait_until(lambda: "/data/open" not in self.ssh(instance, "ls -l /proc/[0-9]*/fd 2>/dev/null; true"))
