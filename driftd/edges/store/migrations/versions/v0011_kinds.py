"""What sessions were for, the kernel's own numbers of them, and how sure they are: of older ones nothing is known."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.add_column("session", sa.Column("kind", sa.Text(), nullable=False, server_default=""))
    op.add_column("session", sa.Column("number", sa.Integer(), nullable=False, server_default=sa.text("0")))
    op.add_column("session", sa.Column("boot", sa.Text(), nullable=False, server_default=""))
    op.add_column("session", sa.Column("confidence", sa.Text(), nullable=False, server_default=""))
