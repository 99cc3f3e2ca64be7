"""Instances of a local deployment: ``driftd.core.ports.Compute`` and ``Inventory``."""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from driftd.core.errors import DriftdError, NoCapacity, NotFound, Refused
from driftd.core.facts import Instance, InstanceState, Reach
from driftd.core.ports import LaunchRequest
from driftd.edges.providers.local import image, instance, network
from driftd.edges.providers.local.deployment import Deployment
from driftd.edges.providers.local.instance import Home, Kind
from driftd.edges.providers.local.tools import on_disk, read_json, write_json

TOKEN_TAG = "driftd:token"  # noqa: S105 - the name of a tag
KEEP_TOKENS_S = 7 * 24 * 3600
ROOM_MB = 64  # of disk that a new instance must find: keys, logs and whatever it writes

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Login:
    """How one gets to an instance of a group: whose keys are let in, and which key driftd uses."""

    user: str = "root"
    key_file: str = ""
    authorized_keys: tuple[str, ...] = ()


class LocalCompute:
    """Real servers on this machine. ``started`` and ``ended`` let volumes, addresses and traffic follow.

    ``zones`` are names by group, for rehearsal: all of it is one machine.
    """

    def __init__(
        self,
        deployment: Deployment,
        images: Path,
        logins: Mapping[str, Login],
        kind: Kind,
        *,
        grace_s: float,
        started: Callable[[str], None],
        ended: Callable[[str], None],
        zones: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._deployment = deployment
        self._images = images
        self._logins = logins
        self._kind = kind
        self._grace_s = grace_s
        self._started = started
        self._ended = ended
        self._zones = zones or {}

    # --- looking ---

    def list(self, tags: Mapping[str, str]) -> Sequence[Instance]:
        """See ``driftd.core.ports.Compute``."""
        found = [self._view(home, meta) for home, meta in self._all()]
        return [one for one in found if all(one.tags.get(key) == value for key, value in tags.items())]

    def preflight(self, request: LaunchRequest) -> str:
        """See ``driftd.core.ports.Compute``."""
        try:
            self._check(request, self._deployment.read())
        except Refused as why:
            return str(why)
        return ""

    def find(self, group: str) -> Sequence[Instance]:
        """See ``driftd.core.ports.Inventory``."""
        found = [self._view(home, meta) for home, meta in self._all() if meta["group"] == group]
        return sorted(found, key=lambda one: (one.slot, one.id))

    def describe(self, instance_id: str) -> Instance:
        """See ``driftd.core.ports.Compute``."""
        home = Home(self._deployment, instance_id)
        return self._view(home, home.meta())

    # --- changing ---

    @on_disk
    def launch(self, request: LaunchRequest) -> Instance:
        """See ``driftd.core.ports.Compute``."""
        with self._deployment.lock():
            known = self._by_token(request.token)
            if known is not None:
                if known["request"] != _frozen(request):
                    raise Refused(f"the launch token {request.token} belongs to another request")
                if known.get("gone"):
                    return self._view(Home(self._deployment, known["id"]), known, InstanceState.TERMINATED)
                home = Home(self._deployment, known["id"])
            else:
                home = self._create(request)
        return self._view(home, self._power_on(home))

    @on_disk
    def stop(self, instance_id: str) -> None:
        """See ``driftd.core.ports.Compute``."""
        home = Home(self._deployment, instance_id)
        with home.busy():
            _refuse_gone(home)
            home.save(desired="stopped")
            self._kind.stop(home, self._grace_s)

    @on_disk
    def start(self, instance_id: str) -> None:
        """Power on again, with the same disk, address and volumes."""
        home = Home(self._deployment, instance_id)
        with home.busy():
            _refuse_gone(home)
            with self._deployment.lock():
                network.ensure_bridge(self._deployment)
            self._kind.start(home, self._rootfs(home.meta()["image"]))
            home.save(desired="running")
            self._started(instance_id)

    @on_disk
    def terminate(self, instance_id: str) -> None:
        """See ``driftd.core.ports.Compute``. Its directory goes last: what is cut off before can be finished."""
        home = Home(self._deployment, instance_id)
        try:
            with home.busy():
                meta = home.save(desired="gone")
                self._kind.stop(home, self._grace_s)
                self._ended(instance_id)
                token = {key: meta[key] for key in _KEPT} | {"gone": True}
                write_json(self._token_file(meta["token"]), token)
                instance.discard(home)
        except NotFound:
            self._ended(instance_id)

    @on_disk
    def isolate(self, instance_id: str) -> None:
        """See ``driftd.core.asides.Isolating``: its cable is out of the bridge, at the host's end."""
        home = Home(self._deployment, instance_id)
        with home.busy():
            _refuse_gone(home)
            meta = home.save(isolated=True)
            network.unplug(self._deployment, self._deployment.veth(meta["number"]))

    @on_disk
    def tag(self, instance_id: str, tags: Mapping[str, str]) -> None:
        """See ``driftd.core.ports.Compute``."""
        home = Home(self._deployment, instance_id)
        with home.busy():
            merged = {**home.meta()["tags"], **tags}
            home.save(tags={key: value for key, value in merged.items() if value})

    @on_disk
    def finish(self) -> Sequence[str]:
        """Finish what a crash left half done: endings, drafts, old tokens. Returns what was removed.

        An ending that cannot be finished (a full disk) stays one, and whoever asked for it asks again.
        """
        removed = []
        for path in sorted(self._deployment.instances.glob(".*-*")):
            kind, _, name = path.name.partition("-")
            if kind == ".gone" or (kind == ".new" and time.time() - path.stat().st_mtime > 60):
                instance.remove_tree(path)
                removed.append(name)
        for home, meta in self._all():
            if meta["desired"] == "gone":
                try:
                    self.terminate(home.id)
                except DriftdError as error:
                    _log.warning("the ending of %s was cut off and cannot go on: %s", home.id, error)
                else:
                    removed.append(home.id)
        for path in self._deployment.tokens.glob("*.json"):
            if time.time() - path.stat().st_mtime > KEEP_TOKENS_S:
                path.unlink(missing_ok=True)
        return removed

    @on_disk
    def resume(self) -> None:
        """Go on with launches that a crash cut off: they are listed, and nobody may ask for them again.

        What cannot be started stays pending, and whoever asked for it decides.
        """
        for home, meta in self._all():
            if meta["desired"] == "launching":
                try:
                    self._power_on(home)
                except (DriftdError, OSError) as error:  # a full disk, say
                    _log.warning("the launch of %s was cut off and cannot go on: %s", home.id, error)

    # --- inside ---

    def _power_on(self, home: Home) -> dict[str, Any]:
        """What is left of a launch once its directory is there."""
        with home.busy():
            meta = home.meta()
            if meta["desired"] == "launching":
                self._kind.start(home, self._rootfs(meta["image"]))
                meta = home.save(desired="running")
        return meta

    def _all(self) -> Sequence[tuple[Home, dict[str, Any]]]:
        found = []
        if self._deployment.instances.is_dir():
            for path in sorted(self._deployment.instances.iterdir()):
                meta = None if path.name.startswith(".") else read_json(path / "meta.json")
                if meta is not None:
                    found.append((Home(self._deployment, path.name), meta))
        return found

    def _by_token(self, token: str) -> dict[str, Any] | None:
        alive = next((meta for _, meta in self._all() if meta["token"] == token), None)
        return alive or read_json(self._token_file(token))

    def _token_file(self, token: str) -> Path:
        return self._deployment.tokens / f"{hashlib.sha256(token.encode()).hexdigest()[:32]}.json"

    def _check(self, request: LaunchRequest, state: Mapping[str, Any]) -> Login:
        """Raises ``Refused`` where a launch cannot be; changes nothing. Returns how one will log in."""
        self._rootfs(request.image)
        login = self._logins.get(request.group, Login())
        if not login.authorized_keys:
            raise Refused(
                f"nobody could log in to a new instance of group {request.group}",
                "set reach.ssh.key of the group, or authorized_keys of the provider",
            )
        if state.get("kind", self._kind.name) != self._kind.name:
            raise Refused(
                f"{self._deployment.root} is the directory of a fleet of provider {state['kind']}",
                "give each provider a directory of its own",
            )
        if "subnet" in state:
            self._free_address(IPv4Network(state["subnet"]), 0)
        left = shutil.disk_usage(next(p for p in (self._deployment.root, *self._deployment.root.parents) if p.exists()))
        if left.free < ROOM_MB << 20:
            raise NoCapacity(
                f"the disk of {self._deployment.root} has {left.free >> 20} MiB left, a launch wants {ROOM_MB}",
                "make room there",
            )
        return login

    def _free_address(self, subnet: IPv4Network, number: int) -> str:
        taken = {meta["address"] for _, meta in self._all()}
        room = subnet.num_addresses - network.MOVABLE - 10
        for step in range(room):
            address = str(subnet[8 + (number + step) % room])
            if address not in taken:
                return address
        raise NoCapacity(f"the private network {subnet} is full", "end some instances")

    def _create(self, request: LaunchRequest) -> Home:
        login = self._check(request, self._deployment.read())
        subnet = network.ensure_bridge(self._deployment)
        number = int(self._deployment.read().get("launched", 0)) + 1
        address = self._free_address(subnet, number)
        self._deployment.update(launched=number, kind=self._kind.name)
        meta = {
            "id": f"i-{secrets.token_hex(6)}",
            "number": number,
            "group": request.group,
            "slot": request.slot,
            "image": request.image,
            "token": request.token,
            "tags": {**request.tags, TOKEN_TAG: request.token},
            "request": _frozen(request),
            "address": address,
            "user": login.user,
            "launched_at": instance.now(),
            "desired": "launching",
        }
        return self._kind.create(self._deployment, meta, self._rootfs(request.image), list(login.authorized_keys))

    def _rootfs(self, image_id: str) -> Path:
        rootfs = image.find(self._images, image_id)
        if rootfs is None:
            raise Refused(f"image {image_id!r} is not in {self._images}", "build it: docs/providers.md says how")
        return rootfs

    def _view(self, home: Home, meta: dict[str, Any], state: InstanceState | None = None) -> Instance:
        login = self._logins.get(meta["group"], Login())
        return Instance(
            id=meta["id"],
            group=meta["group"],
            image=meta["image"],
            state=state or home.state(meta),
            slot=meta["slot"],
            address=meta["address"],
            launched_at=datetime.fromisoformat(meta["launched_at"]),
            tags=dict(meta["tags"]),
            reach=Reach(
                host=meta["address"],
                user=meta["user"],
                key_file=login.key_file,
                host_keys=tuple(meta["host_keys"]),
            ),
            zone=_zone(self._zones.get(meta["group"], ()), meta["slot"]),
            isolated=home.isolated(meta) and not network.plugged(self._deployment.veth(meta["number"])),
        )


_KEPT = ("id", "group", "slot", "image", "token", "tags", "request", "address", "user", "launched_at", "host_keys")


def _zone(zones: Sequence[str], slot: str) -> str:
    """Slots take turns by the number that they end in; one without a number is in the first zone."""
    digits = re.search(r"[0-9]{1,9}$", slot)
    return zones[int(digits.group() if digits else 0) % len(zones)] if zones else ""


def _frozen(request: LaunchRequest) -> dict[str, Any]:
    return {"group": request.group, "slot": request.slot, "image": request.image, "tags": dict(request.tags)}


def _refuse_gone(home: Home) -> None:
    if home.meta()["desired"] == "gone":
        raise NotFound(f"instance {home.id} is being ended")
