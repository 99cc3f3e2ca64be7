"""A small tree with one of everything, and everything that can become of it.

Paths are bytes and relative to the tree. A mutation is a step (verb, number, name): the number picks what it befalls,
the name is a new name, value or target. What a step cannot do (to a file that an earlier one made immutable) it leaves.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import socket
import stat
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

# Root of the machine, not only of a user namespace (where the suite runs for an ordinary user).
MACHINE = os.geteuid() == 0 and Path("/proc/self/uid_map").read_text().split() == ["0", "0", "4294967295"]

GETFLAGS, SETFLAGS = 0x80086601, 0x40086602
IMMUTABLE, APPEND, NODUMP, NOATIME = 0x10, 0x20, 0x40, 0x80

ODD = [
    b"new\nline", b"\xff\xfe", b"\x1b[31m", b" ", b"-rf", b"a" * 255, b"star*[x]?", b"#hash", b"back\\slash", b"%41",
    b'quo"te', b"\x01\x7f", "ü".encode(), b"tab\there", b" lead", b"trail ", b"...", b"~", b"$(x)", b"missing: .",
    b"b" * 254 + b"\xff", b"a: size (1, 2)", b"{brace}", b"'", b"\r\n", b"\\012",
]  # fmt: skip
CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")
Step = tuple[str, int, bytes]


def access_list(user: int) -> bytes:
    """A POSIX ACL as the kernel keeps it: the owner, ``user``, the group, a mask and others."""
    rows = [(1, 6, -1), (2, 6, user), (4, 4, -1), (16, 6, -1), (32, 4, -1)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *row) for row in rows)


def write(path: bytes, content: bytes) -> None:
    Path(os.fsdecode(path)).write_bytes(content)


def plant(root: bytes) -> None:
    """About sixty entries of every kind below ``root``, which is made; the same ones each time."""
    os.mkdir(root)
    for name in (b"etc", b"etc/deep", b"etc/deep/er", b"bin", b"odd", b"empty", b"var", b"var/links", b"var/special"):
        os.mkdir(root + b"/" + name)
    for number, name in enumerate(ODD):
        write(root + b"/odd/" + name, b"%d\n" % number * number)
    os.mkdir(root + b"/odd/dir\n")
    write(root + b"/odd/dir\n/\xff", b"within")
    for name in (b"passwd", b"hosts", b"deep/a", b"deep/b", b"deep/er/c"):
        write(root + b"/etc/" + name, name * 20)
    write(root + b"/bin/tool", b"\x7fELF" * 100)
    os.chmod(root + b"/bin/tool", 0o755)
    write(root + b"/bin/setuid", b"\x7fELF" * 90)
    os.chmod(root + b"/bin/setuid", 0o4755)
    write(root + b"/var/large", b"0123456789abcdef" * 40_000)
    with open(root + b"/var/sparse", "wb") as stream:
        stream.truncate(1 << 20)
    for group in (b"one", b"two"):
        write(root + b"/var/links/" + group, group)
        os.link(root + b"/var/links/" + group, root + b"/etc/hard-" + group)
    os.link(root + b"/var/links/two", root + b"/odd/hard two\n")
    os.symlink(b"tool", root + b"/bin/link")
    os.symlink(b"nowhere \n\xff", root + b"/bin/dangling")
    os.symlink(b"../etc", root + b"/var/to-directory")
    os.mkfifo(root + b"/var/special/fifo")
    _socket(root + b"/var/special/socket")
    os.setxattr(root + b"/etc/hosts", b"user.note", b"as it was")
    os.setxattr(root + b"/etc/deep", b"user.note", b"on a directory")
    os.setxattr(root + b"/etc/deep/a", b"system.posix_acl_access", access_list(0))
    if MACHINE:
        os.mknod(root + b"/var/special/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        os.mknod(root + b"/var/special/disk", stat.S_IFBLK | 0o660, os.makedev(253, 7))
        os.setxattr(root + b"/bin/tool", b"security.capability", CAPABILITY)
        os.chown(root + b"/etc/deep/b", 7, 8)
        _flag(root + b"/etc/deep/er/c", IMMUTABLE)


def clear(root: bytes) -> None:
    """Remove the tree, whatever holds on to it."""
    for path, found in below(root):
        if stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode):
            with contextlib.suppress(OSError):
                _flag(path, 0)
    if os.path.lexists(root):
        shutil.rmtree(root)


def below(root: bytes) -> Iterator[tuple[bytes, os.stat_result]]:
    """``root`` and every path in it, sorted, with what lstat says."""
    if not os.path.lexists(root):
        return
    yield root, os.lstat(root)
    for directory, names, files in os.walk(root):
        names.sort()
        for name in sorted(names + files):
            path = os.path.join(directory, name)
            yield path, os.lstat(path)


def paths(root: bytes) -> set[bytes]:
    """Every path as an instance names it."""
    return {path[len(root) :] or b"/" for path, _ in below(root)}


# --- what becomes of it ----------------------------------------------------------------------------------------------


def change(root: bytes, step: Step) -> bool:
    """Whether the step could be done."""
    verb, number, name = step
    wanted, act = VERBS[verb]
    found = [path for path, stat_result in below(root) if path != root and wanted(stat_result)]
    if not found:
        return False
    try:
        act(found[number % len(found)], number, name)
    except OSError:
        return False
    return True


def _any(_found: os.stat_result) -> bool:
    return True


def _file(found: os.stat_result) -> bool:
    return stat.S_ISREG(found.st_mode)


def _directory(found: os.stat_result) -> bool:
    return stat.S_ISDIR(found.st_mode)


def _content(found: os.stat_result) -> bool:
    return stat.S_ISREG(found.st_mode) and found.st_size > 0


def _link(found: os.stat_result) -> bool:
    return stat.S_ISLNK(found.st_mode)


def _device(found: os.stat_result) -> bool:
    return stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode)


def _hard(found: os.stat_result) -> bool:
    return stat.S_ISREG(found.st_mode) and found.st_nlink > 1


def _not_link(found: os.stat_result) -> bool:
    return not stat.S_ISLNK(found.st_mode)


def _plain(found: os.stat_result) -> bool:
    return stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)


@contextlib.contextmanager
def _as_before(path: bytes) -> Iterator[None]:
    """Times are put back afterwards."""
    found = os.lstat(path)
    yield
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns), follow_symlinks=False)


def _flag(path: bytes, flags: int, add: bool = True) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    try:
        now = struct.unpack("l", fcntl.ioctl(fd, GETFLAGS, struct.pack("l", 0)))[0]
        wanted = now | flags if flags and add else now & ~(flags or IMMUTABLE | APPEND | NODUMP | NOATIME)
        if wanted != now:
            fcntl.ioctl(fd, SETFLAGS, struct.pack("l", wanted))
    finally:
        os.close(fd)


def _socket(path: bytes) -> None:
    here = os.open(os.path.dirname(path), os.O_RDONLY)
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(b"/proc/self/fd/%d/.socket" % here)  # an address has no room for long names
        _put(os.path.dirname(path) + b"/.socket", path)
    finally:
        os.close(here)


def _flip(path: bytes, number: int, _name: bytes) -> None:
    with _as_before(path), open(path, "r+b") as stream:
        at = number % os.lstat(path).st_size
        stream.seek(at)
        byte = stream.read(1)[0] ^ (1 << number % 8)
        stream.seek(at)
        stream.write(bytes([byte]))


def _append(path: bytes, number: int, name: bytes) -> None:
    with _as_before(path), open(path, "ab") as stream:
        stream.write(name * (number % 50 + 1))


def _swap(path: bytes, _number: int, _name: bytes) -> None:
    """With the next file in its directory, both times as they were at their paths."""
    here = os.path.dirname(path)
    others = sorted(os.path.join(here, one) for one in os.listdir(here))
    others = [one for one in others if one != path and _file(os.lstat(one))]
    if others:
        between = here + b"/.swap"
        with _as_before(path), _as_before(others[0]):
            os.rename(path, between)
            os.rename(others[0], path)
            os.rename(between, others[0])


def _remove(path: bytes, _number: int, _name: bytes) -> None:
    if _directory(os.lstat(path)):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def _retype(path: bytes, number: int, name: bytes) -> None:
    """From what it is to the next kind."""
    _remove(path, number, name)
    _make(path, ["link", "directory", "fifo", "file", "socket"][number % 5], name)


def _make(path: bytes, kind: str, name: bytes) -> None:
    if kind == "link":
        os.symlink(name, path)
    elif kind == "directory":
        os.mkdir(path)
        write(path + b"/within", name)
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        _socket(path)
    elif kind == "hole":
        with open(path, "xb") as stream:
            stream.truncate(len(name) * 100_000)
    elif kind == "device":
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(5, 1))
    else:
        with open(path, "xb") as stream:
            stream.write(name)


def _maker(kind: str) -> Callable[[bytes, int, bytes], None]:
    return lambda directory, _number, name: _make(os.path.join(directory, name), kind, name)


def _retarget(path: bytes, _number: int, name: bytes) -> None:
    with _as_before(path):
        os.unlink(path)
        os.symlink(name, path)


def _hard_link(path: bytes, number: int, name: bytes) -> None:
    os.link(path, os.path.join(os.path.dirname(path), name))


def _break_link(path: bytes, _number: int, name: bytes) -> None:
    """The same bytes, mode, owner, attributes and times, in a file of its own."""
    made = os.path.dirname(path) + b"/.copy"
    found = os.lstat(path)
    shutil.copy2(path, made)
    os.chown(made, found.st_uid, found.st_gid)
    os.chmod(made, stat.S_IMODE(found.st_mode))
    _put(made, path)


def _put(made: bytes, path: bytes) -> None:
    """In the place of what is there, if that lets itself be replaced."""
    try:
        os.rename(made, path)
    except OSError:
        os.unlink(made)
        raise


def _rename(path: bytes, _number: int, name: bytes) -> None:
    new = os.path.join(os.path.dirname(path), name)
    if not os.path.lexists(new):
        os.rename(path, new)


def _device_number(path: bytes, number: int, _name: bytes) -> None:
    found = os.lstat(path)
    with _as_before(path):
        os.unlink(path)
        os.mknod(path, found.st_mode, os.makedev(number % 200, number % 7))
        os.chmod(path, stat.S_IMODE(found.st_mode))


def _mode(path: bytes, number: int, _name: bytes) -> None:
    os.chmod(path, stat.S_IMODE(os.lstat(path).st_mode) ^ (1 << number % 12))


def _owner(path: bytes, number: int, _name: bytes) -> None:
    os.chown(path, number % 40, number % 13, follow_symlinks=False)


def _attribute(path: bytes, number: int, name: bytes) -> None:
    os.setxattr(path, b"user." + (b"note", name.hex().encode()[:200])[number % 2], name)


def _attribute_gone(path: bytes, _number: int, _name: bytes) -> None:
    names = os.listxattr(path)
    if not names:
        raise OSError(errno.ENODATA, "it has none")
    os.removexattr(path, names[0])


def _trusted(path: bytes, _number: int, name: bytes) -> None:
    os.setxattr(path, b"trusted.note", name, follow_symlinks=False)


def _capability(path: bytes, number: int, _name: bytes) -> None:
    os.setxattr(path, b"security.capability", CAPABILITY[:4] + bytes([number % 200]) + CAPABILITY[5:])


def _default_list(path: bytes, number: int, _name: bytes) -> None:
    os.setxattr(path, b"system.posix_acl_default", access_list(number % 30))


def _inode(path: bytes, _number: int, _name: bytes) -> None:
    """The same file in another inode, without its holes, and with other times."""
    found = os.lstat(path)
    made = os.path.dirname(path) + b"/.copy"
    write(made, Path(os.fsdecode(path)).read_bytes())
    os.chown(made, found.st_uid, found.st_gid)
    for name in os.listxattr(path):
        os.setxattr(made, name, os.getxattr(path, name))
    os.chmod(made, stat.S_IMODE(found.st_mode))
    _put(made, path)


def _single(found: os.stat_result) -> bool:
    return _file(found) and found.st_nlink == 1


def _times(path: bytes, number: int, _name: bytes) -> None:
    os.utime(path, ns=(number * 10**9, (number + 5) * 10**9), follow_symlinks=False)


def _directory_size(path: bytes, _number: int, _name: bytes) -> None:
    """A directory on ext4 grows with its names and stays so when they are gone."""
    made = [path + b"/%03d" % number + b"x" * 240 for number in range(20)]
    for name in made:
        write(name, b"")
    for name in made:
        os.unlink(name)


def _read(path: bytes, _number: int, _name: bytes) -> None:
    Path(os.fsdecode(path)).read_bytes()
    os.utime(path, ns=(os.lstat(path).st_atime_ns + 10**9, os.lstat(path).st_mtime_ns))


def _flagger(flags: int, add: bool = True) -> Callable[[bytes, int, bytes], None]:
    return lambda path, _number, _name: _flag(path, flags, add)


Verb = tuple[Callable[[os.stat_result], bool], Callable[[bytes, int, bytes], None]]

# Each is drift, done alone.
LOUD: dict[str, Verb] = {
    "flip": (_content, _flip),
    "append": (_file, _append),
    "swap": (_content, _swap),
    "remove": (_any, _remove),
    "retype": (_any, _retype),
    "rename": (_any, _rename),
    "retarget": (_link, _retarget),
    "new-file": (_directory, _maker("file")),
    "new-hole": (_directory, _maker("hole")),
    "new-directory": (_directory, _maker("directory")),
    "new-link": (_directory, _maker("link")),
    "new-fifo": (_directory, _maker("fifo")),
    "new-socket": (_directory, _maker("socket")),
    "hard-link": (_file, _hard_link),
    "break-link": (_hard, _break_link),
    "mode": (_not_link, _mode),
    "attribute": (_plain, _attribute),
    "attribute-gone": (_plain, _attribute_gone),
    "access-list": (_file, lambda path, number, _: os.setxattr(path, b"system.posix_acl_access", access_list(number))),
    "default-list": (_directory, _default_list),
}
# These only the machine's own root can do.
LOUD_ROOT: dict[str, Verb] = {
    "owner": (_any, _owner),
    "new-device": (_directory, _maker("device")),
    "device-number": (_device, _device_number),
    "capability": (_file, _capability),
    "trusted": (_any, _trusted),
    "immutable": (_plain, _flagger(IMMUTABLE)),
    "append-only": (_plain, _flagger(APPEND)),
    "mutable": (_plain, _flagger(IMMUTABLE | APPEND, add=False)),
}
# And these are none.
SILENT: dict[str, Verb] = {
    "inode": (_single, _inode),
    "times": (_any, _times),
    "directory-size": (_directory, _directory_size),
    "read": (_file, _read),
    "no-dump": (_plain, _flagger(NODUMP | NOATIME)),
}
VERBS = {**LOUD, **LOUD_ROOT, **SILENT}
