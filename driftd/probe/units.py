"""systemd's units: those that there are files for, and on a running system those that PID 1 holds otherwise.

Names: ``ssh.service`` of the system, ``user/NAME`` of every user's manager, ``~bob/NAME`` of bob's own, ``linger bob``
for a user whose manager runs without a login. Fields: docs/facts.md.
"""

import hashlib
from typing import Dict, List, Optional

from driftd.probe import accounts, files, inside, tools, unitfiles
from driftd.probe.found import Found
from driftd.probe.unitfiles import KIND, Place, Scope, Unit

_SYSTEM = [
    Place(b"/etc/systemd/system.control", "config"),
    Place(b"/run/systemd/system.control", "runtime"),
    Place(b"/run/systemd/transient", "transient"),
    Place(b"/run/systemd/generator.early", "generator"),
    Place(b"/etc/systemd/system", "config"),
    Place(b"/etc/systemd/system.attached", "config"),
    Place(b"/run/systemd/system", "runtime"),
    Place(b"/run/systemd/system.attached", "runtime"),
    Place(b"/run/systemd/generator", "generator"),
    Place(b"/usr/local/lib/systemd/system", "vendor"),
    Place(b"/usr/lib/systemd/system", "vendor"),
    Place(b"/lib/systemd/system", "vendor"),
    Place(b"/run/systemd/generator.late", "generator"),
]
_USER = [
    Place(b"/etc/systemd/user", "config"),
    Place(b"/run/systemd/user", "runtime"),
    Place(b"/usr/local/share/systemd/user", "vendor"),
    Place(b"/usr/share/systemd/user", "vendor"),
    Place(b"/usr/local/lib/systemd/user", "vendor"),
    Place(b"/usr/lib/systemd/user", "vendor"),
    Place(b"/lib/systemd/user", "vendor"),
]
_SHARE = b"/.local/share/systemd"
_LINGER = b"/var/lib/systemd/linger"

# What a timer's section says about when, and how exactly.
_ON = (b"OnCalendar", b"OnActiveSec", b"OnBootSec", b"OnStartupSec", b"OnUnitActiveSec", b"OnUnitInactiveSec")
_OTHERS = (
    b"OnClockChange",
    b"OnTimezoneChange",
    b"AccuracySec",
    b"RandomizedDelaySec",
    b"FixedRandomDelay",
    b"Persistent",
    b"Unit",
    b"WakeSystem",
)
# PID 1 answers unit by unit: three seconds of work on a small machine, a minute on one that others keep busy.
_SECONDS = 120
_PROPERTIES = "Id,LoadState,FragmentPath,DropInPaths,UnitFileState,NeedDaemonReload,Transient"


def collect(place, found, live):
    # type: (inside.Root, Found, bool) -> None
    """Add every unit of the system and of users; live what PID 1 says otherwise."""
    found.looked(KIND)
    held = _held(found) if live and files.is_there(place, b"/run/systemd/system") else {}
    merged = _is_merged(place)
    with Scope(place, found, _SYSTEM) as scope:
        for name in sorted(scope.names):
            _add(scope, found, b"", name, _Held(held.pop(name, None), merged))
    for name in sorted(held):
        one = _Held(held[name], merged)
        # Held without a file of that name: gone since. An instance has its template's, and a scope starts nothing.
        if one.fragment.rpartition(b"/")[2] == name and not name.endswith(b".scope"):
            found.add(KIND, name, live_fragment=one.fragment, live_state=one.state, live_reload=one.reload)
    with Scope(place, found, _USER) as scope:
        for name in sorted(scope.names):
            _add(scope, found, b"user/", name, _Held())
    for home in accounts.homes(place):
        _add_own(place, found, home)
    for name in files.listing(place, found, KIND, _LINGER):
        found.add(KIND, b"linger " + name, state=b"enabled")


def _add_own(place, found, home):
    # type: (inside.Root, Found, accounts.Home) -> None
    """The units of a user's own manager. Those of every user's are there to be looked up in."""
    inner, run = home.path.rstrip(b"/"), b"/run/user/" + home.uid + b"/systemd/"
    if not any(files.is_there(place, path) for path in (inner + b"/.config/systemd", inner + _SHARE, run)):
        return
    places = [
        Place(inner + b"/.config/systemd/user.control", "config"),
        Place(run + b"user.control", "runtime"),
        Place(run + b"transient", "transient"),
        Place(run + b"generator.early", "generator"),
        Place(inner + b"/.config/systemd/user", "config"),
        Place(run + b"user", "runtime"),
        Place(run + b"generator", "generator"),
        Place(inner + _SHARE + b"/user", "vendor"),
        Place(run + b"generator.late", "generator"),
    ]
    with Scope(place, found, places, _USER) as scope:
        for name in sorted(scope.names):
            _add(scope, found, b"~" + home.user + b"/", name, _Held())


