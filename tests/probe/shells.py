"""The collector in three userlands: GNU with dash, GNU with bash as sh, and busybox."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

from asking import NONCE, request
from busybox import applets

from driftd.core.facts import Unseen
from driftd.core.fingerprint import Fingerprint, Reader
from driftd.probe import collector

SHELLS = ("dash", "bash", "busybox")


@dataclass(frozen=True)
class Shell:
    """``path`` is where the collector finds its tools, ``sh`` the first of them; ``before`` is what starts it.

    Without ``view`` it is as on a host that lets nobody make a mount namespace.
    """

    name: str
    path: str
    before: tuple[str, ...] = ()
    view: bool = True

    @property
    def sh(self) -> str:
        return self.path.split(":")[0] + "/sh"

    def source(self) -> bytes:
        text = collector.source().replace(collector.PATH.encode(), self.path.encode())
        text = text if self.view else text.replace(b"unshare -m true", b"false")
        return text.replace(b"SH=/bin/sh", b"SH=" + self.sh.encode())

    def start(self, root: bytes | Path, *, more: bytes = b"", **asked: object) -> subprocess.Popen[bytes]:
        """Start it in a session of its own, as sshd does; its request is on its way."""
        process = subprocess.Popen(
            [*self.before, self.sh, "-c", collector.BOOT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        text = self.source()
        head = b"what Python would have been sent\0\n\xff\n%s\n%d\n" % (collector.MARK.encode(), len(text))
        assert process.stdin is not None
        process.stdin.write(head + text + (more or request(root, **asked)))
        process.stdin.flush()
        return process

    def answer(self, root: bytes | Path, **asked: object) -> tuple[bytes, bytes, int]:
        """All that it says, all that it complains of, and its exit status."""
        process = self.start(root, **asked)
        try:
            out, err = process.communicate(timeout=60)
        finally:
            end(process)
        return out, err.replace(collector.NO_PYTHON.encode() + b"\n", b""), process.returncode

    def look(self, root: bytes | Path, **asked: object) -> Fingerprint | Unseen:
        out, err, _ = self.answer(root, **asked)
        assert err == b""
        return taken(out, asked.get("sections", (b"facts",)))  # type: ignore[arg-type]  # passed on


def taken(out: bytes, sections: tuple[bytes, ...] = (b"facts",)) -> Fingerprint | Unseen:
    reader = Reader(NONCE, sections)
    reader.feed(out)
    return reader.finish()


def end(process: subprocess.Popen[bytes]) -> None:
    """End whatever is left in its session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)


def shell(name: str, directory: Path, *, attributes: bool = True) -> Shell:
    """The userland ``name`` in ``directory``; ``attributes`` says whether busybox gets getfattr and lsattr, too."""
    if name == "dash":
        return Shell(name, f"/bin:{collector.PATH}")
    tools = directory / f"tools-{name}"
    if name == "bash":
        tools.mkdir()
        (tools / "sh").symlink_to("/bin/bash")  # called sh, it is in its POSIX mode
        return Shell(name, f"{tools}:{collector.PATH}")
    applets(tools)
    for tool in ("getfattr", "lsattr") if attributes else ():
        (tools / tool).symlink_to(str(shutil.which(tool)))
    return Shell(name, str(tools))


def wrapped(one: Shell, directory: Path, tool: str, script: str) -> Shell:
    """``one`` with another ``tool``: a script of sh, in which ``$real`` is the tool itself. It may write: no view."""
    tools = directory / "wrapped"
    tools.mkdir()
    real = next(path for path in (f"{place}/{tool}" for place in one.path.split(":")) if os.access(path, os.X_OK))
    (tools / "sh").symlink_to(one.sh)
    (tools / tool).write_text(f"#!/bin/sh\nreal={real}\n{script}\n")
    (tools / tool).chmod(0o755)
    return replace(one, path=f"{tools}:{one.path}", view=False)
