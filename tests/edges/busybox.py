"""A server without Python: busybox and dropbear in a tree of its own, built of Debian's packages, with a real login.

Its root is a bind mount in a mount and PID namespace, as the local provider's instances have theirs; it listens on
loopback.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sshd import free_port, keygen

from driftd.core.facts import Instance, Reach

BUSYBOX = "/usr/bin/busybox"
DROPBEAR = "/usr/sbin/dropbear"
DROPBEARKEY = "/usr/bin/dropbearkey"
TABLES = {
    "passwd": "root:x:0:0:root:/root:/bin/sh\nops:x:1000:1000::/home/ops:/bin/sh\n",
    "shadow": "root:*:19000:0:99999:7:::\nops:$6$salt$hashhashhash:19000:0:99999:7:::\n",
    "group": "root:x:0:\nops:x:1000:\nwheel:x:10:ops,root\n",
    "hostname": "bare\n",
    "shells": "/bin/sh\n",
}

# pivot_root and what every system has mounted; then dropbear as the namespace's first process.
START = """
set -e
mount --bind "$1" "$1"
cd "$1"
mount -t proc proc proc
mount -t tmpfs tmpfs run
pivot_root . .
umount -l .
exec /usr/sbin/dropbear -F -E -s -p 127.0.0.1:"$2" -r /etc/dropbear/key -P /run/dropbear.pid
"""


def applets(directory: Path) -> Path:
    """A directory of busybox's tools, ``sh`` among them."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in subprocess.run([BUSYBOX, "--list"], check=True, capture_output=True, text=True).stdout.split():
        (directory / name).symlink_to(BUSYBOX)
    return directory


def build(root: Path, public_key: str) -> str:
    """The server's tree in ``root``; its public host key as known_hosts writes it."""
    for path in ("bin", "dev", "etc/dropbear", "home/ops", "proc", "run", "tmp", "usr/bin", "usr/sbin", "var/log"):
        (root / path).mkdir(parents=True)
    shutil.copy(BUSYBOX, root / "usr/bin/busybox")
    applets(root / "bin").joinpath("busybox").unlink()
    shutil.copy(DROPBEAR, root / "usr/sbin/dropbear")
    libraries = subprocess.run(["ldd", DROPBEAR], check=True, capture_output=True, text=True).stdout
    for path in re.findall(r"(?:=> |\t)(/\S+)", libraries):
        (root / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, root / path[1:])
    for name, text in TABLES.items():
        (root / "etc" / name).write_text(text)
    (root / "etc/shadow").chmod(0o600)
    for name, minor in (("null", 3), ("zero", 5), ("urandom", 9)):
        os.mknod(root / "dev" / name, 0o20666, os.makedev(1, minor))
        (root / "dev" / name).chmod(0o666)
    (root / "root/.ssh").mkdir(parents=True, mode=0o700)
    (root / "root").chmod(0o700)
    (root / "root/.ssh/authorized_keys").write_text(public_key)
    made = subprocess.run(
        [DROPBEARKEY, "-t", "ed25519", "-f", root / "etc/dropbear/key"], check=True, capture_output=True, text=True
    )
    return next(line for line in made.stdout.splitlines() if line.startswith("ssh-ed25519 ")).rsplit(" ", 1)[0]


@dataclass
class Bare:
    """A running one. ``root`` is its tree as this machine sees it; ``log`` what dropbear says."""

    root: Path
    instance: Instance
    process: subprocess.Popen[bytes]
    log: Path


@contextlib.contextmanager
def bare(directory: Path) -> Iterator[Bare]:
    """A running server in ``directory``; gone afterwards, with its tree."""
    root, port = directory / "root", free_port()
    client = keygen(directory / "client")
    host_key = build(root, Path(f"{client}.pub").read_text())
    reach = Reach("127.0.0.1", port, "root", str(client), host_keys=(host_key,))
    log = directory / "log"
    command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", START, "sh", str(root), str(port)]
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
    try:
        limit = time.monotonic() + 10
        while True:
            with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)) as there:
                assert there.recv(4) == b"SSH-"
                break
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < limit, log.read_text()
            time.sleep(0.02)
        yield Bare(root, Instance("bare-1", "bare", "bare", reach=reach), process, log)
    finally:
        process.kill()
        process.wait(10)
