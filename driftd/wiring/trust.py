"""Trust, joined together: whose keys count here, and what the store remembers against manifests rolled back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from driftd import __version__
from driftd.core.errors import BadInput
from driftd.core.facts import Unseen
from driftd.core.manifest import Manifest
from driftd.core.memory import Store
from driftd.core.ports import Manifests
from driftd.core.seal import NotVouchedForError, SeenManifest, rolled_back
from driftd.core.wording import trust as wording
from driftd.doors.desks.trust import KeyMade, Signing, Standing
from driftd.edges import documents
from driftd.edges.documents import Trust
from driftd.flows.remembering import Known
from driftd.settingpublished import Published

if TYPE_CHECKING:
    from driftd.edges.published import Bucket
from driftd.settings import Settings, Unsigned


class Trusting:
    """Implements ``driftd.doors.desks.trust.TrustDesk`` for one configuration."""

    def __init__(self, settings: Settings, clock: Callable[[], datetime]) -> None:
        self._settings = settings
        self._clock = clock

    @cached_property
    def trust(self) -> Trust:
        """Whose signature counts. Raises BadInput when a key cannot be read."""
        keys = tuple(documents.load_public(self._settings.path(file)) for file in self._settings.trust.manifest_keys)
        return Trust(keys, unsigned=self._settings.trust.unsigned is Unsigned.LOOK)

    def warnings(self) -> Sequence[str]:
        """What is to be said out loud when the daemon starts."""
        if self.trust.unsigned:
            return [wording.looking_unsigned()]
        return [] if self.trust.keys else [wording.no_key_trusted()]

    @cached_property
    def manifests(self) -> documents.ManifestDirectory:
        """Manifests by image, each by what is trusted."""
        directory = self._settings.path(self._settings.manifests)
        return documents.ManifestDirectory(directory, lambda: self.trust, self.published)

    @cached_property
    def published(self) -> Bucket | None:
        """Where manifests are published, if anywhere. Raises BadInput."""
        return _source(self._settings.manifests_from)

    def given(self, file: Path, keys: Sequence[Path] = ()) -> Manifest:
        """A manifest that a person names: it must verify where there is any key, and need not be signed without."""
        return documents.load_manifest(file, self._given(keys))

    def _given(self, keys: Sequence[Path]) -> Trust:
        chosen = tuple(documents.load_public(key) for key in keys) or self.trust.keys
        return Trust(chosen, unsigned=not chosen or (not keys and self.trust.unsigned))

    # --- the desk ---

    def find(self, name: str) -> Path:
        file = Path(name)
        if file.is_file():
            return file
        found = self.manifests.path_for(name)
        if not found.is_file():
            raise BadInput(
                f"{name} is no file, and no image of that name has a manifest ({found})",
                "name a file, or bake one with: driftd bake",
            )
        return found

    def read(self, file: Path, keys: Sequence[Path] = ()) -> Standing:
        text, made = documents.read_manifest(file)
        trust = replace(self._given(keys), unsigned=False)
        try:
            sealed = documents.weighed(file, text, made, trust)
        except NotVouchedForError as error:
            return Standing(file, made, str(error), error.hint, refused=True)
        except BadInput as error:
            return Standing(file, made, str(error), error.hint)
        return Standing(file, sealed)

    def keygen(self, file: Path) -> KeyMade:
        made = documents.make_keys(file)
        return KeyMade(file, Path(made.where), made.id)

    def sign(
        self, file: Path, keys: Sequence[Path] = (), *, sequence: int = 0, add: bool = False, vouch: bool = False
    ) -> Signing:
        own = self._settings.trust.signing_key
        chosen = list(keys) or ([self._settings.path(own)] if own else [])
        if not chosen:
            raise BadInput("there is no key to sign with", "say --key KEY, or name one under trust: signing_key")
        signing = [documents.load_signing(key) for key in chosen]
        files = documents.files_beside(file)
        if add:
            if sequence or vouch:
                raise BadInput("--add signs what was signed before, as it is", "leave out --sequence and --vouch")
            return _signing(documents.add_signatures(files, signing))
        generator = f"driftd {__version__}"
        return _signing(
            documents.sign(
                files, signing, now=self._clock(), generator=generator, sequence=sequence, vouched=vouch
            )
        )  # fmt: skip


def _source(said: Published | None) -> Bucket | None:
    """Where manifests are published. Raises BadInput where the extra lacks."""
    if said is None:
        return None
    try:
        from driftd.edges.providers.aws.cloud import Cloud  # noqa: PLC0415  # needs the extra
        from driftd.edges.providers.aws.settings import AwsSettings  # noqa: PLC0415  # as above
        from driftd.edges.published import Bucket  # noqa: PLC0415  # as above
    except ImportError as error:
        raise BadInput(
            f"manifests_from needs {error.name}, which is not installed", "pip install 'driftd[aws]'"
        ) from None
    try:
        where = AwsSettings(**said.model_dump(exclude={"s3", "every"}))
    except ValidationError as error:
        raise BadInput(f"manifests_from: {error.errors()[0]['msg']}", "docs/manifest.md shows all of it") from None
    return Bucket(Cloud(where), said.s3, said.every.total_seconds())


def _signing(made: documents.Signed) -> Signing:
    return Signing(made.file, made.keys, made.sequence, made.subjects, made.provisional)


class Given(Manifests):
    """``Manifests`` of one, which is the answer whatever is asked."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest

    def for_image(self, image: str) -> Manifest:
        """See ``Manifests.for_image``."""
        del image
        return self._manifest


class Remembered(Manifests):
    """``Manifests`` that the store has a say in: one that was seen before with a higher sequence is refused.

    ``known`` is what the store was asked already; without it, it is asked each time.
    """

    def __init__(
        self, manifests: Manifests, store: Store, clock: Callable[[], datetime], known: Known | None = None
    ) -> None:
        self._manifests = manifests
        self._known = known
        self._store = store
        self._clock = clock

    def for_image(self, image: str) -> Manifest | Unseen:
        """See ``Manifests.for_image``. Raises ``StoreUnavailable``: unknown is whether it was rolled back."""
        found = self._manifests.for_image(image)
        if isinstance(found, Unseen):
            return found
        seen = self._known.manifest if self._known else self._read(image)
        said = rolled_back(image, found.seal, seen)
        if said:
            return Unseen(said, wording.ROLLBACK_HINT)
        if found.seal is not None and (seen is None or seen.sequence < found.seal.sequence):
            row = SeenManifest(image, found.seal.sequence, found.seal.statement, self._clock())
            with self._store.write() as tx:
                tx.see_manifest(row)
        return found

    def _read(self, image: str) -> SeenManifest | None:
        with self._store.read() as tx:
            return tx.manifest_seen(image)
