"""Ask the probe and read what it says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from driftd.core.facts import Unseen
from driftd.core.fingerprint import Fingerprint, Reader
from driftd.probe import wire

NONCE = b"0123456789abcdef"
Look = Callable[..., Fingerprint]


def read(data: bytes, sections: tuple[bytes, ...] = (b"facts",)) -> Fingerprint:
    reader = Reader(NONCE, sections)
    reader.feed(data)
    found = reader.finish()
    assert not isinstance(found, Unseen), found
    return found


def request(root: Path | str | bytes, sections: tuple[bytes, ...] = (b"facts",), **more: object) -> bytes:
    path = root if isinstance(root, bytes) else str(root).encode()
    return wire.encode_request(NONCE, path, sections=sections, **more)  # type: ignore[arg-type]  # passed on
