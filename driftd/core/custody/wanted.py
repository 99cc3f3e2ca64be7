"""What of a changed file is wanted: its text without secrets, a copy of a program, or its digest alone. Pure.

Nothing is asked of a file whose path is known to hold secrets, or whose name sounds so and that no pack lists as
showable. What comes is held against the digest of the look, since a file may change while it is read and an instance
may say anything; and redacted once more, for the same reason.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from driftd.core.asks import Answer, Answers, Ask
from driftd.core.custody.terms import Contents, Terms
from driftd.core.difference import Change, Difference
from driftd.core.entries import at
from driftd.core.fingerprint import Fingerprint
from driftd.core.globs import protected
from driftd.core.showable import NEVER, Show, show_for
from driftd.probe import dialogue, redact
from driftd.probe.secretwords import Names
from driftd.probe.wire import FILE, WireError

FILES_LIMIT = 1000  # of one bundle; of what is beyond there are findings
ASKS_LIMIT = dialogue.ASKS_LIMIT // 2  # the other half is the look's own
TEXT, PROGRAM, NOTHING = "text", "program", "none"
PROCESSES = tuple(Ask(b"/", "processes", b"%d" % page) for page in range(dialogue.PAGES_LIMIT))
_FORMS = {b"json": "json", b"yaml": "yaml", b"yml": "yaml", b"toml": "toml", b"ini": "ini"}
_ELF = b"\x7fELF"
_PRIVATE = re.compile(rb"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY")


@dataclass(frozen=True, slots=True)
class Want:
    """One changed file as the look saw it. ``asks`` are how its content is had; ``why`` says why there are none, or
    only such as a program is had by.
    """

    path: bytes
    change: Change
    mode: int
    uid: int
    gid: int
    size: int
    sha256: bytes
    form: str = "text"
    secrets: tuple[bytes, ...] = ()
    text: Ask | None = None
    pieces: tuple[Ask, ...] = ()
    why: str = ""

    @property
    def asks(self) -> tuple[Ask, ...]:
        return (*((self.text,) if self.text else ()), *self.pieces)


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of a want: ``kind`` TEXT (without its secrets), PROGRAM (as it is) or NOTHING, and then ``why``."""

    want: Want
    kind: str
    data: bytes = b""
    why: str = ""


def wanted(
    differences: Iterable[Difference],
    fingerprint: Fingerprint,
    shows: Sequence[Show],
    terms: Terms,
    passing: AbstractSet[bytes] = frozenset(),
) -> tuple[tuple[Want, ...], int]:
    """The changed and added files, those that matter first, and how many more there are than one bundle has.

    ``passing`` are paths that a rule lets differ: they come last.
    """
    changed = {
        one.subject: one.change for one in differences if one.kind == "file" and one.change is not Change.REMOVED
    }
    order = sorted(changed, key=lambda path: (path in passing, not protected(path), path))
    found: list[Want] = []
    asked, room = 0, terms.max_bytes
    for path in order[:FILES_LIMIT]:
        entry = at(fingerprint.entries, path)
        if entry is None or entry.kind != FILE:
            continue
        want = Want(path, changed[path], entry.mode, entry.uid, entry.gid, entry.size, entry.sha256)
        want = _asking(want, shows, terms)
        if want.asks and (entry.size > room or asked + len(want.asks) > ASKS_LIMIT):
            want = replace(want, text=None, pieces=(), why="the bundle has no room for it (evidence.max_bytes)")
        if want.asks:
            asked, room = asked + len(want.asks), room - entry.size
        found.append(want)
    return tuple(found), max(0, len(order) - FILES_LIMIT)


