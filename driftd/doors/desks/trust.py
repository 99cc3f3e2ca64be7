"""What the doors may ask about who vouches for a manifest: keys made, manifests signed, verified, read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from driftd.core.manifest import Manifest


@dataclass(frozen=True, slots=True)
class KeyMade:
    """A new pair of keys: where both lie, and the key's id (64 hexadecimal digits)."""

    private: Path
    public: Path
    id: str


@dataclass(frozen=True, slots=True)
class Signing:
    """What a signing wrote: the keys that the envelope bears now, and the files that it covers, by their names."""

    file: Path
    keys: tuple[str, ...]
    sequence: int
    subjects: Mapping[str, str]
    provisional: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """A manifest as it was read, and how it stands: sealed (``manifest.seal``), or ``said`` tells why not.

    ``refused`` means that its signature is wrong; without, nobody signed it, or no key is trusted here.
    """

    file: Path
    manifest: Manifest
    said: str = ""
    hint: str = ""
    refused: bool = False


class TrustDesk(Protocol):
    """Every method raises DriftdError with a sentence."""

    def find(self, name: str) -> Path:
        """A manifest's file: itself, or that of the image of this id in the directory of manifests."""
        ...

    def read(self, file: Path, keys: Sequence[Path] = ()) -> Standing:
        """The manifest in ``file`` and how it stands by ``keys``, or by the configured ones when there are none."""
        ...

    def keygen(self, file: Path) -> KeyMade: ...

    def sign(
        self, file: Path, keys: Sequence[Path] = (), *, sequence: int = 0, add: bool = False, vouch: bool = False
    ) -> Signing:
        """Sign with ``keys``, or with the configured one. ``sequence`` 0 takes the next one.

        ``add`` puts the signatures to those that are there, over the same statement. ``vouch`` says of a provisional
        manifest that the server it was read off was as the image made it.
        """
        ...
