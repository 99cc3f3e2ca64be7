"""Installed packages, by the files of the databases that hold them: dpkg's status file (deb822(5)).

Fields: version, source (the database).
"""

import errno
import os
from typing import Dict, Iterator

from driftd.probe import inside
from driftd.probe.found import Found

STATUS = b"/var/lib/dpkg/status"
STATUS_LIMIT = 64 * 1024 * 1024
_KIND = b"package"

# dpkg's words for a package whose files are all there.
_INSTALLED = (b"installed", b"triggers-awaited", b"triggers-pending")
_RPM = (b"/var/lib/rpm/rpmdb.sqlite", b"/var/lib/rpm/Packages", b"/usr/lib/sysimage/rpm/rpmdb.sqlite")


def collect(place, found, live):  # noqa: ARG001  # every collector has the same arguments
    # type: (inside.Root, Found, bool) -> None
    """Add every package whose files are all there."""
    try:
        text = place.read(STATUS, STATUS_LIMIT)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR):
            found.failed(_KIND, STATUS, error)
        elif any(_exists(place, path) for path in _RPM):
            found.not_available(_KIND, "the RPM database cannot be read by this version")
        else:
            found.looked(_KIND)
        return
    found.looked(_KIND)
    for paragraph in _paragraphs(text):
        status = paragraph.get(b"status", b"").split()
        name = paragraph.get(b"package", b"")
        if name and len(status) == 3 and status[2] in _INSTALLED:
            arch = paragraph.get(b"architecture", b"")
            full = name + b":" + arch if arch else name
            found.add(_KIND, full, version=paragraph.get(b"version", b""), source=b"dpkg")


def _exists(place, path):
    # type: (inside.Root, bytes) -> bool
    try:
        os.close(place.open(path))
    except OSError as error:
        return error.errno not in (errno.ENOENT, errno.ENOTDIR)
    return True


def _paragraphs(text):
    # type: (bytes) -> Iterator[Dict[bytes, bytes]]
    """Each paragraph's one-line fields; continuation lines and lines that are no field are passed over."""
    fields = {}  # type: Dict[bytes, bytes]
    for line in text.split(b"\n"):
        if not line.strip():
            if fields:
                yield fields
            fields = {}
        elif line[:1] not in b" \t#":
            name, colon, value = line.partition(b":")
            if colon:
                fields.setdefault(name.strip().lower(), value.strip())
    if fields:
        yield fields
