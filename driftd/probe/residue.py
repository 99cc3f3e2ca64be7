"""What somebody leaves behind who works in a shell: when histories and timestamps of sudo were last written.

No contents are read.

Weak: whoever owns a file can set its time, or have no history at all; and a session that is known explains it. So it
only adds somebody where nothing else tells of anybody at that time.
"""

import stat
from typing import List, Sequence

from driftd.probe import clues, inside
from driftd.probe.accounts import homes

# Written by interactive programs alone. (``known_hosts`` is written by any script's ssh, and so tells of nobody.)
HISTORIES = (
    b".bash_history",
    b".zsh_history",
    b".ash_history",
    b".python_history",
    b".lesshst",
    b".viminfo",
    b".mysql_history",
    b".psql_history",
)
SUDO = (b"/run/sudo/ts", b"/var/run/sudo/ts", b"/var/lib/sudo/ts", b"/var/db/sudo/ts")
_HOMES_LIMIT = 500


def collect(place, since):
    # type: (inside.Root, float) -> List[clues.Clue]
    """A clue for each of them that was written since ``since``; what cannot be seen of a home the tree says."""
    found = []  # type: List[clues.Clue]
    for home in homes(place)[:_HOMES_LIMIT]:
        found += _written(place, home.path, home.user, HISTORIES, since)
    for path in SUDO:
        found += _written(place, path, b"", (), since)
    return found[: clues.LIMIT]


def _written(place, path, user, names, since):
    # type: (inside.Root, bytes, bytes, Sequence[bytes], float) -> List[clues.Clue]
    """``names`` in the directory, or all of them: then each is named for its user."""
    found = []
    try:
        with place.directory(path) as directory:
            for name in names or directory.names():
                try:
                    status = directory.status(name)
                except OSError:
                    continue
                if stat.S_ISREG(status.st_mode) and status.st_size and status.st_mtime >= since:
                    at, whole = int(status.st_mtime), path.rstrip(b"/") + b"/" + name
                    found.append(clues.clue(b"residue", user=user or name, started=at, note=whole))
    except OSError:
        return []
    return found
