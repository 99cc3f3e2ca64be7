"""What a look leaves behind, told by another program (find): access times and all, before and after."""

from __future__ import annotations

import fnmatch
import os
import re
import subprocess
from pathlib import Path

import pytest
from servers import pid_of, wait_until
from test_probe_instance import look

pytestmark = [pytest.mark.servers, pytest.mark.machine]
DOCUMENT = Path(__file__).parents[2] / "docs/threat-model.md"
# One line in, one listing out. It stands in a mount namespace of its own, so that what it runs and lists moves nothing.
LISTER = r"""
cd / && mount -n -o remount,bind,noatime / &&
while read -r _; do
    # Without the kernel's and what is in memory. Not by -xdev: on an overlay whose layers lie on several file
    # systems, files and directories differ in their device.
    find / \( -path /proc -o -path /sys -o -path /dev -o -path /run \) -prune -o \
        -printf '%p\0%A@ %T@ %C@ %s %m %U:%G %i %n %y\0'
    printf 'end\0\0'
done
"""


def entered(server, *words: str) -> list[str]:
    return ["nsenter", "-t", str(pid_of(server)), "--mount", "--root", "--wd=/", *words]


class Lister:
    """find, from inside the server, as often as it is asked."""

    def __init__(self, server) -> None:
        command = entered(server, "unshare", "--mount", "--propagation", "private", "sh", "-c", LISTER)
        self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __call__(self) -> dict[bytes, bytes]:
        self._child.stdin.write(b"\n")
        self._child.stdin.flush()
        said = b""
        while not said.endswith(b"\0end\0\0"):
            piece = os.read(self._child.stdout.fileno(), 1 << 20)
            assert piece, "the lister ended"
            said += piece
        words = said.split(b"\0")[:-3]
        return dict(zip(words[::2], words[1::2], strict=True))

    def still(self) -> dict[bytes, bytes]:
        return wait_until(lambda: (now := self()) == self() and now, "a still tree")

    def close(self) -> None:
        self._child.stdin.close()
        self._child.wait(10)
        self._child.stdout.close()


@pytest.fixture
def server(local_deployment):
    """One whose every access time is kept, and that has seen its first login."""
    server = local_deployment.launch()
    look(local_deployment, server)
    subprocess.run(entered(server, "mount", "-n", "-o", "remount,bind,strictatime", "/"), check=True)
    return server


@pytest.fixture
def listed(server):
    lister = Lister(server)
    yield lister.still
    lister.close()


def moved(before: dict[bytes, bytes], after: dict[bytes, bytes]) -> tuple[set[bytes], set[bytes]]:
    """Paths that were written or changed in any way, and paths of which only the access time moved."""
    changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}

    def lasting(rows: dict[bytes, bytes], path: bytes) -> bytes:
        return rows.get(path, b"").partition(b" ")[2]

    written = {path for path in changed if lasting(before, path) != lasting(after, path)}
    return written, changed - written


def documented(word: str) -> re.Pattern[bytes]:
    """The paths in the row of the document that has this word."""
    section = DOCUMENT.read_text(encoding="utf-8").partition("## What looking writes")[2].partition("\n## ")[0]
    (row,) = (row for row in section.splitlines() if row.startswith("|") and word in row)
    globs = re.findall(r"`(/[^`]*)`", row)
    return re.compile("|".join(fnmatch.translate(glob) for glob in globs).encode())


def test_a_look_leaves_nothing_but_what_the_document_says_of_any_login(local_deployment, server, listed):
    before = listed()
    local_deployment.ssh(server, "python3 -I -S -B -c pass")
    after_login = listed()
    look(local_deployment, server)
    after_look = listed()
    assert len(after_look) > 1000
    written, read = moved(after_login, after_look)
    written_by_login, read_by_login = moved(before, after_login)
    assert written_by_login, "a login is logged"
    assert written <= written_by_login, "a look writes what any login does"
    assert read <= read_by_login, "and reads no more that the kernel would remember"
    assert [path for path in written if not documented("written by any login").fullmatch(path)] == []
    assert [path for path in read if not documented("read by any login").fullmatch(path)] == []


def test_the_listing_would_tell(server, listed):
    """What the test above holds to be unmoved is kept, strictly: one reading of one file shows."""
    before = listed()
    subprocess.run(entered(server, "sh", "-c", "read -r _ </etc/ssh/ssh_host_ed25519_key.pub"), check=True)
    assert b"/etc/ssh/ssh_host_ed25519_key.pub" in moved(before, listed())[1]
    subprocess.run(entered(server, "sh", "-c", "echo x >>/etc/hostname"), check=True)
    assert b"/etc/hostname" in moved(before, listed())[0]
