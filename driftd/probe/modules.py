"""Kernel modules: loaded, and to be loaded at boot (modules-load.d(5), modules(5), proc_modules(5), sysfs-module).

A module that only one of /proc/modules and /sys/module names hides from the other: ``shown`` says which one has it.
"""

from typing import Dict, List, Optional

from driftd.probe import dropins, inside, system
from driftd.probe.found import Found

KIND = b"module"
ROWS_LIMIT = 20000


def collect(place, found, live, kernel=None):
    # type: (inside.Root, Found, bool, Optional[system.System]) -> None
    """One fact a module."""
    found.looked(KIND)
    wanted = configured(place, found)
    loaded = loaded_now(kernel or system.System()) if live else {}
    for name in sorted(set(wanted) | set(loaded))[:ROWS_LIMIT]:
        found.add(KIND, name, configured=wanted.get(name, b""), **loaded.get(name, {}))


def configured(place, found):
    # type: (inside.Root, Found) -> Dict[bytes, bytes]
    """Each module that is loaded at boot, with the file that says so."""
    wanted = {}  # type: Dict[bytes, bytes]
    files = dropins.read(place, found, KIND, dropins.directories(b"modules-load.d"), b".conf")
    # Debian links it into modules-load.d; without systemd it is read by itself.
    files.append(dropins.File(b"modules", b"/etc/modules", dropins.read_one(place, found, KIND, b"/etc/modules")))
    for one in files:
        for line in dropins.settings(one.text):
            wanted.setdefault(line.split()[0].replace(b"-", b"_"), one.path)
    return wanted


def loaded_now(kernel):
    # type: (system.System) -> Dict[bytes, Dict[str, bytes]]
    """The modules in the kernel, each with ``live``, ``taint`` (its letters) and, if it hides, ``shown``."""
    listed, known = _listed(kernel), _known(kernel)
    if set(listed) != set(known):
        # One may have come or gone meanwhile: what hides is still at odds with itself the second time.
        listed, known = _listed(kernel), _known(kernel)
    rows = {}  # type: Dict[bytes, Dict[str, bytes]]
    for name in set(listed) | set(known):
        row = {"live": b"loaded", "taint": listed.get(name, b"") or kernel.text(b"/sys/module/" + name + b"/taint")}
        if name not in listed:
            row["shown"] = b"/sys/module only"
        elif name not in known:
            row["shown"] = b"/proc/modules only"
        rows[name] = row
    return rows


def _listed(kernel):
    # type: (system.System) -> Dict[bytes, bytes]
    """Name to taint letters, of /proc/modules: "name size refs users state address (letters)"."""
    listed = {}  # type: Dict[bytes, bytes]
    for line in kernel.lines(b"/proc/modules"):
        fields = line.split()
        if fields:
            last = fields[-1]
            listed[fields[0]] = last[1:-1] if last.startswith(b"(") and last.endswith(b")") else b""
    return listed


def _known(kernel):
    # type: (system.System) -> List[bytes]
    """The names in /sys/module that are loaded modules; those built into the kernel have no state."""
    return [name for name in kernel.names(b"/sys/module") if kernel.there(b"/sys/module/" + name + b"/initstate")]
