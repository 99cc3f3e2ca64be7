"""Looks at an image that nobody has started, as others look at an instance."""

from __future__ import annotations

import json
import secrets
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from driftd.core.digestkey import DigestKey
from driftd.core.facts import Instance, Unseen
from driftd.core.fingerprint import Fingerprint, Reader
from driftd.core.ports import AskFor
from driftd.core.talk import Talk
from driftd.edges.images import program
from driftd.edges.images.errors import ImageError
from driftd.edges.images.program import Spec
from driftd.probe import dialogue, wire

UNPACKED_LIMIT = 64 * 1024**3  # bytes that an image may unpack to unless more is allowed

Converse = Callable[[Sequence[str], bytes, Talk, float], Fingerprint | Unseen]


class Opened(Protocol):
    """An image file, made ready to be read within a private directory."""

    def __call__(self, directory: Path, failure: Path) -> Spec: ...


class OciFile:
    """An OCI image: a layout, as a directory or as an archive."""

    def __init__(self, path: Path, platform: str, limit: int | None) -> None:
        self._path = path
        self._platform = platform
        self._limit = limit or UNPACKED_LIMIT

    def __call__(self, directory: Path, failure: Path) -> Spec:  # noqa: ARG002  # it needs no room of its own
        return Spec("oci", str(self._path.absolute()), str(failure), self._limit, self._platform)


class ImageLooker:
    """Sees one image, whatever instance it is asked for. ``converse`` starts a program and holds a talk with it."""

    def __init__(self, opened: Opened, converse: Converse) -> None:
        self._opened = opened
        self._converse = converse

    def look(
        self, instance: Instance, *, deadline_s: float, key: DigestKey | None = None, ask: AskFor | None = None
    ) -> Fingerprint | Unseen:
        """See ``Looker.look``."""
        del instance
        sections = (b"facts", dialogue.SECTION) if ask else (b"facts",)
        nonce = secrets.token_bytes(16)
        request = wire.encode_request(nonce, sections=sections, key=key.secret if key else b"")
        talk = Talk(Reader(nonce, sections), ask, secrets.token_bytes(16))
        with _room() as room:
            failure = room / "failure"
            try:
                spec = self._opened(room, failure)
                seen = self._converse(program.command(spec), request, talk, deadline_s)
            except ImageError as error:
                return Unseen(str(error), error.hint)
            except OSError as error:
                return Unseen(f"it cannot be read: {error.strerror}", "see that it is there and may be read")
            if isinstance(seen, Unseen) and failure.exists():
                sentence, hint = json.loads(failure.read_text(encoding="utf-8"))
                return Unseen(sentence, hint)
        return seen

    def own_key(self, instance: Instance) -> str:  # noqa: ARG002  # the port's signature
        """No key: nobody has to get in."""
        return ""


@contextmanager
def _room() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="driftd-image-") as room:
        yield Path(room)
