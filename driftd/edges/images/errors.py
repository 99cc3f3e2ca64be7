"""What is wrong with an image, in one sentence."""

from __future__ import annotations


class ImageError(Exception):
    """The image cannot be read whole. ``str()`` is the sentence; ``hint`` says what next."""

    def __init__(self, sentence: str, hint: str = "") -> None:
        super().__init__(sentence)
        self.hint = hint or "fetch or make the image again; if it stays so, something is wrong with what makes it"


def shown(name: bytes) -> str:
    """A name out of an image for a sentence: printable, and not long."""
    text = name.decode("utf-8", "backslashreplace")
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
    return text if len(text) <= 120 else text[:117] + "..."