def _add(scope, found, prefix, name, held):
    # type: (Scope, Found, bytes, bytes, _Held) -> None
    unit = scope.unit(name)
    if unit is not None and unit.place.role == "transient" and name.endswith(b".scope"):
        return  # somebody's login, or a group of programs that are seen themselves; it starts nothing
    wanted_by = b",".join(sorted(scope.wanted.get(name, ())))
    if unit is None:
        found.add(KIND, prefix + name, state=b"not-found", wanted_by=wanted_by)
        return
    dropins = [] if unit.state.startswith("masked") else scope.dropins(name)
    state = unit.state.encode()
    found.add(
        KIND,
        prefix + name,
        fragment=unit.target,
        dropins=b",".join(dropins),
        state=state,
        wanted_by=wanted_by,
        schedule=_schedule(scope, unit, dropins) if name.endswith(b".timer") else b"",
        digest=b"" if unit.state.startswith("masked") else _volatile(scope, [unit.target] + dropins),
        live_fragment=b"" if held.fragment == unit.target or held.masked else held.fragment,
        live_dropins=b""
        if held.dropins is None or set(held.dropins) == set(dropins)
        else b",".join(held.dropins) or b"-",
        live_state=b"" if held.state == state else held.state,
        live_reload=held.reload,
    )


def _schedule(scope, unit, dropins):
    # type: (Scope, Unit, List[bytes]) -> bytes
    """When a timer starts what; an empty assignment to one of its times takes back all of them."""
    times = []  # type: List[bytes]
    others = {}  # type: Dict[bytes, bytes]
    for path in [unit.target] + dropins:
        for key, value in unitfiles.settings(scope.text(path), b"Timer"):
            if key in _ON:
                times = times + [key + b"=" + value] if value else []
            elif key in _OTHERS:
                others[key] = value
    return b"; ".join(times + [key + b"=" + others[key] for key in sorted(others) if others[key]])


def _volatile(scope, paths):
    # type: (Scope, List[bytes]) -> bytes
    """The digest of what lies in /run, which is no entry of the tree; "" when nothing does."""
    here = [path for path in paths if path.startswith(b"/run/")]
    if not here:
        return b""
    digest = hashlib.sha256()
    for path in here:
        digest.update(path + b"\0" + hashlib.sha256(scope.text(path)).digest())
    return digest.hexdigest()[:32].encode()


# --- what PID 1 holds ------------------------------------------------------------------------------------------------


class _Held(object):
    """One unit as PID 1 has it; all empty when it has none of that name."""

    def __init__(self, properties=None, merged=False):
        # type: (Optional[Dict[bytes, bytes]], bool) -> None
        properties = properties or {}
        there = bool(properties) and properties.get(b"LoadState") != b"not-found"
        self.masked = properties.get(b"LoadState") == b"masked"
        self.fragment = _usr(properties.get(b"FragmentPath", b""), merged) if there else b""
        self.state = properties.get(b"UnitFileState", b"") if there else b""
        self.reload = b"yes" if properties.get(b"NeedDaemonReload") == b"yes" else b""
        self.dropins = None  # type: Optional[List[bytes]]
        if there and not self.masked:
            self.dropins = [_usr(path, merged) for path in properties.get(b"DropInPaths", b"").split()]


def _held(found):
    # type: (Found) -> Dict[bytes, Dict[bytes, bytes]]
    """The properties of every unit that PID 1 has loaded, by name."""
    answer = tools.run(["systemctl", "show", "--all", "--property=" + _PROPERTIES, "*"], _SECONDS)
    if answer.why:
        found.not_available(KIND, "what PID 1 has loaded: %s" % answer.why)
        return {}
    units = {}  # type: Dict[bytes, Dict[bytes, bytes]]
    for block in answer.output.split(b"\n\n"):
        properties = {}  # type: Dict[bytes, bytes]
        for line in block.split(b"\n"):
            key, _, value = line.partition(b"=")
            properties[key] = value
        if properties.get(b"Id"):
            units[properties[b"Id"]] = properties
    return units


def _is_merged(place):
    # type: (inside.Root) -> bool
    """Is /lib the same as /usr/lib?"""
    try:
        return place.status(b"/lib").st_ino == place.status(b"/usr/lib").st_ino
    except OSError:
        return False


def _usr(path, merged):
    # type: (bytes, bool) -> bytes
    return b"/usr" + path if merged and path.startswith(b"/lib/") else path
