"""Rollouts, and which image each group was to run since when."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.add_column("replacement", sa.Column("rollout", sa.Text(), nullable=False, server_default=""))
    op.create_index("replacement_rollout", "replacement", ["rollout"], sqlite_where=sa.text("rollout != ''"))
    op.create_table(
        "rollout",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("id", "group", "stage", "created_at")),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("open", sa.Boolean(), nullable=False),
        sa.Column("rollout", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("rollout_open", "rollout", ["group"], unique=True, sqlite_where=sa.text("open"))
    op.create_index("rollout_group", "rollout", ["group", "created_at"])
    op.create_table(
        "choice",
        sa.Column("id", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("group", "image", "configured", "since", "rollout")),
        sa.Column("back", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("choice_group", "choice", ["group"])
