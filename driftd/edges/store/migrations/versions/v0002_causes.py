"""What findings have in common, acceptances of causes with their use, and messages that several instances share."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def _later(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False, server_default="")


def upgrade() -> None:
    op.add_column("finding", _later("cause"))
    op.add_column("finding", sa.Column("about", sa.LargeBinary(), nullable=False, server_default=sa.text("x''")))
    op.add_column("suppression", _later("cause"))
    op.add_column("suppression", _later("members"))
    op.add_column("suppression", _later("until"))
    op.add_column("suppression", sa.Column("used_at", sa.Text(), nullable=True))
    op.add_column("suppression", sa.Column("withdrawn_at", sa.Text(), nullable=True))
    op.add_column("suppression", _later("withdrawn_by"))
    op.add_column("message", sa.Column("due", sa.Text(), nullable=True))
    op.create_table(
        "topic",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Integer(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.Column("instances", sa.Integer(), nullable=False),
        sa.Column("seen", sa.Text(), nullable=False),
        sa.Column("since", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("topic"),
    )
    op.create_index("topic_message", "topic", ["message_id"])
