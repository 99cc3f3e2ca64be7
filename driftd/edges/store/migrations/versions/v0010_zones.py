"""The failure domain of each instance, as its provider tells it: not told, until the next reading of the inventory."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("instance", sa.Column("zone", sa.Text(), nullable=False, server_default=""))
