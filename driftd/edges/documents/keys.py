"""Digest keys on disk: one file an image, readable by its owner alone. No error says anything of what is in one.

A file holds 64 hexadecimal digits and a line feed. It is made with mode 0600 in a directory of mode 0700; one that
somebody else owns or could read, or in a directory that somebody else could write to, is not used.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
import tempfile
from pathlib import Path

from driftd.core import digestkey, wording
from driftd.core.digestkey import DigestKey
from driftd.core.errors import BadInput
from driftd.core.facts import Unseen
from driftd.edges.documents.names import file_name

SUFFIX = ".digest-key"
_TEXT = re.compile(rb"([0-9a-f]{64})\n")
_ELSEWHERE = "see who may use that directory, or name another with the setting keys"


class DigestKeyDirectory:
    """``DigestKeys`` over a directory, which need not be there until the first key is made."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def path_for(self, image: str) -> Path:
        """The file of ``image``."""
        return self._directory / file_name(image, SUFFIX)

    def known(self, image: str, key_id: str) -> DigestKey | Unseen:
        """See ``DigestKeys.known``."""
        try:
            key = self._load(self.path_for(image))
        except FileNotFoundError:
            key = None
        except OSError as error:
            return Unseen(f"{self.path_for(image)} cannot be read: {error.strerror}")
        except BadInput as error:
            return Unseen(str(error), error.hint)
        if key is None or key.id != key_id:
            hint = f"bring it from where the image was baked, as {self.path_for(image)}"
            return Unseen(wording.no_digest_key(key_id), hint)
        return key

    def made(self, image: str) -> DigestKey:
        """See ``DigestKeys.made``."""
        file = self.path_for(image)
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._check(self._directory, self._directory.stat(), 0o022)
            if not file.exists():
                _write(file, secrets.token_bytes(digestkey.SIZE))
            return self._load(file)
        except OSError as error:
            raise BadInput(f"{file}: no digest key can be kept here: {error.strerror}", _ELSEWHERE) from None

    def _load(self, file: Path) -> DigestKey:
        fd = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as stream:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode):
                raise BadInput(f"{file} is no file", "remove it, or bring the key's own file")
            self._check(self._directory, self._directory.stat(), 0o022)
            self._check(file, found, 0o077)
            text = _TEXT.fullmatch(stream.read(digestkey.SIZE * 2 + 2))
        if text is None:
            # Not a word of what is there: it may be most of a key.
            raise BadInput(f"{file} does not hold a digest key", "bring it again from where the image was baked")
        return DigestKey(bytes.fromhex(text[1].decode("ascii")))

    @staticmethod
    def _check(path: Path, found: os.stat_result, forbidden: int) -> None:
        if found.st_uid not in (os.geteuid(), 0):
            raise BadInput(f"{path} belongs to somebody else, so no digest key is kept there", _ELSEWHERE)
        if found.st_mode & forbidden:
            mode = "go-w" if forbidden == 0o022 else "go="
            said = "write to" if forbidden == 0o022 else "use"
            raise BadInput(f"others may {said} {path}, so the digest key there is not used", f"chmod {mode} {path}")


def _write(file: Path, secret: bytes) -> None:
    """Whole or not at all, and never over a key that somebody else has just made."""
    with tempfile.NamedTemporaryFile(dir=file.parent, prefix=".digest-key.") as temporary:  # its mode is 0600
        temporary.write(secret.hex().encode("ascii") + b"\n")
        temporary.flush()
        os.fsync(temporary.fileno())
        try:
            os.link(temporary.name, file)
        except FileExistsError:
            return
