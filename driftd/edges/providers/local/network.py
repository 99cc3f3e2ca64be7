"""The private network: one bridge without an uplink. The host's forwarding and packet filter are never touched."""

from __future__ import annotations

import errno
import ipaddress
import json
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from driftd.core.errors import Unavailable
from driftd.edges.providers.local.deployment import Deployment
from driftd.edges.providers.local.tools import poll, run

# Sixty-four nets of a thousand addresses each, in a corner of 10/8 that few use.
CANDIDATES = tuple(ipaddress.IPv4Network("10.213.0.0/16").subnets(new_prefix=22))
# Movable addresses are the last 64 of the net, instances' own all below.
MOVABLE = 64


def ensure_bridge(deployment: Deployment) -> ipaddress.IPv4Network:
    """Bring the bridge up, with the deployment's subnet or a free one; call with the deployment's lock held."""
    state = deployment.read()
    name = deployment.bridge
    if "subnet" in state and _up(name):
        return ipaddress.IPv4Network(state["subnet"])
    with _network_lock():
        taken = [net for device, net in _in_use() if device != name]
        wanted = [ipaddress.IPv4Network(state["subnet"])] if "subnet" in state else []
        start = int(deployment.key, 16) % len(CANDIDATES)
        for subnet in [*wanted, *CANDIDATES[start:], *CANDIDATES[:start]]:
            if not any(subnet.overlaps(net) for net in taken):
                break
        else:
            raise Unavailable("no free private network is left on this machine", "driftd demo --clean ends old fleets")
        if subnet not in wanted:
            deployment.update(subnet=str(subnet))
        if not exists(name):
            # With a fixed hardware address the bridge does not take over a port's, which would confuse neighbours.
            run("ip", "link", "add", name, "address", mac(subnet[1]), "type", "bridge")
        run("ip", "addr", "replace", f"{subnet[1]}/{subnet.prefixlen}", "dev", name)
        run("ip", "link", "set", name, "up")
    return subnet


def remove_bridge(deployment: Deployment) -> None:
    """Remove the bridge and every cable still in it."""
    if exists(deployment.bridge):
        for link in json.loads(run("ip", "-j", "link", "show", "master", deployment.bridge) or "[]"):
            delete_device(link["ifname"])
        delete_device(deployment.bridge)


def mac(address: ipaddress.IPv4Address) -> str:
    """The hardware address of an instance's own address: the same for ever, so that no neighbour entry gets stale."""
    return "02:64:" + ":".join(f"{byte:02x}" for byte in address.packed)


def point_neighbour(deployment: Deployment, address: str, hardware: str) -> None:
    """Tell the host who has a movable address now; without it traffic goes to the old owner for half a minute."""
    run("ip", "neigh", "replace", address, "lladdr", hardware, "dev", deployment.bridge, "nud", "reachable")


def cabling(deployment: Deployment, *, isolated: bool) -> list[str]:
    """What an instance's cable is set to, in words of ip-link(8): in the bridge, or down and in none."""
    return ["nomaster", "down"] if isolated else ["master", deployment.bridge, "up"]


def unplug(deployment: Deployment, device: str) -> None:
    """Take a cable out of the bridge and down, at the host's end. None of that name is success."""
    if not plugged(device):
        return
    try:
        run("ip", "link", "set", device, *cabling(deployment, isolated=True))
    except Unavailable:
        if plugged(device):  # it may have gone with its instance in this very moment
            raise


def plugged(device: str) -> bool:
    """Whether there is such a cable, and it is up or in a bridge."""
    if not exists(device):
        return False
    links = json.loads(run("ip", "-j", "link", "show", "dev", device) or "[]")
    return any("master" in link or "UP" in link["flags"] for link in links)


def delete_device(device: str) -> None:
    """Remove a network device; none of that name is success."""
    if not exists(device):
        return
    try:
        run("ip", "link", "delete", device)
    except Unavailable:
        if exists(device):  # it may have gone with its instance in this very moment
            raise


def exists(device: str) -> bool:
    """True when there is such a network device here."""
    return any(name == device for _, name in socket.if_nameindex())


def _up(device: str) -> bool:
    if not exists(device):
        return False
    link = json.loads(run("ip", "-j", "addr", "show", "dev", device))
    return any("UP" in entry["flags"] and any(a["family"] == "inet" for a in entry["addr_info"]) for entry in link)


def _in_use() -> list[tuple[str, ipaddress.IPv4Network]]:
    found = []
    for link in json.loads(run("ip", "-j", "-4", "addr")):
        found += [
            (link["ifname"], ipaddress.IPv4Network(f"{a['local']}/{a['prefixlen']}", strict=False))
            for a in link.get("addr_info", ())
            if "local" in a
        ]
    for route in json.loads(run("ip", "-j", "-4", "route", "show", "table", "all") or "[]"):
        if re.fullmatch(r"[\d.]+(/\d+)?", route.get("dst", "")):
            found.append((route.get("dev", ""), ipaddress.IPv4Network(route["dst"], strict=False)))
    return found


@contextmanager
def _network_lock() -> Iterator[None]:
    """One at a time in this network namespace: an abstract socket's name is unique in exactly that scope."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as holder:
        for _ in poll(timeout_s=30):
            try:
                holder.bind("\0driftd-local-subnet")
                break
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
        else:
            raise Unavailable("another process has been setting up its private network for 30 s")
        yield
