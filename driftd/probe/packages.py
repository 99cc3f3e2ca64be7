"""Installed packages, by the databases of those who installed them: dpkg, rpm, apk and pip. Fields: docs/facts.md.

Formats: deb-status paragraphs (deb822(5)); apk's ``installed`` (one letter a field); Python's core metadata; rpmdb.py
for RPM's. RPM's older databases are read by the instance's own ``rpm``, on a running system only, and as nobody where
driftd is root: rpm would write into a directory in which it may.
"""

import errno
import os
import re
from typing import Dict, List, Optional, Tuple

from driftd.probe import accounts, files, inside, rpmdb, tools
from driftd.probe.found import Found

STATUS = b"/var/lib/dpkg/status"
STATUS_LIMIT = 64 * 1024 * 1024
METADATA_LIMIT = 64 * 1024
_KIND = b"package"

_APK = (b"/lib/apk/db/installed", b"/usr/lib/apk/db/installed")
_RPM = (b"/var/lib/rpm", b"/usr/lib/sysimage/rpm", b"/usr/share/rpm")
_RPM_FILES = (b"rpmdb.sqlite", b"Packages.db", b"Packages")
_RPM_FORMAT = "%{NAME}\x1f%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}\x1f%{ARCH}\x1e"

# dpkg's words for a package whose files are all there, and for one of which there are some.
_INSTALLED = (b"installed", b"triggers-awaited", b"triggers-pending")
_PARTLY = (b"half-installed", b"unpacked", b"half-configured")
_BLANK_LINE = re.compile(rb"\n[ \t\r]*\n")
_DPKG_FIELD = re.compile(rb"^(package|status|version|architecture)[ \t]*:[ \t]*([^\n]*)", re.MULTILINE | re.IGNORECASE)
_PYTHON_PLACES = re.compile(rb"^python\d+(\.\d+)?$")


def collect(place, found, live):
    # type: (inside.Root, Found, bool) -> None
    """Add every package; none where RPM's are all and its database cannot be read: pip's would look like the whole."""
    database = _rpm_database(place)
    if database is not None:
        installed, why = _rpm(place, database, live)
        if why:
            found.not_available(_KIND, why)
            if not files.is_there(place, STATUS):
                return
        for one in installed:
            found.add(_KIND, _full(one.name, one.arch), version=one.version, source=b"rpm")
    text = files.read(place, found, _KIND, STATUS, STATUS_LIMIT)
    if text is None and files.is_there(place, STATUS):
        return
    found.looked(_KIND)
    _dpkg(found, text or b"")
    for _, text in files.each(place, found, _KIND, STATUS + b".d"):  # images without a shell keep a file a package
        _dpkg(found, text, b"install ok installed")
    for path in _APK:
        text = files.read(place, found, _KIND, path, STATUS_LIMIT)
        if text is not None:
            _apk(found, text)
            break
    _pip(place, found)


def _full(name, arch):
    # type: (bytes, bytes) -> bytes
    return name + b":" + arch if arch else name


def _dpkg(found, text, status=b""):
    # type: (Found, bytes, bytes) -> None
    for paragraph in _BLANK_LINE.split(text):
        fields = {}  # type: Dict[bytes, bytes]
        for name, value in _DPKG_FIELD.findall(paragraph):
            fields.setdefault(name.lower(), value.strip())
        words = fields.get(b"status", status).split()
        package = fields.get(b"package", b"")
        if package and len(words) == 3 and words[2] in _INSTALLED + _PARTLY:
            state = b"" if words[2] in _INSTALLED else words[2]
            full = _full(package, fields.get(b"architecture", b""))
            found.add(_KIND, full, version=fields.get(b"version", b""), source=b"dpkg", state=state)


def _apk(found, text):
    # type: (Found, bytes) -> None
    for paragraph in text.split(b"\n\n"):
        fields = {line[:1]: line[2:] for line in paragraph.split(b"\n") if line[1:2] == b":"}
        if fields.get(b"P"):
            full = _full(fields[b"P"], fields.get(b"A", b""))
            found.add(_KIND, full, version=fields.get(b"V", b""), source=b"apk")


