"""systemd's unit files as systemd.unit(5) reads them: which file counts, what is dropped in, whether it is enabled.

State is the word that ``systemctl is-enabled`` has for it. Nothing here asks systemd: it works on any root.
"""

import os
import re
import stat
from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence, Set, Tuple

from driftd.probe import files, inside
from driftd.probe.found import Found

KIND = b"unit"
FILE_LIMIT = 1024 * 1024
TOTAL_LIMIT = 64 * 1024 * 1024  # bytes of all files of one manager
DROPINS_LIMIT = 1000  # of one directory
LINK_LIMIT = 8

_NAME = re.compile(
    rb"^[A-Za-z0-9:_\\-][A-Za-z0-9:_.\\@-]{0,244}"
    rb"\.(service|socket|device|mount|automount|swap|target|path|timer|slice|scope)$"
)
_DEPENDENCIES = (b".wants", b".requires", b".upholds")
_DEAD = ("masked", "masked-runtime", "bad")
_RULES = (b"Alias", b"WantedBy", b"RequiredBy", b"UpheldBy")

# ``role`` of a directory: "config", "runtime" (/run, written by hand), "generator", "transient" or "vendor".
Place = NamedTuple("Place", [("path", bytes), ("role", str)])
# A link in ``place``: in its main directory (``unit`` is "") or in one like ``unit``.wants.
Link = NamedTuple("Link", [("place", Place), ("unit", bytes), ("how", bytes), ("name", bytes), ("target", bytes)])
# A unit's file, by the directory that its name was found in; ``target`` is where the text is.
Unit = NamedTuple("Unit", [("name", bytes), ("place", Place), ("target", bytes), ("state", str)])


def valid(name):
    # type: (bytes) -> bool
    """Is that the name of a unit?"""
    return _NAME.match(name) is not None and len(name) < 256


def template(name):
    # type: (bytes) -> bytes
    """getty@.service for getty@tty1.service; "" for what is no instance."""
    prefix, at, rest = name.partition(b"@")
    instance, _, suffix = rest.rpartition(b".")
    return prefix + b"@." + suffix if at and instance else b""


def settings(text, section):
    # type: (bytes, bytes) -> Iterator[Tuple[bytes, bytes]]
    """The assignments of one section, as systemd.syntax(7) reads them."""
    if b"[" + section + b"]" not in text:
        return
    inside_it, line = False, b""
    for piece in text.split(b"\n"):
        piece = piece.strip()  # noqa: PLW2901  # blanks mean nothing there
        if piece[:1] in (b"#", b";"):
            continue  # in the middle of a continued line, too
        line += piece
        if line.endswith(b"\\"):
            line = line[:-1] + b" "
            continue
        if line.startswith(b"["):
            inside_it = line == b"[" + section + b"]"
        elif inside_it:
            name, equals, value = line.partition(b"=")
            if equals:
                yield name.strip(), b" ".join(value.split())
        line = b""


