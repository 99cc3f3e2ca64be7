"""What is mounted where, which of it is local and persistent, and a private view of one file system without the rest.

A private view is a read-only, noatime bind mount in a mount namespace of its own: it shows what lies beneath other
mounts, and reading through it moves no access time. python3-minimal has no ctypes, so unshare(1) and mount(8) make it.
"""

import os
import re
import stat
import subprocess
from typing import Dict, List, NamedTuple, Optional, Set, Tuple

from driftd.probe import waiting

MOUNTINFO = "/proc/self/mountinfo"

# Kinds of file system that keep their content over a reboot and live on this machine. Everything else (proc, tmpfs,
# network and cluster file systems, most of FUSE) is counted and passed over; "/" is looked at whatever it is.
PERSISTENT = frozenset(
    b"ext2 ext3 ext4 xfs btrfs bcachefs f2fs jfs nilfs2 reiserfs zfs overlay aufs erofs squashfs cramfs romfs iso9660 "
    b"udf vfat msdos exfat ntfs ntfs3 hfsplus ubifs jffs2 minix fuseblk".split()
)

# Kinds that live in the kernel: what is mounted can be described without asking anybody. Everything else may have a
# server behind it that never answers (network file systems, FUSE, an automounter), so that even a stat would hang.
IN_KERNEL = frozenset(
    b"binfmt_misc bpf cgroup cgroup2 configfs debugfs devpts devtmpfs efivarfs fusectl hugetlbfs mqueue nsfs proc "
    b"pstore ramfs rootfs securityfs selinuxfs smackfs sysfs tmpfs tracefs".split()
)

# Where the view of "/" may be mounted, in the private namespace only; any directory does, and nothing in it changes.
_PLACES = (b"/mnt", b"/media", b"/srv", b"/opt", b"/home", b"/sys", b"/run", b"/tmp", b"/var")

_HELPER = 'mount -n -c -o bind,ro,noatime,nodev "$1" "$2" && echo ready && read -r _'
_HELPER_SECONDS = 10

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOATIME

Mount = NamedTuple("Mount", [("number", int), ("above", int), ("point", bytes), ("kind", bytes)])


class NoViewError(Exception):
    """A private view could not be made; the sentence says why."""


def unescape(text):
    # type: (bytes) -> bytes
    """A field of mountinfo or fstab as it is meant: blanks, newlines and backslashes stand there in octal."""
    return re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found.group(1), 8) & 0xFF]), text)


def parse(text):
    # type: (bytes) -> List[Mount]
    """The rows of a mountinfo file (proc_pid_mountinfo(5)); rows that make no sense are left out."""
    found = []  # type: List[Mount]
    for line in text.split(b"\n"):
        left, dash, right = line.partition(b" - ")
        fields = left.split(b" ")
        if dash and len(fields) >= 6 and fields[0].isdigit() and fields[1].isdigit():
            found.append(Mount(int(fields[0]), int(fields[1]), unescape(fields[4]), right.split(b" ")[0]))
    return found


def may_hang(kind):
    # type: (bytes) -> bool
    """True for a kind of file system whose mount point is not even to be stat'ed."""
    return kind not in PERSISTENT and kind not in IN_KERNEL


def is_below(path, directory):
    # type: (bytes, bytes) -> bool
    """True when ``path`` lies strictly below ``directory``."""
    return path != directory and (directory == b"/" or path.startswith(directory + b"/"))


def visible(mounts):
    # type: (List[Mount]) -> Tuple[Dict[bytes, bytes], int]
    """The mounts that a path leads to, as point to kind of file system; and how many others are covered by them."""
    numbers = {mount.number for mount in mounts}
    children = {}  # type: Dict[int, List[Mount]]
    for mount in mounts:
        children.setdefault(mount.above, []).append(mount)
    todo = [mount for mount in mounts if mount.above not in numbers or mount.above == mount.number]
    shown = {}  # type: Dict[bytes, bytes]
    while todo:
        mount = todo.pop()
        below = [child for child in children.get(mount.number, []) if child.number != mount.number]
        shown[mount.point] = mount.kind
        # One on the very same point covers all others below it; whoever stands in "/" does not see what is put on it.
        points = {child.point for child in below}
        todo.extend(child for child in below if not _covered(child.point, points))
    return shown, len(mounts) - len(shown)


def _covered(point, points):
    # type: (bytes, Set[bytes]) -> bool
    at = point.rfind(b"/")
    while at > 0:
        if point[:at] in points:
            return True
        at = point.rfind(b"/", 0, at)
    return False


def read():
    # type: () -> Tuple[Dict[bytes, bytes], int]
    """``visible`` mounts of this process. Raises OSError where /proc is not mounted."""
    with open(MOUNTINFO, "rb") as stream:
        return visible(parse(stream.read()))


def _place(source):
    # type: (bytes) -> bytes
    """Where to mount the view of ``source``: over itself, or, since nobody can walk past "/", elsewhere for that."""
    if source != b"/":
        return source
    for place in _PLACES:
        try:
            if stat.S_ISDIR(os.lstat(place).st_mode):
                return place
        except OSError:
            continue
    raise NoViewError("there is no directory to mount a view on")


def _await(child, seconds):
    # type: (subprocess.Popen[bytes], float) -> None
    """Wait until the helper says that the view is mounted. Raises NoViewError with what it said otherwise."""
    assert child.stdout is not None  # noqa: S101  # it is a pipe
    ready = waiting.until(child.stdout.fileno(), seconds)
    if not ready:
        raise NoViewError("mounting took longer than %d s" % seconds)
    said = child.stdout.readline(500)
    if said != b"ready\n":
        text = said.decode("ascii", "backslashreplace").strip()
        raise NoViewError(text or "the helper ended without a word")


def private_view(source):
    # type: (bytes) -> int
    """A descriptor of directory ``source`` without anything mounted below it; reading through it moves no atime.

    Raises NoViewError where that is not possible. The mount is gone from every namespace by the time that this returns;
    it lives on behind the descriptor alone.
    """
    place = _place(source)
    command = [b"unshare", b"--mount", b"--propagation", b"private", b"--", b"sh", b"-c", _HELPER.encode(), b"sh"]
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
    try:
        child = subprocess.Popen(
            command + [source, place],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd="/",  # a walk may stand in a view that no path leads to
        )
    except OSError as error:
        raise NoViewError("unshare cannot be run: %s" % error.strerror)
    try:
        _await(child, _HELPER_SECONDS)
        return _open_checked(b"/proc/%d/root%s" % (child.pid, place), source)
    finally:
        child.kill()
        child.communicate()


def _open_checked(path, source):
    # type: (bytes, bytes) -> int
    fd = None  # type: Optional[int]
    try:
        fd = os.open(path, _DIRECTORY)
        seen, meant = os.fstat(fd), os.stat(source)
        flags = os.fstatvfs(fd).f_flag
    except OSError as error:
        if fd is not None:
            os.close(fd)
        raise NoViewError("the view cannot be opened: %s" % error.strerror)
    if (seen.st_dev, seen.st_ino) != (meant.st_dev, meant.st_ino):
        os.close(fd)
        raise NoViewError("the view shows another directory")
    if not flags & os.ST_RDONLY or not flags & os.ST_NOATIME:
        os.close(fd)
        raise NoViewError("the view is not read-only and noatime")
    return fd
