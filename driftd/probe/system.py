"""Where the running kernel is asked: procfs and sysfs, and what of them this process may see."""

import os
from typing import Dict, List, Optional

from driftd.probe import inside

LIMIT = 1024 * 1024
TABLE_LIMIT = 16 * 1024 * 1024
PASSWD_LIMIT = 16 * 1024 * 1024

CAP_NET_ADMIN = 12
CAP_SYS_ADMIN = 21

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class System(object):
    """The machine that is running. ``top`` is what its paths begin with; a test may put another there."""

    def __init__(self, top=b""):
        # type: (bytes) -> None
        self.top = top

    def read(self, path, limit=LIMIT):
        # type: (bytes, int) -> bytes
        """The file of procfs or sysfs, cut after ``limit`` bytes. Raises OSError."""
        fd = os.open(self.top + path, _FLAGS)
        try:
            return inside.read_fd(fd, limit)
        finally:
            os.close(fd)

    def text(self, path, limit=LIMIT):
        # type: (bytes, int) -> bytes
        """The same without blanks around it; b"" when there is none or it cannot be read."""
        try:
            return self.read(path, limit).strip()
        except OSError:
            return b""

    def lines(self, path, limit=TABLE_LIMIT):
        # type: (bytes, int) -> List[bytes]
        """Its lines; none when there is no such file, or it cannot be read."""
        return self.text(path, limit).split(b"\n")

    def names(self, path):
        # type: (bytes) -> List[bytes]
        """What is in a directory, sorted; nothing when it is not there or cannot be read."""
        try:
            return sorted(os.listdir(self.top + path))
        except OSError:
            return []

    def there(self, path):
        # type: (bytes) -> bool
        """Is there something of that name?"""
        return os.path.lexists(self.top + path)

    def may(self, capability):
        # type: (int) -> bool
        """Does this process have a right (capabilities(7), by number), be it in a user namespace of its own?"""
        for line in self.lines(b"/proc/self/status"):
            name, _, value = line.partition(b":")
            if name == b"CapEff":
                return bool(max(0, number(value, 16)) >> capability & 1)
        return False


def number(text, base=10):
    # type: (bytes, int) -> int
    """The number that ``text`` is; -1 when it is none, as where something else is mounted over procfs."""
    try:
        return int(text, base)
    except ValueError:
        return -1


def users(place):
    # type: (inside.Root) -> Dict[int, bytes]
    """The names of users by number, the first of several; passwd(5)."""
    found = {}  # type: Dict[int, bytes]
    try:
        rows = place.read(b"/etc/passwd", PASSWD_LIMIT).split(b"\n")
    except OSError:
        return found
    for row in rows:
        fields = row.split(b":")
        if len(fields) > 2 and fields[2].isdigit() and len(fields[2]) <= 10:
            found.setdefault(int(fields[2]), fields[0])
    return found


def name_of(names, uid):
    # type: (Dict[int, bytes], Optional[int]) -> bytes
    """The user's name, else the number as text; b"" for None."""
    if uid is None:
        return b""
    return names.get(uid, b"%d" % uid)
