"""A deployment: one directory that holds everything of one local fleet, so that any process can find and end it.

    DIR/deployment.json         subnet and the movable addresses' owners
    DIR/lock                    held while something is allotted
    DIR/instances/ID/           see instance.py
    DIR/volumes/ID/             see volumes.py
    DIR/tokens/HASH.json        launches whose instance is gone, so that a late retry makes no second one
    DIR/haproxy/                see haproxy.py

Names of network devices are derived from the directory: two deployments never meet.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from driftd.core.errors import BadInput
from driftd.edges.providers.local.tools import locked, read_json, write_json


@dataclass(frozen=True, slots=True)
class Deployment:
    """Where things are, and what they are called. Making one touches nothing."""

    root: Path

    @classmethod
    def at(cls, root: Path) -> Deployment:
        """The deployment in a directory, by its real path."""
        return cls(root.expanduser().resolve())

    @property
    def key(self) -> str:
        """Eight hex digits that no other directory on this machine has."""
        return hashlib.sha256(str(self.root).encode()).hexdigest()[:8]

    @property
    def bridge(self) -> str:
        """The private switch. Device names have at most 15 characters."""
        return f"dd{self.key}"

    def veth(self, number: int) -> str:
        """The bridge's end of an instance's cable."""
        return f"dv{self.key}{number % 0xFFFFF:x}"

    @property
    def instances(self) -> Path:
        """One directory an instance."""
        return self.root / "instances"

    @property
    def roots(self) -> Path:
        """Copies of instances' root volumes, one directory an instance."""
        return self.root / "roots"

    @property
    def volumes(self) -> Path:
        """One directory a volume."""
        return self.root / "volumes"

    @property
    def tokens(self) -> Path:
        """Tokens of instances that are gone."""
        return self.root / "tokens"

    @property
    def haproxy(self) -> Path:
        """The load balancer's files."""
        return self.root / "haproxy"

    def prepare(self) -> None:
        """Make the directories. Raises ``BadInput`` when this file system cannot carry instances."""
        if len(str(self.haproxy / "admin.sock")) > 90:  # a UNIX socket's path ends at 108, and HAProxy appends to it
            raise BadInput(f"the provider's directory {self.root} has too long a path", "use one under 60 characters")
        if set(str(self.root)) & set(":,\\\n"):
            raise BadInput(
                f"the provider's directory {str(self.root)!r} has a character that mount options cannot carry"
            )
        for path in (self.instances, self.volumes, self.tokens, self.haproxy):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold while allotting ids, addresses and owners; short."""
        self.prepare()
        with locked(self.root / "lock"):
            yield

    def read(self) -> dict[str, Any]:
        """deployment.json; empty before the first launch."""
        return read_json(self.root / "deployment.json") or {}

    def update(self, **changes: Any) -> dict[str, Any]:
        """Change fields of deployment.json; call with the lock held."""
        state = {**self.read(), **changes}
        write_json(self.root / "deployment.json", state)
        return state

    def subnet(self) -> ipaddress.IPv4Network:
        """The fleet's network, once the bridge is up."""
        return ipaddress.IPv4Network(self.read()["subnet"])
