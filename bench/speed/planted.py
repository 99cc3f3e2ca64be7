"""Changes planted in the tree that everybody is measured on: whoever does not find them has not looked."""

# Names are bytes, and pathlib has none.
# ruff: noqa: PTH101, PTH108, PTH116, PTH118, PTH120, PTH123
from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

NEW = b"zz-planted"


@dataclass(frozen=True)
class Planted:
    """``paths`` are all that differ, as the tree calls them; of the changed file also the digest that it has now."""

    paths: frozenset[bytes]
    changed: bytes
    digest: bytes


def files(root: Path, least: int = 200, most: int = 100_000) -> Iterator[bytes]:
    """Paths of plain files with one name and so many bytes, one to a directory, as the tree calls them."""
    for folder, folders, names in os.walk(os.fsencode(root)):
        folders.sort()
        for name in sorted(names):
            found = os.lstat(os.path.join(folder, name))
            if stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and least <= found.st_size <= most:
                yield os.path.join(folder, name)[len(os.fsencode(root)) :]
                break


def flip(path: bytes) -> bytes:
    """Turn the first byte of a file around, under the time that it had; the digest of what it holds now."""
    before = os.stat(path)
    with open(path, "r+b") as stream:
        content = bytearray(stream.read())
        content[0] ^= 0xFF
        stream.seek(0)
        stream.write(content[:1])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    return hashlib.sha256(content).digest()


@contextlib.contextmanager
def three(root: Path) -> Iterator[Planted]:
    """A byte changed under a restored time, a mode, and a new file, each in another directory; undone at the end."""
    top = os.fsencode(root)
    found = list(files(root))
    content, mode, beside = (found[len(found) * part // 4] for part in (1, 2, 3))
    new = os.path.dirname(beside) + b"/" + NEW
    before = stat.S_IMODE(os.stat(top + mode).st_mode)
    digest = flip(top + content)
    try:
        os.chmod(top + mode, before ^ stat.S_IXUSR)
        with open(top + new, "wb") as stream:
            stream.write(b"planted\n")
        yield Planted(frozenset({content, mode, new}), content, digest)
    finally:
        flip(top + content)
        os.chmod(top + mode, before)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(top + new)


@contextlib.contextmanager
def many(root: Path, number: int) -> Iterator[frozenset[bytes]]:
    """A byte changed in one file each of so many directories; undone at the end."""
    top, chosen = os.fsencode(root), []
    every = list(files(root))
    if number > len(every):
        raise SystemExit(f"the tree has {len(every)} directories to change something in, not {number}")
    if number:
        chosen = [every[len(every) * one // number] for one in range(number)]
    done: list[bytes] = []
    try:
        for path in chosen:
            flip(top + path)
            done.append(path)
        yield frozenset(chosen)
    finally:
        for path in done:
            flip(top + path)
