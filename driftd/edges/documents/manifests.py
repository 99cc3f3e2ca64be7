"""Manifests on disk: the files of an image, found by the image's id, verified and read once, shared by all who ask."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from driftd.core import manifesttext, wording
from driftd.core.errors import BadInput, DriftdError
from driftd.core.facts import Unseen
from driftd.core.manifest import Manifest
from driftd.core.wording import trust as said
from driftd.edges.documents.files import read, write
from driftd.edges.documents.names import SIZE_LIMIT, Files, files_beside, files_of
from driftd.edges.documents.refusals import too_large, unread, unwritten
from driftd.edges.documents.sealing import verify
from driftd.edges.documents.signkeys import PublicKey

_Stamp = tuple[tuple[int, int, int] | None, ...]


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose signature counts; ``unsigned`` says that what nobody signed is taken, too, as what it is: unsealed."""

    keys: tuple[PublicKey, ...] = ()
    unsigned: bool = False


ANYBODY = Trust(unsigned=True)


def load_manifest(file: Path, trust: Trust = ANYBODY) -> Manifest:
    """The manifest in ``file``, sealed when a trusted key signed it. Raises BadInput with file, line and reason.

    With keys a wrong signature is refused always, and no signature unless ``trust`` takes what is unsigned.
    """
    return _load(files_beside(file), trust)


class Source(Protocol):
    """Where manifests are published, besides a directory."""

    def newer(self, image: str, *, wait: bool) -> Mapping[str, bytes]:
        """The files of ``image`` by their names, whole, where they are others than those that came last; else nothing.

        It asks for itself how often is enough. Without ``wait`` it gives nothing while another thread asks. Raises
        ``DriftdError``.
        """
        ...

    def forget(self, image: str) -> None:
        """What came last could not be kept."""
        ...


class ManifestDirectory:
    """``Manifests`` over a directory, each by what ``trust`` says.

    An image is read and verified again when the inode, size or time of change of any of its files is another. What
    ``source`` has is put into the directory when somebody asks for it; while it cannot be asked, what is there counts.
    """

    def __init__(
        self, directory: Path, trust: Callable[[], Trust] = lambda: ANYBODY, source: Source | None = None
    ) -> None:
        self._directory = directory
        self._trust = trust
        self._source = source
        self._known: dict[str, tuple[_Stamp, Manifest | Unseen]] = {}
        self._lock = threading.Lock()

    def path_for(self, image: str) -> Path:
        """The file of ``image``, called after its id."""
        return self.files(image).manifest

    def files(self, image: str) -> Files:
        """The files of ``image``, which need not be there."""
        return files_of(self._directory, image)

    def for_image(self, image: str) -> Manifest | Unseen:
        """See ``Manifests.for_image``: the same object for as long as the files stay as they are."""
        files = self.files(image)
        why = self._fetch(image, files) if self._source else ""
        with self._lock:
            try:
                stamp = tuple(_stamp(file) for file in files.all)
            except OSError as error:
                return Unseen(f"the manifest of {image} cannot be read: {error.strerror} ({files.manifest})")
            if stamp[0] is None:
                self._known.pop(image, None)
                missing = wording.no_manifest(image)
                return Unseen(f"{missing}: {why}" if why else missing, wording.bake_hint(image, str(files.manifest)))
            known = self._known.get(image)
            if known is None or known[0] != stamp:
                known = (stamp, self._load(files, image))
                self._known[image] = known
            return known[1]

    def _fetch(self, image: str, files: Files) -> str:
        """Bring what is newer; why that could not be, "" where it could."""
        assert self._source is not None  # noqa: S101  # whoever calls has seen to it
        try:
            found = self._source.newer(image, wait=not files.manifest.exists())
        except DriftdError as error:
            return str(error)
        if not found:
            return ""
        try:
            with self._lock:  # nobody reads half of them
                self._directory.mkdir(parents=True, exist_ok=True)
                for name, data in found.items():
                    write(self._directory / name, data)
        except OSError as error:
            self._source.forget(image)
            return f"what was fetched could not be written to {self._directory}: {error.strerror}"
        return ""

    def put(self, made: Manifest) -> Path:
        """Write ``made`` where ``for_image`` finds it, whole or not at all. Raises BadInput when the disk refuses."""
        file = self.path_for(made.image)
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            write(file, manifesttext.encode(made))
        except OSError as error:
            raise unwritten(file, error) from None
        return file

    def _load(self, files: Files, image: str) -> Manifest | Unseen:
        try:
            found = _load(files, self._trust())
        except BadInput as error:
            return Unseen(str(error), error.hint)
        if found.image != image:
            hint = wording.bake_hint(image, str(files.manifest))
            return Unseen(wording.other_manifest(str(files.manifest), found.image, image), hint)
        return found


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def read_manifest(file: Path) -> tuple[bytes, Manifest]:
    """The text in ``file`` and the manifest that it is of, whoever vouches for it. Raises BadInput."""
    text = _read(file)
    return text, _parse(text, file)


def weighed(file: Path, text: bytes, made: Manifest, trust: Trust) -> Manifest:
    """``made``, read from ``file``, as ``trust`` has it: sealed, or taken as it is. Raises BadInput for neither."""
    return _weighed(files_beside(file), text, made, trust)


def _load(files: Files, trust: Trust) -> Manifest:
    text, made = read_manifest(files.manifest)
    return _weighed(files, text, made, trust)


def _weighed(files: Files, text: bytes, made: Manifest, trust: Trust) -> Manifest:
    signed = files.envelope.exists()
    if signed and trust.keys:
        return replace(made, seal=verify(files, text, made, trust.keys))
    if not trust.unsigned:
        if signed:
            raise BadInput(said.no_keys(made.image), said.KEYS_HINT)
        raise BadInput(said.unsigned(made.image), said.sign_hint(str(files.manifest)))
    return made


def _read(file: Path) -> bytes:
    try:
        data = read(file, SIZE_LIMIT + 1)
    except OSError as error:
        raise unread(file, error) from None
    if len(data) > SIZE_LIMIT:
        raise too_large(file, SIZE_LIMIT, "a manifest may be")
    return data


def _parse(data: bytes, file: Path) -> Manifest:
    try:
        return manifesttext.decode(data)
    except BadInput as error:
        raise BadInput(wording.damaged_manifest(str(file), str(error)), error.hint) from None
