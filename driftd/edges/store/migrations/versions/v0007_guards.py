"""What people hold, and replacements found by group and time."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)


def upgrade() -> None:
    op.create_table(
        "hold",
        sa.Column("id", sa.Integer(), nullable=False),
        _text("instance_id"),
        _text("group"),
        _text("owner"),
        _text("reason"),
        _text("created_at"),
        _text("until"),
        _text("renewed_by"),
        sa.Column("released_at", sa.Text(), nullable=True),
        _text("released_by"),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("hold_instance", "hold", ["instance_id"])
    op.add_column("replacement", sa.Column("ended_at", sa.Text(), nullable=True))
    op.execute(
        "UPDATE replacement SET ended_at = coalesce("
        "CASE WHEN json_valid(record) THEN json_extract(record, '$.entered_at') END, created_at) WHERE NOT open"
    )
    op.create_index("replacement_ended", "replacement", ["ended_at"])
    op.create_index("replacement_ended_group", "replacement", ["group", "ended_at"])
    op.create_index("replacement_group", "replacement", ["group", "created_at"])
    op.create_index("replacement_stuck", "replacement", ["group"], sqlite_where=sa.text("state = 'stuck'"))
