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
from dataclasses import dataclass

_PIECE = re.compile(rb"\\x([0-9a-fA-F]{2})|\\([\\*?\[\]])|(\*+)|(\?)|\[(!?)(\]?[^\]/]*)\]|([^\\*?\[])", re.DOTALL)
_LEAST_LITERAL = 3


class BadGlobError(ValueError):
    """The glob cannot be read; ``str()`` says why."""


@dataclass(frozen=True, slots=True)
class Name:
    """One name of a glob: what it matches, whether it has wildcards, and the bytes that it must begin with."""

    pattern: bytes
    wild: bool
    literal: bytes

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
    """``**`` in the middle is any number of names, at the end at least one: ``/a/**`` is all below ``/a``."""
    parts = [b"(?:/[^/]+)*" if name is None else b"/" + name.pattern for name in names]
    if names[-1] is None:
        parts[-1] = b"(?:/[^/]+)+"
    return b"".join(parts)


def _name(raw: bytes, anything: bytes) -> Name:
    out: list[bytes] = []
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
            out.append(re.escape(byte))
            continue
        wild = True
        if stars:
            out.append(anything + b"*")
        elif one:
            out.append(anything)
        else:
            out.append(_members(negated, members))
    return Name(b"".join(out), wild, literal)


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


# --- what a passing rule may not reach -------------------------------------------------------------------------------

# Where a later start, login or boot reads what it obeys: no rule may pass over a subtree there. None is any one name.
PROTECTED: tuple[tuple[bytes | None, ...], ...] = (
    (b"etc",),
    (b"usr",),
    (b"boot",),
    (b"root",),
    (b"bin",),
    (b"sbin",),
    (b"lib",),
    (b"lib32",),
    (b"lib64",),
    (b"libx32",),
    (b"opt",),
    (b"home", None, b".ssh"),
    (b"var", b"spool", b"cron"),
    (b"var", b"lib", b"dpkg"),
)


def protected(subject: bytes) -> bool:
    """Whether ``subject`` lies in (or is) one of the protected directories."""
    names = subject.split(b"/")[1:]
    return any(
        len(names) >= len(place) and all(want in (None, name) for want, name in zip(place, names, strict=False))
        for place in PROTECTED
    )


def overreach(glob: Glob) -> str:
    """Why a rule that lets differences pass may not have this glob; "" when it may.

    Into a protected directory a glob goes by plain names only, and its last name there begins with at least three
    plain characters. So it names files, never a directory's whole content, however it is written.
    """
    for place in PROTECTED:
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
