"""Movable addresses: one more address on an instance's own interface, kept in deployment.json."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address

from driftd.core.errors import NotFound, Refused
from driftd.core.ports import Address
from driftd.edges.providers.local import network
from driftd.edges.providers.local.deployment import Deployment
from driftd.edges.providers.local.instance import Home
from driftd.edges.providers.local.mounting import mounter
from driftd.edges.providers.local.tools import run


class LocalAddresses:
    """``driftd.core.ports.Addresses``: one more address on an instance's own interface."""

    def __init__(self, deployment: Deployment, slots: Sequence[str]) -> None:
        self._deployment = deployment
        self._slots = tuple(slots)

    def list(self) -> Sequence[Address]:
        """See ``driftd.core.ports.Addresses``. The first call brings the private network up: it names the addresses."""
        if not self._slots:
            return []
        with self._deployment.lock():
            return self._all()

    def associate(self, address: str, instance_id: str, expected_owner: str = "") -> None:
        """See ``driftd.core.ports.Addresses``."""
        with self._deployment.lock():
            present = self._get(address)
            home = Home(self._deployment, instance_id)
            home.meta()
            if present.attached_to not in {"", instance_id, expected_owner}:
                raise Refused(
                    f"address {address} belongs to {present.attached_to}", "name that instance as its expected owner"
                )
            if present.attached_to not in {"", instance_id}:
                self._take(address, Home(self._deployment, present.attached_to))
            self._own(address, instance_id)
            self._give(address, home)

    def release(self, address: str, expected_owner: str) -> None:
        """See ``driftd.core.ports.Addresses``."""
        with self._deployment.lock():
            present = self._get(address)
            if present.attached_to not in {"", expected_owner}:
                raise Refused(f"address {address} belongs to {present.attached_to}")
            if present.attached_to:
                self._take(address, Home(self._deployment, present.attached_to))
                self._own(address, "")

    def reattach(self, instance_id: str) -> None:
        """An instance was started again: give it its addresses back."""
        if not self._slots:
            return
        with self._deployment.lock():  # held to the end, so that it is not given to somebody else meanwhile
            for address in self._all():
                if address.attached_to == instance_id:
                    self._give(address.address, Home(self._deployment, instance_id))

    # --- inside ---

    def _all(self) -> Sequence[Address]:
        subnet = network.ensure_bridge(self._deployment)
        owners = self._deployment.read().get("addresses", {})
        found = []
        for number, slot in enumerate(self._slots):
            address = str(subnet[-2 - number])
            owner = owners.get(address, "")
            alive = owner and (self._deployment.instances / owner / "meta.json").exists()
            found.append(Address(address, slot, owner if alive else ""))
        return found

    def _get(self, address: str) -> Address:
        for present in self._all():
            if present.address == address:
                return present
        raise NotFound(f"address {address} does not exist", "name its slot in the provider's addresses")

    def _own(self, address: str, owner: str) -> None:
        self._deployment.update(addresses={**self._deployment.read().get("addresses", {}), address: owner})

    def _take(self, address: str, home: Home) -> None:
        pid = home.pid()
        if pid and address in _addresses_of(pid):
            run("nsenter", "-t", str(pid), "-n", "ip", "addr", "del", f"{address}/32", "dev", "eth0")

    def _give(self, address: str, home: Home) -> None:
        pid = home.pid()
        if pid:
            run("nsenter", "-t", str(pid), "-n", "ip", "addr", "replace", f"{address}/32", "dev", "eth0")
            network.point_neighbour(self._deployment, address, network.mac(IPv4Address(home.meta()["address"])))
            mounter("announce", pid, address)


def _addresses_of(pid: int) -> set[str]:
    words = run("nsenter", "-t", str(pid), "-n", "ip", "-o", "-4", "addr", "show", "dev", "eth0").split()
    return {word.partition("/")[0] for word in words}
