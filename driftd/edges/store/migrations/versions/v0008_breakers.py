"""Circuit breakers, and what their rules remember: sightings of drift, passes, calls, versions."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=False)


def upgrade() -> None:
    op.create_table(
        "breaker",
        *(_text(name) for name in ("rule", "scope", "state", "why", "opened_at")),
        _text("until", nullable=True),
        _text("closes_by"),
        _text("by"),
        _text("changed_at", nullable=True),
        _text("since", nullable=True),
        _number("count"),
        _text("probe"),
        _text("basis"),
        _text("seen_at", nullable=True),
        sa.PrimaryKeyConstraint("rule", "scope"),
    )
    op.create_table(
        "sighting",
        *(_text(name) for name in ("instance_id", "signature", "group", "slot", "short", "first_at")),
        _text("ended_at", nullable=True),
        sa.PrimaryKeyConstraint("instance_id", "signature"),
    )
    op.create_index("sighting_ended", "sighting", ["ended_at"])
    op.create_table(
        "pass",
        *(_text(name) for name in ("group", "at")),
        *(_number(name) for name in ("size", "known", "expected", "reported")),
        _text("unseen"),
        sa.PrimaryKeyConstraint("group", "at"),
    )
    op.create_table(
        "calls",
        *(_text(name) for name in ("account", "minute")),
        *(_number(name) for name in ("calls", "failed", "refused")),
        _text("why"),
        sa.PrimaryKeyConstraint("account", "minute"),
    )
    op.create_table(
        "version", *(_text(name) for name in ("what", "scope", "value", "since")), sa.PrimaryKeyConstraint("what")
    )
