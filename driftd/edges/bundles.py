"""Bundles of evidence on this host: one compressed tar each, in a directory that only driftd may read.

The same members and time make the same bytes, and a bundle is under its name only once all of it is on the disk.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import re
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from driftd.core.custody.terms import Held, Member
from driftd.core.errors import BadInput, Refused
from driftd.core.wording import custody as wording

SUFFIX = ".tar.gz"
UNPACKED_LIMIT = 1 << 30  # bytes of all members
_STALE_S = 24 * 60 * 60
_ID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")  # a ULID


class BundleDirectory:
    """Implements ``Place``. ``room`` is how many bytes all bundles together may take."""

    def __init__(self, directory: Path, room: int) -> None:
        self.directory = directory
        self.room = room

    def path(self, bundle_id: str) -> Path:
        """Where it lies. Raises ``BadInput`` for what is no id."""
        if not _ID.fullmatch(bundle_id):
            raise BadInput(f"{bundle_id!r} is no id of evidence", "see: driftd evidence")
        return self.directory / (bundle_id + SUFFIX)

    def keep(self, bundle_id: str, members: Sequence[Member], at: datetime) -> Held:
        """See ``Place.keep``."""
        file = self.path(bundle_id)
        made: Path | None = None
        try:
            self._ready(at)
            with tempfile.NamedTemporaryFile(dir=self.directory, prefix=f".{bundle_id}.", delete=False) as stream:
                made = Path(stream.name)  # 0600, as mkstemp makes it
                _pack(stream, members, at)  # type: ignore[arg-type]  # a binary stream
                stream.flush()
                os.fsync(stream.fileno())
            data = made.read_bytes()
            taken = self.taken(file)
            if taken + len(data) > self.room:
                raise Refused(wording.no_room(str(self.directory), taken, len(data), self.room))
            made.replace(file)
            made = None
            _settle(self.directory)
        except OSError as error:
            raise Refused(wording.not_kept(str(self.directory), error.strerror or str(error))) from None
        finally:
            if made is not None:
                made.unlink(missing_ok=True)
        return Held(len(data), hashlib.sha256(data).hexdigest())

    def taken(self, but: Path | None = None) -> int:
        """Bytes of all bundles but one. Raises ``OSError``."""
        return sum(one.stat().st_size for one in self.directory.glob(f"*{SUFFIX}") if one != but)

    def size(self, bundle_id: str) -> int | None:
        """See ``Place.size``."""
        try:
            return self.path(bundle_id).lstat().st_size
        except OSError:
            return None

    def read(self, bundle_id: str, held: Held) -> bytes:
        """See ``Place.read``."""
        file = self.path(bundle_id)
        try:
            fd = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(fd, "rb") as stream:
                data = stream.read(held.size + 1)
        except FileNotFoundError:
            raise BadInput(wording.missing(bundle_id, str(file)), wording.SEE_JOURNAL) from None
        except OSError as error:
            raise BadInput(f"{file}: {error.strerror}", "see that it can be read by this user") from None
        if len(data) != held.size or hashlib.sha256(data).hexdigest() != held.sha256:
            raise BadInput(wording.edited(bundle_id, str(file)), wording.SEE_JOURNAL)
        return data

    def remove(self, bundle_id: str) -> None:
        """See ``Place.remove``."""
        file = self.path(bundle_id)
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            raise Refused(f"{file} cannot be removed: {error.strerror}") from None

    def _ready(self, at: datetime) -> None:
        """The directory, made when it is not there, and nobody else's to read; without what a crash left half made."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.directory.stat().st_mode & 0o077:
            self.directory.chmod(0o700)
        for left in self.directory.glob(".[0-9A-Z]*.*"):
            if at.timestamp() - left.lstat().st_mtime > _STALE_S:
                left.unlink(missing_ok=True)


def _pack(stream: io.BufferedIOBase, members: Sequence[Member], at: datetime) -> None:
    seconds = int(at.timestamp())
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=stream, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for one in members:
            head = tarfile.TarInfo(one.name)
            head.size, head.mode, head.mtime = len(one.data), 0o600, seconds
            tar.addfile(head, io.BytesIO(one.data))


def unpacked(data: bytes) -> Mapping[str, bytes]:
    """The members of a bundle, by name. Raises ``BadInput`` where it is none, or larger than any."""
    found: dict[str, bytes] = {}
    left = UNPACKED_LIMIT
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as tar:
            for head in tar:
                stream = tar.extractfile(head) if head.isreg() and head.size <= left else None
                if stream is None:
                    raise BadInput(wording.NO_BUNDLE, wording.SEE_JOURNAL)
                found[head.name] = stream.read()
                left -= head.size
    except (tarfile.TarError, OSError, EOFError):
        raise BadInput(wording.NO_BUNDLE, wording.SEE_JOURNAL) from None
    return found


def _settle(directory: Path) -> None:
    """The name is on the disk, too."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
