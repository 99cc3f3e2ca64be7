"""Attesting, joined together: looks, keys, the store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from driftd import __version__
from driftd.core.attestation import NotAttested, Rules, refusal
from driftd.core.attested import Verified
from driftd.core.errors import BadInput
from driftd.core.facts import Instance, Unseen
from driftd.core.manifest import Manifest
from driftd.core.memory import InstanceRow
from driftd.core.wording import attested as wording
from driftd.doors.desks.attesting import Attested
from driftd.edges import documents
from driftd.flows import attest
from driftd.flows.attest import By
from driftd.flows.naming import the_instance
from driftd.probe import wire
from driftd.wiring.answering import sha256_of

if TYPE_CHECKING:
    from driftd.wiring.house import WiredHouse


class Attesting:
    """Implements ``driftd.doors.desks.attesting.AttestDesk`` for one house."""

    def __init__(self, house: WiredHouse) -> None:
        self._house = house

    def now(self, name: str, valid_for: timedelta, keys: Sequence[Path] = ()) -> Attested:
        house = self._house
        instance = self._one(name)
        by = self._by(keys)  # before anybody is visited for nothing
        rules = sha256_of(house.settings, instance.group)
        (look,) = house.audit([instance], strict=False)
        with house.store() as store:
            made = attest.of_look(store, look, Rules(look.policies, rules), by, valid_for, house.now())
            return Attested(made, attest.issue(store, made, by, house.now()), by.keys)

    def last(self, name: str, valid_for: timedelta, keys: Sequence[Path] = ()) -> Attested:
        house = self._house
        row = self._row(name)
        by = self._by(keys)
        manifest = self._manifest(row.image)
        with house.store() as store:
            made = attest.last_look(store, row, manifest, by, valid_for, house.now())
            return Attested(made, attest.issue(store, made, by, house.now()), by.keys)

    def verify(self, file: Path, keys: Sequence[Path] = (), *, instance: str = "", image: str = "") -> Verified:
        trusted = [documents.load_public(key) for key in keys] or list(self._house.trusting.trust.keys)
        if not trusted:
            raise BadInput(wording.nobody_trusted(), wording.KEYS)
        try:
            found = documents.load_attestation(file, trusted)
        except NotAttested as error:
            raise NotAttested(wording.refused(str(file), str(error)), error.hint) from None
        why = refusal(found.attestation, self._house.now(), instance=instance, image=image)
        if why:
            raise NotAttested(wording.refused(str(file), why), wording.ANOTHER)
        return found

    def _one(self, name: str) -> Instance:
        found = self._house.find([name])
        if len(found) != 1:
            raise BadInput(f"{name!r} names {len(found)} instances", "attest them one at a time")
        return found[0]

    def _row(self, name: str) -> InstanceRow:
        with self._house.store(read_only=True) as store, store.read() as tx:
            return the_instance(tx, name)

    def _manifest(self, image: str) -> Manifest:
        found = self._house.manifests.for_image(image)
        if isinstance(found, Unseen):
            raise NotAttested(found.reason, found.hint)
        return found

    def _by(self, keys: Sequence[Path]) -> By:
        own = self._house.settings.trust.signing_key
        chosen = list(keys) or ([self._house.settings.path(own)] if own else [])
        if not chosen:
            raise BadInput("there is no key to sign with", "say --key KEY, or name one under trust: signing_key")
        signing = [documents.load_signing(key) for key in chosen]
        ids = tuple(sorted({key.id for key in signing}))
        return By(
            generator=__version__,
            probe_schema=wire.SCHEMA,
            person=self._house.person(),
            keys=ids,
            sign=lambda statement: documents.seal_attestation(statement, signing),
        )
