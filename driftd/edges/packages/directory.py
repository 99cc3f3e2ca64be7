"""A directory of packages on the control host: releases, indexes, packages and keyrings, wherever they lie in it.

What apt keeps itself will do: copies of ``/var/lib/apt/lists``, ``/var/cache/apt/archives`` and the keyrings, or a
mirror's own tree. It is read anew whenever anything in it changes.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

from driftd.core.facts import Unseen
from driftd.core.transactions.contents import Contents
from driftd.edges.packages import deb
from driftd.edges.packages.deb import BadPackageError
from driftd.edges.packages.signed import Key, Release, UnverifiedError, index_of, verify

FILES_LIMIT = 200_000
KEPT = 64  # packages whose contents are remembered
_RELEASE = re.compile(r"(?:.*_)?(?:In)?Release")
_INDEX = re.compile(r"(?:.*_)?Packages(?:\.gz|\.xz)?")
_KEYRING = re.compile(r"(?!(?:.*_)?Release\.gpg$).*\.(?:gpg|asc|pgp)")
_HINT = "docs/findings.md tells what belongs into the directory of packages"

Seen = tuple[tuple[str, int, int], ...]


class PackageDirectory:
    """``PackageSource`` over ``root``. May be asked from several threads.

    Whether something changed is looked up every ``fresh_s`` seconds: a look asks for many packages, one by one.
    """

    def __init__(self, root: Path, *, fresh_s: float = 2.0) -> None:
        self._root = root
        self._fresh_s = fresh_s
        self._listed: float | None = None
        self._digests: dict[tuple[Path, int, int], str] = {}
        self._lock = threading.Lock()
        self._seen: Seen | None = None
        self._releases: dict[bytes, list[Release]] = {}
        self._indexes: dict[str, dict[Key, str]] = {}
        self._packages: dict[str, list[Path]] = {}
        self._why = ""
        self._kept: OrderedDict[str, Contents] = OrderedDict()

    def contents(self, name: str, version: str, architecture: str, keyrings: frozenset[bytes]) -> Contents | Unseen:
        """See ``PackageSource.contents``."""
        with self._lock:
            try:
                self._read()
                return self._contents((name, version, architecture), keyrings)
            except UnverifiedError as error:
                return Unseen(str(error), _HINT)
            except OSError as error:
                return Unseen(f"{error.filename or self._root} cannot be read: {error.strerror}", _HINT)

    def _contents(self, key: Key, keyrings: frozenset[bytes]) -> Contents | Unseen:
        trusted = [one for keyring, releases in self._releases.items() if keyring in keyrings for one in releases]
        if not trusted:
            any_keyring = "is signed by a keyring that was baked" if self._releases else self._why
            return Unseen(f"no release in {self._root} {any_keyring or 'is signed by a keyring there'}", _HINT)
        wanted = {
            self._indexes[digest][key]: release.name
            for release in trusted
            for digest in release.indexes & self._indexes.keys()
            if key in self._indexes[digest]
        }
        called = " ".join(key)
        if not wanted:
            return Unseen(f"no signed index in {self._root} has {called}", _HINT)
        for file in self._packages.get(key[0], ()):
            found = self._package(file, wanted)
            if found is not None:
                return found
        return Unseen(f"{self._root} does not have the package {called} that its index names", _HINT)

    def _package(self, file: Path, wanted: dict[str, str]) -> Contents | None:
        """What ``file`` holds, if its digest is one of ``wanted``."""
        with file.open("rb") as opened:
            stat = os.fstat(opened.fileno())
            if stat.st_size > deb.SIZE_LIMIT:
                return None
            same = (file, stat.st_size, stat.st_mtime_ns)
            digest = self._digests.get(same) or hashlib.file_digest(opened, "sha256").hexdigest()
            self._digests[same] = digest
            if digest not in wanted:
                return None
            if digest in self._kept:
                self._kept.move_to_end(digest)
                return self._kept[digest]
            opened.seek(0)
            try:
                found = deb.read(opened, wanted[digest])
            except BadPackageError as error:
                raise UnverifiedError(f"{file.name}: {error}") from None
        self._kept[digest] = found
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return found

    # --- what there is ---

    def _read(self) -> None:
        """Everything but the packages themselves, anew if something changed."""
        now = time.monotonic()
        if self._listed is not None and now - self._listed < self._fresh_s:
            return
        files = list(self._files())
        seen = tuple((str(file), stat.st_size, stat.st_mtime_ns) for file, stat in files)
        self._listed = now
        if seen == self._seen:
            return
        self._listed = None
        paths = [file for file, _ in files]
        self._packages = {}
        for file in paths:
            if file.suffix == ".deb":
                self._packages.setdefault(file.name.partition("_")[0], []).append(file)
        self._indexes = dict(index_of(file) for file in paths if _INDEX.fullmatch(file.name))
        self._releases, self._why = {}, ""
        for ring in (file for file in paths if _KEYRING.fullmatch(file.name)):
            self._verify(ring, [file for file in paths if _RELEASE.fullmatch(file.name)])
        self._seen, self._listed, self._digests = seen, now, {}

    def _verify(self, ring: Path, releases: list[Path]) -> None:
        keys = ring.read_bytes()
        good = self._releases.setdefault(hashlib.sha256(keys).digest(), [])
        for release in releases:
            try:
                good.append(verify(release, keys))
            except UnverifiedError as error:
                self._why = f"could be verified: {error}"
            except FileNotFoundError:
                continue  # a Release without its signature
        if not good:
            del self._releases[hashlib.sha256(keys).digest()]

    def _files(self) -> Iterator[tuple[Path, os.stat_result]]:
        if not self._root.is_dir():
            raise UnverifiedError(f"there is no directory {self._root}")
        number = 0
        for place, below, names in os.walk(self._root):
            below.sort()
            for name in sorted(names):
                number += 1
                if number > FILES_LIMIT:
                    raise UnverifiedError(f"{self._root} has more than {FILES_LIMIT} files")
                file = Path(place, name)
                if file.is_file():
                    yield file, file.stat()
