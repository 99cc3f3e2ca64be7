"""The ``local`` provider as the entry point makes it: its settings checked, its parts joined."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from driftd.core.errors import BadInput
from driftd.core.ports import Addresses, Compute, Inventory, Traffic, Volumes
from driftd.edges.providers.local import fleet, image
from driftd.edges.providers.local.compute import LocalCompute, Login
from driftd.edges.providers.local.deployment import Deployment
from driftd.edges.providers.local.haproxy import Frontend, LocalTraffic
from driftd.edges.providers.local.volumes import LocalAddresses, LocalVolumes, VolumeSpec

_M = TypeVar("_M", bound=BaseModel)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class VolumeSettings(_Strict):
    """One data volume: see ``VolumeSpec``."""

    slot: str
    size_mb: int = Field(default=64, ge=8, le=65536)
    path: str = Field(default="/data", pattern=r"^/[^:,\s]+$")


class LocalSettings(_Strict):
    """The section ``providers.local``. ``dir`` is the deployment's directory; everything of it is in there.

    ``images`` is the cache of golden images (default: the user's cache directory), ``authorized_keys`` public keys
    that every new instance lets in besides its group's own, ``stop_grace_s`` the seconds between TERM and KILL,
    ``volumes`` and ``addresses`` what slots own: ``{data-0: {slot: web/0}}`` and ``[web/0]``.
    """

    dir: str
    images: str = ""
    authorized_keys: tuple[str, ...] = ()
    stop_grace_s: float = Field(default=10.0, gt=0, le=600)
    volumes: dict[str, VolumeSettings] = Field(default_factory=dict)
    addresses: tuple[str, ...] = ()


class TrafficSettings(_Strict):
    """A group's ``traffic``: where HAProxy listens (``127.0.0.1:8080``), the instances' port and health path."""

    listen: str = Field(pattern=r"^[^\s]*:\d+$")
    port: int = Field(default=8080, ge=1, le=65535)
    health: str = Field(default="/healthz", pattern=r"^/\S*$")


class LocalProvider:
    """Real servers on this kernel; see docs/providers.md. ``driftd.core.ports.Provider``."""

    name = "local"

    def __init__(self, settings: LocalSettings, groups: Mapping[str, Mapping[str, Any]]) -> None:
        self.deployment = Deployment.at(Path(settings.dir))
        self.images = Path(settings.images).expanduser() if settings.images else image.default_cache()
        frontends = {
            name: Frontend(**_checked(TrafficSettings, group["traffic"], f"groups.{name}.traffic").model_dump())
            for name, group in groups.items()
            if group.get("traffic")
        }
        self._traffic = LocalTraffic(self.deployment, frontends)
        specs = {name: VolumeSpec(**spec.model_dump()) for name, spec in settings.volumes.items()}
        self._volumes = LocalVolumes(self.deployment, specs)
        self._addresses = LocalAddresses(self.deployment, settings.addresses)
        self._compute = LocalCompute(
            self.deployment,
            self.images,
            {name: _login(name, group, settings.authorized_keys) for name, group in groups.items()},
            grace_s=settings.stop_grace_s,
            started=self._follow_start,
            ended=self._traffic.forget,
        )
        self.inventory: Inventory = self._compute
        self.compute: Compute | None = self._compute
        self.traffic: Traffic | None = self._traffic if frontends else None
        self.volumes: Volumes | None = self._volumes if specs else None
        self.addresses: Addresses | None = self._addresses if settings.addresses else None

    def prepare(self) -> None:
        """See ``Provider.prepare``: launches and endings that a crash interrupted."""
        self.deployment.prepare()
        fleet.sweep_leftovers(self.deployment.root)

    def up(self) -> None:
        """Bring up what serves before the first instance: finish what a crash left, and start the load balancer."""
        self.prepare()
        self._traffic.up()

    def down(self) -> None:
        """End every instance and the load balancer; the deployment's directory stays for ``clean`` to remove."""
        for instance in self._compute.list({}):
            self._compute.terminate(instance.id)
        self._traffic.down()

    def close(self) -> None:
        """Nothing is held between calls."""

    def _follow_start(self, instance_id: str) -> None:
        self._volumes.reattach(instance_id)
        self._addresses.reattach(instance_id)


def create(options: Mapping[str, object]) -> LocalProvider:
    """The entry point. ``options`` has ``settings`` (the section ``providers.local``) and ``groups`` (by name)."""
    settings = _checked(LocalSettings, options.get("settings") or {}, "providers.local")
    groups = options.get("groups") or {}
    if not isinstance(groups, Mapping):
        raise BadInput("the local provider was given groups that are no mapping")
    return LocalProvider(settings, groups)


def _login(name: str, group: Mapping[str, Any], shared: tuple[str, ...]) -> Login:
    ssh = (group.get("reach") or {}).get("ssh") or {}
    key = str(ssh.get("key") or "")
    own = Path(f"{key}.pub").expanduser() if key else None
    keys = list(shared)
    if own is not None:
        try:
            keys.append(own.read_text(encoding="utf-8").strip())
        except OSError as error:
            if not shared:
                raise BadInput(
                    f"the public key {own} of group {name} cannot be read: {error.strerror}",
                    f"write it with: ssh-keygen -y -f {key} > {own}",
                ) from error
    return Login(str(ssh.get("user") or "root"), str(Path(key).expanduser()) if key else "", tuple(keys))


def _checked(model: type[_M], value: object, where: str) -> _M:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in (where, *first["loc"]))
        known = ", ".join(sorted(model.model_fields))
        if first["type"] == "extra_forbidden":
            raise BadInput(f"{field} is not known", f"known here: {known}") from error
        raise BadInput(f"{field}: {first['msg']}", f"see docs/providers.md; known here: {known}") from error
