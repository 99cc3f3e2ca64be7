"""The local-vm provider keeps the contract, with real machines that boot quickly."""

from __future__ import annotations

import contextlib
import socket
import subprocess
from contextlib import contextmanager

import pytest
from servers import fetch
from vms import machines

from driftd.edges.providers.local.vm import qmp, reading
from driftd.testing import ProviderContract

# The first of these may have to build the image.
pytestmark = [pytest.mark.machine, pytest.mark.servers, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def deployment(tiny_vm_image, image_cache, login_key):
    with machines(image_cache, tiny_vm_image, login_key) as deployment:
        yield deployment
        assert deployment.provider.compute.list({}) == []


class TestLocalVm(ProviderContract):
    deadline_s = 120.0

    @pytest.fixture
    def provider(self, deployment):
        type(self).image = deployment.image.id
        type(self).deployment_ = deployment
        # Machines that have not booted yet see no power button: most of these tests need no longer grace.
        return deployment.make(traffic=True, stop_grace_s=1, memory_mb=96)

    @contextmanager
    def request_in_flight(self, provider, instance):
        with socket.create_connection(("127.0.0.1", self.deployment_.port), timeout=60) as wire:
            wire.sendall(b"GET /cgi-bin/slow HTTP/1.1\r\nHost: test\r\n\r\n")
            yield
            answer = wire.recv(65536).decode()
            assert answer.startswith("HTTP/1.1 200"), answer
            while instance.id not in answer:
                more = wire.recv(65536).decode()
                assert more, answer
                answer += more

    def answers(self, provider, instance):
        with contextlib.suppress(OSError), socket.create_connection((instance.address, 8080), timeout=1):
            return True
        return False

    def leave_mark(self, provider, instance):
        self.deployment_.ready(instance, (8080,))
        fetch(instance.address, 8080, "/cgi-bin/mark")

    def has_mark(self, provider, instance):
        self.deployment_.ready(instance, (8080,))
        return "here" in fetch(instance.address, 8080, "/mark")

    def mark_on_disk(self, provider, instance, disk):
        """As e2fsprogs read it, on a copy, once its journal is played back."""
        subprocess.run(["e2fsck", "-fp", disk], check=False, capture_output=True)
        done = subprocess.run(["debugfs", "-R", "cat /www/mark", disk], check=True, capture_output=True)
        return done.stdout == b"here\n"

    def test_a_copy_that_its_driftd_left_under_way_is_ended_by_the_next_one(self, provider, launch, tmp_path):
        one = launch("web/0")
        left = (tmp_path / "left").open("xb+")
        left.truncate(64 << 20)
        with (
            left,
            (tmp_path / "left").open("rb") as same,
            qmp.opened(self.deployment_.home(one).path / "qmp") as monitor,
        ):
            for file in (left, same):
                monitor.ask("add-fd", file=file.fileno(), fdset_id=reading.FILES)
            monitor.ask(
                "drive-backup",
                job_id=reading.JOB,
                device="root",
                sync="full",
                target=f"/dev/fdset/{reading.FILES}",
                format="raw",
                mode="existing",
                speed=1 << 20,
                auto_dismiss=False,
            )
        provider.read_root(one.id, "next", tmp_path / "disk", 1 << 30)
        assert (tmp_path / "disk").stat().st_size == 64 << 20
        with qmp.opened(self.deployment_.home(one).path / "qmp") as monitor:
            assert monitor.ask("query-jobs") == []
            assert monitor.ask("query-fdsets") == []
