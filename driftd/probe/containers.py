"""Containers that run here, as their engine's own program tells: the digest of each one's image.

Only an engine that has run since boot is asked, as its socket or its run-time directory says, so that asking starts
none: docker(1), podman(1), crictl(1). Docker's socket may be systemd's, which would start the daemon for whoever asks,
so the daemon itself has to be running, too.
"""

import os
import re
from typing import Callable, List, NamedTuple, Optional, Tuple

from driftd.probe import inside, system, tools
from driftd.probe.found import Found

KIND = b"container"
ROWS_LIMIT = 5000

Row = Tuple[bytes, bytes, bytes]  # name, image as it was asked for, digest of the image
Engine = NamedTuple(
    "Engine",
    # ``signs`` are files that are there when it runs, ``daemon`` is the process that has to run if any does; ``rows``
    # reads what ``command`` writes.
    [
        ("name", str),
        ("signs", Tuple[bytes, ...]),
        ("daemon", bytes),
        ("command", List[str]),
        ("rows", Callable[[bytes], List[Row]]),
    ],
)


def _lines(output):
    # type: (bytes) -> List[Row]
    """Rows of "name|image|digest": no name of a container or an image has a bar in it."""
    rows = []  # type: List[Row]
    for line in output.split(b"\n"):
        fields = line.strip().split(b"|")
        if len(fields) == 3:
            rows.append((fields[0].lstrip(b"/"), fields[1], fields[2]))
    return rows


def _crictl(output):
    # type: (bytes) -> List[Row]
    """The table of crictl: CONTAINER IMAGE CREATED STATE NAME ATTEMPT POD-ID …, columns two blanks apart or more."""
    lines = output.rstrip().split(b"\n")
    head = re.split(rb"\s{2,}", lines[0].strip())
    if b"NAME" not in head or b"IMAGE" not in head:
        return []
    rows = []  # type: List[Row]
    for line in lines[1:]:
        fields = re.split(rb"\s{2,}", line.strip())
        if len(fields) >= len(head):
            image = fields[head.index(b"IMAGE")]
            rows.append((fields[head.index(b"NAME")], b"", image))
    return rows


_DOCKER = "{{.Name}}|{{.Config.Image}}|{{.Image}}"
_PODMAN = "{{.Names}}|{{.Image}}|{{.ImageID}}"

DOCKER = Engine("docker", (b"/run/docker.sock",), b"dockerd", ["docker", "ps", "-q", "--no-trunc"], _lines)
PODMAN = Engine("podman", (b"/run/libpod/alive",), b"", ["podman", "ps", "--no-trunc", "--format", _PODMAN], _lines)
_CRI_SOCKETS = (b"/run/containerd/containerd.sock", b"/run/crio/crio.sock")
CRI = Engine("crictl", _CRI_SOCKETS, b"", ["crictl", "ps", "--no-trunc"], _crictl)


def collect(_place, found, live, kernel=None):
    # type: (inside.Root, Found, bool, Optional[system.System]) -> None
    """One fact a running container."""
    if not live:
        return
    found.looked(KIND)
    kernel = kernel or system.System()
    there = [engine for engine in (DOCKER, PODMAN, CRI) if _runs(kernel, engine)]
    if DOCKER in there and CRI in there and not tools.there(CRI.name):
        there.remove(CRI)  # Docker Engine runs its containers by containerd, and has told of them
    for engine in there:
        if not all(os.access(kernel.top + path, os.W_OK) for path in engine.signs if kernel.there(path)):
            found.not_permitted(KIND, "this user may not ask %s" % engine.name)
        elif not tools.there(engine.name):
            found.not_available(
                KIND, "containers run here that only %s could tell of, which is not there" % engine.name
            )
        else:
            _ask(found, engine)


def _runs(kernel, engine):
    # type: (system.System, Engine) -> bool
    if not any(kernel.there(path) for path in engine.signs):
        return False
    numbers = [name for name in kernel.names(b"/proc") if name.isdigit()] if engine.daemon else []
    return not engine.daemon or any(kernel.text(b"/proc/%s/comm" % name) == engine.daemon for name in numbers)


def _ask(found, engine):
    # type: (Found, Engine) -> None
    answer = _answer(engine)
    if answer.why:
        answer = _answer(engine)  # a container that ended meanwhile is an error to some
    if answer.why:
        found.not_available(KIND, answer.why)
    for name, image, digest in engine.rows(answer.output)[:ROWS_LIMIT]:
        found.add(KIND, name, image=image, digest=digest, runtime=engine.name)


def _answer(engine):
    # type: (Engine) -> tools.Answer
    answer = tools.run(engine.command)
    if engine is not DOCKER or answer.why:
        return answer
    # Docker's "ps" has no digest of an image to tell.
    numbers = [word.decode("ascii") for word in answer.output.split() if re.match(rb"[0-9a-f]{64}$", word)]
    if not numbers:
        return answer
    return tools.run(["docker", "inspect", "--format", _DOCKER] + numbers[:ROWS_LIMIT])
