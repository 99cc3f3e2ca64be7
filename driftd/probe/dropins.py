"""Configuration that lies in several directories, where one file takes the place of another of the same name.

That is how systemd reads sysctl.d, modules-load.d and unit files: /etc before /run before /usr/local/lib before
/usr/lib; a link to /dev/null, a device or an empty file masks what stands behind it.
"""

import errno
from typing import Dict, List, NamedTuple, Tuple

from driftd.probe import files, inside
from driftd.probe.found import Found

FILE_LIMIT = 1024 * 1024
NAMES_LIMIT = 5000

# ``path`` is where it was found; ``text`` is empty for a mask and for what cannot be read.
File = NamedTuple("File", [("name", bytes), ("path", bytes), ("text", bytes)])

_NO_FILE = (errno.EISDIR, errno.EINVAL)  # a device or a FIFO is the second


def directories(name):
    # type: (bytes) -> Tuple[bytes, ...]
    """Where systemd looks for ``name`` (as b"sysctl.d"), the most important first."""
    places = (b"/etc/", b"/run/", b"/usr/local/lib/", b"/usr/lib/", b"/lib/")
    return tuple(place + name for place in places)


def read(place, found, kind, where, suffix):
    # type: (inside.Root, Found, bytes, Tuple[bytes, ...], bytes) -> List[File]
    """The files that count, by name. What cannot be read is said of ``kind``."""
    by_name = {}  # type: Dict[bytes, File]
    for path in where:
        try:
            with place.directory(path) as directory:
                for name in directory.names(NAMES_LIMIT):
                    if name.endswith(suffix) and name not in by_name:
                        by_name[name] = File(name, path + b"/" + name, _text(directory, name, found, kind))
        except OSError as error:
            if error.errno not in files.ABSENT:
                found.failed(kind, path, error)
    return [by_name[name] for name in sorted(by_name)]


def _text(directory, name, found, kind):
    # type: (inside.Directory, bytes, Found, bytes) -> bytes
    try:
        return directory.read(name, FILE_LIMIT)
    except OSError as error:
        if error.errno not in files.ABSENT + _NO_FILE:
            found.failed(kind, directory.path + b"/" + name, error)
        return b""


def read_one(place, found, kind, path):
    # type: (inside.Root, Found, bytes, bytes) -> bytes
    """One file's text; b"" where there is none, and where it cannot be read, which is then said of ``kind``."""
    return files.read(place, found, kind, path, FILE_LIMIT) or b""


def settings(text, comments=(b"#", b";")):
    # type: (bytes, Tuple[bytes, ...]) -> List[bytes]
    """The lines that say something, without blanks around them."""
    lines = [line.strip() for line in text.split(b"\n")]
    return [line for line in lines if line and not line.startswith(comments)]
