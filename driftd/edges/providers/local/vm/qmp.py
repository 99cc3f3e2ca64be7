"""One command to a running qemu, over its QMP socket: https://www.qemu.org/docs/master/interop/qmp-spec.html

Behind that socket is a process that hostile guests work on: what it says is bounded in length and time.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from driftd.core.errors import Unavailable

LINE = 1 << 20
_SILENCE_S = 5.0


class Monitor:
    """One connection; ``opened`` makes it, and turns whatever it raises into ``Unavailable``."""

    def __init__(self, wire: socket.socket, stream: BinaryIO, deadline: float) -> None:
        self._wire = wire
        self._stream = stream
        self._deadline = deadline
        json.loads(self._stream.readline(LINE))  # the greeting
        self.ask("qmp_capabilities")

    def ask(self, command: str, *, file: int = -1, **arguments: Any) -> Any:
        """What ``command`` returns; an open ``file`` goes with it. Names have dashes where these have underscores."""
        named = {name.replace("_", "-"): value for name, value in arguments.items()}
        request = json.dumps({"execute": command, "arguments": named}).encode() + b"\n"
        if file >= 0:
            socket.send_fds(self._wire, [request], [file])
        else:
            self._wire.sendall(request)
        while time.monotonic() < self._deadline:
            answer = json.loads(self._stream.readline(LINE))
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise Unavailable(f"the machine's monitor refuses {command}: {answer['error'].get('desc', '')}")
            # else an event: somebody else's news
        raise TimeoutError(f"no answer to {command}")


@contextmanager
def opened(path: Path, *, timeout_s: float = 5.0) -> Iterator[Monitor]:
    """A connection that lasts ``timeout_s`` at most. Raises ``Unavailable``."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as wire:
            wire.settimeout(min(timeout_s, _SILENCE_S))
            wire.connect(str(path))
            with wire.makefile("rb") as stream:  # as long as it is open, so is the connection, and qemu serves one
                yield Monitor(wire, stream, time.monotonic() + timeout_s)
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise Unavailable(f"the machine's monitor {path} does not answer: {error}") from error


def ask(path: Path, command: str, *, timeout_s: float = 5.0, **arguments: Any) -> object:
    """What ``command`` returns. Raises ``Unavailable`` when nobody answers in time, or answers with an error."""
    with opened(path, timeout_s=timeout_s) as monitor:
        found: object = monitor.ask(command, **arguments)
        return found
