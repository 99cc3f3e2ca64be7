"""Where a run keeps its store: in memory where the machine has room there, begun as a copy of an empty one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from driftd.edges.store import open_store

_MEMORY = Path("/dev/shm")  # noqa: S108  # what is made there has a name of its own and our mode
_PLACE: list[Path] = []


@contextmanager
def ground() -> Iterator[Path]:
    """A directory for what runs write, gone afterwards: in the one that was ``given``, or where the machine has one."""
    where = _PLACE[-1] if _PLACE else _MEMORY if _MEMORY.is_dir() else None
    with TemporaryDirectory(prefix="driftd-fleet-", dir=where, ignore_cleanup_errors=True) as home:
        yield Path(home)


def given(place: Path) -> None:
    """From now on everything is in there, which somebody else removes: also if this process is ended at once."""
    _PLACE.append(place)


@cache
def empty() -> bytes:
    """An empty store, made once: each run starts from a copy, since migrations take longer than a simulation."""
    with ground() as home:
        open_store(f"sqlite:///{home / 'empty.db'}").close()
        return (home / "empty.db").read_bytes()
