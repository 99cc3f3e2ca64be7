"""Looks at an image that nobody has started, as others look at an instance."""

from __future__ import annotations

import json
import secrets
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from driftd.core.digestkey import DigestKey
from driftd.core.facts import Instance, Unseen
from driftd.core.fingerprint import Fingerprint, Reader
from driftd.core.interned import Interned
from driftd.core.ports import AskFor
from driftd.core.talk import Talk
from driftd.edges.images import program
from driftd.edges.images.program import Spec
from driftd.probe import dialogue, wire

UNPACKED_LIMIT = 64 * 1024**3  # bytes that an image may unpack to unless more is allowed

Converse = Callable[[Sequence[str], bytes, Talk, float], Fingerprint | Unseen]


class ImageLooker:
    """Sees one image, whatever instance it is asked for. ``converse`` starts a program and holds a talk with it.

    ``spec`` says which image; where its failures go is filled in. Private copies are made in ``room``, or where
    temporary files are. ``own`` is the key that looks at the image's running instance are made with. After a look,
    ``notes`` are sentences about what of the image was not seen and what was done to see it.
    """

    def __init__(self, spec: Spec, converse: Converse, *, own: str = "", room: Path | None = None) -> None:
        self._spec = spec
        self._converse = converse
        self._own = own
        self._place = room
        self.notes: tuple[str, ...] = ()

    def look(
        self,
        instance: Instance,
        *,
        deadline_s: float,
        key: DigestKey | None = None,
        ask: AskFor | None = None,
        image: Interned | None = None,
    ) -> Fingerprint | Unseen:
        """See ``Looker.look``."""
        del instance
        sections = (b"facts", dialogue.SECTION) if ask else (b"facts",)
        nonce = secrets.token_bytes(16)
        request = wire.encode_request(nonce, sections=sections, key=key.secret if key else b"")
        talk = Talk(Reader(nonce, sections, image=image), ask, secrets.token_bytes(16))
        with _room(self._place) as room:
            failure = room / "failure"
            try:
                command = program.command(replace(self._spec, failure=str(failure)))
                seen = self._converse(command, request, talk, deadline_s)
            except OSError as error:
                return Unseen(f"the reader of images could not be started: {error.strerror}", "see that it can be run")
            if isinstance(seen, Unseen) and failure.exists():
                return Unseen(*json.loads(failure.read_text(encoding="utf-8")))
        if isinstance(seen, Unseen):
            return Unseen(f"the reader of the image did not come to its end: {seen.reason}", seen.hint)
        self.notes = tuple(seen.coverage.reasons)
        return seen

    def own_key(self, instance: Instance) -> str:  # noqa: ARG002  # the port's signature
        """The one that is in the image for driftd, if any; nobody has to get in."""
        return self._own


@contextmanager
def _room(place: Path | None) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="driftd-image-", dir=place) as room:
        yield Path(room)
