"""Settings: one YAML file, overridden by the environment (``DRIFTD_STORE``, ``DRIFTD_METRICS__LISTEN`` …), frozen.

Relative paths are relative to the file that names them. Every mistake becomes one ``BadInput`` that names the file,
the line where it stands and the remedy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from driftd.core import matchers, packs, promql
from driftd.core.breakers.limits import DEFAULTS
from driftd.core.errors import BadInput
from driftd.core.guards import written
from driftd.core.wording import near
from driftd.settingevidence import Evidence, EvidencePlace
from driftd.settinghooks import HookSettings
from driftd.settingnotify import Notify
from driftd.settingparts import Certificates, Duration, OutOfBand, Sections, Sessions, Strict
from driftd.settingplaces import CREDENTIAL, credential
from driftd.settingpublished import Published
from driftd.settingreach import Reach
from driftd.yamltext import Located, complaint, parse

DEFAULT_FILES = ("driftd.yaml", "/etc/driftd/driftd.yaml")


def _window(text: str) -> str:
    written.window(text)
    return text


def _freeze(text: str) -> str:
    written.freeze(text)
    return text


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name!r} is no time zone; write one of the IANA database, like Europe/Berlin") from None
    return name


def _least(value: object) -> object:
    """A count, or a percentage as text."""
    if isinstance(value, str):
        return f"{written.percent(value)}%"
    return value


Percent = Annotated[int, BeforeValidator(written.percent)]
Unlimited = Literal["unlimited"]


class Enforce(StrEnum):
    """The most that any rule may do in a group. Observing is the default, for ever."""

    OBSERVE = "observe"
    APPROVE = "approve"
    REPLACE = "replace"


class Health(Strict):
    """An application's own answer to "do you serve": ``{address}`` stands for the instance's address."""

    http: str = ""
    timeout: Duration = timedelta(seconds=2)


def _query(text: str) -> str:
    """PromQL with places for names. Raises ValueError."""
    return _said(promql.parse, text)


def _matchers(text: str) -> str:
    """A list of label matchers. Raises ValueError."""
    return _said(matchers.parse, text)


def _said(read: Callable[[str], object], text: str) -> str:
    try:
        read(text)
    except BadInput as error:
        raise ValueError(f"{error}; {error.hint}" if error.hint else str(error)) from None
    return text


Query = Annotated[str, AfterValidator(_query)]
Matchers = Annotated[str, AfterValidator(_matchers)]
Bound = Annotated[float, Field(allow_inf_nan=False)]


class BaselineSettings(Strict):
    """How a canary must do beside its peers. ``query`` is asked about them; without one, the canary's own query is."""

    query: Query | None = None
    tolerance: Bound = Field(default=0.5, ge=0)
    slack: Bound = Field(default=0.0, ge=0)


class CanarySettings(Strict):
    """How the first of its kind to be replaced is watched (docs/canary.md): for how long, and what judges it."""

    soak: Duration = timedelta(minutes=30)
    warmup: Duration = timedelta(minutes=5)
    query: Query | None = None
    below: Bound | None = None
    above: Bound | None = None
    baseline: BaselineSettings | None = None

    @model_validator(mode="after")
    def _whole(self) -> CanarySettings:
        bounds = (self.below is not None) + (self.above is not None)
        if self.query is None and (bounds or self.baseline is not None):
            raise ValueError("a bound or a baseline needs a query that it is about")
        if self.query is not None and bounds != 1:
            raise ValueError("a query needs one bound of a good answer: either below or above")
        if self.query is not None and self.baseline is not None and self.baseline.query is None:
            _said(lambda text: promql.parse(text).of_peers(), self.query)
        return self


class Pacing(Strict):
    """How fast instances may follow one another (docs/guards.md)."""

    between: Duration = timedelta(minutes=5)
    per_hour: Annotated[int, Field(ge=1)] | Unlimited = 6
    per_day: Unlimited | Percent = 20
    checkpoints: list[Percent] = Field(default_factory=lambda: [20, 50, 100])
    checkpoint: Duration = timedelta(minutes=10)


