"""What the doors may ask about baking: a source read once, and the manifest that states it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

# What classes an image's entries when nothing else is said: all shipped packs that the image calls for.
AUTO = ("auto",)


Tell = Callable[[str], None]


def quiet(_what: str) -> None:
    """Nobody is told what is done."""


@dataclass(frozen=True, slots=True)
class Source:
    """What a bake reads: exactly one of ``root``, ``host``, ``oci``, ``disk`` and ``snapshot`` (a provider's name of a
    disk's snapshot, or of an image whose disk is one).

    ``platform`` (OS/ARCHITECTURE[/VARIANT]) chooses among the images of an OCI index, ``partition`` (its number) among
    those of a disk that could be a root file system. ``replay_journal`` lets the journal of a disk that was not
    unmounted be played back onto a private copy. ``unpacked_limit`` is the most bytes that an image may unpack to.
    """

    root: Path | None = None
    host: str = ""
    oci: Path | None = None
    disk: Path | None = None
    platform: str = ""
    partition: int | None = None
    replay_journal: bool = False
    unpacked_limit: int | None = None
    snapshot: str = ""


@dataclass(frozen=True, slots=True)
class Baked:
    """A manifest's text, sentences about how it was made, and its sidecar's text (b"" when no file is showable)."""

    text: bytes
    provisional: bool = False
    notes: tuple[str, ...] = ()
    sidecar: bytes = b""


class BakeDesk(Protocol):
    """Bakes. Raises DriftdError with a sentence."""

    def made(self, source: Source, image: str, policy: Sequence[str] = AUTO) -> Baked:
        """The manifest of ``image`` as ``source`` shows it, written nowhere; ``policy`` classes its entries."""
        ...

    def bake(
        self,
        source: Source,
        image: str,
        output: Path,
        *,
        policy: Sequence[str] = AUTO,
        sign_with: Path | None = None,
        tell: Tell = quiet,
    ) -> Baked:
        """The same, written to ``output`` with everything that belongs beside it, and signed.

        It is signed with ``sign_with``, else with the configured key, else not. ``tell`` hears what is done.
        """
        ...
