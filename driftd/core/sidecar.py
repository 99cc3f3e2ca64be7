"""The sidecar of a manifest: what the small showable files said when they were baked, without their secrets.

A text file beside the manifest. Header, one line a file sorted by path, the texts each once by their own SHA-256, and a
digest over it all; the same files give the same bytes. docs/explain.md has the grammar.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from driftd.core.asks import Ask
from driftd.core.errors import BadInput
from driftd.core.escaped import escape, escape_text, unescape, unescape_text
from driftd.core.manifest import Manifest
from driftd.core.showable import FORMATS, Show, show_for
from driftd.core.shown import SIZE_LIMIT, Shown
from driftd.probe import wire

SCHEMA = b"driftd-sidecar/1"
FILES_LIMIT = 10_000
TOTAL_LIMIT = 64 * 1024 * 1024
_AGAIN = "bake the image again"
_LINE = re.compile(
    rb"(?P<path>/[!-~]*) (?P<sha>[0-9a-f]{64}) (?P<form>[a-z_]+) "
    rb"(?:text:(?P<text>[0-9a-f]{64})|withheld:(?P<why>[!-~]+))"
)
_TEXT = re.compile(rb"text:(?P<text>[0-9a-f]{64}) (?P<size>0|[1-9][0-9]{0,5})")


@dataclass(frozen=True, slots=True)
class Sidecar:
    """Of one image: by path, what may be shown of the file that was baked there."""

    image: str
    files: Mapping[bytes, Shown] = field(default_factory=dict)


def asks(manifest: Manifest, shows: Iterable[Show]) -> list[Ask]:
    """What to ask where an image is baked: the content of files that are showable, regular, read, and small enough."""
    shows = tuple(shows)
    return [
        Ask(entry.path, "show", show.question())
        for entry in manifest.entries
        if entry.kind == wire.FILE
        and entry.sha256
        and entry.size <= SIZE_LIMIT
        and (show := show_for(entry.path, shows)) is not None
    ]


def kept(manifest: Manifest, answered: Mapping[bytes, Shown]) -> Sidecar:
    """The sidecar of ``manifest``: of what was answered, the texts of just those files that it states."""
    baked = {entry.path: entry.sha256 for entry in manifest.entries if entry.path in answered}
    files = {
        path: replace(one, sha256=baked[path])
        for path, one in sorted(answered.items())
        if path in baked and (one.withheld or one.sha256 == baked[path])
    }
    return Sidecar(manifest.image, dict(list(files.items())[:FILES_LIMIT]))


def encode(sidecar: Sidecar) -> bytes:
    """The canonical text. Raises BadInput for more than a sidecar may hold."""
    texts = {hashlib.sha256(shown.text).hexdigest().encode(): shown.text for shown in _texts(sidecar)}
    if len(sidecar.files) > FILES_LIMIT or sum(map(len, texts.values())) > TOTAL_LIMIT:
        raise BadInput("the showable files are too many, or too large, for a sidecar", "let the packs show fewer")
    head = [SCHEMA, b"image " + escape_text(sidecar.image)]
    head += [b"files %d" % len(sidecar.files), b"texts %d" % len(texts), b""]
    head += [_line(path, shown) for path, shown in sorted(sidecar.files.items())]
    body = b"".join(line + b"\n" for line in [*head, b""])
    for digest, text in sorted(texts.items()):
        body += b"text:%s %d\n%s\n" % (digest, len(text), text)
    return body + b"end sha256:%s\n" % hashlib.sha256(body).hexdigest().encode()


def decode(data: bytes) -> Sidecar:
    """Read what ``encode`` wrote. Raises BadInput for anything else, however little it differs."""
    if len(data) > 2 * TOTAL_LIMIT:
        raise BadInput("the sidecar is larger than one may be", _AGAIN)
    sidecar = _Reading(data).sidecar()
    if encode(sidecar) != data:
        raise BadInput("the sidecar is not written the way driftd writes it", _AGAIN)
    return sidecar


def _texts(sidecar: Sidecar) -> list[Shown]:
    return [shown for shown in sidecar.files.values() if not shown.withheld]


def _line(path: bytes, shown: Shown) -> bytes:
    what = b"text:" + hashlib.sha256(shown.text).hexdigest().encode()
    if shown.withheld:
        what = b"withheld:" + escape(shown.withheld.encode())
    return b" ".join((escape(path), shown.sha256.hex().encode(), shown.format.encode(), what))


class _Reading:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def sidecar(self) -> Sidecar:
        if self._line("its schema") != SCHEMA:
            raise BadInput("this is no sidecar, or one of another driftd", _AGAIN)
        image = unescape_text(self._after(b"image "))
        files, texts = self._number(b"files "), self._number(b"texts ")
        self._blank()
        rows = [self._row() for _ in range(files)]
        self._blank()
        kept = dict(self._text() for _ in range(texts))
        self._after(b"end sha256:")  # held against the whole by whoever writes it again
        if self.at != len(self.data):
            raise BadInput("there is something after the sidecar's end", _AGAIN)
        found: dict[bytes, Shown] = {}
        for path, shown, text in rows:
            if path in found or (text and text not in kept):
                raise BadInput("the sidecar names a file twice, or one whose text it has not", _AGAIN)
            found[path] = Shown(shown.format, shown.sha256, kept[text]) if text else shown
        return Sidecar(image, found)

    def _line(self, what: str) -> bytes:
        end = self.data.find(b"\n", self.at)
        if end < 0:
            raise BadInput(f"the sidecar ends where {what} should stand", _AGAIN)
        line, self.at = self.data[self.at : end], end + 1
        return line

    def _after(self, word: bytes) -> bytes:
        line = self._line(word.decode().strip())
        if not line.startswith(word):
            raise BadInput(f"the sidecar has no {word.decode().strip()} where it should stand", _AGAIN)
        return line[len(word) :]

    def _number(self, word: bytes) -> int:
        text = self._after(word)
        if not re.fullmatch(rb"0|[1-9][0-9]{0,4}", text) or int(text) > FILES_LIMIT:
            raise BadInput(f"the sidecar's number of {word.decode().strip()} cannot be one", _AGAIN)
        return int(text)

    def _blank(self) -> None:
        if self._line("an empty line"):
            raise BadInput("the sidecar has more lines than it counts", _AGAIN)

    def _row(self) -> tuple[bytes, Shown, bytes]:
        found = _LINE.fullmatch(self._line("a file"))
        if found is None or found["form"].decode() not in FORMATS:
            raise BadInput("a line of the sidecar is none of a file", _AGAIN)
        try:
            path, why = unescape(found["path"]), unescape(found["why"] or b"").decode()
        except ValueError:
            raise BadInput("a name in the sidecar is not written as names are", _AGAIN) from None
        return path, Shown(found["form"].decode(), bytes.fromhex(found["sha"].decode()), b"", why), found["text"] or b""

    def _text(self) -> tuple[bytes, bytes]:
        found = _TEXT.fullmatch(self._line("a text"))
        if found is None or int(found["size"]) > SIZE_LIMIT:
            raise BadInput("a text of the sidecar is too long, or not where it should stand", _AGAIN)
        text = self.data[self.at : self.at + int(found["size"])]
        self.at += int(found["size"])
        if self._line("the end of a text") or hashlib.sha256(text).hexdigest().encode() != found["text"]:
            raise BadInput("a text of the sidecar is not the one that it names", _AGAIN)
        return found["text"], text
