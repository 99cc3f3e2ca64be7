"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def _text(name: str, *, null: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=null)


def _int(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=False)


def _bool(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean(), nullable=False)


def _of_instance() -> sa.Column[str]:
    return sa.Column(
        "instance_id",
        sa.Text(),
        sa.ForeignKey("instance.id", deferrable=True, initially="DEFERRED"),
        nullable=False,
    )


def _fleet() -> None:
    op.create_table(
        "instance",
        *(_text(name) for name in ("id", "group", "slot", "image", "address", "state", "verdict", "reason", "root")),
        _text("verdict_since"),
        _text("looked_at", null=True),
        _text("first_seen"),
        _text("action"),
        _text("taint"),
        _text("taint_since", null=True),
        _text("boot_id"),
        _text("gone_at", null=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "finding",
        _int("id"),
        _of_instance(),
        _text("kind"),
        sa.Column("subject", sa.LargeBinary(), nullable=False),
        *(_text(name) for name in ("change", "severity", "action", "signature", "rule", "because")),
        *(_text(name) for name in ("expected", "actual", "suppressed_by", "first_seen", "last_seen")),
        _text("resolved_at", null=True),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "finding_open",
        "finding",
        ["instance_id", "signature"],
        unique=True,
        sqlite_where=sa.text("resolved_at IS NULL"),
    )
    op.create_index("finding_resolved", "finding", ["resolved_at"])
    op.create_table(
        "session",
        _int("id"),
        _of_instance(),
        *(_text(name) for name in ("door", "user", "source", "started_at")),
        _int("port"),
        _text("ended_at", null=True),
        *(_text(name) for name in ("key", "key_id", "tty")),
        _int("pid"),
        _bool("live"),
        _bool("ancestor"),
        _text("evidence"),
        _bool("own"),
        _text("first_seen"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("instance_id", "door", "user", "source", "port", "pid", "started_at", name="session_once"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "visit",
        _int("id"),
        *(_text(name) for name in ("instance_id", "key", "opened_at")),
        _text("closed_at", null=True),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("visit_instance", "visit", ["instance_id", "opened_at"])


def _people() -> None:
    op.create_table(
        "suppression",
        _int("id"),
        *(_text(name) for name in ("signature", "group", "owner", "reason", "created_at", "expires_at")),
        _int("hits"),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "pause",
        *(_text(name) for name in ("group", "owner", "reason", "since")),
        sa.PrimaryKeyConstraint("group"),
    )
    op.create_table(
        "message",
        _int("id"),
        *(_text(name) for name in ("key", "code", "severity", "text", "instance_id", "rid", "created_at")),
        _text("sent_at", null=True),
        _text("tried_at", null=True),
        _int("attempts"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("key", name="message_once"),
        sqlite_autoincrement=True,
    )
    op.create_index("message_unsent", "message", ["attempts", "id"], sqlite_where=sa.text("sent_at IS NULL"))


def _work() -> None:
    op.create_table(
        "replacement",
        *(_text(name) for name in ("rid", "group", "slot", "old_id", "state", "created_at")),
        _int("version"),
        _bool("open"),
        _text("record"),
        sa.PrimaryKeyConstraint("rid"),
    )
    for name, columns in (("replacement_slot", ["group", "slot"]), ("replacement_old", ["old_id"])):
        where = sa.text(f"open AND {columns[-1]} != ''")
        op.create_index(name, "replacement", columns, unique=True, sqlite_where=where)
    op.create_index("replacement_created", "replacement", ["created_at"])
    op.create_table(
        "job",
        _int("id"),
        *(_text(name) for name in ("kind", "key", "due")),
        _int("attempts"),
        _text("leased_until", null=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("key", name="job_once"),
        sqlite_autoincrement=True,
    )
    op.create_index("job_due", "job", ["kind", "due"])
    op.create_table(
        "lease",
        _int("id"),
        _text("holder"),
        _int("epoch"),
        *(_text(name) for name in ("taken_at", "expires_at")),
        sa.PrimaryKeyConstraint("id"),
    )


def _journal() -> None:
    op.create_table(
        "journal",
        _int("seq"),
        *(_text(name) for name in ("at", "kind", "subject", "body", "prev", "hash")),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_index("journal_subject", "journal", ["subject", "seq"])
    # A belt against accidents: who means to tamper can drop a trigger, and is found by the chain.
    for verb in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER journal_no_{verb.lower()} BEFORE {verb} ON journal "
            "BEGIN SELECT RAISE(ABORT, 'the journal is only ever added to'); END"
        )


def upgrade() -> None:
    """Build everything that the first released store had."""
    _fleet()
    _people()
    _work()
    _journal()