# --- rpm ------------------------------------------------------------------------------------------------------------


def _rpm_database(place):
    # type: (inside.Root) -> Optional[bytes]
    """The first RPM database there is."""
    for directory in _RPM:
        for name in _RPM_FILES:
            if files.is_there(place, directory + b"/" + name):
                return directory + b"/" + name
    return None


def _rpm(place, database, live):
    # type: (inside.Root, bytes, bool) -> Tuple[List[rpmdb.Package], str]
    """Each package; or why they cannot be had."""
    path = database.decode()
    if path.endswith("/rpmdb.sqlite"):
        try:
            return rpmdb.read(place, database), ""
        except (OSError, rpmdb.DamagedError) as error:
            return [], "the RPM database %s cannot be read (%s)" % (path, error)
    if not live:
        return [], "the RPM database %s is read by rpm, on a running system only" % path
    if not tools.there("rpm"):
        return [], "the RPM database %s is read by rpm, which is not there" % path
    command = ["rpm", "--dbpath", path.rpartition("/")[0], "-qa", "--qf", _RPM_FORMAT]
    if os.geteuid() == 0:
        command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] + command
    answer = tools.run(command)
    rows = [row.split(b"\x1f") for row in answer.output.split(b"\x1e") if row]
    if answer.why or any(len(row) != 3 for row in rows):
        return [], "the RPM database %s: %s" % (path, answer.why or "rpm wrote something else than asked for")
    return [rpmdb.Package(row[0], row[1], b"" if row[2] == b"(none)" else row[2]) for row in rows], ""


# --- pip ------------------------------------------------------------------------------------------------------------


def _pip(place, found):
    # type: (inside.Root, Found) -> None
    """What Python's own installers put into the usual directories; dpkg's and rpm's Python packages are there, too."""
    above = [b"/usr/lib", b"/usr/lib64", b"/usr/local/lib", b"/usr/local/lib64"]
    above.extend(sorted({home.path.rstrip(b"/") + b"/.local/lib" for home in accounts.homes(place)}))
    seen = set()
    for path in above:
        for python in _quietly(place, path):
            if _PYTHON_PLACES.match(python):
                for last in (b"site-packages", b"dist-packages"):
                    opened = files.directory(place, found, _KIND, path + b"/" + python + b"/" + last)
                    if opened is not None:
                        with opened:
                            if opened.ident not in seen:
                                seen.add(opened.ident)
                                _distributions(place, opened, found)


def _quietly(place, path):
    # type: (inside.Root, bytes) -> List[bytes]
    """The names in a directory that is of interest only for what may be in it."""
    try:
        opened = place.directory(path)
    except OSError:
        return []
    with opened:
        try:
            return opened.names(files.NAMES_LIMIT)
        except OSError:
            return []


def _distributions(place, opened, found):
    # type: (inside.Root, inside.Directory, Found) -> None
    for name in files.names(opened, found, _KIND):
        if not name.endswith((b".dist-info", b".egg-info", b".egg")):
            continue
        text = _metadata(place, found, opened.path + b"/" + name)
        fields = {}  # type: Dict[bytes, bytes]
        for line in text.split(b"\n\n")[0].split(b"\n"):
            key, _, value = line.partition(b":")
            fields.setdefault(key.lower(), value.strip())
        if fields.get(b"name"):
            version = fields.get(b"version", b"")
            found.add(_KIND, fields[b"name"], version=version, source=b"pip", location=opened.path)


def _metadata(place, found, path):
    # type: (inside.Root, Found, bytes) -> bytes
    """The beginning of a distribution's metadata: a file in that directory, or (an old .egg-info) that file itself."""
    for inner in (b"/METADATA", b"/PKG-INFO", b"/EGG-INFO/PKG-INFO", b""):
        try:
            return place.head(path + inner, METADATA_LIMIT)
        except OSError as error:
            if error.errno not in files.ABSENT and error.errno != errno.EISDIR:
                found.failed(_KIND, path, error)
                break
    return b""
