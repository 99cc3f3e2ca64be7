"""Machines for tests: a systemd guest as users have it, and a tiny one that boots in a few seconds.

The fixtures in tests/conftest.py hand them out. ``fresh_vm`` is one systemd guest for one module, reachable as root:

    @pytest.mark.machine
    @pytest.mark.servers
    def test_something(fresh_vm):
        fresh_vm.ssh("systemctl stop cron")    # the tests after this one look at it, too
        found = fresh_vm.look()                # a Fingerprint, through driftd's own SSH looker

A boot takes twenty seconds of one core: the whole suite should have fewer than ten.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from servers import LocalDeployment, answers, wait_until

from driftd.core.facts import Instance
from driftd.core.fingerprint import Fingerprint
from driftd.edges.providers.local.deployment import Deployment
from driftd.edges.providers.local.image import ImageInfo
from driftd.edges.providers.local.instance import Home
from driftd.edges.providers.local.tools import locked
from driftd.edges.providers.local.vm import image, machine
from driftd.edges.providers.local.vm.disk import release_of
from driftd.edges.providers.local.vm.provider import VmProvider, create
from driftd.edges.ssh.looker import SshLooker
from driftd.edges.ssh.options import SshOptions

BOOT_S = 300.0  # a machine that others use, too, is slow

TINY_INIT = """\
#!/bin/sh
# A machine that only serves HTTP, and ends when the power button is pressed.
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
for module in /modules/*; do insmod $module; done
hostname -F /etc/hostname
ip link set lo up
ip addr add $(sed -n s/^Address=//p /etc/systemd/network/*) dev eth0
ip link set eth0 up
acpid -d &
httpd -p 8080 -h /www
while :; do sleep 1000; done
"""
TINY_FILES = {
    "bin/init": TINY_INIT,
    "etc/acpi/PWRF/00000080": "#!/bin/sh\n/bin/poweroff -f\n",
    "www/cgi-bin/slow": "#!/bin/sh\nsleep 1.5\nprintf 'Content-Type: text/plain\\r\\n\\r\\n'; hostname\n",
    "www/cgi-bin/mark": "#!/bin/sh\necho here >/www/mark; sync; printf 'Content-Type: text/plain\\r\\n\\r\\n'\n",
    "www/healthz": "well\n",
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\n",
}
TINY_MODULES = ("failover.ko", "net_failover.ko", "virtio_net.ko", "evdev.ko", "button.ko")
TINY_FOLDERS = ("dev", "proc", "sys", "root", "tmp", "lost+found", "boot", "etc/ssh", "modules")


def tiny_image(cache: Path, whole: ImageInfo) -> ImageInfo:
    """A machine's image of kernel and busybox alone, taken from ``whole``: the same provider, a quick boot."""
    recipe = repr((whole.id, TINY_FILES, TINY_MODULES, TINY_FOLDERS))
    name = f"tiny-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    with locked(cache / "lock", timeout_s=300):
        if not (cache / name).exists():
            work = cache / ".tiny"
            shutil.rmtree(work, ignore_errors=True)
            _lay_out(work / "rootfs", whole.rootfs)
            image.pack(work, size_mb=64)
            work.rename(cache / name)
    return ImageInfo(name, cache / name / "rootfs")


def _lay_out(rootfs: Path, whole: Path) -> None:
    release = release_of(whole)
    modules = f"usr/lib/modules/{release}"
    for name in (*TINY_FOLDERS, modules):
        (rootfs / name).mkdir(parents=True)
    for name, text in TINY_FILES.items():
        (rootfs / name).parent.mkdir(parents=True, exist_ok=True)
        (rootfs / name).write_text(text)
        (rootfs / name).chmod(0o755)
    (rootfs / "sbin").symlink_to("bin")
    shutil.copy(whole / "bin/busybox", rootfs / "bin/busybox")
    names = "sh mount insmod hostname ip sed acpid httpd sleep sync poweroff"
    for applet in names.split():
        (rootfs / "bin" / applet).symlink_to("busybox")
    shutil.copy(whole / f"boot/vmlinuz-{release}", rootfs / "boot")
    # The drivers of the disk are in the initial RAM disk, which is made from these files; the others load here.
    shutil.copy(whole / modules / "modules.dep", rootfs / modules)
    shutil.copytree(whole / modules / "kernel/drivers/virtio", rootfs / modules / "kernel/drivers/virtio")
    shutil.copytree(whole / modules / "kernel/drivers/block", rootfs / modules / "kernel/drivers/block")
    for number, name in enumerate(TINY_MODULES):
        (found,) = (whole / modules).rglob(name)
        shutil.copy(found, rootfs / "modules" / f"{number}-{name}")


class VmDeployment(LocalDeployment):
    """Like ``LocalDeployment``, of machines."""

    def make(self, **options: object) -> VmProvider:
        self.provider = create(self.options(**options))
        self.provider.up()
        return self.provider

    def ready(self, instance: Instance, ports: tuple[int, ...] = (22, 8080)) -> None:
        for port in ports:
            wait_until(lambda port=port: answers(instance.address, port), f"port {port} of {instance.id}", BOOT_S)

    def home(self, instance: Instance) -> Home:
        return Home(Deployment.at(self.dir), instance.id)

    def console(self, instance: Instance) -> str:
        return machine.console_of(self.home(instance))


@dataclass
class Vm:
    """A running systemd guest: where it is, and two ways in."""

    deployment: VmDeployment
    instance: Instance
    image: ImageInfo

    def ssh(self, script: str) -> str:
        """Run a shell script as root; its output."""
        return self.deployment.ssh(self.instance, script)

    @property
    def looker(self) -> SshLooker:
        """driftd's own, with the key that the guest lets in."""
        return SshLooker(SshOptions(key_file=str(self.deployment.key)))

    def look(self, deadline_s: float = 120.0) -> Fingerprint:
        found = self.looker.look(self.instance, deadline_s=deadline_s)
        assert isinstance(found, Fingerprint), found
        return found

    def settled(self) -> str:
        """Wait until systemd has started everything; what it says of that: running, or degraded."""
        script = "timeout 45 systemctl is-system-running --wait || true"
        return wait_until(lambda: self.ssh(script).strip().removeprefix("starting"), "the end of the boot", BOOT_S)


@contextmanager
def machines(cache: Path, built: ImageInfo, key: Path) -> Iterator[VmDeployment]:
    """A deployment of machines in a directory of its own; everything of it ends with the block."""
    root = Path(tempfile.mkdtemp(prefix="dd-"))
    deployment = VmDeployment(root, cache, built, key)
    try:
        yield deployment
    finally:
        deployment.clean()
        shutil.rmtree(root)


@contextmanager
def booted(cache: Path, built: ImageInfo, key: Path) -> Iterator[Vm]:
    """One systemd guest that has booted to the end."""
    with machines(cache, built, key) as deployment:
        vm = Vm(deployment, deployment.launch(wait=False), built)
        deployment.ready(vm.instance, (22,))
        assert vm.settled() == "running", deployment.console(vm.instance)
        yield vm
