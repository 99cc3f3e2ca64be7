"""Accounts and groups, from passwd(5), shadow(5), group(5) and gshadow(5).

A password's hash never leaves this module: only whether there is one, and its keyed digest where there is a key.
Fields: docs/facts.md.
"""

from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple

from driftd.probe import files, inside
from driftd.probe.found import Found

TABLE_LIMIT = 16 * 1024 * 1024
HOMES_LIMIT = 5000
_ID_LIMIT = 1 << 32
_NO_LIMIT_DAYS = 10000  # shadow(5)'s programs take a maximum age from here on as none

# ``uid`` is text, as it stands in passwd.
Home = NamedTuple("Home", [("user", bytes), ("uid", bytes), ("path", bytes)])


def collect(place, found, live):  # noqa: ARG001  # every collector has the same arguments
    # type: (inside.Root, Found, bool) -> None
    """Add every account and every group."""
    rows = _table(place, found, b"account", b"/etc/passwd", 7)
    shadow = _secrets(place, found, b"account", b"/etc/shadow") if rows else {}
    for name, field, uid, gid, gecos, home, shell in rows:
        row = (shadow or {}).get(name) if field == b"x" else None
        # Without a row in shadow nobody can get in by this password.
        secret = field if field != b"x" else row[0] if row else b"*"
        found.add(
            b"account",
            name,
            uid=_id(uid),
            gid=_id(gid),
            gecos=found.told(gecos),
            home=home,
            shell=shell,
            password=b"unreadable" if shadow is None and field == b"x" else _password(secret),
            digest=_digest(found, secret),
            expires=row[6] if row and len(row) > 6 else b"",
            aging=_aging(row) if row else b"",
        )
    rows = _table(place, found, b"group", b"/etc/group", 4)
    shadow = _secrets(place, found, b"group", b"/etc/gshadow") if rows else {}
    for name, field, gid, members in rows:
        row = (shadow or {}).get(name) if field == b"x" else None
        secret = field if field != b"x" else row[0] if row else b"*"
        state = b"unreadable" if shadow is None and field == b"x" else _password(secret)
        found.add(
            b"group",
            name,
            gid=_id(gid),
            members=_sorted(members),
            admins=_sorted(row[1]) if row and len(row) > 1 else b"",
            password=b"" if state in (b"locked", b"empty") else state,  # neither lets anybody in who is no member
            digest=_digest(found, secret),
        )


def homes(place):
    # type: (inside.Root) -> List[Home]
    """Where the accounts live, as passwd says; root's in any case. Nothing is noted: ``collect`` does that."""
    try:
        text = place.read(b"/etc/passwd", TABLE_LIMIT)
    except OSError:
        text = b""
    rows = [row for row in _rows(text) if len(row) == 7 and row[5].startswith(b"/")]
    found = [Home(row[0], row[2], row[5].rstrip(b"/") or b"/") for row in rows]
    if (b"root", b"/root") not in [(home.user, home.path) for home in found]:
        found.append(Home(b"root", b"0", b"/root"))
    return sorted(set(found))[:HOMES_LIMIT]


def _password(field):
    # type: (bytes) -> bytes
    """What a password field amounts to; crypt(5) never gives a hash that begins with ! or *."""
    if not field:
        return b"empty"
    return b"locked" if field[:1] in b"!*" else b"set"


def _digest(found, field):
    # type: (Found, bytes) -> bytes
    """Of a hash, a locked one (a ! before it) too: one command would make it good again."""
    return found.secret(field) if len(field.lstrip(b"!*")) > 1 else b""


def _aging(row):
    # type: (List[bytes]) -> bytes
    """What the dates of a row of shadow(5) do to logging in; nothing when they do nothing. Without the name's field."""
    changed, _, maximum, _, inactive = (row + [b""] * 5)[1:6]
    if changed == b"0":
        return b"must be changed at the next login"
    if not maximum.isdigit() or len(maximum) > 9 or int(maximum) >= _NO_LIMIT_DAYS:
        return b""
    return b"changed on day %s, good for %s days" % (changed, maximum) + (
        b" and %s more" % inactive if inactive else b""
    )


def _sorted(names):
    # type: (bytes) -> bytes
    return b",".join(sorted({name for name in names.split(b",") if name}))


def _secrets(place, found, kind, path):
    # type: (inside.Root, Found, bytes, bytes) -> Optional[Dict[bytes, List[bytes]]]
    """The first row of each name in a shadow table, without the name; None when the table is kept from us."""
    try:
        text = place.read(path, TABLE_LIMIT)
    except OSError as error:
        if error.errno in files.ABSENT:
            return {}
        found.failed(kind, path, error)
        return None
    rows = {}  # type: Dict[bytes, List[bytes]]
    for row in _rows(text):
        rows.setdefault(row[0], row[1:])
    return rows


def _rows(text):
    # type: (bytes) -> Iterator[List[bytes]]
    for line in text.split(b"\n"):
        if line.strip() and not line.startswith(b"#"):
            yield line.split(b":")


def _table(place, found, kind, path, width):
    # type: (inside.Root, Found, bytes, bytes, int) -> List[List[bytes]]
    """The rows of ``width`` fields whose numbers are ones; the others are counted."""
    try:
        text = place.read(path, TABLE_LIMIT)
    except OSError as error:
        if error.errno in files.ABSENT:
            found.looked(kind)
        else:
            found.failed(kind, path, error)
        return []
    found.looked(kind)
    rows, odd = [], 0
    numbers = (2, 3) if width == 7 else (2,)  # type: Tuple[int, ...]
    for row in _rows(text):
        # A row of nss_compat ("+", "-", "+name") has no numbers of its own.
        if len(row) == width and all(_is_id(row[at]) or (row[0][:1] in (b"+", b"-") and not row[at]) for at in numbers):
            rows.append(row)
        else:
            odd += 1
    if odd:
        found.not_available(kind, "%d lines are not in the table's format" % odd)
    return rows


def _id(text):
    # type: (bytes) -> bytes
    return b"%d" % int(text) if text else text


def _is_id(text):
    # type: (bytes) -> bool
    return text.isdigit() and len(text) <= 10 and int(text) < _ID_LIMIT
