"""What a volume is made of: an ext4 file system in a file, or for an ordinary user, who may mount none, a directory.

The well-kept tools of e2fsprogs and util-linux do the work: mkfs.ext4 makes, blkid reads the UUID from the superblock,
e2fsck checks. Nothing here is called while anybody has the volume mounted, but for ``identity``.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from driftd.core.errors import Refused, Unavailable
from driftd.core.wording.judging import plain
from driftd.edges.providers.local.tools import PATH, last_line, owns_machine, poll, run

# blkid(8) and e2fsck(8): EXIT STATUS.
NOTHING_FOUND, WRONG_LEFT, CANNOT_CHECK = 2, 4, 8
CHECK_S = 300.0
LET_GO_S = 15.0


def make(folder: Path, label: str, size_mb: int) -> Path:
    """A new, empty volume in ``folder``; its name is random, so that a half-made one is never taken for it."""
    if not owns_machine():
        path = folder / f"data-{uuid.uuid4()}"
        path.mkdir(mode=0o755)
        return path
    path = folder / f"disk-{secrets.token_hex(6)}.img"
    with path.open("wb") as disk:
        os.truncate(disk.fileno(), size_mb << 20)
    run("mkfs.ext4", "-q", "-F", "-L", label[:16], path)
    return path


def identities(paths: Sequence[Path]) -> Mapping[Path, str]:
    """The file systems' UUIDs as they stand on the disks now; of a directory, the one in its name. Others are ""."""
    found = {path: path.name.removeprefix("data-") for path in paths if path.is_dir()}
    disks = [path for path in paths if path.is_file()]
    # Each alone: blkid does not say which of several it found nothing on.
    return {**found, **{disk: _identity(disk) for disk in disks}}


def check(path: Path) -> None:
    """Raises ``Refused`` with the first complaint when the file system is damaged. Changes nothing on a whole one.

    A journal that is to be replayed is no damage: it is replayed first, as any mount would. A directory is the host's
    own, and is not checked.
    """
    if path.is_dir():
        return
    if "needs_recovery" in _ran("dumpe2fs", "-h", str(path))[1]:  # what cannot be read at all, e2fsck will tell
        _replay(path)
    status, said = _ran("e2fsck", "-f", "-n", str(path), timeout_s=CHECK_S)
    if status & (WRONG_LEFT | CANNOT_CHECK):
        raise Refused(f"the file system on {path.name} is damaged: {_complaint(said)}", f"look at: e2fsck -n {path}")
    if status:
        raise Unavailable(f"the file system on {path.name} could not be checked: {_complaint(said)}")


def copy(path: Path, draft: Path) -> None:
    """A copy of a volume that nobody has mounted, sharing blocks where the host's file system can."""
    run("cp", "-a", "--reflink=auto", "--sparse=always", "--", path, draft, timeout_s=900)
    if draft.is_dir():
        run("sync", "--file-system", draft, timeout_s=900)  # every file in it is on the disk, too
    for file in (draft, draft.parent):
        handle = os.open(file, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def settle(path: Path) -> None:
    """Wait until the kernel has let go of a disk: what ended its last mount is over before it is written back."""
    if path.is_dir():
        return
    for _ in poll(timeout_s=LET_GO_S):
        if not devices(path):
            return
    raise Unavailable(f"the kernel still holds {path.name} {LET_GO_S:g} s after its last user", "look at: losetup -l")


def devices(path: Path) -> set[str]:
    """The loop devices that stand upon a disk, as MAJOR:MINOR; of a directory none."""
    if path.is_dir():
        return set()
    return set(run("losetup", "--noheadings", "--output", "MAJ:MIN", "--associated", path).split())


def _replay(path: Path) -> None:
    """Mount it once where nobody sees it; the mount ends with the namespace."""
    alone = ("unshare", "--mount", "--propagation", "private")
    status, said = _ran(*alone, "mount", "-o", "loop,nosuid,nodev", str(path), str(path.parent))
    if status:
        raise Refused(f"the journal on {path.name} cannot be replayed: {last_line(said)}", f"look at: e2fsck -n {path}")
    settle(path)


def _identity(disk: Path) -> str:
    status, said = _ran("blkid", "-p", "-s", "UUID", "-o", "value", str(disk))
    if status not in {0, NOTHING_FOUND}:
        raise Unavailable(f"the file system's id on {disk.name} cannot be read: {last_line(said)}")
    with suppress(ValueError):
        return str(uuid.UUID(said.strip()))
    return ""


def _ran(*command: str, timeout_s: float = 30.0) -> tuple[int, str]:
    """Exit status and what was said, for programs whose status is an answer."""
    try:
        done = subprocess.run(
            command,
            env={"PATH": PATH, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
    except FileNotFoundError as error:
        raise Unavailable(f"the program {command[0]} is not installed here", "run: make setup") from error
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"{command[0]} did not finish within {timeout_s:g} s") from error
    return done.returncode, done.stdout


def _complaint(said: str) -> str:
    """The first line of e2fsck that is a complaint: not its version, not a pass it began, not its closing words."""
    for line in said.splitlines():
        text = line.strip()
        if text and not text.startswith(("e2fsck ", "e2fsck: ", "Pass ")) and "********" not in text:
            return plain(text)
    return "it said nothing"
