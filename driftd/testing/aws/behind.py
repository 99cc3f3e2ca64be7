"""What may stand behind the emulator of AWS: the instances, volumes and load balancer of another provider.

    with listening(Behind(provider, image)) as url:
        ...  # python driftd/testing/aws/emulator --matter URL

Each instance that EC2 hands out is one of that provider's, under the address that it has; a volume is one of its own,
by the order in which they are asked for; its load balancer follows the target group. What is asked and answered stands
in docs/aws-emulator.md.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from driftd.core.asides import Isolating
from driftd.core.errors import NotFound, ProviderError, Refused
from driftd.core.facts import Instance
from driftd.core.ports import Compute, LaunchRequest, Provider, TargetState, Traffic, Volumes

GROUP = "web"
QUARANTINED = "-quarantine"
_IN = frozenset({"initial", "healthy", "unhealthy"})


class Busy(Exception):
    """It is in use; the emulator answers as AWS does then."""


class Behind:
    """Does what the emulator says. ``provider`` launches ``image``, has a group ``web`` behind its load balancer, and
    one volume for each that AWS will have. Any thread may call.
    """

    def __init__(self, provider: Provider, image: str) -> None:
        self.provider = provider
        self.image = image
        self.ours: dict[str, str] = {}  # the provider's ids by AWS's
        self.disks: dict[str, str] = {}  # its volumes by AWS's
        self.lock = threading.RLock()

    @property
    def compute(self) -> Compute:
        """The provider's."""
        assert self.provider.compute is not None  # noqa: S101  # whoever made this gave one that launches
        return self.provider.compute

    @property
    def traffic(self) -> Traffic:
        """The provider's."""
        assert self.provider.traffic is not None  # noqa: S101  # likewise
        return self.provider.traffic

    @property
    def volumes(self) -> Volumes:
        """The provider's."""
        assert self.provider.volumes is not None  # noqa: S101  # likewise
        return self.provider.volumes

    def server(self, aws_id: str) -> Instance:
        """The server behind an instance."""
        return self.compute.describe(self.ours[aws_id])

    def told(self, said: Mapping[str, Any]) -> Mapping[str, Any]:
        """One order or question. Raises ``LookupError`` for what nobody does here, ``Busy`` and ``ProviderError``."""
        done: Callable[[Mapping[str, Any]], Mapping[str, Any] | None] | None = getattr(self, f"do_{said['do']}", None)
        if done is None:
            raise LookupError(f"nobody does {said['do']} here")
        with self.lock:
            return done(said) or {}

    def do_launch(self, said: Mapping[str, Any]) -> Mapping[str, Any]:
        """Another instance, whose address the record takes."""
        made = self.compute.launch(LaunchRequest(GROUP, f"{GROUP}/0", self.image, said["id"]))
        self.ours[said["id"]] = made.id
        return {"address": self.compute.describe(made.id).address}

    def do_stop(self, said: Mapping[str, Any]) -> None:
        """Power off."""
        self.compute.stop(self.ours[said["id"]])

    def do_start(self, said: Mapping[str, Any]) -> None:
        """Power on."""
        self.compute.start(self.ours[said["id"]])

    def do_terminate(self, said: Mapping[str, Any]) -> None:
        """End it, where it ever began."""
        if said["id"] in self.ours:
            self.compute.terminate(self.ours[said["id"]])

    def do_groups(self, said: Mapping[str, Any]) -> None:
        """A quarantine group cuts the network, for good: that is the only use of groups here."""
        if said["names"] and all(one.endswith(QUARANTINED) for one in said["names"]):
            assert isinstance(self.provider, Isolating)  # noqa: S101  # a deployment that is put into quarantine can be
            self.provider.isolate(self.ours[said["id"]])

    def do_attach(self, said: Mapping[str, Any]) -> None:
        """A volume comes."""
        self._moved(lambda: self.volumes.attach(self._disk(said["volume"]), self.ours[said["id"]]))

    def do_detach(self, said: Mapping[str, Any]) -> None:
        """A volume goes."""
        self._moved(lambda: self.volumes.detach(self._disk(said["volume"])))

    def do_address(self, said: Mapping[str, Any]) -> None:
        """Elastic addresses are records only here."""

    def do_health(self, said: Mapping[str, Any]) -> Mapping[str, Any]:
        """The load balancer behind checks for AWS's: what it finds healthy is what it sends requests to."""
        there = {one.instance_id: one.state for one in self.traffic.targets(GROUP)}
        state = there.get(self.ours[said["id"]])
        return {"healthy": state is TargetState.HEALTHY, "why": f"the load balancer says {state}"}

    def do_targets(self, said: Mapping[str, Any]) -> None:
        """It follows the target group: one that drains gets nothing new, and one that is none is taken out."""
        now = {one["id"]: one["state"] for one in said["targets"]}
        there = {one.instance_id: one.state for one in self.traffic.targets(GROUP)}
        for aws_id, local_id in self.ours.items():
            state = now.get(aws_id)
            if state in _IN and there.get(local_id) in {None, TargetState.DRAINING}:
                self.traffic.register(GROUP, self.compute.describe(local_id))
            elif state == "draining":
                self.traffic.drain(GROUP, local_id)
            elif state is None and local_id in there:
                self._out(local_id)

    def do_console(self, said: Mapping[str, Any]) -> Mapping[str, Any]:
        """What cloud-init would have written there when the server first booted."""
        keys = "\n".join(f"{key} root@{said['id']}" for key in self.server(said["id"]).reach.host_keys)
        return {"text": f"-----BEGIN SSH HOST KEY KEYS-----\n{keys}\n-----END SSH HOST KEY KEYS-----\n"}

    def do_key(self, said: Mapping[str, Any]) -> None:
        """There is no agent that would take a pushed key: it is only recorded."""

    def _disk(self, volume: str) -> str:
        free = [one.id for one in self.volumes.list() if one.id not in self.disks.values()]
        return self.disks.setdefault(volume, free[0] if volume not in self.disks else "")

    @staticmethod
    def _moved(move: Callable[[], None]) -> None:
        try:
            move()
        except Refused as error:
            raise Busy(str(error)) from error

    def _out(self, local_id: str) -> None:
        """After its delay a target is cut off, whatever is in flight."""
        self.traffic.drain(GROUP, local_id)
        try:
            self.traffic.deregister(GROUP, local_id)
        except (Refused, NotFound):
            self.traffic.drain(GROUP, local_id)


class _Handler(BaseHTTPRequestHandler):
    behind: Behind

    def do_POST(self) -> None:
        said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        try:
            status, answer = 200, self.behind.told(said)
        except Busy as error:
            status, answer = 409, {"why": str(error)}
        except (ProviderError, LookupError) as error:
            status, answer = 500, {"why": f"{type(error).__name__}: {error}"}
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """The emulator says what went wrong, to whoever asked it."""


@contextmanager
def listening(behind: Behind) -> Iterator[str]:
    """It answers at this URL of loopback, inside the block."""
    handler = type("Handler", (_Handler,), {"behind": behind})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
