"""The tables, as SQLModel declares them. What builds them in a database are the migrations; a test compares the two.

Times are text in UTC (``2026-01-31T08:00:00.000000Z``), so that order is time order and a person can read them.
JSON is canonical (core/journal.py). Text may hold anything that an instance said, undecodable bytes included.
"""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, LargeBinary, Table, Text, UniqueConstraint, text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field, SQLModel

from driftd.core.difference import Change
from driftd.core.findings import Action, Severity, Verdict
from driftd.core.journal import canonical, instant, read_canonical, read_instant
from driftd.core.memory import StoreUnavailable
from driftd.core.replacement import State


def _unreadable(what: str, value: object) -> StoreUnavailable:
    return StoreUnavailable(
        f"The store holds {what} that this driftd cannot read: {value!r}.",
        "Restore the store from a backup, or use the version of driftd that wrote it (docs/store.md).",
    )


class AnyText(TypeDecorator[str]):
    """Text, whatever it holds: what UTF-8 cannot carry is kept as a BLOB in the same column (SQLite allows it)."""

    impl = Text
    cache_ok = True
    passes = str  # what is read as one needs no second look

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002  # SQLAlchemy's signature
        if value is None:
            return None
        try:
            str(value).encode()
        except UnicodeEncodeError:
            return str(value).encode("utf-8", "surrogatepass")
        return str(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002  # SQLAlchemy's signature
        if not isinstance(value, bytes):
            return value
        try:
            return value.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:  # damage, or somebody's hand
            return value.decode("utf-8", "backslashreplace")


class Instant(TypeDecorator[datetime]):
    """An aware time, kept in UTC."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002  # SQLAlchemy's signature
        return None if value is None else instant(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002  # SQLAlchemy's signature
        if value is None:
            return None
        at = read_instant(value)
        if at is None:
            raise _unreadable("a time", value)
        return at


class Canonical(TypeDecorator[Any]):
    """A mapping as canonical JSON."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002  # SQLAlchemy's signature
        return canonical(dict(value)).decode()

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002  # SQLAlchemy's signature
        parsed = read_canonical(value)
        if not isinstance(parsed, dict):
            raise _unreadable("JSON", value)
        return parsed


class Word(TypeDecorator[Any]):
    """One of an enumeration's words, kept as the word."""

    impl = Text
    cache_ok = True

    def __init__(self, words: type[enum.StrEnum]) -> None:
        super().__init__()
        self.words = words

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002  # SQLAlchemy's signature
        return self.words(value).value

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002  # SQLAlchemy's signature
        try:
            return self.words(value)
        except ValueError:
            raise _unreadable(f"a {self.words.__name__.lower()}", value) from None


def _text(*, primary_key: bool = False) -> Any:
    return Field(sa_type=AnyText, primary_key=primary_key, nullable=False)


def _later(default: str) -> Any:
    """A column that a later step added: rows from before have ``default``."""
    return Field(default=default, sa_type=AnyText, nullable=False, sa_column_kwargs={"server_default": default})


def _when(*, nullable: bool = False) -> Any:
    return Field(default=None, sa_type=Instant, nullable=nullable)


def _word(words: type[enum.StrEnum]) -> Any:
    return Field(sa_type=Word(words), nullable=False)


def _json() -> Any:
    return Field(sa_type=Canonical, nullable=False)


def _serial() -> Any:
    return Field(default=None, primary_key=True)


# Numbers are never given twice, so that an old one cannot mean a new row.
_NEVER_AGAIN = {"sqlite_autoincrement": True}


def _of_instance() -> Any:
    # Deferred: within one transaction the order of statements does not matter.
    return Field(
        sa_type=AnyText,
        nullable=False,
        sa_column_args=(ForeignKey("instance.id", deferrable=True, initially="DEFERRED"),),
    )


class InstanceTable(SQLModel, table=True):
    """``InstanceRow``."""

    __tablename__ = "instance"

    id: str = _text(primary_key=True)
    group: str = _text()
    slot: str = _text()
    image: str = _text()
    address: str = _text()
    state: str = _text()
    verdict: str = _word(Verdict)
    reason: str = _text()
    root: str = _text()
    verdict_since: datetime = _when()
    looked_at: datetime | None = _when(nullable=True)
    first_seen: datetime = _when()
    action: str = _word(Action)
    taint: str = _text()
    taint_since: datetime | None = _when(nullable=True)
    boot_id: str = _text()
    gone_at: datetime | None = _when(nullable=True)
    zone: str = _later("")


class FindingTable(SQLModel, table=True):
    """``FindingRow``. At most one open finding for an instance and signature."""

    __tablename__ = "finding"
    __table_args__ = (
        Index("finding_open", "instance_id", "signature", unique=True, sqlite_where=text("resolved_at IS NULL")),
        Index("finding_resolved", "resolved_at"),
        _NEVER_AGAIN,
    )

    id: int | None = _serial()
    instance_id: str = _of_instance()
    kind: str = _text()
    subject: bytes = Field(sa_type=LargeBinary, nullable=False)
    change: str = _word(Change)
    severity: str = _word(Severity)
    action: str = _word(Action)
    signature: str = _text()
    rule: str = _text()
    because: str = _text()
    expected: str = _json()
    actual: str = _json()
    suppressed_by: str = _text()
    first_seen: datetime = _when()
    last_seen: datetime = _when()
    resolved_at: datetime | None = _when(nullable=True)
    cause: str = _later("")
    about: bytes = Field(
        default=b"", sa_type=LargeBinary, nullable=False, sa_column_kwargs={"server_default": text("x''")}
    )


class ExplainedTable(SQLModel, table=True):
    """``ExplainedRow``, one for each thing on an instance: ``shape`` tells facts of one name apart, "" for paths."""

    __tablename__ = "explained"
    __table_args__ = (Index("explained_gone", "gone_at"),)

    instance_id: str = Field(
        sa_type=AnyText,
        primary_key=True,
        nullable=False,
        sa_column_args=(ForeignKey("instance.id", deferrable=True, initially="DEFERRED"),),
    )
    kind: str = _text(primary_key=True)
    subject: bytes = Field(sa_type=LargeBinary, primary_key=True, nullable=False)
    change: str = Field(sa_type=Word(Change), primary_key=True, nullable=False)
    shape: str = _text(primary_key=True)
    rule: str = _text()
    because: str = _text()
    expected: str = _json()
    actual: str = _json()
    first_seen: datetime = _when()
    gone_at: datetime | None = _when(nullable=True)


class SessionTable(SQLModel, table=True):
    """``SessionRow``. The same door, user, source, port, pid and start is the same session."""

    __tablename__ = "session"
    __table_args__ = (
        UniqueConstraint("instance_id", "door", "user", "source", "port", "pid", "started_at", name="session_once"),
        _NEVER_AGAIN,
    )

    id: int | None = _serial()
    instance_id: str = _of_instance()
    door: str = _text()
    user: str = _text()
    source: str = _text()
    started_at: datetime = _when()
    port: int
    ended_at: datetime | None = _when(nullable=True)
    key: str = _text()
    key_id: str = _text()
    tty: str = _text()
    pid: int
    live: bool
    ancestor: bool
    evidence: str = _text()
    own: bool
    first_seen: datetime = _when()
    kind: str = _later("")
    number: int = Field(sa_column_kwargs={"server_default": text("0")})
    boot: str = _later("")
    confidence: str = _later("")


class SuppressionTable(SQLModel, table=True):
    """``Suppression``; ``members`` are its signatures, a space between two."""

    __tablename__ = "suppression"
    __table_args__ = _NEVER_AGAIN

    id: int | None = _serial()
    signature: str = _text()
    group: str = _text()
    owner: str = _text()
    reason: str = _text()
    created_at: datetime = _when()
    expires_at: datetime = _when()
    hits: int
    cause: str = _later("")
    members: str = _later("")
    until: str = _later("")
    used_at: datetime | None = _when(nullable=True)
    withdrawn_at: datetime | None = _when(nullable=True)
    withdrawn_by: str = _later("")


class PauseTable(SQLModel, table=True):
    """``Pause``, one for each group at most."""

    __tablename__ = "pause"

    group: str = _text(primary_key=True)
    owner: str = _text()
    reason: str = _text()
    since: datetime = _when()
    hard: bool = Field(sa_column_kwargs={"server_default": text("0")})


class ReplacementTable(SQLModel, table=True):
    """``Record``, whole, as JSON, since it grows with the steps; what is searched by has columns beside it.

    ``open`` is true until the state is terminal; it carries the two uniqueness rules. ``ended_at`` is since when it is.
    """

    __tablename__ = "replacement"
    __table_args__ = (
        Index("replacement_slot", "group", "slot", unique=True, sqlite_where=text("open AND slot != ''")),
        Index("replacement_old", "old_id", unique=True, sqlite_where=text("open AND old_id != ''")),
        Index("replacement_created", "created_at"),
    )

    rid: str = _text(primary_key=True)
    group: str = _text()
    slot: str = _text()
    old_id: str = _text()
    state: str = _word(State)
    created_at: datetime = _when()
    version: int
    open: bool
    record: str = _json()
    ended_at: datetime | None = _when(nullable=True)
    rollout: str = _later("")


class MessageTable(SQLModel, table=True):
    """``Message``, the outbox."""

    __tablename__ = "message"
    __table_args__ = (
        UniqueConstraint("key", name="message_once"),
        Index("message_unsent", "attempts", "id", sqlite_where=text("sent_at IS NULL")),
        _NEVER_AGAIN,
    )

    id: int | None = _serial()
    key: str = _text()
    code: str = _text()
    severity: str = _word(Severity)
    text: str = _text()
    instance_id: str = _text()
    rid: str = _text()
    created_at: datetime = _when()
    sent_at: datetime | None = _when(nullable=True)
    tried_at: datetime | None = _when(nullable=True)
    attempts: int
    due: datetime | None = _when(nullable=True)


class TopicTable(SQLModel, table=True):
    """``Topic``: the message that last told of it."""

    __tablename__ = "topic"
    __table_args__ = (Index("topic_message", "message_id"),)

    topic: str = _text(primary_key=True)
    message_id: int
    severity: str = _word(Severity)
    sentence: str = _text()
    instances: int
    seen: str = _json()
    since: datetime = _when()


class JobTable(SQLModel, table=True):
    """``Job``: a row is a job that waits or runs; a job done is no row. ``leased_until`` is null while it waits."""

    __tablename__ = "job"
    __table_args__ = (UniqueConstraint("key", name="job_once"), Index("job_due", "kind", "due"), _NEVER_AGAIN)

    id: int | None = _serial()
    kind: str = _text()
    key: str = _text()
    due: datetime = _when()
    attempts: int
    leased_until: datetime | None = _when(nullable=True)


class LeaseTable(SQLModel, table=True):
    """The controller's lease: one row, id 1. ``holder`` is "" when it was given back; ``epoch`` only rises."""

    __tablename__ = "lease"

    id: int | None = _serial()
    holder: str = _text()
    epoch: int
    taken_at: datetime = _when()
    expires_at: datetime = _when()


class ManifestTable(SQLModel, table=True):
    """``SeenManifest``, one for each image: the newest."""

    __tablename__ = "manifest"

    image: str = _text(primary_key=True)
    sequence: int
    statement: str = _text()
    seen_at: datetime = _when()


class ShownTable(SQLModel, table=True):
    """``Shown``, one for each finding whose file's content may be shown; deleted with it."""

    __tablename__ = "shown"

    finding_id: int | None = Field(
        default=None, primary_key=True, sa_column_args=(ForeignKey("finding.id", ondelete="CASCADE"),)
    )
    format: str = _text()
    sha256: bytes
    text: bytes
    withheld: str = _text()


def _table(name: str) -> Table:
    return SQLModel.metadata.tables[name]


INSTANCE = _table("instance")
FINDING = _table("finding")
SESSION = _table("session")
SUPPRESSION = _table("suppression")
PAUSE = _table("pause")
REPLACEMENT = _table("replacement")
MESSAGE = _table("message")
TOPIC = _table("topic")
JOB = _table("job")
LEASE = _table("lease")
MANIFEST = _table("manifest")
SHOWN = _table("shown")
EXPLAINED = _table("explained")
