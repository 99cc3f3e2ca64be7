"""What looks leave for later ones: marks of single files, and what makes an instance itself."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def _of_instance() -> sa.Column[str]:
    return sa.Column(
        "instance_id",
        sa.Text(),
        sa.ForeignKey("instance.id", deferrable=True, initially="DEFERRED"),
        nullable=False,
    )


def upgrade() -> None:
    op.create_table(
        "marks",
        _of_instance(),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("instance_id"),
    )
    op.create_table(
        "identity",
        _of_instance(),
        sa.Column("path", sa.LargeBinary(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("instance_id", "path"),
    )
    op.create_index("identity_sha256", "identity", ["sha256"])
