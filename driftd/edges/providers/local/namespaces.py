"""Instances made of overlayfs and namespaces on this kernel.

DIR/instances/ID/upper/      what differs from the image: the ground truth of change
DIR/instances/ID/work/       the overlay's own
DIR/instances/ID/root/       where its root is mounted, in its own mount namespace only
"""

from __future__ import annotations

import os
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from driftd.edges.providers.local import instance
from driftd.edges.providers.local.deployment import Deployment
from driftd.edges.providers.local.instance import Home
from driftd.edges.providers.local.network import cabling, mac
from driftd.edges.providers.local.tools import PATH, owns_machine

ENTER = Path(__file__).parent / "data" / "enter.sh"
UNSHARE = "unshare --pid --fork --kill-child=SIGKILL --mount --uts --ipc --cgroup --net --propagation private"


class Namespaces(instance.Kind):
    """``instance.Kind``: processes of this kernel with a root, a network and process ids of their own."""

    name = "local"

    def create(self, deployment: Deployment, meta: dict[str, Any], rootfs: Path, keys: list[str]) -> Home:
        """See ``instance.Kind``."""

        def lay_out(draft: Path) -> None:
            for name in ("upper", "work", "root"):
                (draft / name).mkdir()
            for name in ("upper", "root"):
                instance.like(rootfs, draft / name)

        return instance.create(deployment, meta, rootfs, keys, lay_out)

    def start(self, home: Home, rootfs: Path) -> None:
        """See ``instance.Kind``. Its own init is in charge then."""

        def spawn(alive: int, console: int) -> None:
            network = os.open("/proc/self/ns/net", os.O_RDONLY)
            try:
                _spawn(home, rootfs, network=network, alive=alive, console=console)
            finally:
                os.close(network)

        instance.start(home, spawn)

    def stop(self, home: Home, grace_s: float) -> None:
        """See ``instance.Kind``."""
        instance.stop(home, grace_s)


def _spawn(home: Home, rootfs: Path, *, network: int, alive: int, console: int) -> None:
    meta = home.meta()
    address = IPv4Address(meta["address"])
    environment = {
        "PATH": PATH,
        "LC_ALL": "C",
        "I": str(home.path),
        "LOWER": str(rootfs),
        "ID": home.id,
        "IP": f"{address}/{home.deployment.subnet().prefixlen}",
        "MAC": mac(address),
        "VETH": home.deployment.veth(meta["number"]),
        "WIRE": " ".join(cabling(home.deployment, isolated=home.isolated(meta))),
        # In a user namespace the overlay keeps its notes in user.* attributes.
        "OVERLAY_OPTIONS": "" if owns_machine() else ",userxattr",
        "NETWORK": str(network),
        "ALIVE": str(alive),
    }
    instance.detach([*UNSHARE.split(), "bash", str(ENTER)], environment, console, (network, alive))
