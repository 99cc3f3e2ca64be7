"""What the journal and the store know of themselves, the epoch in every line, and pauses that stop undoing, too."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def _text(name: str, *, null: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=null)


def _int(name: str, *, default: str | None = None) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=False, server_default=sa.text(default) if default else None)


def upgrade() -> None:
    # Lines that are there stay as they are: their schema is the first one, whose hash covers no epoch.
    op.add_column("journal", _int("epoch", default="0"))
    op.add_column("journal", _int("schema", default="1"))
    op.add_column("pause", sa.Column("hard", sa.Boolean(), nullable=False, server_default=sa.text("0")))
    op.create_table(
        "store",
        _int("id"),
        _text("store_id"),
        _int("floor"),
        _text("restored_at", null=True),
        _text("restored_from"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "chain",
        _int("id"),
        _int("count"),
        _text("head"),
        _text("checked_at", null=True),
        _text("whole_at", null=True),
        _int("broken"),
        _text("why"),
        _text("broken_at", null=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "checkpoint",
        _int("seq"),
        _text("hash"),
        _int("epoch"),
        _text("at"),
        sa.Column("signed", sa.Boolean(), nullable=False),
        sa.Column("text", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_table(
        "doubt",
        *(_text(name) for name in ("code", "subject", "why", "since")),
        _int("epoch"),
        _text("settled_at", null=True),
        *(_text(name) for name in ("settled_by", "reason")),
        sa.PrimaryKeyConstraint("code", "subject"),
    )
    # Who this store is, for ever: a copy of it is the same store, and may be an older one.
    op.get_bind().execute(
        sa.text("INSERT INTO store (id, store_id, floor, restored_at, restored_from) VALUES (1, :id, 0, NULL, '')"),
        {"id": secrets.token_hex(16)},
    )