def _asking(want: Want, shows: Sequence[Show], terms: Terms) -> Want:
    """With what has to be asked for it, or with why it is not."""
    path, name = want.path, want.path.rpartition(b"/")[2]
    if any(glob.matches(path) for glob in NEVER):
        return replace(want, why="what lies there is secret")
    show = show_for(path, shows)
    if terms.contents is Contents.NONE or (terms.contents is Contents.SHOWN and show is None):
        return replace(want, why=f"the group keeps no contents of it (evidence.contents: {terms.contents})")
    if want.size > terms.file_bytes:
        return replace(want, why=f"it is longer than {terms.file_bytes} bytes (evidence.file_bytes)")
    form = show.format if show else _FORMS.get(name.rpartition(b".")[2].lower(), "text")
    secrets = show.names() if show else ()
    # A program is one whatever its name, and what took the place of passwd is the more wanted for it.
    why = "its name sounds of a secret" if show is None and Names(()).secret(name) else ""
    shown = want.size <= redact.LIMIT and not why
    text = Ask(path, "show", redact.question(form.encode(), secrets)) if shown else None
    pieces: tuple[Ask, ...] = ()
    if show is None and len(_ELF) <= want.size <= dialogue.COPY_LIMIT:
        pieces = tuple(Ask(path, "copy", b"%d" % begin) for begin in range(0, want.size, dialogue.COPY_PIECE))
    if text is None and not pieces:
        return replace(want, why=why or "it is too long to be shown, and no program")
    return replace(want, form=form, secrets=secrets, text=text, pieces=pieces, why=why)


# --- what came of it -------------------------------------------------------------------------------------------------


def taken(want: Want, answers: Answers) -> Taken:
    """What came of ``want``. Never raises for what an instance sent."""
    if not want.asks:
        return Taken(want, NOTHING, why=want.why)
    whys = [want.why] if want.why else []
    if want.pieces:
        data, why = _copied(want, answers)
        if not why:
            return Taken(want, PROGRAM, data)
        whys.append(why)
    if want.text is not None:
        data, why = _shown(want, answers.get(want.text))
        if not why:
            return Taken(want, TEXT, data)
        whys.append(why)
    return Taken(want, NOTHING, why="; ".join(dict.fromkeys(whys)))


def _shown(want: Want, answer: Answer | None) -> tuple[bytes, str]:
    if answer is None:
        return b"", "the instance was not asked for it"
    if answer.how:
        return b"", answer.why or answer.how
    if answer.sha256 != want.sha256:
        return b"", "it changed while it was read"
    try:
        return redact.redact(answer.content, want.form.encode(), want.secrets), ""
    except redact.Withheld as why:
        return b"", str(why)


def _copied(want: Want, answers: Answers) -> tuple[bytes, str]:
    parts: list[bytes] = []
    for ask in want.pieces:
        answer = answers.get(ask)
        if answer is None:
            return b"", "the instance was not asked for it"
        if answer.how:
            return b"", answer.why or answer.how
        parts.append(answer.content)
    data = b"".join(parts)
    if len(data) != want.size or hashlib.sha256(data).digest() != want.sha256:
        return b"", "it changed while it was read"
    if not data.startswith(_ELF):
        return b"", "it is no program"
    return (b"", "it holds a private key") if _PRIVATE.search(data) else (data, "")


@dataclass(frozen=True, slots=True)
class Process:
    """One process of the moment of the look; what an instance says of it, without secrets."""

    pid: int
    above: int
    user: int
    started: int
    name: bytes
    program: bytes
    command: str


def processes(answers: Answers) -> tuple[tuple[Process, ...], str]:
    """Those that the instance told of, and why that is not all ("" where it is)."""
    found: list[Process] = []
    for ask in PROCESSES:
        answer = answers.get(ask)
        if answer is None:
            return tuple(found), "the instance was not asked for them"
        if answer.how:
            return tuple(found), answer.why or answer.how
        if not answer.size:
            return (), "it is no running system"
        try:
            rows = dialogue.read_processes(answer.content)
        except WireError as error:
            return tuple(found), str(error)
        found += [Process(*row[:6], _masked(row[6])) for row in rows]
        if not rows or answer.size <= int(ask.argument) + 1:
            return tuple(found), ""
    return tuple(found), f"there are more than {len(found)} of them"


def _masked(command: bytes) -> str:
    words = command.decode("utf-8", "backslashreplace")
    text = "".join(sign if sign.isprintable() else " " for sign in words)
    try:
        return redact.redact(text.encode(), b"text").decode().rstrip("\n")
    except redact.Withheld as why:
        return f"withheld: {why}"
