"""What driftd's own end of a visit's connection proves: of visits from before, nothing was kept (``scan`` is empty)."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    for name in ("scan", "source", "user", "parted"):
        op.add_column("visit", sa.Column(name, sa.Text(), nullable=False, server_default=""))
    op.add_column("visit", sa.Column("port", sa.Integer(), nullable=False, server_default=sa.text("0")))
    op.add_column("visit", sa.Column("certified", sa.Boolean(), nullable=False, server_default=sa.text("0")))
    for name in ("came_at", "entered_at", "parted_at"):
        op.add_column("visit", sa.Column(name, sa.Text(), nullable=True))
