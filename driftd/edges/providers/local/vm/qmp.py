"""One command to a running qemu, over its QMP socket: https://www.qemu.org/docs/master/interop/qmp-spec.html

Behind that socket is a process that hostile guests work on: what it says is bounded in length and time.
"""

from __future__ import annotations

import json
import socket
import time
from io import BufferedRWPair
from pathlib import Path

from driftd.core.errors import Unavailable

LINE = 1 << 20


def ask(path: Path, command: str, *, timeout_s: float = 5.0, **arguments: object) -> object:
    """What ``command`` returns. Raises ``Unavailable`` when nobody answers in time, or answers with an error."""
    deadline = time.monotonic() + timeout_s
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as wire:
            wire.settimeout(timeout_s)
            wire.connect(str(path))
            with wire.makefile("rwb") as stream:
                json.loads(stream.readline(LINE))  # the greeting
                _execute(stream, "qmp_capabilities", {}, deadline)
                return _execute(stream, command, arguments, deadline)
    except (OSError, ValueError) as error:
        raise Unavailable(f"the machine's monitor {path} does not answer: {error}") from error


def _execute(stream: BufferedRWPair, command: str, arguments: dict[str, object], deadline: float) -> object:
    stream.write(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
    stream.flush()
    while time.monotonic() < deadline:
        answer = json.loads(stream.readline(LINE))
        if "return" in answer:
            return answer["return"]
        if "error" in answer:
            raise Unavailable(f"the machine's monitor refuses {command}: {answer['error'].get('desc', '')}")
        # else an event: somebody else's news
    raise TimeoutError(f"no answer to {command}")
