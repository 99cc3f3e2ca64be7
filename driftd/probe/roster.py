"""The roster: every process of this machine at one moment, with its command line as far as it holds no secret."""

import itertools
import os
from typing import Iterator, List, Optional, Tuple

from driftd.probe import processes, redact, secretwords, wire
from driftd.probe.dialogue import PAGES_LIMIT

PAGE = 48 * 1024  # bytes: less than one answer may have
_COMMAND = 1024  # bytes of one command line
_NAME = 256
_REST = 64  # bytes that a row has beside its words, at most
_PROC = b"/proc"

# Its number, that of the one above, the user, the start, the name, the program, the command line.
Row = Tuple[int, int, int, int, bytes, bytes, bytes]


class Roster(object):
    """Read once, when it is first asked for; in pages."""

    def __init__(self, root):
        # type: (bytes) -> None
        self._live = root == b"/"
        self._pages = None  # type: Optional[List[bytes]]

    def page(self, number):
        # type: (int) -> Tuple[bytes, int]
        """One page, b"" beyond the last, and how many there are (one more than PAGES_LIMIT for more)."""
        if self._pages is None:
            self._pages = list(itertools.islice(_paged(_rows()), PAGES_LIMIT + 1)) if self._live else []
        pages = self._pages[:PAGES_LIMIT]
        return (pages[number] if number < len(pages) else b""), len(self._pages)


def _paged(rows):
    # type: (Iterator[Row]) -> Iterator[bytes]
    page, size = [], 0  # type: List[List[object]], int
    for row in rows:
        page.append(list(row))
        size += len(row[4]) + len(row[5]) + len(row[6]) + _REST
        if size > PAGE:
            yield wire.pack(page)
            page, size = [], 0
    if page:
        yield wire.pack(page)


def _rows():
    # type: () -> Iterator[Row]
    table = processes.Table(_PROC)
    for number in sorted(table.all):
        one = table.all[number]
        where = _PROC + b"/%d" % number
        try:
            user = os.stat(where).st_uid
        except OSError:
            continue  # it has ended
        try:
            program = os.readlink(where + b"/exe")
        except OSError:
            program = b""
        started = max(0, int(one.started))
        command = masked(table.read(number, b"cmdline")[: _COMMAND * 4])
        yield number, one.above, user, started, one.name[:_NAME], program[:_NAME], command


def masked(command):
    # type: (bytes) -> bytes
    """A command line as one line of text, without what sounds or looks of a secret."""
    words = command.rstrip(b"\0").replace(b"\0", b" ").decode("utf-8", "backslashreplace")
    text = "".join(sign if sign.isprintable() else " " for sign in words).encode("utf-8")
    try:
        return redact.redact(text, b"text").rstrip(b"\n")[:_COMMAND]
    except redact.Withheld:
        return secretwords.MARK