class Scope(object):
    """The unit files of one manager: the system's, every user's, or one user's.

    ``places`` come in the order of their weight; ``below`` are those whose units are another scope's: they are looked
    up there and not counted among ``names``.
    """

    def __init__(self, place, found, places, below=()):
        # type: (inside.Root, Found, Sequence[Place], Sequence[Place]) -> None
        self._place = place
        self._found = found
        self._open = {}  # type: Dict[bytes, inside.Directory]  # the places', by their paths
        self._files = {}  # type: Dict[bytes, Place]
        self._searched = {one.path for one in list(places) + list(below)}
        self._targets = {}  # type: Dict[bytes, bytes]  # of links, by their paths
        self._plain = set()  # type: Set[bytes]  # paths of units that are no links
        self._links = {}  # type: Dict[bytes, List[Link]]  # by the name and by what it leads to
        self._dropins = {}  # type: Dict[bytes, List[Tuple[Place, List[bytes]]]]
        self._texts = {}  # type: Dict[bytes, bytes]
        self._left = TOTAL_LIMIT
        self._counts = {}  # type: Dict[bytes, bool]
        self._counting = {}  # type: Dict[bytes, List[bytes]]
        self.names = set()  # type: Set[bytes]
        self.wanted = {}  # type: Dict[bytes, Set[bytes]]
        seen = set()  # type: Set[Tuple[int, int]]
        self._places = []  # type: List[Place]
        for one in list(places) + list(below):
            opened = files.directory(place, found, KIND, one.path)
            if opened is None:
                continue
            if opened.ident in seen:  # /lib is often /usr/lib
                opened.close()
                continue
            seen.add(opened.ident)
            self._open[one.path] = opened
            self._places.append(one)
            self._read(one, opened, one in places)

    def __enter__(self):
        # type: () -> Scope
        return self

    def __exit__(self, *_):
        # type: (object) -> None
        for opened in self._open.values():
            opened.close()

    # --- reading the directories -------------------------------------------------------------------------------------

    def _read(self, place, opened, own):
        # type: (Place, inside.Directory, bool) -> None
        for name in files.names(opened, self._found, KIND):
            stem, dot, last = name.rpartition(b".")
            if dot + last in _DEPENDENCIES:
                self._read_links(place, stem, dot + last, own)
            elif last == b"d" and dot:
                inner = files.listing(self._place, self._found, KIND, opened.path + b"/" + name)
                here = [part for part in inner if part.endswith(b".conf")]
                if len(here) > DROPINS_LIMIT:
                    self._found.cut_short(KIND, "only the first %d drop-ins of a directory count" % DROPINS_LIMIT)
                    del here[DROPINS_LIMIT:]
                if here:
                    self._dropins.setdefault(stem, []).append((place, here))
            elif valid(name):
                self._files.setdefault(name, place)
                if own:
                    self.names.add(name)
                self._link(place, opened, b"", b"", name)

    def _read_links(self, place, unit, how, own):
        # type: (Place, bytes, bytes, bool) -> None
        opened = files.directory(self._place, self._found, KIND, place.path + b"/" + unit + how)
        if opened is None:
            return
        with opened:
            for name in files.names(opened, self._found, KIND):
                if not valid(name):
                    continue
                self._link(place, opened, unit, how, name)
                if own:
                    self.names.add(name)
                    wanted_by = unit if how == b".wants" else unit + b" (" + how[1:] + b")"
                    self.wanted.setdefault(name, set()).add(wanted_by)

    def _link(self, place, opened, unit, how, name):
        # type: (Place, inside.Directory, bytes, bytes, bytes) -> None
        try:
            target = opened.link(name)
        except OSError:
            return
        if target is None:
            self._plain.add(opened.path + b"/" + name)
        else:
            link = Link(place, unit, how, name, _join(opened.path, target))
            self._targets[opened.path + b"/" + name] = link.target
            # In a .wants directory the link's name is what is wanted; elsewhere it is another name for its target.
            for key in {name, template(name) if unit else target.rpartition(b"/")[2]}:
                self._links.setdefault(key, []).append(link)

    # --- one unit ----------------------------------------------------------------------------------------------------

    def unit(self, name, depth=0):
        # type: (bytes, int) -> Optional[Unit]
        """The file that counts for a unit, and its state; None when there is none."""
        place = self._files.get(name)
        if place is not None:
            return self._from_file(name, place, depth)
        above = self.unit(template(name), depth) if template(name) else None
        if above is None:
            return None
        unit = above._replace(name=name)
        return unit if unit.state in _DEAD else unit._replace(state=self._enabled(unit))

    def _from_file(self, name, place, depth):
        # type: (bytes, Place, int) -> Unit
        path = place.path + b"/" + name
        first = self._targets.get(path, path)
        directory, _, last = first.rpartition(b"/")
        if first != path and directory in self._searched and last != template(name):
            # The name counts, and not the directory: what is linked to may be found in another one, and a link to the
            # same name leads in a circle.
            fits = last != name and _fits(name, last) and depth < LINK_LIMIT
            other = (self.unit(last, depth + 1) if fits else None) or Unit(name, place, path, "bad")
            return Unit(name, place, other.target, other.state if other.state in _DEAD else "alias")
        target = self._follow(path)
        unit = Unit(name, place, target or path, "bad")
        state = self._state(unit, path) if target else "bad"
        return unit._replace(state=state, target=path if state.startswith("masked") else unit.target)

    def _state(self, unit, path):
        # type: (Unit, bytes) -> str
        """Of a unit whose name was found at ``path`` and that may be what that leads to."""
        last = unit.target.rpartition(b"/")[2]
        if unit.target == b"/dev/null" or self._is_empty(unit.target):
            here = self._targets.get(path, b"/dev/null") == b"/dev/null"
            return "masked-runtime" if here and unit.place.role not in ("config", "vendor") else "masked"
        if not self._is_file(unit.target):
            return "bad"
        if last != unit.name and not template(unit.name):
            return "alias"
        if unit.target == path and unit.place.role in ("generator", "transient"):
            return "generated" if unit.place.role == "generator" else "transient"
        return self._enabled(unit)

    def _follow(self, path):
        # type: (bytes) -> Optional[bytes]
        """Where links lead from ``path``; None when they lead nowhere."""
        for _ in range(LINK_LIMIT):
            if path in self._plain:
                return path
            try:
                target = self._place.link(path)
            except OSError:
                return path if path == b"/dev/null" else None
            if target is None:
                return path
            path = _join(path.rpartition(b"/")[0], target)
        return None

    def _is_empty(self, path):
        # type: (bytes) -> bool
        status = self._status(path)
        return status is not None and stat.S_ISREG(status.st_mode) and status.st_size == 0

    def _is_file(self, path):
        # type: (bytes) -> bool
        status = self._status(path)
        return status is not None and stat.S_ISREG(status.st_mode)

    def _status(self, path):
        # type: (bytes) -> Optional[os.stat_result]
        directory, _, name = path.rpartition(b"/")
        try:
            if path in self._plain and directory in self._open:
                return self._open[directory].status(name)
            return self._place.status(path)
        except OSError:
            return None

    def text(self, path):
        # type: (bytes) -> bytes
        """What a unit's file or a drop-in says; "" when that cannot be read, which is noted."""
        if path not in self._texts:
            directory, _, name = path.rpartition(b"/")
            limit = min(FILE_LIMIT, self._left)
            text = b""
            try:
                opened = self._open.get(directory) if path in self._plain else None
                text = self._place.read(path, limit) if opened is None else opened.read(name, limit)
            except OSError as error:
                if error.errno not in files.ABSENT:
                    self._found.failed(KIND, path, error)
            self._left -= len(text)
            self._texts[path] = text
        return self._texts[path]

    def _enabled(self, unit):
        # type: (Unit) -> str
        """Of a unit that is neither masked nor an alias, generated or transient."""
        install = {key: [] for key in _RULES + (b"Also", b"DefaultInstance")}  # type: Dict[bytes, List[bytes]]
        for path in [unit.target] + self.dropins(unit.name):
            for key, value in settings(self.text(path), b"Install"):
                if key in install:
                    install[key] = install[key] + value.split() if value else []
        known = {unit.name}.union(install[b"Alias"])
        default = b"".join(install[b"DefaultInstance"][-1:])
        if default:
            known.update(name.replace(b"@.", b"@" + default + b".", 1) for name in list(known))
        state = self._linked(unit, known)
        if state:
            return state
        if self._linked(unit, None):
            return "indirect"
        if any(install[key] for key in _RULES):
            return "disabled"
        return "indirect" if install[b"Also"] else "static"

    def _linked(self, unit, known):
        # type: (Unit, Optional[Set[bytes]]) -> str
        """What links to the unit (of a name in ``known``, if given) make of it; "" for nothing."""
        named = {}  # type: Dict[Place, str]
        above = [one for one in self._places if unit.target.startswith(one.path + b"/")]
        last = self._places.index(above[0]) if above else len(self._places)
        for link in self._links.get(unit.name, ()):
            leads_here = link.target.rpartition(b"/")[2] == unit.name
            behind = self._places.index(link.place) > last  # the file that counts: there the link's name means nothing
            if behind and not (leads_here or link.unit):
                continue
            if not (link.unit or behind) and leads_here and link.name == unit.name:
                named.setdefault(link.place, "linked")
            elif known is None or link.name in known:
                named[link.place] = "enabled"
        roles = {(place.role, how) for place, how in named.items()}
        if ("config", "enabled") in roles:
            return "enabled"
        if {("runtime", "enabled"), ("generator", "enabled"), ("transient", "enabled")} & roles:
            return "enabled-runtime"
        if ("vendor", "enabled") in roles and template(unit.name):
            return "static"
        if ("config", "linked") in roles:
            return "linked"
        return "linked-runtime" if ("runtime", "linked") in roles else ""

    def dropins(self, name):
        # type: (bytes) -> List[bytes]
        """The drop-ins that count for a unit, in the order in which they are read."""
        if name not in self._counting:
            self._counting[name] = self._find_dropins(name)
        return self._counting[name]

    def _find_dropins(self, name):
        # type: (bytes) -> List[bytes]
        aliases = [link.name for link in self._links.get(name, ()) if not link.unit and link.name != name]
        stems = [stem for one in [name] + sorted(aliases) if template(one) != name for stem in _stems(one)]
        there = [
            (self._places.index(place), number, b"%s/%s.d/" % (place.path, stem), parts)
            for number, stem in enumerate(stems)
            for place, parts in self._dropins.get(stem, ())
        ]
        kind = name.rpartition(b".")[2]
        last = len(self._places)
        # What is for all units of a type gives way to what is for this one, wherever that lies.
        there.extend((last, 0, b"%s/%s.d/" % (place.path, kind), parts) for place, parts in self._dropins.get(kind, ()))
        chosen = {}  # type: Dict[bytes, bytes]
        for _, _, directory, parts in sorted(there, key=lambda row: row[:2]):
            for part in parts:
                chosen.setdefault(part, directory + part)
        paths = [chosen[part] for part in sorted(chosen)]
        return [path for path in paths if self._is_dropin(path)]

    def _is_dropin(self, path):
        # type: (bytes) -> bool
        """Is there a file, and not a mask?"""
        if path not in self._counts:
            self._counts[path] = self._is_file(path) and not self._is_empty(path)
        return self._counts[path]


