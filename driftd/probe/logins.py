"""What decides about a login: the stacks of PAM (pam.d(5)) and where names are looked up (nsswitch.conf(5)).

A stack is what one file says for one type, line by line. A line that includes another file stays such a line: what it
includes is a service of its own, so that one changed line is one changed fact and not one for every service. A file
that is included and lies elsewhere is reported by its path. ``@include`` stands in the stacks of those types that the
included file has something for.
"""

from typing import Dict, List, NamedTuple, Set

from driftd.probe import files, inside
from driftd.probe.found import Found

PAM = b"pam"
NSS = b"nss"
FILES_LIMIT = 2000
DEPTH_LIMIT = 32  # of services that include each other; PAM's own

_DIRECTORIES = (b"/etc/pam.d", b"/usr/lib/pam.d", b"/usr/share/pam.d")  # a service is the first file of its name
_NSSWITCH = (b"/etc/nsswitch.conf", b"/usr/etc/nsswitch.conf")
_TYPES = (b"account", b"auth", b"password", b"session")

# ``kind`` is "" for a line that includes another service for every type; ``target`` is that service.
Rule = NamedTuple("Rule", [("kind", bytes), ("line", bytes), ("target", bytes)])


def collect(place, found, live):  # noqa: ARG001  # every collector has the same arguments
    # type: (inside.Root, Found, bool) -> None
    """Add every stack and every database's line."""
    _pam(place, found)
    found.looked(NSS)
    for path in _NSSWITCH:
        text = files.read(place, found, NSS, path)
        if text is not None:
            for line in files.effective_lines(text):
                name, colon, services = line.partition(b":")
                if colon:
                    found.add(NSS, name.strip(), services=services.strip())
            break


def _pam(place, found):
    # type: (inside.Root, Found) -> None
    found.looked(PAM)
    reading = _Reading(place, found)
    for directory in _DIRECTORIES:
        for name, text in files.each(place, found, PAM, directory):
            if name not in reading.services:
                reading.add(name, text)
    # With a directory of services the one file is not looked at.
    if not files.is_directory(place, _DIRECTORIES[0]):
        reading.one_file(files.read(place, found, PAM, b"/etc/pam.conf") or b"")
    reading.elsewhere()
    kinds = _Kinds(reading.services)
    for service in sorted(reading.services):
        stacks = {}  # type: Dict[bytes, List[bytes]]
        for rule in reading.services[service]:
            for kind in kinds.of(rule):
                stacks.setdefault(kind, []).append(found.told(rule.line, spaced=False))
        for kind in sorted(stacks):
            found.add(PAM, service + b"/" + kind, stack=b"; ".join(stacks[kind]))


class _Reading(object):
    def __init__(self, place, found):
        # type: (inside.Root, Found) -> None
        self._place = place
        self._found = found
        self._waiting = set()  # type: Set[bytes]
        self.services = {}  # type: Dict[bytes, List[Rule]]

    def add(self, service, text):
        # type: (bytes, bytes) -> None
        """Read one file of a service."""
        rules = self.services.setdefault(service, [])
        for line in files.effective_lines(text):
            words = line.split()
            if words[0] == b"@include" and len(words) > 1:
                rules.append(Rule(b"", line, self._target(words[1])))
            else:
                rules.append(self._rule(words))

    def one_file(self, text):
        # type: (bytes) -> None
        """pam.conf: the service comes first."""
        for line in files.effective_lines(text):
            words = line.split()
            if len(words) > 1:
                self.services.setdefault(words[0].lower(), []).append(self._rule(words[1:]))

    def _rule(self, words):
        # type: (List[bytes]) -> Rule
        kind = words[0].lower()
        control = b"".join(words[1:2])
        if not control.startswith(b"["):
            control = control.lower()
        if control in (b"include", b"substack") and len(words) > 2:
            self._target(words[2])
        line = (b"-" if kind.startswith(b"-") else b"") + b" ".join([control] + words[2:])
        return Rule(kind.lstrip(b"-"), line, b"")

    def _target(self, name):
        # type: (bytes) -> bytes
        """The service that a line includes, by the name that it is reported by."""
        directory, _, last = name.rpartition(b"/")
        if not directory or directory in _DIRECTORIES:
            return last
        path = name if name.startswith(b"/") else _DIRECTORIES[0] + b"/" + name
        self._waiting.add(path)
        return path

    def elsewhere(self):
        # type: () -> None
        """Read what was included and lies in none of the directories, and what that includes."""
        while self._waiting:
            path = self._waiting.pop()
            if path in self.services:
                continue
            if len(self.services) > FILES_LIMIT:
                self._found.cut_short(PAM, "more than %d files are included" % FILES_LIMIT)
                return
            self.add(path, files.read(self._place, self._found, PAM, path) or b"")


class _Kinds(object):
    """Which types of stack a line belongs to; for ``@include``, those that the included service has lines for."""

    def __init__(self, services):
        # type: (Dict[bytes, List[Rule]]) -> None
        self._of = {name: set() for name in services}  # type: Dict[bytes, Set[bytes]]
        for _ in range(DEPTH_LIMIT):
            before = {name: len(kinds) for name, kinds in self._of.items()}
            for name, rules in services.items():
                self._of[name] = set().union(*map(self.of, rules))
            if before == {name: len(kinds) for name, kinds in self._of.items()}:
                break

    def of(self, rule):
        # type: (Rule) -> List[bytes]
        """The types, sorted. A service that is not there makes PAM fail, whatever it is asked for."""
        return [rule.kind] if rule.kind else sorted(self._of.get(rule.target, _TYPES))
