r"""Globs over raw bytes, with meanings of our own so that no library's version changes what a policy lets pass.

==========  ==============================================================
``*``       any bytes within one name, also none
``?``       one byte within one name
``[a-z]``   one byte of these; ``[!a-z]`` one byte not of these
``**``      any number of whole names, also none; it stands alone between slashes
``\xHH``    that byte; ``\\``, ``\*``, ``\?``, ``\[`` the character itself
==========  ==============================================================

Anything else is itself; a leading dot is nothing special. A path's glob is absolute. One that begins with ``**/``
means the same below ``/``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

_PIECE = re.compile(rb"\\x([0-9a-fA-F]{2})|\\([\\*?\[\]])|(\*+)|(\?)|\[(!?)(\]?[^\]/]*)\]|([^\\*?\[])", re.DOTALL)
_LEAST_LITERAL = 3


class BadGlobError(ValueError):
    """The glob cannot be read; ``str()`` says why."""


@dataclass(frozen=True, slots=True)
class Name:
    """One name of a glob: what it matches, whether it has wildcards, and the bytes that it must begin with.

    ``open`` says that whatever begins with these matches.
    """

    pattern: bytes
    wild: bool
    literal: bytes
    open: bool = False

    def matches(self, name: bytes) -> bool:
        return name == self.literal if not self.wild else re.fullmatch(self.pattern, name, re.DOTALL) is not None


@dataclass(frozen=True, slots=True)
class Glob:
    """A compiled glob. ``names`` are a path's names, None standing for ``**``; a glob of one word has one name."""

    text: str
    names: tuple[Name | None, ...]
    regex: re.Pattern[bytes]

    def matches(self, subject: bytes) -> bool:
        return self.regex.fullmatch(subject) is not None

    @property
    def names_paths(self) -> bool:
        """Whether it names what it matches: plain names, only the last with a wildcard, after three plain bytes."""
        return not _too_broad(self.names)

    @property
    def plain(self) -> bool:
        """Whether it has no wildcards, so that it matches one subject only."""
        return all(name is not None and not name.wild for name in self.names)


def word(text: str) -> Glob:
    """A glob over one word: the name of a package, an account, a user. ``/`` is nothing special in it."""
    name = _name(text.encode("utf-8", "surrogateescape"), b".")
    return Glob(text, (name,), re.compile(name.pattern, re.DOTALL))


def path(text: str) -> Glob:
    """A glob over absolute paths. Raises BadGlobError."""
    raw = text.encode("utf-8", "surrogateescape")
    if raw.startswith(b"**/"):
        raw = b"/" + raw
    if not raw.startswith(b"/"):
        raise BadGlobError("a path's glob begins with / or **/")
    if raw == b"/":
        return Glob(text, (), re.compile(b"/"))
    names: list[Name | None] = []
    for part in raw.split(b"/")[1:]:
        if part in (b"", b".", b".."):
            raise BadGlobError(f"no path has the name {part.decode()!r} in it, so this would match nothing")
        if part == b"**":
            if names[-1:] != [None]:
                names.append(None)
        elif b"**" in part:
            raise BadGlobError("** stands alone between slashes")
        else:
            names.append(_name(part, b"[^/]"))
    return Glob(text, tuple(names), re.compile(_joined(names), re.DOTALL))


def _joined(names: list[Name | None]) -> bytes:
    """``**`` in the middle is any number of names, at the end at least one: ``/a/**`` is all below ``/a``.

    What stands between two of them is looked for from the left and taken where it is first found (an atomic group):
    of what is left after that there is most, so no other place could be better, and none is tried.
    """
    groups = [b""]
    for name in names:
        if name is None:
            groups.append(b"")
        else:
            groups[-1] += b"/" + name.pattern
    first, *between = groups
    if not between:
        return first
    last = between.pop()
    found = b"".join(b"(?>(?:/[^/]+)*?%s(?=/))" % group for group in between)  # a whole name, and more after it
    return first + found + (b"(?:/[^/]+)*" + last if last else b"(?:/[^/]+)+")


def _name(raw: bytes, anything: bytes) -> Name:
    parts = [b""]  # between two stars
    literal = b""
    wild = False
    at = 0
    while at < len(raw):
        piece = _PIECE.match(raw, at)
        if piece is None:
            sign = raw[at : at + 1].decode("ascii")
            raise BadGlobError(
                f"{sign!r} at its byte {at + 1} has no meaning here; write \\{sign} for the character itself"
            )
        at = piece.end()
        code, quoted, stars, one, negated, members, plain = piece.groups()
        byte = bytes.fromhex(code.decode()) if code is not None else quoted or plain
        if byte is not None:
            if byte in (b"/", b"\0") and anything != b".":
                raise BadGlobError("a name holds neither a slash nor a zero byte")
            literal += b"" if wild else byte
            parts[-1] += re.escape(byte)
            continue
        wild = True
        if stars:
            parts.append(b"")
        else:
            parts[-1] += anything if one else _members(negated, members)
    whole = _starred(parts, anything)
    return Name(whole, wild, literal, wild and whole == re.escape(literal) + anything + b"*")


def _starred(parts: list[bytes], anything: bytes) -> bytes:
    """Parts of known lengths with a star between two; each is taken where it is first found (see ``_joined``)."""
    first, *between = parts
    if not between:
        return first
    last = between.pop()
    found = b"".join(b"(?>%s*?%s)" % (anything, part) for part in between)
    return first + found + anything + b"*" + last


