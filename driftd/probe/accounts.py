"""Accounts and groups, from passwd(5), shadow(5) and group(5).

A password's hash never leaves this module: only whether there is one, and its keyed digest where there is a key.
Fields: account has uid, gid, home, shell, password (locked, set, empty, unreadable), digest; group has gid, members.
"""

import errno
from typing import Dict, List

from driftd.probe import inside
from driftd.probe.found import Found

TABLE_LIMIT = 16 * 1024 * 1024
_ID_LIMIT = 1 << 32


def collect(place, found, live):  # noqa: ARG001  # every collector has the same arguments
    # type: (inside.Root, Found, bool) -> None
    """Add every account and every group."""
    accounts = _table(place, found, b"account", b"/etc/passwd", 7)
    if accounts:
        _accounts(accounts, place, found)
    for name, _, gid, members in _table(place, found, b"group", b"/etc/group", 4):
        listed = sorted({member for member in members.split(b",") if member})
        found.add(b"group", name, gid=int(gid), members=b",".join(listed))


def _accounts(rows, place, found):
    # type: (List[List[bytes]], inside.Root, Found) -> None
    hashes, hidden = {}, False  # type: Dict[bytes, bytes], bool
    try:
        for line in place.read(b"/etc/shadow", TABLE_LIMIT).split(b"\n"):
            name, _, rest = line.partition(b":")
            hashes.setdefault(name, rest.partition(b":")[0])
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR):
            found.failed(b"account", b"/etc/shadow", error)
            hidden = True
    for name, field, uid, gid, _, home, shell in rows:
        # Without a row in shadow nobody can get in by this password.
        secret = hashes.get(name, b"*") if field == b"x" else field
        state = b"unreadable" if hidden and field == b"x" else _password(secret)
        found.add(
            b"account",
            name,
            uid=int(uid),
            gid=int(gid),
            home=home,
            shell=shell,
            password=state,
            digest=found.secret(secret) if state == b"set" else b"",
        )


def _password(field):
    # type: (bytes) -> bytes
    """What a password field amounts to; crypt(5) never gives a hash that begins with ! or *."""
    if not field:
        return b"empty"
    return b"locked" if field[:1] in b"!*" else b"set"


def _table(place, found, kind, path, width):
    # type: (inside.Root, Found, bytes, bytes, int) -> List[List[bytes]]
    """The rows of ``width`` fields whose numbers are ones; the others are counted."""
    try:
        text = place.read(path, TABLE_LIMIT)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            found.looked(kind)
        else:
            found.failed(kind, path, error)
        return []
    found.looked(kind)
    rows, odd = [], 0
    for line in text.split(b"\n"):
        if not line.strip() or line.startswith(b"#"):
            continue
        fields = line.split(b":")
        numbers = fields[2:4] if width == 7 else fields[2:3]
        if len(fields) == width and all(map(_is_id, numbers)):
            rows.append(fields)
        else:
            odd += 1
    if odd:
        found.not_available(kind, "%d lines are not in the table's format" % odd)
    return rows


def _is_id(text):
    # type: (bytes) -> bool
    return text.isdigit() and len(text) <= 10 and int(text) < _ID_LIMIT