class Replacing(Strict):
    """How carefully a group's instances are replaced (docs/guards.md and docs/replacement.md tell what each guards)."""

    variant: Literal["auto", "delete-first"] = "auto"
    allow_gap: bool = False
    snapshots: bool = True
    park: Duration = timedelta(minutes=15)
    dwell: Duration = timedelta(seconds=60)
    min_healthy: Annotated[Annotated[int, Field(ge=0)] | str | None, BeforeValidator(_least)] = None
    at_once: Percent = 10
    most_at_once: int = Field(default=5, ge=1)
    allow_singleton: bool = False
    windows: list[Annotated[str, AfterValidator(_window)]] | Literal["always"] = Field(
        default_factory=lambda: ["mon-thu 09:00-16:00"]
    )
    zone: Annotated[str, AfterValidator(_zone)] = "UTC"
    freezes: list[Annotated[str, AfterValidator(_freeze)]] = Field(default_factory=list)
    pace: Pacing = Pacing()
    capture_timeout: Duration = timedelta(minutes=20)
    boot_timeout: Duration = timedelta(minutes=10)
    verify_timeout: Duration = timedelta(minutes=10)
    enroll_timeout: Duration = timedelta(minutes=10)
    soak: Duration = timedelta(minutes=10)
    drain_timeout: Duration = timedelta(minutes=15)
    absent: Duration = timedelta(minutes=5)
    quiesce_timeout: Duration = timedelta(minutes=10)
    stop_timeout: Duration = timedelta(minutes=10)
    snapshot_timeout: Duration = timedelta(minutes=15)
    detach_timeout: Duration = timedelta(minutes=5)
    attach_timeout: Duration = timedelta(minutes=5)
    address_timeout: Duration = timedelta(minutes=2)
    serve_timeout: Duration = timedelta(minutes=10)
    back_off: Duration = timedelta(minutes=30)
    canary: CanarySettings = CanarySettings()
    block_on: list[Matchers] = Field(default_factory=list)
    keep_snapshots: Duration = timedelta(days=30)

    @model_validator(mode="before")
    @classmethod
    def _moved(cls, values: object) -> object:
        if isinstance(values, dict) and "sessions" in values:
            raise ValueError("sessions stands beside replacing now, with the same grace and cap (docs/sessions.md)")
        return values


class GroupSettings(Strict):
    """Instances that serve the same purpose. ``select``, ``traffic``, ``zones`` and ``hosts`` are the
    provider's to read.
    """

    provider: str
    image: str = ""
    select: dict[str, str] = Field(default_factory=dict)
    hosts: list[str | dict[str, Any]] = Field(default_factory=list)
    traffic: dict[str, Any] = Field(default_factory=dict)
    zones: list[str] = Field(default_factory=list)
    reach: Reach = Reach()
    health: Health = Health()
    policy: list[str] = Field(default_factory=lambda: [*packs.DEFAULT])
    enforce: Enforce = Enforce.OBSERVE
    every: Duration = timedelta(minutes=5)
    watch: bool = False
    sessions: Sessions = Sessions()
    replacing: Replacing = Replacing()
    hooks: HookSettings = HookSettings()
    evidence: Evidence = Evidence()
    out_of_band: OutOfBand = OutOfBand()

    @model_validator(mode="after")
    def _watched(self) -> GroupSettings:
        if self.watch and self.reach.ssm is not None:
            raise ValueError("watch needs a connection that stays open, which reach.ssm has not; use reach.ssh")
        return self


