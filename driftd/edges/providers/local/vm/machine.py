"""Instances that are machines: one qemu process each, emulated in software (TCG), with a kernel of their own.

    DIR/instances/ID/disk.qcow2  what differs from the image's disk
    DIR/instances/ID/seed.tar    the second disk: files for the first boot
    DIR/instances/ID/qmp         qemu's control socket

Everything is one process: its network device is an open file of its own and ends with it. It runs without root's
rights, may start no other program, and its memory, its disk and its serial console are bounded.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import tarfile
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from driftd.core.errors import Refused, Unavailable
from driftd.edges.providers.local import instance
from driftd.edges.providers.local.deployment import Deployment
from driftd.edges.providers.local.instance import Home
from driftd.edges.providers.local.network import cabling, mac
from driftd.edges.providers.local.tools import PATH, last_line, owns_machine, poll, run
from driftd.edges.providers.local.vm import qmp

RUN = Path(__file__).parent / "data" / "run.sh"
QEMU = "qemu-system-x86_64"
# What QEMU emulates by itself is older than x86-64-v2 (2009), for which many wheels of PyPI are compiled.
CPU = "qemu64,+ssse3,+sse4.1,+sse4.2,+popcnt"
PROGRAMS = {
    QEMU: "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "mkfs.ext4": "e2fsprogs",
    "cpio": "cpio",
}
TUN = Path("/dev/net/tun")
# The same for every instance, so that another one is a finding.
COMMAND_LINE = "root=/dev/vda rw console=ttyS0 quiet"
HOST_KEY = "etc/ssh/ssh_host_ed25519_key"
NETWORK = """\
[Match]
Type=ether

[Network]
Address={address}
LinkLocalAddressing=no
IPv6AcceptRA=no
"""
# linux/if_tun.h
TUNSETIFF, IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x400454CA, 0x0002, 0x1000, 0x4000
PRESS_S = 2.0


def missing() -> str:
    """What machines lack on this one, in one sentence with the command that mends it, or ""."""
    for program, package in PROGRAMS.items():
        if shutil.which(program, path=PATH) is None:
            return (
                f"the program {program} is not installed; as root run: "
                f"apt-get install --no-install-recommends {package}"
            )
    try:
        os.close(os.open(TUN, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return f"{TUN} cannot be opened ({error.strerror}); as root run: modprobe tun && chmod 666 {TUN}"
    return ""


class Machines(instance.Kind):
    """``instance.Kind``: qemu's machines, with ``memory_mb`` each."""

    name = "local-vm"

    def __init__(self, memory_mb: int) -> None:
        self._memory_mb = memory_mb

    def create(self, deployment: Deployment, meta: dict[str, Any], rootfs: Path, keys: list[str]) -> Home:
        """See ``instance.Kind``."""
        backing = rootfs.parent / "disk.ext4"
        if not backing.is_file():
            raise Refused(
                f"image {meta['image']} has no disk, so no machine can start from it", "build it for local-vm"
            )

        def lay_out(draft: Path) -> None:
            network = draft / "seed/etc/systemd/network/10-wire.network"
            network.parent.mkdir(parents=True)
            address = f"{meta['address']}/{deployment.subnet().prefixlen}"
            network.write_text(NETWORK.format(address=address), encoding="utf-8")
            network.chmod(0o644)
            _pack_seed(draft)
            run("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", backing.resolve(), draft / "disk.qcow2")

        return instance.create(deployment, meta, rootfs, keys, lay_out)

    def start(self, home: Home, rootfs: Path) -> None:
        """See ``instance.Kind``. Its machine runs then; that its system has booted is for others to see."""

        def spawn(alive: int, console: int) -> None:
            wire = _tap(home)
            try:
                self._spawn(home, rootfs.parent, wire=wire, alive=alive, console=console)
            finally:
                os.close(wire)

        instance.start(home, spawn)
        for _ in poll(timeout_s=instance.START_S, every_s=0.02):
            with suppress(Unavailable):
                qmp.ask(home.path / "qmp", "query-status")
                return
            if not home.alive():
                break
        said = (home.path / "console").read_text(encoding="utf-8", errors="replace")
        raise Unavailable(f"the machine {home.id} did not start: {last_line(said)}", f"see {home.path / 'console'}")

    def stop(self, home: Home, grace_s: float) -> None:
        """See ``instance.Kind``: the power button, and after ``grace_s`` the plug."""
        pressed = -PRESS_S
        for _ in poll(timeout_s=grace_s, every_s=0.05):
            if not home.alive():
                return
            if time.monotonic() - pressed >= PRESS_S:  # a system that is still booting does not see it
                pressed = time.monotonic()
                with suppress(Unavailable):
                    qmp.ask(home.path / "qmp", "system_powerdown")
        instance.stop(home, 5.0)

    def _spawn(self, home: Home, image: Path, *, wire: int, alive: int, console: int) -> None:
        words = command(home, image, memory_mb=self._memory_mb, wire=wire)
        (home.path / "qmp").unlink(missing_ok=True)
        instance.detach(
            ["setpriv", "--no-new-privs", "sh", str(RUN), *words],
            {"PATH": PATH, "LC_ALL": "C", "I": str(home.path)},
            console,
            (wire, alive),
        )


