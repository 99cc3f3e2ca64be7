"""Does one thing inside the namespaces of a running instance, then ends. Alone, with the standard library only.

    mounter.py attach PID SOURCE TARGET   SOURCE, a directory or a disk image here, appears at TARGET in there
    mounter.py detach PID TARGET
    mounter.py announce PID ADDRESS       gratuitous ARP for ADDRESS on eth0

A process of its own, because a thread cannot change its mount namespace. Exit status 16 means busy.
"""

import ctypes
import errno
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

OPEN_TREE, MOVE_MOUNT = 428, 429  # the same numbers on every architecture
AT_FDCWD, OPEN_TREE_CLONE, MOVE_MOUNT_F_EMPTY_PATH = -100, 1, 4
CLONE_NEWNS, CLONE_NEWNET = 0x20000, 0x40000000
MS_REC, MS_PRIVATE = 0x4000, 0x40000
UMOUNT_NOFOLLOW = 8
BECOMING_S = 2.0
libc = ctypes.CDLL(None, use_errno=True)


def check(result: int, what: str) -> int:
    """Raise the C library's error."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def enter(pid: str, name: str, kind: int) -> None:
    """Join one namespace of a process. One that is just becoming another program keeps everybody out for a moment."""
    until = time.monotonic() + BECOMING_S
    while True:
        try:
            with Path(f"/proc/{pid}/ns/{name}").open("rb") as namespace:
                check(libc.setns(namespace.fileno(), kind), f"setns {name}")
        except PermissionError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)
        else:
            return


def mount_privately(disk: str) -> str:
    """Mount a disk image where nobody but this process sees it, and nothing remains when this process ends."""
    check(libc.unshare(CLONE_NEWNS), "unshare")
    check(libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None), "mount --make-rprivate")
    folder = str(Path(disk).parent)
    done = subprocess.run(
        ["mount", "-o", "loop,nosuid,nodev", disk, folder], stderr=subprocess.PIPE, check=False, text=True
    )
    if done.returncode:
        raise OSError(errno.EIO, done.stderr.strip())
    return folder


def attach(pid: str, source: str, target: str) -> None:
    """Show a directory or disk of ours at a path of theirs."""
    if Path(source).is_file():
        source = mount_privately(source)
    tree = check(
        libc.syscall(OPEN_TREE, AT_FDCWD, os.fsencode(source), OPEN_TREE_CLONE | os.O_CLOEXEC), f"open_tree {source}"
    )
    enter(pid, "mnt", CLONE_NEWNS)
    Path(target).mkdir(parents=True, exist_ok=True)
    result = libc.syscall(MOVE_MOUNT, tree, b"", AT_FDCWD, os.fsencode(target), MOVE_MOUNT_F_EMPTY_PATH)
    check(result, f"move_mount {target}")


def detach(pid: str, target: str) -> None:
    """Unmount a path of theirs; busy stays busy."""
    enter(pid, "mnt", CLONE_NEWNS)
    check(libc.umount2(os.fsencode(target), UMOUNT_NOFOLLOW), f"umount {target}")


def announce(pid: str, address: str) -> None:
    """Tell the neighbours who has an address now."""
    enter(pid, "net", CLONE_NEWNET)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind(("eth0", 0x0806))
        mac = wire.getsockname()[4]
        packed = socket.inet_aton(address)
        head = b"\xff" * 6 + mac + b"\x08\x06" + b"\x00\x01\x08\x00\x06\x04"
        for kind in (1, 2):  # request and reply: some neighbours heed only one of them
            wire.send(head + kind.to_bytes(2, "big") + mac + packed + b"\xff" * 6 + packed)


def main() -> int:
    """Run the command line; one line on standard error when it fails."""
    try:
        if sys.argv[1] == "attach":
            attach(*sys.argv[2:])
        elif sys.argv[1] == "detach":
            detach(*sys.argv[2:])
        else:
            announce(*sys.argv[2:])
    except OSError as error:
        said = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
        print(said, file=sys.stderr)  # noqa: T201 - a program's voice
        return 16 if error.errno == errno.EBUSY else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