class Ssh(Strict):
    """Defaults for every way in over SSH. ``known_hosts`` decides where a provider does not vouch for host keys.

    Where instances are looked at every ``keep`` or oftener, connections stay open between looks; 0s keeps none.
    """

    user: str = "root"
    key: str = ""
    certificate: Certificates | None = None
    known_hosts: str = "known_hosts"
    sudo: bool = True
    connect_timeout: Duration = timedelta(seconds=10)
    look_timeout: Duration = timedelta(minutes=5)
    keep: Duration = timedelta(minutes=2)

    @model_validator(mode="after")
    def _one_way(self) -> Ssh:
        if self.key and self.certificate is not None:
            raise ValueError("key and certificate exclude each other; a group that needs a key has reach.ssh.key")
        return self


class Unsigned(StrEnum):
    """What becomes of a manifest that nobody signed. It is never replaced by, whatever is said here."""

    REFUSE = "refuse"
    LOOK = "look"


class TrustSettings(Strict):
    """Whose manifests count: files of public keys; and the private key that this driftd signs with, if any."""

    manifest_keys: list[str] = Field(default_factory=list)
    unsigned: Unsigned = Unsigned.REFUSE
    signing_key: str = ""


class ServerSettings(Strict):
    """A server that is asked over HTTP. ``token_file`` holds a bearer token, ``ca_file`` whom to trust instead."""

    url: str = ""
    token_file: str = ""
    ca_file: str = ""
    timeout: Duration = Field(default=timedelta(seconds=5), gt=timedelta(0))


class AlertmanagerSettings(ServerSettings):
    """Whom to ask which alerts fire. ``watchdog`` matches one that always does: without it, silence proves nothing."""

    watchdog: Matchers | None = None


class Journal(Strict):
    """The journal's checkpoints: the directory that they are put in ("": the store's), and how often while it grows."""

    checkpoints: str = ""
    every: Duration = timedelta(hours=1)


class Metrics(Strict):
    """Where Prometheus finds ``/metrics``; an empty ``listen`` turns it off."""

    listen: str = "127.0.0.1:9477"


class Daemon(Strict):
    """The daemon's beat. ``lookers`` is how many instances are looked at at once, ``at_once`` how many are replaced.

    ``cache`` is the directory of what the last looks left ("": beside the store; "off": none, every look is whole),
    ``cache_mib`` how large it may grow. A digest is made anew within ``rehash``, of code, accounts and boot within
    ``rehash_code``.
    """

    tick: Duration = timedelta(seconds=2)
    janitor: Duration = timedelta(minutes=5)
    lookers: int = Field(default=8, ge=1, le=256)
    at_once: int = Field(default=10, ge=1)
    keep: Duration = timedelta(days=90)
    cache: str = ""
    cache_mib: int = Field(default=4096, ge=1)
    rehash: Duration = Field(default=timedelta(hours=24), ge=timedelta(minutes=10))
    rehash_code: Duration = Field(default=timedelta(hours=1), ge=timedelta(minutes=10))


Share = Annotated[int, Field(ge=1, le=100)]
Several = Annotated[int, Field(ge=2)]
Some = Annotated[int, Field(ge=1)]


class Breakers(Strict):
    """The numbers of the circuit breakers (docs/breakers.md). ``observe_first: 0s`` takes what is new at once."""

    alike: Several = DEFAULTS.alike
    alike_percent: Share = DEFAULTS.alike_percent
    alike_within: Duration = DEFAULTS.alike_within
    alike_small: Annotated[int, Field(ge=0)] = DEFAULTS.alike_small
    alike_groups: Several = DEFAULTS.alike_groups
    alike_fleet_percent: Share = DEFAULTS.alike_fleet_percent
    alike_signatures: Several = DEFAULTS.alike_signatures
    failures: Some = DEFAULTS.failures
    fleet_failures: Some = DEFAULTS.fleet_failures
    failures_within: Duration = DEFAULTS.failures_within
    probe_after: Duration = DEFAULTS.probe_after
    proven: Some = DEFAULTS.proven
    loops: Some = DEFAULTS.loops
    loops_within: Duration = DEFAULTS.loops_within
    loop_slots: Several = DEFAULTS.loop_slots
    ill_percent: Share = DEFAULTS.ill_percent
    ill_zone_percent: Share = DEFAULTS.ill_zone_percent
    well_for: Duration = DEFAULTS.well_for
    reported_percent: Share = DEFAULTS.reported_percent
    reported_within: Duration = DEFAULTS.reported_within
    full_passes: Annotated[int, Field(ge=2, le=12)] = DEFAULTS.full_passes
    size_percent: Share = DEFAULTS.size_percent
    quiet_alerts: Duration = DEFAULTS.quiet_alerts
    observe_first: Duration = DEFAULTS.observe_first
    errors_percent: Share = DEFAULTS.errors_percent
    errors_least: Some = DEFAULTS.errors_least
    errors_within: Annotated[Duration, Field(ge=timedelta(minutes=1), le=timedelta(hours=1))] = DEFAULTS.errors_within
    back_off: Duration = DEFAULTS.back_off
    back_off_most: Duration = DEFAULTS.back_off_most
    quiet_foreign: Duration = DEFAULTS.quiet_foreign


