"""What a user writes for a provider of this package, checked: a mistake is one sentence that names the field."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from driftd.core.errors import BadInput
from driftd.edges.providers.local.compute import Login
from driftd.edges.providers.local.haproxy import Frontend
from driftd.edges.providers.options import Strict, checked

_ZONE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class FleetSettings(Strict):
    """What every kind of local fleet has. ``dir`` is the deployment's directory; everything of it is in there.

    ``images`` is the cache of golden images (default: the user's cache directory), ``authorized_keys`` public keys
    that every new instance lets in besides its group's own, ``stop_grace_s`` the seconds until an end by force.
    """

    dir: str
    images: str = ""
    authorized_keys: tuple[str, ...] = ()
    stop_grace_s: float = Field(default=10.0, gt=0, le=600)


class TrafficSettings(Strict):
    """A group's ``traffic``: where HAProxy listens (``127.0.0.1:8080``), the instances' port and health path."""

    listen: str = Field(pattern=r"^[^\s]*:\d+$")
    port: int = Field(default=8080, ge=1, le=65535)
    health: str = Field(default="/healthz", pattern=r"^/\S*$")


def frontends(groups: Mapping[str, Mapping[str, Any]]) -> dict[str, Frontend]:
    """How those groups are served that have traffic."""
    return {
        name: Frontend(**checked(TrafficSettings, group["traffic"], f"groups.{name}.traffic").model_dump())
        for name, group in groups.items()
        if group.get("traffic")
    }


def zones_of(groups: Mapping[str, Mapping[str, Any]]) -> dict[str, Sequence[str]]:
    """The names of each group's zones, where it has any."""
    return {
        name: _zones(group["zones"], f"groups.{name}.zones") for name, group in groups.items() if group.get("zones")
    }


def _zones(names: object, where: str) -> Sequence[str]:
    if not isinstance(names, (list, tuple)):
        raise BadInput(f"{where} is no list of names", "write it like [a, b]")
    for name in names:
        if not isinstance(name, str) or not _ZONE.fullmatch(name):
            raise BadInput(
                f"{where}: {name!r} is no name of a zone",
                "letters, digits, dots, dashes and underscores, at most 63, like eu-1a",
            )
        if names.count(name) > 1:
            raise BadInput(f"{where}: {name} stands there twice", "write each zone once")
    return tuple(names)


def logins(groups: Mapping[str, Mapping[str, Any]], shared: tuple[str, ...]) -> dict[str, Login]:
    """How one gets to the instances of each group."""
    return {name: _login(name, group, shared) for name, group in groups.items()}


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
