"""How sshd is set up: what it says itself (``sshd -T``), and what its files say of keys and of Match blocks.

Format: sshd_config(5). The effective settings are asked of sshd, on a running system and as root only: it reads its
host keys for that, and driftd does not. What stands under a Match line it does not tell; that is read from the files.
"""

import os
import re
from typing import Dict, List, NamedTuple

from driftd.probe import files, inside, tools
from driftd.probe.found import Found

PLACES = (b"/etc/ssh/sshd_config", b"/usr/etc/ssh/sshd_config")  # the first that there is
DEPTH_LIMIT = 16  # sshd's own
FILES_LIMIT = 256  # files and patterns of files
_KIND = b"sshd"

_WORD = re.compile(rb'"((?:\\.|[^"\\])*)"|([^ \t"]+)')
_LINE = re.compile(rb"^([A-Za-z0-9]+)(?:[ \t]+|[ \t]*=[ \t]*)(.*)$", re.DOTALL)

# ``match`` is the criteria of the Match line above, "" for none; ``keyword`` in lower case.
Setting = NamedTuple("Setting", [("match", bytes), ("keyword", bytes), ("words", List[bytes])])


def collect(place, found, live):
    # type: (inside.Root, Found, bool) -> None
    """Add the effective settings, and those of each Match block as "match CRITERIA keyword"."""
    if not live:
        found.not_available(_KIND, "the effective settings are asked of sshd itself, on a running system only")
        return
    inner = settings(place, found, _KIND)
    if not tools.there("sshd"):
        found.looked(_KIND)
        if inner:
            found.not_available(_KIND, "the effective settings are asked of sshd itself, which is not there")
        return
    if os.geteuid() != 0:
        found.not_permitted(_KIND, "sshd tells its effective settings to root only")
        return
    _effective(found, inner)


def _effective(found, inner):
    # type: (Found, List[Setting]) -> None
    answer = tools.run(["sshd", "-T"])
    if answer.why:
        found.not_available(_KIND, "the effective settings: %s" % answer.why)
        return
    values = {}  # type: Dict[bytes, List[bytes]]
    for line in answer.output.split(b"\n"):
        keyword, _, value = line.strip().partition(b" ")
        if keyword:
            values.setdefault(keyword.lower(), []).append(b" ".join(value.split()))
    for setting in inner:
        if setting.match:
            name = b"match %s %s" % (setting.match, setting.keyword)
            values.setdefault(name, []).append(b" ".join(setting.words))
    for name in sorted(values):
        value = b"; ".join(values[name])
        found.add(_KIND, name, value=found.told(value) if name.endswith(b"setenv") else value)


def settings(place, found, kind):
    # type: (inside.Root, Found, bytes) -> List[Setting]
    """Every line of sshd's configuration, included files in their place."""
    for path in PLACES:
        if files.is_there(place, path):
            reading = _Reading(place, found, kind)
            reading.file(path, b"", 0)
            return reading.settings
    return []


class _Reading(object):
    def __init__(self, place, found, kind):
        # type: (inside.Root, Found, bytes) -> None
        self._place = place
        self._found = found
        self._kind = kind
        self._files = 0
        self.settings = []  # type: List[Setting]

    def file(self, path, match, depth):
        # type: (bytes, bytes, int) -> None
        """Add the lines of a file. A Match in an included file ends with that file; one above goes on in it."""
        self._files += 1
        if depth > DEPTH_LIMIT or self._files > FILES_LIMIT:
            self._found.cut_short(self._kind, "more files of sshd_config include each other than sshd would read")
            return
        for line in (files.read(self._place, self._found, self._kind, path) or b"").split(b"\n"):
            parsed = _LINE.match(line.strip())
            if parsed is None:
                continue
            keyword, words = parsed.group(1).lower(), _words(parsed.group(2))
            if keyword == b"match":
                match = b" ".join(words)
            elif keyword == b"include":
                for pattern in words:
                    self._include(pattern if pattern.startswith(b"/") else b"/etc/ssh/" + pattern, match, depth)
            else:
                self.settings.append(Setting(match, keyword, words))

    def _include(self, pattern, match, depth):
        # type: (bytes, bytes, int) -> None
        self._files += 1
        if self._files <= FILES_LIMIT:
            for path in files.matching(self._place, self._found, self._kind, pattern):
                self.file(path, match, depth + 1)


def _words(text):
    # type: (bytes) -> List[bytes]
    """The arguments of a line, up to a comment."""
    words = []  # type: List[bytes]
    for found in _WORD.finditer(text):
        plain = found.group(2)
        if plain is not None and plain.startswith(b"#"):
            break
        words.append(found.group(1) if plain is None else plain)
    return words
