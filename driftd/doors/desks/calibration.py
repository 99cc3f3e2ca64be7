"""What the doors may ask about calibration: instances launched to learn from, and the overlay that came of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from driftd.core.calibration.samples import Calibration


Tell = Callable[[str, int, int, str], None]


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person asked for. ``target`` is a group or an image; ``group`` says who launches where it is an image.

    ``output`` is where the overlay goes; None means beside the manifest, where looks find it.
    """

    target: str
    group: str = ""
    instances: int = 3
    wait: timedelta = timedelta(minutes=1)
    restart: bool = True
    at_most: timedelta = timedelta(hours=1)
    output: Path | None = None


@dataclass(frozen=True, slots=True)
class Intended:
    """What a calibration would do. ``replaces`` says that an overlay is there, ``signed`` that the manifest is.

    ``beside`` is where looks find an overlay, if that is another file than ``output``.
    """

    group: str
    image: str
    provider: str
    slots: Sequence[str]
    looks: Sequence[str]
    manifest: Path
    output: Path
    replaces: bool = False
    signed: bool = False
    beside: Path | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it. ``overlay`` is the document; ``notes`` say what was collected of earlier calibrations.

    ``written`` is False where nothing was to be proposed and no overlay was there.
    """

    intended: Intended
    instances: Sequence[str]
    moments: Sequence[str]
    calibration: Calibration
    overlay: bytes
    notes: Sequence[str] = ()
    written: bool = True


class CalibrationDesk(Protocol):
    """Calibrates. Raises DriftdError with a sentence; whatever was launched is ended then, too."""

    def intended(self, wish: Wish) -> Intended:
        """What would be launched, without launching it. Raises BadInput when it cannot be."""
        ...

    def calibrate(self, wish: Wish, tell: Tell) -> Outcome:
        """Launch, watch, end, write the overlay.

        ``tell`` hears what is done, how often it was and will have been, and why it waits.
        """
        ...