def _members(negated: bytes, members: bytes) -> bytes:
    if not members or b"\\" in members:
        raise BadGlobError("a [class] lists plain bytes and ranges")
    inside = re.sub(rb"([\\\[\]^&~|])", rb"\\\1", members)
    pattern = b"[" + (b"^/" if negated else b"") + inside + b"]"
    try:
        re.compile(pattern)
    except re.error:
        raise BadGlobError(f"[{members.decode('utf-8', 'replace')}] is not a class of bytes") from None
    return pattern


# --- two globs -------------------------------------------------------------------------------------------------------


def includes(outer: Glob, inner: Glob) -> bool:
    """Whether ``outer`` matches all that ``inner`` does. Where it cannot tell, it says no."""
    if len(outer.names) == 1 and len(inner.names) == 1 and outer.names[0] and inner.names[0]:
        return _name_includes(outer.names[0], inner.names[0])
    return _walk(outer.names, inner.names, _name_includes, both=False)


def meet(one: Glob, other: Glob) -> bool:
    """Whether some path may match both. Where it cannot tell, it says yes."""
    return _walk(one.names, other.names, _names_meet, both=True)


def _walk(
    left: tuple[Name | None, ...], right: tuple[Name | None, ...], fits: Callable[[Name, Name], bool], *, both: bool
) -> bool:
    """Hold two globs against each other, name by name; ``both`` lets the right one's ``**`` stand for names, too.

    ``**`` at the end stands for at least one name, in the middle for any number.
    """

    def stars(i: int, j: int) -> bool:
        """The left one's ``**`` at ``i``."""
        if i == len(left) - 1:
            return j < len(right)
        return step(i + 1, j) or (j < len(right) and step(i, j + 1))

    def theirs(i: int, j: int) -> bool:
        """The right one's ``**`` at ``j``."""
        if not both or j == len(right) - 1:
            return both and i < len(left)
        return step(i, j + 1) or (i < len(left) and step(i + 1, j))

    @cache
    def step(i: int, j: int) -> bool:
        if i < len(left) and left[i] is None:
            return stars(i, j)
        if j < len(right) and right[j] is None:
            return theirs(i, j)
        if i == len(left) or j == len(right):
            return i == len(left) and j == len(right)
        mine, their = left[i], right[j]
        return mine is not None and their is not None and fits(mine, their) and step(i + 1, j + 1)

    return step(0, 0)


def _name_includes(outer: Name, inner: Name) -> bool:
    if not inner.wild:
        return outer.matches(inner.literal)
    if outer.pattern == inner.pattern:
        return True
    # A beginning and then anything: whatever begins so.
    return outer.open and inner.literal.startswith(outer.literal)


def _names_meet(one: Name, other: Name) -> bool:
    if not one.wild:
        return other.matches(one.literal)
    if not other.wild:
        return one.matches(other.literal)
    return one.literal.startswith(other.literal) or other.literal.startswith(one.literal)


# --- what a passing rule may not reach -------------------------------------------------------------------------------

# Where only an image changes anything: no rule may let pass what it does not name there. None is any one name.
CLOSED: tuple[tuple[bytes | None, ...], ...] = (
    (b"etc",),
    (b"usr",),
    (b"boot",),
    (b"efi",),
    (b"root",),
    (b"bin",),
    (b"sbin",),
    (b"lib",),
    (b"lib32",),
    (b"lib64",),
    (b"libx32",),
    (b"opt",),
)
# What decides who may log in and what runs: where it cannot be seen, nothing can be said of the whole.
PROTECTED = (
    *CLOSED,
    (b"home", None, b".ssh"),
    (b"var", b"spool", b"cron"),
    (b"var", b"lib", b"dpkg"),
)
_BY_FIRST: dict[bytes, tuple[tuple[bytes | None, ...], ...]] = {
    first: tuple(place for place in PROTECTED if place[0] == first)
    for first in (place[0] for place in PROTECTED)
    if first is not None
}


def protected(subject: bytes) -> bool:
    """Whether ``subject`` lies in (or is) one of the protected directories."""
    names = subject.split(b"/")[1:]
    return any(
        len(names) >= len(place) and all(want in (None, name) for want, name in zip(place, names, strict=False))
        for place in _BY_FIRST.get(names[0], ())
    )


def overreach(glob: Glob) -> str:
    """Why a rule that lets differences pass may not have this glob; "" when it may.

    Into a closed directory a glob goes by plain names only, and its last name there begins with at least three plain
    characters. So it names files, never a directory's whole content, however it is written.
    """
    for place in CLOSED:
        why = _overreach(glob.names, place)
        if why:
            where = "/" + "/".join("*" if name is None else name.decode() for name in place)
            return f"{why} {where}"
    return ""


def _overreach(names: tuple[Name | None, ...], place: tuple[bytes | None, ...]) -> str:
    head, rest = names[: len(place)], names[len(place) :]
    if None in head:
        # Whatever follows "**", a path below the place may end so.
        return "reaches into" if _fits(head[: head.index(None)], place) else ""
    if len(head) < len(place) or not _fits(head, place):
        return ""
    if any(name.wild for name in head if name is not None):
        return "reaches into"
    return _too_broad(rest)


def _fits(names: tuple[Name | None, ...], place: tuple[bytes | None, ...]) -> bool:
    pairs = zip(names, place, strict=False)
    return all(wanted is None or (name is not None and name.matches(wanted)) for name, wanted in pairs)


def _too_broad(rest: tuple[Name | None, ...]) -> str:
    if not rest:
        return ""
    *above, last = rest
    if last is None or any(name is None or name.wild for name in above):
        return "passes over a subtree of"
    if last.wild and len(last.literal) < _LEAST_LITERAL:
        return "passes over whatever is named so in"
    return ""
