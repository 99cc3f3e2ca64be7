"""Who may do what as whom: sudoers(5), with everything it includes, as normalised lines.

The name of a fact is the line: continuations joined, comments gone, each run of blanks one. It says nothing about
where in a file it stands, so that a line added above does not change those below. But in sudoers the last rule that
matches wins; that is why the order of all lines but aliases is a fact of its own (``ORDER``): the beginnings of their
digests, in the order in which sudo reads them.
"""

import hashlib
import os
import re
from typing import List

from driftd.probe import files, inside
from driftd.probe.found import Found

ORDER = b"order of the rules"
PLACES = (b"/etc/sudoers", b"/usr/etc/sudoers")  # the first that there is
DEPTH_LIMIT = 128  # sudo's own
FILES_LIMIT = 1000
LINES_LIMIT = 100000
_KIND = b"sudo"

_INCLUDE = re.compile(rb'^[#@]include(dir)? ("[^"]*"|(?:\\.|[^ \\])+)')
_TOKEN = re.compile(rb'[ \t]+|\\.|["#\\]|[^ \t"#\\]+', re.DOTALL)
_NO_COMMENT = re.compile(rb"#(-1|\d|include(dir)?[ \t])")
_ALIAS = re.compile(rb"^(User|Runas|Host|Cmnd|Cmd)_Alias ")


def collect(place, found, live):
    # type: (inside.Root, Found, bool) -> None
    """Add every effective line, and their order where there are several whose order matters."""
    found.looked(_KIND)
    for path in PLACES:
        if files.is_there(place, path):
            reading = _Reading(place, found, _hostname(place, live))
            reading.file(path, 0)
            if len(reading.ordered) > 1:
                found.add(_KIND, ORDER, digests=b" ".join(reading.ordered))
            return


def _hostname(place, live):
    # type: (inside.Root, bool) -> bytes
    """The short name of the host, for %h in the name of an included file."""
    if live:
        return os.fsencode(os.uname().nodename).partition(b".")[0]
    try:
        return place.read(b"/etc/hostname", 256).strip().partition(b".")[0]
    except OSError:
        return b""


class _Reading(object):
    """One pass over the files, in the order in which sudo reads them."""

    def __init__(self, place, found, hostname):
        # type: (inside.Root, Found, bytes) -> None
        self._place = place
        self._found = found
        self._hostname = hostname
        self._files = self._lines = 0
        self.ordered = []  # type: List[bytes]

    def file(self, path, depth):
        # type: (bytes, int) -> None
        """Add the lines of the file at ``path`` and of what it includes."""
        self._files += 1
        if depth > DEPTH_LIMIT or self._files > FILES_LIMIT:
            self._found.cut_short(_KIND, "more files include each other than sudo would read")
            return
        text = files.read(self._place, self._found, _KIND, path)
        for line in effective_lines(text or b""):
            include = _INCLUDE.match(line)
            if include is None:
                self._line(path, line)
                continue
            target = self._target(path, include.group(2))
            if include.group(1) is None:
                self.file(target, depth + 1)
                continue
            for name in files.listing(self._place, self._found, _KIND, target):
                inner = target.rstrip(b"/") + b"/" + name
                if b"." not in name and not name.endswith(b"~") and not files.is_directory(self._place, inner):
                    self.file(inner, depth + 1)

    def _line(self, path, line):
        # type: (bytes, bytes) -> None
        self._lines += 1
        if self._lines > LINES_LIMIT:
            self._found.cut_short(_KIND, "only the first %d lines are reported" % LINES_LIMIT)
            return
        self._found.add(_KIND, line, file=path)
        if not _ALIAS.match(line):
            self.ordered.append(hashlib.sha256(line).hexdigest()[:8].encode())

    def _target(self, path, target):
        # type: (bytes, bytes) -> bytes
        """The path that an include names: quoted or with escapes, relative to the file that it stands in."""
        target = target[1:-1] if target.startswith(b'"') else re.sub(rb"\\(.)", rb"\1", target)
        target = target.replace(b"%h", self._hostname)
        return target if target.startswith(b"/") else path.rpartition(b"/")[0] + b"/" + target


def effective_lines(text):
    # type: (bytes) -> List[bytes]
    """The lines that sudo obeys, normalised.

    A comment begins at a # that begins a word, unless a user's number follows or it stands in quotes, and ends with
    its line, whatever that ends in. Quotes mean nothing to sudo within a command's arguments; there they make a line
    longer than sudo sees it, never shorter.
    """
    lines = []  # type: List[bytes]
    parts, quoted = [], False  # type: List[bytes], bool
    for piece in text.split(b"\n"):
        goes_on = False
        for match in _TOKEN.finditer(piece.rstrip(b"\r")):
            token = match.group()
            blank = not parts or parts[-1] == b" "
            if token == b"\\":
                goes_on = True
                token = b"" if quoted else b" "
            elif token == b'"':
                quoted = not quoted
            elif token == b"#" and not quoted and blank and not _NO_COMMENT.match(piece, match.start()):
                break
            elif token.isspace() and not quoted:
                token = b" "
            if token and not (token == b" " and blank and not quoted):
                parts.append(token)
        if not goes_on:
            lines.append(b"".join(parts).strip(b" "))
            parts, quoted = [], False
    lines.append(b"".join(parts).strip(b" "))
    return [line for line in lines if line]
