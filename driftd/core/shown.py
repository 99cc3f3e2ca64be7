"""What may be shown of a file, what two such texts differ in, and the port that compares them. Pure.

A text here has been through redaction: whatever was taken out of it left ``MARK``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from driftd.core.asks import Answers, Ask
from driftd.core.difference import Change, Difference
from driftd.core.showable import Show, show_for
from driftd.probe import redact, secretwords

MARK = secretwords.MARK.decode()
SIZE_LIMIT = redact.LIMIT  # bytes of a file that is shown at all
ASKS_LIMIT = 64  # files that one look shows
LINES_LIMIT = 400  # of a comparison line by line
VALUE_LIMIT = 300  # characters of one value


@dataclass(frozen=True, slots=True)
class Shown:
    """What may be shown of one file. ``format`` is one of showable.FORMATS, ``sha256`` the whole file's (32 bytes).

    Where nothing may be shown ``text`` is empty and ``withheld`` the end of a sentence that says why.
    """

    format: str
    sha256: bytes
    text: bytes = b""
    withheld: str = ""


@dataclass(frozen=True, slots=True)
class Setting:
    """One thing that two texts say differently, in plain words. None: the one text does not say it at all."""

    path: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two texts differ in. ``settings`` where both could be read by their format, ``lines`` else and beside it.

    ``lines`` are those of a unified comparison, bounded. ``cosmetic``: only comments, white space or an order without
    meaning differ, which is known of all of both texts. ``note`` says what has to be known with it ("" for nothing).
    """

    settings: tuple[Setting, ...] = ()
    lines: tuple[str, ...] = ()
    cosmetic: bool = False
    note: str = ""


NOTHING = Comparison()


class Differ(Protocol):
    """Compares two texts of one format."""

    def compare(self, form: str, before: bytes, after: bytes) -> Comparison:
        """Never raises, whatever the texts are; bounded in time and memory."""
        ...


def asks(differences: Iterable[Difference], shows: Sequence[Show]) -> list[Ask]:
    """What to ask so that the contents of changed and added files can be shown, as far as ``shows`` allows."""
    wanted = [
        Ask(one.subject, "show", show.question())
        for one in differences
        if one.kind == "file"
        and one.change is not Change.REMOVED
        and "sha256" in one.actual
        and (show := show_for(one.subject, shows)) is not None
    ]
    return wanted[:ASKS_LIMIT]


def answered(answers: Answers, shows: Sequence[Show]) -> dict[bytes, Shown]:
    """By path, what the instance showed, without secrets once more: an instance may say anything."""
    found = {}
    for ask, answer in answers.items():
        show = show_for(ask.path, shows)
        if ask.what != "show" or show is None:
            continue
        if answer.how:
            found[ask.path] = Shown(show.format, answer.sha256, b"", answer.why or answer.how)
        else:
            found[ask.path] = taken(answer.content, show, answer.sha256)
    return found


def taken(data: bytes, show: Show, sha256: bytes) -> Shown:
    """What may be shown of a file with the content ``data``."""
    try:
        return Shown(show.format, sha256, redact.redact(data, show.format.encode(), show.names()))
    except redact.Withheld as why:
        return Shown(show.format, sha256, b"", str(why))


def compared(before: Shown | None, after: Shown | None, differ: Differ) -> Comparison:
    """What changed from ``before`` to ``after``, of which one may be missing; the notes say what cannot be shown."""
    if before is None and after is None:
        return NOTHING
    for shown, when in ((before, "in the image"), (after, "now")):
        if shown is not None and shown.withheld:
            return Comparison(note=f"what it says {when} is withheld: {shown.withheld}")
    was, now = before.text if before else b"", after.text if after else b""
    form = (after or before or Shown("text", b"")).format
    if before is not None and after is not None:
        if before.format != after.format:
            form = "text"
        if was == now:
            same = before.sha256 == after.sha256
            return Comparison(note="" if same else "what differs is withheld: it sounds or looks of a secret")
    made = differ.compare(form, was, now)
    if before is None or after is None:
        return replace(made, settings=(), cosmetic=False, note="")
    return made


def content_only(difference: Difference) -> bool:
    """Whether nothing about a file but its content changed. (One that can be run has its mode among what differs.)"""
    fields = difference.expected.keys() | difference.actual.keys()
    return difference.kind == "file" and difference.change is Change.MODIFIED and fields <= {"sha256", "size"}


def text_for(path: bytes, texts: Mapping[bytes, Shown], sha256: str) -> Shown | None:
    """The text at ``path``, if it is the one with this digest (hexadecimal digits), or one that was not read."""
    found = texts.get(path)
    if found is None or not sha256:
        return None
    return found if found.sha256.hex() == sha256 or (found.withheld and not found.sha256) else None


def short(settings: Sequence[Setting]) -> str:
    """The first of ``settings`` and how many more there are: "PermitRootLogin no → yes (+2)"."""
    if not settings:
        return ""
    first = settings[0]
    before, after = first.before, first.after
    if before is None:
        said = f"{first.path}: {after} added"
    elif after is None:
        said = f"{first.path}: {before} removed"
    else:
        said = f"{first.path} {before} → {after}"
    return said + (f" (+{len(settings) - 1})" if len(settings) > 1 else "")


@dataclass(frozen=True, slots=True)
class Exhibit:
    """What can be shown of one difference: the text of the image, the one that is there now, and what they differ in.

    None for a text that is not: no pack lists the path, there is none, or it could not be had.
    """

    before: Shown | None
    after: Shown | None
    comparison: Comparison


def exhibit(
    difference: Difference, baked: Mapping[bytes, Shown], there: Mapping[bytes, Shown], differ: Differ
) -> Exhibit | None:
    """What can be shown of ``difference``; None when that is nothing. Only texts with the digests it names count."""
    path = difference.subject
    before = text_for(path, baked, difference.expected.get("sha256", ""))
    after = text_for(path, there, difference.actual.get("sha256", ""))
    if before is None and after is None:
        return None
    if difference.change is Change.MODIFIED and (before is None or after is None):
        missing = "the image's sidecar has not what it said" if before is None else "what it says now could not be had"
        return Exhibit(before, after, Comparison(note=missing))
    return Exhibit(before, after, compared(before, after, differ))