class Settings(BaseSettings):
    """Everything that a person may set."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix="DRIFTD_",
        env_nested_delimiter="__",
        nested_model_default_partial_update=True,
    )

    store: str = "sqlite:///driftd.db"
    manifests: str = "manifests"
    manifests_from: Published | None = None
    keys: str = "keys"
    pause_file: str = "driftd.pause"
    packages: str = ""
    trust: TrustSettings = TrustSettings()
    journal: Journal = Journal()
    evidence: EvidencePlace = EvidencePlace()
    ssh: Ssh = Ssh()
    metrics: Metrics = Metrics()
    prometheus: ServerSettings = ServerSettings()
    alertmanager: AlertmanagerSettings = AlertmanagerSettings()
    daemon: Daemon = Daemon()
    breakers: Breakers = Breakers()
    notify: Notify = Notify()
    providers: Sections = Field(default_factory=dict)
    groups: dict[str, GroupSettings] = Field(default_factory=dict)
    base: Path = Field(default=Path(), exclude=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file."""
        del settings_cls, dotenv_settings, file_secret_settings
        return env_settings, init_settings

    def path(self, name: str) -> Path:
        """A path of the configuration, made absolute from where the file stands; ``credential:NAME`` is systemd's.

        Raises BadInput for a credential that no credential can be called.
        """
        if name.startswith(CREDENTIAL):
            return credential(name.removeprefix(CREDENTIAL))
        return (self.base / Path(name).expanduser()).absolute()

    def kind_of(self, section: str) -> str:
        """Which provider a section of ``providers`` is for: what it says, else the one of its name."""
        return str(self.providers.get(section, {}).get("provider", section))

    def group(self, name: str) -> GroupSettings:
        """One group's settings. Raises BadInput for a name that no group has."""
        if name not in self.groups:
            known = f"the configuration has: {', '.join(sorted(self.groups)) or 'none'}"
            raise BadInput(f"no group is called {name!r}", near.hint(name, self.groups, known))
        return self.groups[name]


def _build(values: Mapping[str, Any], document: Located, base: Path) -> Settings:
    try:
        return Settings(**values, base=base)
    except ValidationError as error:
        raise complaint(error, document, Settings) from None


def load(file: Path) -> Settings:
    """Read one configuration file. Raises BadInput."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise BadInput(f"cannot read the configuration {file}: {why}", "name another with --config") from None
    document = parse(text, str(file))
    if not isinstance(document.value, dict):
        raise BadInput(f"{file}:1: a configuration is a mapping of settings", "docs/configuration.md shows one")
    return _build(document.value, document, file.parent)


def find(explicit: Path | None) -> Settings:
    """The configuration that was named, else the first default file there is, else the defaults alone."""
    if explicit is not None:
        return load(explicit)
    for name in DEFAULT_FILES:
        if Path(name).is_file():
            return load(Path(name))
    return _build({}, parse("{}", "environment"), Path())
