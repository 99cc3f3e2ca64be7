"""Whether the key of a visit was made for it, and let in by the provider."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.add_column("visit", sa.Column("pushed", sa.Boolean(), nullable=False, server_default=sa.text("0")))
