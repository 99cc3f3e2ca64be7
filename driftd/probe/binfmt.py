"""Programs that the kernel starts other programs with: binfmt_misc (the kernel's admin-guide/binfmt-misc)."""

from typing import Dict, List, Optional

from driftd.probe import inside, mounts, system
from driftd.probe.found import Found

KIND = b"binfmt"
ROWS_LIMIT = 5000
_OWN = (b"register", b"status")
_FIELDS = (b"interpreter", b"flags", b"offset", b"magic", b"mask", b"extension")


def collect(_place, found, live, kernel=None):
    # type: (inside.Root, Found, bool, Optional[system.System]) -> None
    """One fact a format. A directory that would only be mounted by looking into it (autofs) is left alone."""
    if not live:
        return
    found.looked(KIND)
    kernel = kernel or system.System()
    shown = mounts.parse(kernel.text(b"/proc/self/mountinfo", system.TABLE_LIMIT))
    points = [mount.point for mount in shown if mount.kind == b"binfmt_misc"]
    if not points:
        if b"nodev\tbinfmt_misc" in kernel.lines(b"/proc/filesystems"):
            found.not_available(KIND, "binfmt_misc is in the kernel and not mounted; what it holds cannot be seen")
        return
    for point in points[:1]:
        off = kernel.text(point + b"/status") == b"disabled"
        for name in kernel.names(point)[:ROWS_LIMIT]:
            if name not in _OWN:
                _add(found, name, kernel.lines(point + b"/" + name, 65536), off)


def _add(found, name, lines, off):
    # type: (Found, bytes, List[bytes], bool) -> None
    said = {}  # type: Dict[str, bytes]
    enabled = b"yes" if lines[0] == b"enabled" and not off else b"no"
    for line in lines[1:]:
        key, _, value = line.partition(b" ")
        key = key.rstrip(b":")
        if key in _FIELDS:
            said[key.decode("ascii")] = value.strip()
    found.add(KIND, name, enabled=enabled, **said)
