"""Provider ``static``: a list of hosts that somebody else runs. To look at, nothing more."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from driftd.core.errors import BadInput
from driftd.core.facts import Instance, Reach
from driftd.core.ports import Addresses, Compute, Inventory, Traffic, Volumes
from driftd.edges.providers.options import groups_of, section_of

# user@host:port; an IPv6 address stands in brackets when a port follows.
_TARGET = re.compile(
    r"(?:(?P<user>[^@\s]+)@)?(?:\[(?P<six>[0-9A-Fa-f:.%\w]+)\]|(?P<host>[^@\s:\[\]]+|[0-9A-Fa-f:]+:[0-9A-Fa-f:]*))(?::(?P<port>\d+))?"
)


class HostSettings(BaseModel):
    """One host. What is left out comes from the group: image, and user, key and port of ``reach.ssh``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field(min_length=1, pattern=r"^[^\s-][^\s]*$")
    port: int = Field(default=0, ge=0, le=65535)
    user: str = ""
    key_file: str = ""
    image: str = ""
    id: str = ""
    slot: str = ""


class StaticProvider:
    """``driftd.core.ports.Provider`` with an inventory and no means to change anything."""

    name = "static"
    compute: Compute | None = None
    traffic: Traffic | None = None
    volumes: Volumes | None = None
    addresses: Addresses | None = None

    def __init__(self, instances: Mapping[str, Sequence[Instance]]) -> None:
        self.inventory: Inventory = _Inventory(instances)

    def prepare(self) -> None:
        """Nothing is ever left half done."""

    def close(self) -> None:
        """Nothing is held."""


class _Inventory:
    def __init__(self, instances: Mapping[str, Sequence[Instance]]) -> None:
        self._instances = {group: sorted(found, key=lambda i: (i.slot, i.id)) for group, found in instances.items()}

    def find(self, group: str) -> Sequence[Instance]:
        return list(self._instances.get(group, ()))


def create(options: Mapping[str, object]) -> StaticProvider:
    """The entry point. Each group's ``hosts`` is a list of ``user@host:port`` or of mappings (``HostSettings``)."""
    settings = options.get("settings") or {}
    if settings:
        raise BadInput(
            f"providers.{section_of(options, 'static')} has no settings",
            "write the hosts into the group: groups.NAME.hosts",
        )
    groups = groups_of(options, "static")
    found: dict[str, list[Instance]] = {}
    seen: dict[str, str] = {}
    for name, group in groups.items():
        found[name] = []
        for number, entry in enumerate(group.get("hosts") or ()):
            where = f"groups.{name}.hosts[{number}]"
            instance = _instance(name, group, _host(entry, where))
            if instance.id in seen:
                raise BadInput(f"{where} has the id {instance.id} of {seen[instance.id]}", "give one of them an id")
            seen[instance.id] = where
            found[name].append(instance)
    return StaticProvider(found)


def _host(entry: object, where: str) -> HostSettings:
    if isinstance(entry, str):
        match = _TARGET.fullmatch(entry)
        if match is None:
            raise BadInput(f"{where}: {entry!r} is no host", "write it like deploy@web1.example.org:22")
        entry = {
            "host": match["six"] or match["host"],
            "user": match["user"] or "",
            "port": int(match["port"] or 0),
            "id": entry,
        }
    try:
        return HostSettings.model_validate(entry)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in (where, *first["loc"]))
        known = ", ".join(HostSettings.model_fields)
        raise BadInput(f"{field}: {first['msg']}", f"known here: {known}") from error


def _instance(name: str, group: Mapping[str, Any], host: HostSettings) -> Instance:
    ssh = (group.get("reach") or {}).get("ssh") or {}
    return Instance(
        id=host.id or host.host,
        group=name,
        image=host.image or str(group.get("image") or ""),
        slot=host.slot,
        address=host.host,
        reach=Reach(
            host=host.host,
            port=host.port or int(ssh.get("port") or 22),
            user=host.user or str(ssh.get("user") or "root"),
            key_file=host.key_file or str(ssh.get("key") or ""),
        ),
    )
