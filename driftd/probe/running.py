"""What the running programs show: listeners, the programs themselves, preloads and BPF, of one snapshot of /proc."""

from typing import Optional

from driftd.probe import bpf, inside, listeners, preload, programs, snapshot, system
from driftd.probe.found import Found


def collect(place, found, live, kernel=None):
    # type: (inside.Root, Found, bool, Optional[system.System]) -> None
    """Everything about processes; of a root that does not run, only what a file says of preloads."""
    preload.from_file(place, found)
    if not live:
        return
    names = system.users(place)
    seen = snapshot.Snapshot(kernel or system.System(), names)
    sockets = listeners.read(seen)
    seen.look_at_files({one.inode for one in sockets})
    listeners.report(found, seen, names, sockets)
    programs.Programs(seen).report(found)
    preload.report(found, seen)
    bpf.report(found, seen)
