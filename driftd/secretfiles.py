"""Secrets as settings name them: each in a file, read whenever it is used, so that it can be renewed.

What is raised says which file and why, and nothing of what it holds.
"""

from __future__ import annotations

from pathlib import Path

from driftd.core.errors import BadInput


def held(file: Path, what: str, limit: int) -> bytes:
    """The first ``limit`` bytes of ``file``. ``what`` is what a sentence calls them. Raises BadInput."""
    try:
        with file.open("rb") as opened:
            return opened.read(limit)
    except OSError as error:
        raise BadInput(f"the {what} in {file} cannot be read: {error.strerror}", "let driftd read it") from None


def token(file: Path, kind: str, looks: str, limit: int) -> str:
    """The token in ``file``: a word of printable ASCII, in at most ``limit`` bytes with the spaces around it.

    ``kind`` is what it would be, as in "no bearer token", and ``looks`` how one looks. Raises BadInput.
    """
    data = held(file, "token", limit + 1)
    word = data.strip()
    if not word or len(data) > limit or not all(0x21 <= byte < 0x7F for byte in word):
        raise BadInput(f"what {file} holds is no {kind}", looks)
    return word.decode("ascii")
