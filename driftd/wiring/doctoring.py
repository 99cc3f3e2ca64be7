"""The doctor, joined together: a check for each thing that is configured, in the order in which it is told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel

from driftd.core import checkup
from driftd.core.checkup import Check, Listening, Mark, Point
from driftd.core.errors import ProviderError
from driftd.core.wording import doctor as say
from driftd.core.wording import printable
from driftd.core.wording import trust as wording
from driftd.edges import documents, machine
from driftd.edges import store as stores
from driftd.edges.http.listening import listening
from driftd.edges.store import open_store
from driftd.edges.store.controller import controller
from driftd.settings import DEFAULT_FILES, Unsigned
from driftd.wiring.doctoring_fleet import fleet
from driftd.wiring.doctoring_slack import slack
from driftd.wiring.judging import alerts_of, judge_of

if TYPE_CHECKING:
    from driftd.wiring.house import WiredHouse


class Doctoring:
    """Implements ``driftd.doors.desks.doctor.DoctorDesk`` for one house."""

    def __init__(self, house: WiredHouse) -> None:
        self._house = house
        self._settings = house.settings

    def checks(self, targets: Sequence[str], *, login: bool, most: int) -> Sequence[Check]:
        house, settings = self._house, self._settings
        found = [
            Check("configuration", self._file(), self._configuration),
            Check("machine", "disk", self._disk),
            Check("machine", "clock", self._clock),
            Check("machine", "evidence", self._evidence),
            Check("store", settings.store, self._store),
            Check("daemon", "lease", self._daemon),
            Check("daemon", "pause", self._pauses),
            *self._keys(),
            *self._published(),
            *(Check("policies", name, partial(self._policy, name)) for name in settings.groups),
            *self._asked(),
        ]
        return [*found, *fleet(house, targets, login=login, most=most)]

    # --- what is here ---

    def _file(self) -> str:
        if self._house.config is not None:
            return str(self._house.config)
        return next((name for name in DEFAULT_FILES if Path(name).is_file()), "defaults")

    def _configuration(self) -> Sequence[Point]:
        about = self._file()
        if about == "defaults" and not self._settings.groups:
            return [Point("configuration", about, Mark.WRONG, say.NO_FILE, say.NO_FILE_HINT)]
        if not self._settings.groups:
            return [Point("configuration", about, Mark.WRONG, say.NO_GROUP, say.NO_GROUP_HINT)]
        return [Point("configuration", about, Mark.GOOD, say.configured(len(self._settings.groups)))]

    def _disk(self) -> Sequence[Point]:
        store = Path(stores.path_of(self._house.store_url))
        place, free = machine.free_bytes(store.parent)
        return [checkup.room(str(place), free, store.stat().st_size if store.is_file() else 0)]

    def _evidence(self) -> Sequence[Point]:
        """Whether a bundle could be kept, where a group wants one."""
        if not any(group.evidence.take for group in self._settings.groups.values()):
            return []
        place = self._house.custody().place()
        may = machine.writable(machine.nearest(place.directory))
        _, free = machine.free_bytes(place.directory)
        return [checkup.evidence(str(place.directory), place.taken() if may else 0, place.room, free, writable=may)]

    def _clock(self) -> Sequence[Point]:
        newest = None
        if self._has_store():
            with self._house.store(read_only=True) as store, store.read() as tx:
                newest = last.at if (last := tx.last_line()) else None
        return [checkup.clock(synchronised=machine.clock_kept(), newest=newest, now=self._house.now())]

    def _has_store(self) -> bool:
        return Path(stores.path_of(self._house.store_url)).exists()

    def _store(self) -> Sequence[Point]:
        about = self._settings.store
        if not self._has_store():
            parent = Path(stores.path_of(self._house.store_url)).parent
            if not parent.is_dir():
                said = f"its directory {parent} does not exist"
                return [Point("store", about, Mark.WRONG, said, f"make it: mkdir -p {parent}")]
            return [Point("store", about, Mark.NOTE, say.NO_STORE_YET, say.NO_STORE_HINT)]
        with self._house.store(read_only=True) as store, store.read() as tx:
            lines = tx.chain().count
        schema = stores.schema_of(stores.path_of(self._house.store_url))
        points = [Point("store", about, Mark.GOOD, say.store(schema, lines))]
        stopped = self._house.keeping().stopped()
        return [*points, *(Point("store", one.code, Mark.WRONG, one.why, one.hint) for one in stopped)]

    def _runs(self) -> bool:
        if not self._has_store():
            return False
        store = open_store(self._house.store_url, read_only=True)
        try:
            return controller(store, self._house.now()) is not None
        finally:
            store.close()

    def _daemon(self) -> Sequence[Point]:
        if not self._has_store():
            return [Point("daemon", "lease", Mark.NOTE, say.NO_DAEMON, say.NO_DAEMON_HINT)]
        now = self._house.now()
        store = open_store(self._house.store_url, read_only=True)
        try:
            found = controller(store, now)
            with store.read() as tx:
                rows = tx.instances()
        finally:
            store.close()
        if found is None:
            return [Point("daemon", "lease", Mark.NOTE, say.NO_DAEMON, say.NO_DAEMON_HINT)]
        points = [Point("daemon", "lease", Mark.GOOD, say.daemon(found.who, found.since))]
        for name in self._settings.groups:
            mine = [row.looked_at for row in rows if row.group == name]
            looked = [at for at in mine if at is not None]
            oldest, never = min(looked, default=None), len(mine) - len(looked)
            points.append(checkup.overdue(name, oldest, self._house.every(name), never, now))
        return points

    def _pauses(self) -> Sequence[Point]:
        file, points = self._house.pause_file(), []
        if file.exists():
            said = say.paused("everything", f"the file {file}", "it is there")
            points.append(Point("daemon", "pause", Mark.NOTE, said, say.PAUSED_HINT))
        elif not machine.writable(file.parent):
            points.append(Point("daemon", "pause", Mark.WRONG, say.pause_place(str(file.parent)), say.PAUSE_PLACE_HINT))
        if self._has_store():
            with self._house.store(read_only=True) as store, store.read() as tx:
                for one in tx.pauses():
                    said = printable(say.paused(one.group or "everything", one.owner, one.reason))
                    points.append(Point("daemon", "pause", Mark.NOTE, said, say.PAUSED_HINT))
        return points

    # --- keys and files ---

    def _published(self) -> Iterator[Check]:
        if self._settings.manifests_from is not None:
            yield Check("manifests", self._settings.manifests_from.s3, self._bucket)

    def _bucket(self) -> Sequence[Point]:
        """Whether it can be read, and whether what was published there can be overwritten without a trace."""
        bucket, said = self._house.trust().published, self._settings.manifests_from
        if bucket is None or said is None:
            return []
        try:
            care = bucket.care()
        except ProviderError as error:
            return [Point("manifests", said.s3, Mark.UNSEEN, str(error), error.hint)]
        if care.why:
            return [Point("manifests", said.s3, Mark.NOTE, say.bucket_unknown(care.why), care.hint)]
        if not care.versions:
            return [Point("manifests", said.s3, Mark.NOTE, say.BUCKET_PLAIN, say.BUCKET_PLAIN_HINT)]
        return [Point("manifests", said.s3, Mark.GOOD, say.bucket(care.lock))]

    def _keys(self) -> Iterator[Check]:
        settings = self._settings
        yield Check("trust", "manifest_keys", self._trust)
        for name in settings.trust.manifest_keys:
            yield Check("trust", name, partial(self._public, name))
        if name := settings.trust.signing_key:
            yield Check("trust", name, partial(self._private, name))
        if settings.packages:
            yield Check("packages", settings.packages, self._packages)
        for where, name in _files(getattr(settings, "notify", None), "notify"):
            yield Check("notify", where, partial(self._secret, "notify", where, name))
        for section in ("prometheus", "alertmanager"):
            if name := getattr(settings, section).token_file:
                yield Check(section, "token_file", partial(self._secret, section, "token_file", name))

    def _trust(self) -> Sequence[Point]:
        if self._settings.trust.unsigned is Unsigned.LOOK:
            return [Point("trust", "unsigned", Mark.NOTE, say.UNSIGNED_LOOK, say.UNSIGNED_HINT)]
        if not self._settings.trust.manifest_keys:
            return [Point("trust", "manifest_keys", Mark.WRONG, say.NO_TRUST, say.NO_TRUST_HINT)]
        return []

    def _public(self, name: str) -> Sequence[Point]:
        key = documents.load_public(self._settings.path(name))
        return [Point("trust", name, Mark.GOOD, say.public_key(wording.short(key.id)))]

    def _private(self, name: str) -> Sequence[Point]:
        key = documents.load_signing(self._settings.path(name))
        return [Point("trust", name, Mark.GOOD, say.signing_key(wording.short(key.id)))]

    def _secret(self, area: str, about: str, name: str) -> Sequence[Point]:
        file = self._settings.path(name)
        seen = machine.seen(file)
        if seen.why:
            return [Point(area, about, Mark.WRONG, f"{file}: {say.no_file(seen.why)}", say.NO_FILE_SET_HINT)]
        if seen.mode & 0o077:
            return [Point(area, about, Mark.NOTE, f"{file}: {say.secret_shared(seen.mode)}", say.chmod_hint(str(file)))]
        return [Point(area, about, Mark.GOOD, f"{file}: {say.KEPT_FILE}")]

    def _packages(self) -> Sequence[Point]:
        about, directory = self._settings.packages, self._settings.path(self._settings.packages)
        try:
            number = sum(1 for one in directory.iterdir() if one.suffix in (".deb", ".rpm"))
        except OSError as error:
            why = say.no_file((error.strerror or str(error)).lower())
            return [Point("packages", about, Mark.WRONG, why, say.NO_FILE_SET_HINT)]
        if not number:
            return [Point("packages", about, Mark.NOTE, say.NO_PACKAGES, say.PACKAGES_HINT)]
        return [Point("packages", about, Mark.GOOD, say.packages(number))]

    def _policy(self, name: str) -> Sequence[Point]:
        policy = self._house.policies[name]
        return [Point("policies", name, Mark.GOOD, say.policy(len(policy.rules)))]

    # --- who is asked ---

    def _asked(self) -> Iterator[Check]:
        settings = self._settings
        if settings.prometheus.url:
            yield Check("prometheus", settings.prometheus.url, self._prometheus)
        if settings.alertmanager.url:
            yield Check("alertmanager", settings.alertmanager.url, self._alertmanager)
        yield from slack(settings)
        yield Check("metrics", settings.metrics.listen or "off", self._metrics)

    def _prometheus(self) -> Sequence[Point]:
        about, judge = self._settings.prometheus.url, judge_of(self._settings)
        answer = judge.ask("vector(1)") if judge else 1.0
        return [_answered("prometheus", about, "" if isinstance(answer, float) else answer.reason, "Prometheus")]

    def _alertmanager(self) -> Sequence[Point]:
        about, alerts = self._settings.alertmanager.url, alerts_of(self._settings)
        answer = alerts.firing(()) if alerts else ()
        why = "" if isinstance(answer, Sequence) else answer.reason
        if not why and self._settings.alertmanager.watchdog is None:
            return [Point("alertmanager", about, Mark.NOTE, say.WATCHDOG, say.WATCHDOG_HINT)]
        return [_answered("alertmanager", about, why, "Alertmanager")]

    def _metrics(self) -> Sequence[Point]:
        listen = self._settings.metrics.listen
        if not listen:
            return [Point("metrics", "off", Mark.NOTE, say.METRICS_OFF)]
        who, why = listening(listen)
        return [checkup.metrics(listen, who, runs=who is Listening.FREE and self._runs(), why=why)]


def _answered(area: str, about: str, why: str, what: str) -> Point:
    if why:
        return Point(area, about, Mark.UNSEEN, why, f"see that it runs, and {area}: url")
    return Point(area, about, Mark.GOOD, say.asked(what))


def _files(section: object, where: str) -> Iterator[tuple[str, str]]:
    """Every ``…_file`` that a section of the settings names, whatever it has: ``("notify.slack.token_file", "…")``."""
    if isinstance(section, BaseModel):
        for name in type(section).model_fields:
            value, here = getattr(section, name), f"{where}.{name}"
            if isinstance(value, str) and value and name.endswith("_file"):
                yield here, value
            else:
                yield from _files(value, here)
    elif isinstance(section, dict):
        for name, value in section.items():
            yield from _files(value, f"{where}.{name}")
    elif isinstance(section, list | tuple):
        for number, value in enumerate(section):
            yield from _files(value, f"{where}[{number}]")
