"""HAProxy as the load balancer: one process a deployment, one backend a group, driven through its admin socket.

What should be there stands in ``haproxy/targets.json``, written before HAProxy is told; a HAProxy that was restarted
gets it all back in its configuration file, so no target is lost. It is a daemon of its own and survives driftd.
Commands and columns: https://docs.haproxy.org/2.6/management.html sections 9.1 and 9.3.
"""

from __future__ import annotations

import contextlib
import csv
import io
import os
import signal
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from driftd.core.errors import NotFound, Refused, Unavailable
from driftd.core.facts import Instance
from driftd.core.ports import Target, TargetState
from driftd.edges.providers.local.deployment import Deployment
from driftd.edges.providers.local.tools import locked, poll, read_json, run, write_json, write_whole

# Administrative state of a server, from "show servers state": maintenance bits (own, inherited, by config, by DNS).
MAINTENANCE, DRAIN = 0x01 | 0x02 | 0x04 | 0x20 | 0x40, 0x08 | 0x10
CHECK = "check inter 200ms rise 1 fall 2"


@dataclass(frozen=True, slots=True)
class Frontend:
    """How a group is served: where to listen, which port its instances serve, and the path that says they do."""

    listen: str
    port: int = 8080
    health: str = "/healthz"


class LocalTraffic:
    """``driftd.core.ports.Traffic`` on HAProxy's runtime API."""

    def __init__(self, deployment: Deployment, frontends: Mapping[str, Frontend]) -> None:
        self._deployment = deployment
        self._frontends = dict(frontends)
        self._path = deployment.haproxy
        self._socket = self._path / "admin.sock"

    # --- the port ---

    def targets(self, group: str) -> Sequence[Target]:
        """See ``driftd.core.ports.Traffic``. Brings HAProxy back when it should run and does not."""
        self._frontend(group)
        if not self._known(group):
            return []
        with self._locked():
            self._ensure()
            return self._targets(group)

    def register(self, group: str, instance: Instance) -> None:
        """See ``driftd.core.ports.Traffic``."""
        frontend = self._frontend(group)
        address = f"{instance.address}:{frontend.port}"
        with self._locked():
            self._remember(group, instance.id, {"address": address, "drain": False})
            self._ensure()
            state = self._states(group).get(instance.id)
            server = f"{group}/{instance.id}"
            if state is None:
                said = self._ask(f"add server {server} {address} {CHECK}")
                if "New server registered" not in said:
                    raise Unavailable(f"HAProxy did not take {instance.id} into {group}: {said}")
            if state is None or state & MAINTENANCE:
                # HAProxy believes a new server to be well until a check fails. Draining, it gets no request while we
                # say that it is down; then only a check that passes brings it into service.
                for command in (f"set server {server} state drain", f"enable health {server}"):
                    self._ask(command)
                self._ask(f"set server {server} health down")
            self._ask(f"set server {server} state ready")

    def drain(self, group: str, instance_id: str) -> None:
        """See ``driftd.core.ports.Traffic``."""
        self._frontend(group)
        with self._locked():
            known = self._known(group).get(instance_id)
            if known is None:
                return
            self._remember(group, instance_id, {**known, "drain": True})
            self._ensure()
            self._ask(f"set server {group}/{instance_id} state drain")

    def deregister(self, group: str, instance_id: str) -> None:
        """See ``driftd.core.ports.Traffic``. One that was not drained is, for this moment; refused, it serves again."""
        self._frontend(group)
        with self._locked():
            known = self._known(group).get(instance_id)
            if known is None:
                return
            self._ensure()
            if not known["drain"]:
                self._ask(f"set server {group}/{instance_id} state drain")
            count = next((t.connections for t in self._targets(group) if t.instance_id == instance_id), 0)
            if count:
                if not known["drain"]:
                    self._ask(f"set server {group}/{instance_id} state ready")
                raise Refused(f"{instance_id} still has {count} open connections in {group}", "drain it and wait")
            self._delete(group, instance_id)
            self._remember(group, instance_id, None)

    # --- beyond the port ---

    def up(self) -> None:
        """Start HAProxy, or give a running one the present configuration."""
        if self._frontends:
            with self._locked():
                self._ensure()

    def down(self) -> None:
        """End HAProxy, with any predecessor that still finishes its work. Not running is success."""
        for sign in (signal.SIGTERM, signal.SIGKILL):
            for pid in self._processes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, sign)
            for _ in poll(timeout_s=5):
                if not self._processes():
                    self._socket.unlink(missing_ok=True)
                    return
        raise Unavailable("HAProxy does not end, not even when killed", "look at it with ps")

    def running(self) -> bool:
        """True when there is a HAProxy of this deployment."""
        return bool(self._processes())

    def forget(self, instance_id: str) -> None:
        """The instance is gone: so is its target, in whatever group. Its address may soon be another's."""
        state = read_json(self._path / "targets.json") or {}
        if not any(instance_id in targets for targets in state.values()):
            return
        with self._locked():
            for group in [group for group, targets in state.items() if instance_id in targets]:
                self._remember(group, instance_id, None)
                if self.running():
                    self._delete(group, instance_id)

    # --- inside ---

    def _locked(self) -> contextlib.AbstractContextManager[None]:
        self._deployment.prepare()
        return locked(self._path / "lock")

    def _frontend(self, group: str) -> Frontend:
        if group not in self._frontends:
            raise NotFound(f"group {group} has no traffic", f"set groups.{group}.traffic.listen")
        return self._frontends[group]

    def _known(self, group: str) -> dict[str, Any]:
        return dict((read_json(self._path / "targets.json") or {}).get(group, {}))

    def _remember(self, group: str, instance_id: str, target: Mapping[str, object] | None) -> None:
        state = read_json(self._path / "targets.json") or {}
        targets = {key: value for key, value in state.get(group, {}).items() if key != instance_id}
        if target is not None:
            targets[instance_id] = dict(target)
        write_json(self._path / "targets.json", {**state, group: targets})

    def _targets(self, group: str) -> list[Target]:
        states = self._states(group)
        rows = csv.DictReader(io.StringIO(self._ask(f"show stat {group} 4 -1").removeprefix("# ")))
        return [
            # A connection kept for a client that is idle right now is not in use; a request in a queue is in flight.
            Target(
                row["svname"],
                _state(row, states.get(row["svname"], 0)),
                int(row["qcur"] or 0) + max(int(row["scur"] or 0), int(row["used_conn_cur"] or 0)),
            )
            for row in rows
        ]

    def _states(self, group: str) -> dict[str, int]:
        lines = self._ask(f"show servers state {group}").splitlines()
        words = [line.split() for line in lines[1:] if line and not line.startswith("#")]
        return {fields[3]: int(fields[6]) for fields in words if len(fields) > 6}

    def _delete(self, group: str, instance_id: str) -> None:
        """Take a server out; its idle connections are closed first, which HAProxy does a little later."""
        server = f"{group}/{instance_id}"
        self._ask(f"set server {server} state maint")
        said = ""
        for _ in poll(timeout_s=10):
            said = self._ask(f"del server {server}")
            if "deleted" in said or "No such server" in said or "not found" in said.lower():
                return
            self._ask(f"shutdown sessions server {server}")
        raise Unavailable(f"HAProxy did not let go of {server}: {said}")

    def _ensure(self) -> None:
        """Running, with the present frontends and every known target; call with the lock held."""
        shape = self._shape()
        pid = self._pid()
        if pid and (self._path / "shape").is_file() and (self._path / "shape").read_text(encoding="utf-8") == shape:
            return
        config = self._path / "haproxy.cfg"
        write_whole(config, self._config(shape))
        # A running one hands over its listeners and finishes what it has; none is refused meanwhile.
        takeover = ["-x", str(self._socket), "-sf", str(pid)] if pid else []
        run("haproxy", "-D", "-f", config, "-p", self._path / "haproxy.pid", *takeover)
        for _ in poll(timeout_s=10):
            now = self._pid()
            if now and now != pid:
                break
        else:
            raise Unavailable(
                "HAProxy was started and does not answer on its admin socket", f"try: haproxy -c -f {config}"
            )
        write_whole(self._path / "shape", shape)
        for group, targets in (read_json(self._path / "targets.json") or {}).items():
            for key, target in targets.items():
                if group in self._frontends and target["drain"]:
                    self._ask(f"set server {group}/{key} state drain")

    def _shape(self) -> str:
        """The configuration without its targets."""
        # Not from root: HAProxy needs no rights once it listens.
        user = "    user nobody\n    group nogroup\n" if os.geteuid() == 0 else ""
        text = (
            f"global\n    stats socket {self._socket} mode 600 level admin expose-fd listeners\n{user}"
            "    maxconn 2000\n    nbthread 2\n    hard-stop-after 120s\n\n"
            "defaults\n    mode http\n    balance leastconn\n    retries 3\n    option redispatch\n"
            "    timeout connect 2s\n    timeout client 90s\n    timeout server 90s\n    timeout queue 10s\n"
            "    timeout http-keep-alive 60s\n"
        )
        for group, frontend in sorted(self._frontends.items()):
            text += (
                f"\nfrontend {group}-in\n    bind {frontend.listen}\n    default_backend {group}\n"
                f"\nbackend {group}\n    option httpchk GET {frontend.health}\n"
            )
        return text

    def _config(self, shape: str) -> str:
        state = read_json(self._path / "targets.json") or {}
        parts = []
        for part in shape.split("\n\n"):
            servers = state.get(part.split("\n", 1)[0].removeprefix("backend "), {}) if part[:8] == "backend " else {}
            lines = [f"\n    server {key} {target['address']} {CHECK}" for key, target in sorted(servers.items())]
            parts.append(part.rstrip("\n") + "".join(lines))
        return "\n\n".join(parts) + "\n"

    def _processes(self) -> list[int]:
        """Ids of live processes that run on this deployment's configuration file, whether they answer or not."""
        config = os.fsencode(self._path / "haproxy.cfg")
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):  # it ended while we looked
                    if config in (entry / "cmdline").read_bytes().split(b"\0"):
                        found.append(int(entry.name))
        return found

    def _pid(self) -> int:
        """The process id that answers on the admin socket; 0 when none does."""
        try:
            info = self._ask("show info")
        except Unavailable:
            return 0
        return next((int(line[4:]) for line in info.splitlines() if line.startswith("Pid:")), 0)

    def _ask(self, command: str) -> str:
        """One command on the admin socket, and its whole answer."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as wire:
                wire.settimeout(5)
                wire.connect(str(self._socket))
                wire.sendall(command.encode() + b"\n")
                parts = []
                while part := wire.recv(65536):
                    parts.append(part)
        except OSError as error:
            raise Unavailable(f"HAProxy's admin socket {self._socket} does not answer: {error}") from error
        return b"".join(parts).decode("utf-8", "replace").strip()


def _state(row: Mapping[str, str], admin: int) -> TargetState:
    if admin & MAINTENANCE:
        return TargetState.MAINTENANCE
    if admin & DRAIN:
        return TargetState.DRAINING
    if row["status"].startswith("UP") and row["check_status"] != "INI":
        return TargetState.HEALTHY
    return TargetState.INITIAL if row["check_status"] in {"INI", ""} else TargetState.UNHEALTHY
