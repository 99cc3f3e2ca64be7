"""Libraries that the loader puts into programs unasked (ld.so(8)): /etc/ld.so.preload, and variables of what runs.

A process's environment is what it was started with, or what it wrote over that.
"""

import re
from typing import Set, Tuple

from driftd.probe import dropins, inside, snapshot
from driftd.probe.found import Found

KIND = b"preload"
ROWS_LIMIT = 5000
ENVIRONMENT_LIMIT = 4 * 1024 * 1024
VALUE_LIMIT = 4096
VALUES_LIMIT = 16  # of one process
_FILE = b"/etc/ld.so.preload"
_VARIABLES = re.compile(rb"(?:\A|\0)(LD_(?:PRELOAD|AUDIT|LIBRARY_PATH)=[^\0]+)")


def from_file(place, found):
    # type: (inside.Root, Found) -> None
    """What /etc/ld.so.preload says."""
    found.looked(KIND)
    for line in dropins.read_one(place, found, KIND, _FILE).split(b"\n"):
        for name in line.partition(b"#")[0].replace(b":", b" ").split():
            found.add(KIND, name, file=_FILE)


def report(found, seen):
    # type: (Found, snapshot.Snapshot) -> None
    """What the running programs were started with."""
    rows, hidden, cut = set(), bool(seen.hidden), seen.cut  # type: Set[Tuple[bytes, bytes, bytes]], bool, bool
    for process in seen.processes:
        path = b"/proc/%d/environ" % process.pid
        try:
            text = seen.kernel.read(path, ENVIRONMENT_LIMIT)
        except OSError as error:
            hidden = hidden or error.errno in (1, 13)
            continue
        cut = cut or len(text) >= ENVIRONMENT_LIMIT
        for number, match in enumerate(_VARIABLES.finditer(text)):
            if number < VALUES_LIMIT:
                rows.add((match.group(1)[:VALUE_LIMIT], process.program, process.user))
    for name, program, user in sorted(rows)[:ROWS_LIMIT]:
        found.add(KIND, name, program=program, user=user)
    if hidden:
        found.not_permitted(KIND, "the environment of other users' programs is hidden from this user")
    if cut or len(rows) > ROWS_LIMIT:
        found.cut_short(KIND, "not every environment was read to its end")
