"""What hangs on an inode besides its stat: extended attributes, and the flags immutable and append-only.

The flags are read by FS_IOC_GETFLAGS (ioctl_iflags(2)), which needs a descriptor: only files and directories are ever
opened, and only they can have these flags.
"""

import errno
import fcntl
import os
import struct
from typing import List, Tuple, Union

from driftd.probe import wire
from driftd.probe.tally import Tally

# overlayfs keeps its own book-keeping in these. They are not part of the tree that it shows, and the same tree read
# through the overlay or from an upper directory has to give the same bytes.
OVERLAY_OWN = (b"trusted.overlay.", b"user.overlay.")
_GONE = (errno.ENOENT, errno.ESTALE)
_NOT_PERMITTED = (errno.EACCES, errno.EPERM)

# linux/fs.h: FS_IOC_GETFLAGS is _IOR('f', 1, long), though the kernel writes an int. Where asm/ioctl.h has other bits
# for the direction (alpha, mips, powerpc, sparc), "read" is 1 << 30 instead of 2 << 30.
_READ = 0x40000000 if os.uname().machine.startswith(("alpha", "mips", "parisc", "ppc", "sparc")) else 0x80000000
GETFLAGS = _READ | struct.calcsize("l") << 16 | ord("f") << 8 | 1
_ROOM = struct.calcsize("l")
_INT = struct.Struct("i")
BITS = ((0x10, wire.IMMUTABLE), (0x20, wire.APPEND_ONLY))
# File systems without flags say so in one of these words.
_NO_FLAGS = (errno.ENOTTY, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


def flags(fd, path, tally):
    # type: (int, bytes, Tally) -> int
    """IMMUTABLE | APPEND_ONLY as the open file or directory has them; 0 where its file system knows no flags."""
    answer = bytearray(_ROOM)  # one to be written to; to bytes, Python gets by way of an exception
    try:
        fcntl.ioctl(fd, GETFLAGS, answer)
    except OSError as error:
        if error.errno in _NOT_PERMITTED:
            tally.count("not permitted: the flags of files and directories")
        elif error.errno not in _NO_FLAGS:
            tally.not_read(path, error)
        return 0
    bits = _INT.unpack_from(answer)[0]
    return sum(ours for theirs, ours in BITS if bits & theirs) if bits & 0x30 else 0


def xattrs_by_name(dir_fd, name, path, tally):
    # type: (int, bytes, bytes, Tally) -> Tuple[Tuple[bytes, bytes], ...]
    """The extended attributes of ``name`` itself, which is not opened, nor followed where it is a link."""
    # There is no listxattrat(2) in Python; the link in /proc leads to the directory that we hold open.
    return xattrs(b"/proc/self/fd/%d/%s" % (dir_fd, name), path, tally)


def xattrs(where, path, tally):
    # type: (Union[int, bytes], bytes, Tally) -> Tuple[Tuple[bytes, bytes], ...]
    """The extended attributes of a descriptor or path, sorted by name; what could not be read is in ``tally``."""
    follow = isinstance(where, int)
    rows, size = [], 0  # type: List[Tuple[bytes, bytes]], int
    try:
        names = os.listxattr(where, follow_symlinks=follow)
        if not names:
            return ()
        for text in names:
            name = os.fsencode(text)
            if name.startswith(OVERLAY_OWN):
                continue
            try:
                value = os.getxattr(where, name, follow_symlinks=follow)
            except OSError as error:
                if error.errno != errno.ENODATA:
                    tally.not_read(path, error)
                continue
            rows.append((name, value))
            size += len(name) + len(value)
    except OSError as error:
        if error.errno != errno.ENOTSUP and error.errno not in _GONE:
            tally.not_read(path, error)
        return ()
    if size > wire.XATTR_LIMIT:
        tally.not_read(path, "more than %d bytes of extended attributes" % wire.XATTR_LIMIT)
        # Anybody may pile up user.*; what gives rights (capabilities, access lists) is small and not to be buried.
        rows = [row for row in rows if not row[0].startswith(b"user.")]
    return tuple(sorted(rows))