def _join(directory, target):
    # type: (bytes, bytes) -> bytes
    """The path that a link in ``directory`` means, without dots."""
    parts = []  # type: List[bytes]
    for part in (target if target.startswith(b"/") else directory + b"/" + target).split(b"/"):
        if part == b"..":
            del parts[-1:]
        elif part not in (b"", b"."):
            parts.append(part)
    return b"/" + b"/".join(parts)


def _fits(name, target):
    # type: (bytes, bytes) -> bool
    """May a unit of that name be a link to a file of this one? The type and what an instance is stay as they are."""
    if not valid(target) or name.rpartition(b".")[2] != target.rpartition(b".")[2]:
        return False
    if b"@" not in name or b"@" not in target:
        return (b"@" in name) == (b"@" in target)
    instance, other = (one.partition(b"@")[2].rpartition(b".")[0] for one in (name, target))
    return other in (instance, b"") if instance else not other


def _stems(name):
    # type: (bytes) -> List[bytes]
    """The names whose directories of drop-ins apply: foo-bar@x.service, foo-bar@.service, foo-.service."""
    stems = [name] + ([template(name)] if template(name) else [])
    prefix, dot, last = name.partition(b"@")[0], b".", name.rpartition(b".")[2]
    if prefix == name:
        prefix = name.rpartition(b".")[0]
    while b"-" in prefix[:-1]:
        prefix = prefix[:-1].rpartition(b"-")[0] + b"-"
        stems.append(prefix + dot + last)
    return stems