def command(home: Home, image: Path, *, memory_mb: int, wire: int) -> list[str]:
    """The whole qemu command; ``wire`` is the network device's open file."""
    hardware = mac(IPv4Address(home.meta()["address"]))
    drives: Mapping[str, str] = {
        "root": f"file={_quoted(home.path / 'disk.qcow2')},format=qcow2",
        "seed": f"file={_quoted(home.path / 'seed.tar')},format=raw,readonly=on",
    }
    words = [QEMU, "-nodefaults", "-no-user-config", "-display", "none", "-machine", "pc", "-name", home.id]
    words += ["-accel", "tcg,tb-size=256", "-cpu", CPU, "-m", str(memory_mb), "-smp", "1"]
    # The machine's id, from which systemd makes /etc/machine-id at the first boot.
    words += ["-uuid", str(uuid.uuid5(uuid.NAMESPACE_OID, home.id))]
    words += ["-kernel", str(image / "kernel"), "-initrd", str(image / "initrd"), "-append", COMMAND_LINE]
    for name, drive in drives.items():
        words += ["-drive", f"{drive},if=none,id={name}", "-device", f"virtio-blk-pci,drive={name}"]
    words += ["-netdev", f"tap,id=wire,fd={wire}", "-device", f"virtio-net-pci,netdev=wire,mac={hardware},romfile="]
    words += ["-device", "virtio-rng-pci"]
    # The last of what the machine says, readable over QMP; a file would grow as long as it talks.
    words += ["-chardev", "ringbuf,id=console,size=65536", "-serial", "chardev:console"]
    words += ["-qmp", f"unix:{_quoted(home.path / 'qmp')},server=on,wait=off"]
    words += ["-sandbox", "on,obsolete=deny,spawn=deny,resourcecontrol=deny"]
    return [*words, "-runas", "nobody"] if owns_machine() else words


def console_of(home: Home) -> str:
    """The last of what the machine wrote to its serial console."""
    said = qmp.ask(home.path / "qmp", "ringbuf-read", device="console", size=65536)
    return said if isinstance(said, str) else ""


def _tap(home: Home) -> int:
    """A network device on the private bridge, that lives as long as its open file."""
    name = home.deployment.veth(home.meta()["number"])
    wire = os.open(TUN, os.O_RDWR | os.O_CLOEXEC)
    try:
        request = struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)
        fcntl.ioctl(wire, TUNSETIFF, request)
        run("ip", "link", "set", name, *cabling(home.deployment, isolated=home.isolated(home.meta())))
    except BaseException:
        os.close(wire)
        raise
    return wire


def _pack_seed(draft: Path) -> None:
    """The seed as a disk; the host key comes last, so that where it is, everything is."""
    seed = draft / "seed"
    paths = sorted(seed.rglob("*"), key=lambda path: (str(path.relative_to(seed)) == HOST_KEY, path))
    with tarfile.open(draft / "seed.tar", "w") as tar:
        for path in paths:
            tar.add(path, str(path.relative_to(seed)), recursive=False)
    (draft / "seed.tar").chmod(0o600)
    shutil.rmtree(seed)


def _quoted(path: Path) -> str:
    """A path among qemu's options, where a comma ends a value unless it is doubled."""
    return str(path).replace(",", ",,")
