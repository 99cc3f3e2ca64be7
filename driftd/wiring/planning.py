"""Plans, joined together: the settings that one rests on, the groups, the store."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from driftd import __version__
from driftd.core.errors import ProviderError, Unavailable
from driftd.core.planning import document as documents_of
from driftd.core.planning.choosing import choose
from driftd.core.planning.plan import plan
from driftd.core.planning.reading import Reading
from driftd.core.wording import keeping
from driftd.core.wording import planning as said
from driftd.doors.desks.planning import Asked, Document
from driftd.edges import documents
from driftd.edges.store import SqlStore, open_store
from driftd.edges.store.controller import controller
from driftd.flows import applying
from driftd.flows.planning import Origin, read
from driftd.settings import GroupSettings, Settings
from driftd.wiring.answering import digest_of

if TYPE_CHECKING:
    from driftd.wiring.house import WiredHouse


class Planning:
    """Implements ``driftd.doors.desks.planning.PlanDesk`` for one house."""

    def __init__(self, house: WiredHouse) -> None:
        self._house = house

    def plan(
        self, names: Sequence[str], *, everything: bool, reason: str, valid_for: timedelta, by_hand: bool
    ) -> Document:
        house = self._house
        with house.store(read_only=True) as store, _told():
            reading = read(store, house.groups, origins(house.settings), house.now(), self.outside)
        person = house.person()
        chosen = choose(reading, names, everything=everything, reason=f"{person}: {reason}" if reason else "")
        made = plan(reading, chosen, by_hand=by_hand)
        return documents_of.as_document(made, by=person, version=__version__, valid_for=valid_for)

    @contextmanager
    def checked(self, file: Path) -> Iterator[_Checked]:
        house = self._house
        found = documents.load_plan(file)
        store = open_store(house.store_url)
        try:
            with _told():
                settled = origins(house.settings)
                reading = applying.check(store, found, house.groups, settled, house.now(), self.outside)
            yield _Checked(house, store, found, reading)
        finally:
            store.close()

    def outside(self, _group: str) -> str:
        """What the pause file says."""
        file = self._house.pause_file()
        return keeping.paused_by_file(str(file)) if file.exists() else ""


@contextmanager
def _told() -> Iterator[None]:
    """A provider that cannot be asked is no fault of the plan's."""
    try:
        yield
    except ProviderError as error:
        raise Unavailable(said.unread(str(error)), error.hint or "driftd doctor says more") from None


@dataclass(frozen=True, slots=True)
class _Checked:
    """Implements ``driftd.doors.desks.planning.Checked``."""

    house: WiredHouse
    store: SqlStore
    document: Document
    reading: Reading

    def ask(self) -> Asked:
        house, now = self.house, self.house.now()
        done = applying.apply(self.store, self.document, self.reading, house.groups, house.person(), now)
        return Asked(done.rids, controller(self.store, now) is not None)


def origins(settings: Settings) -> Mapping[str, Origin]:
    """What a plan rests on of each group's configuration. Raises BadInput."""
    return {
        name: Origin(_digest(settings, group), _policy(settings, name), _settings(settings, group))
        for name, group in settings.groups.items()
    }


def _digest(settings: Settings, group: GroupSettings) -> str:
    written = f"{settings.daemon.at_once}\n{group.model_dump_json()}"
    return hashlib.sha256(written.encode()).hexdigest()


def _policy(settings: Settings, name: str) -> str:
    return hashlib.sha256(digest_of(settings, name).encode()).hexdigest()


def _settings(settings: Settings, group: GroupSettings) -> Mapping[str, str]:
    """Those that a plan shows the effect of, by the words that the configuration has for them."""
    replacing = group.replacing
    values: dict[str, Any] = {
        "image": group.image,
        "enforce": group.enforce.value,
        "daemon.at_once": settings.daemon.at_once,
        "replacing.at_once": f"{replacing.at_once}%",
        "replacing.most_at_once": replacing.most_at_once,
        "replacing.min_healthy": "" if replacing.min_healthy is None else replacing.min_healthy,
        "replacing.variant": replacing.variant,
        "replacing.allow_gap": replacing.allow_gap,
        "replacing.allow_singleton": replacing.allow_singleton,
        "replacing.snapshots": replacing.snapshots,
        "replacing.soak": replacing.soak,
        "replacing.park": replacing.park,
    }
    return {key: str(value) for key, value in values.items()}
