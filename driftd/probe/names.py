"""The names in a directory, as bytes, and what the directory itself says that they are."""

import os
import stat
import sys
from typing import Any, Iterable, List, Tuple

from driftd.probe import opening

_CODING = sys.getfilesystemencoding()
# In other encodings than these Python does not give every name back as it was.
_EXACT = _CODING.lower() in ("utf-8", "ascii")


def contents(fd, avoid):
    # type: (int, Iterable[bytes]) -> Tuple[List[bytes], List[bytes], List[bytes]]
    """What is in a directory, of ``avoid`` nothing: directories; all else; of that, what may be no regular file.

    Directories and all else are rising. What it is is the directory's word, which costs nothing. Raises OSError.
    """
    if os.scandir in os.supports_fd and _EXACT:
        directories, files, others = map(_bytes, _kinds(fd, avoid))
    else:
        directories, files, others = _kinds_by_stat(fd, avoid)
    names = opening.rising(files + others)
    if directories:
        directories = opening.rising(directories)
        if not set(directories).isdisjoint(names):  # it changed meanwhile
            names = [name for name in names if name not in directories]
    return directories, names, others


def _bytes(names):
    # type: (List[str]) -> List[bytes]
    if not names:
        return []
    joined = "/".join(names)  # no name has a slash in it
    names.clear()  # there may be a million of them
    return joined.encode(_CODING, "surrogateescape").split(b"/")


def _kinds(fd, avoid):
    # type: (int, Iterable[bytes]) -> Tuple[List[str], List[str], List[str]]
    left = frozenset(map(os.fsdecode, avoid))
    directories, files, others = [], [], []  # type: List[str], List[str], List[str]
    with os.scandir(fd) as found:
        for one in found:
            name = one.name
            if name in left:
                continue
            try:
                if one.is_file(follow_symlinks=False):
                    files.append(name)
                elif one.is_dir(follow_symlinks=False):
                    directories.append(name)
                else:
                    others.append(name)
            except OSError:
                others.append(name)
    return directories, files, others


def _kinds_by_stat(fd, avoid):
    # type: (int, Iterable[bytes]) -> Tuple[List[bytes], List[bytes], List[bytes]]
    """For Python 3.6, whose scandir has to be given a path: so the directory's atime would move."""
    directories, files, others = [], [], []  # type: List[bytes], List[bytes], List[bytes]
    for name in opening.listing(fd):
        if name not in avoid:
            try:
                kind = stat.S_IFMT(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode)
            except OSError:
                kind = 0
            (directories if kind == stat.S_IFDIR else files if kind == stat.S_IFREG else others).append(name)
    return directories, files, others
