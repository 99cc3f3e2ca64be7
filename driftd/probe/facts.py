"""Packages, accounts and groups, from the files that hold them; what cannot be read is named, never left out silently.

Formats: deb-status paragraphs (deb822(5), dpkg's status file), passwd(5), shadow(5), group(5). A password's hash never
leaves this module: only whether there is one does.
"""

import errno
import os
from typing import Any, Callable, Dict, Iterator, List, Optional

from driftd.probe import inside

STATUS_LIMIT = 64 * 1024 * 1024
TABLE_LIMIT = 16 * 1024 * 1024
ROWS_LIMIT = 200000
_ID_LIMIT = 1 << 32

# dpkg's words for a package whose files are all there.
_INSTALLED = (b"installed", b"triggers-awaited", b"triggers-pending")
_RPM = (b"/var/lib/rpm/rpmdb.sqlite", b"/var/lib/rpm/Packages", b"/usr/lib/sysimage/rpm/rpmdb.sqlite")

Missing = List[str]


def collect(root):
    # type: (inside.Root) -> Dict[bytes, Any]
    """The FACTS message: packages, accounts, groups, and under ``not_available`` what was kept from us and why."""
    missing = []  # type: Missing
    return {
        b"packages": _packages(root, missing),
        b"accounts": _accounts(root, missing),
        b"groups": _groups(root, missing),
        b"not_available": [text.encode("utf-8") for text in missing],
    }


def _read(root, path, limit, name, missing):
    # type: (inside.Root, bytes, int, str, Missing) -> Optional[bytes]
    """The file; None when there is none, or when it cannot be read, which is then noted in ``missing``."""
    try:
        return root.read(path, limit)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR):
            missing.append("%s: %s cannot be read (%s)" % (name, path.decode("ascii"), error.strerror))
        return None


def _packages(root, missing):
    # type: (inside.Root, Missing) -> List[List[bytes]]
    text = _read(root, b"/var/lib/dpkg/status", STATUS_LIMIT, "packages", missing)
    if text is None:
        for path in _RPM:
            if _exists(root, path):
                missing.append("packages: the RPM database cannot be read by this version")
                break
        return []
    rows = []
    for paragraph in _paragraphs(text):
        status = paragraph.get(b"status", b"").split()
        name = paragraph.get(b"package", b"")
        if name and len(status) == 3 and status[2] in _INSTALLED:
            version, arch = paragraph.get(b"version", b""), paragraph.get(b"architecture", b"")
            rows.append([name, version, arch, b"dpkg"])
    return _bounded(sorted(rows), "packages", missing)


def _exists(root, path):
    # type: (inside.Root, bytes) -> bool
    try:
        os.close(root.open(path))
    except OSError as error:
        return error.errno not in (errno.ENOENT, errno.ENOTDIR)
    return True


def _paragraphs(text):
    # type: (bytes) -> Iterator[Dict[bytes, bytes]]
    """Each paragraph's one-line fields; continuation lines and lines that are no field are passed over."""
    fields = {}  # type: Dict[bytes, bytes]
    for line in text.split(b"\n"):
        if not line.strip():
            if fields:
                yield fields
            fields = {}
        elif line[:1] not in b" \t#":
            name, colon, value = line.partition(b":")
            if colon:
                fields.setdefault(name.strip().lower(), value.strip())
    if fields:
        yield fields


def _accounts(root, missing):
    # type: (inside.Root, Missing) -> List[List[Any]]
    text = _read(root, b"/etc/passwd", TABLE_LIMIT, "accounts", missing)
    if text is None:
        return []
    before = len(missing)
    shadow = _read(root, b"/etc/shadow", TABLE_LIMIT, "passwords", missing)
    hidden = len(missing) > before
    states = {}  # type: Dict[bytes, bytes]
    for line in (shadow or b"").split(b"\n"):
        name, _, rest = line.partition(b":")
        states.setdefault(name, _password(rest.partition(b":")[0]))

    def row(fields):
        # type: (List[bytes]) -> Optional[List[Any]]
        if len(fields) != 7:
            return None
        name, password, uid, gid, _, home, shell = fields
        if password == b"x":
            # Without a row in shadow nobody can get in by this password.
            state = b"unreadable" if hidden else states.get(name, b"locked")
        else:
            state = _password(password)
        return [name, _number(uid), _number(gid), home, shell, state]

    return _table(text, row, "accounts", missing)


def _password(field):
    # type: (bytes) -> bytes
    """What a password field amounts to; crypt(5) never gives a hash that begins with ! or *."""
    if not field:
        return b"empty"
    return b"locked" if field[:1] in b"!*" else b"set"


def _groups(root, missing):
    # type: (inside.Root, Missing) -> List[List[Any]]
    text = _read(root, b"/etc/group", TABLE_LIMIT, "groups", missing)
    if text is None:
        return []

    def row(fields):
        # type: (List[bytes]) -> Optional[List[Any]]
        if len(fields) != 4:
            return None
        members = sorted(member for member in set(fields[3].split(b",")) if member)
        return [fields[0], _number(fields[2]), members]

    return _table(text, row, "groups", missing)


def _table(text, row, name, missing):
    # type: (bytes, Callable[[List[bytes]], Optional[List[Any]]], str, Missing) -> List[List[Any]]
    rows, odd = [], 0
    for line in text.split(b"\n"):
        if not line.strip() or line.startswith(b"#"):
            continue
        try:
            made = row(line.split(b":"))
        except ValueError:
            made = None
        if made is None:
            odd += 1
        else:
            rows.append(made)
    if odd:
        missing.append("%s: %d lines are not in the table's format" % (name, odd))
    return _bounded(sorted(rows), name, missing)


def _bounded(rows, name, missing):
    # type: (List[List[Any]], str, Missing) -> List[List[Any]]
    if len(rows) > ROWS_LIMIT:
        missing.append("%s: only the first %d of %d are reported" % (name, ROWS_LIMIT, len(rows)))
    return rows[:ROWS_LIMIT]


def _number(text):
    # type: (bytes) -> int
    if not text.isdigit() or len(text) > 10 or int(text) >= _ID_LIMIT:
        raise ValueError("not an id")
    return int(text)
