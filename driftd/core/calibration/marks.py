"""The marks of an instance that was launched to learn from: it is no member of its group, and it has an end.

All of it stands in tags, so that whoever lists instances, in any process and after any crash, knows it for what it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from driftd.core.facts import Instance
from driftd.core.world import TAG_ROLE

ROLE = "calibration"
TAG_CALIBRATION = "driftd:calibration"
TAG_EXPIRES = "driftd:expires"
# The longest that one may last, and all that one lasts whose own expiry nobody can read any more.
LONGEST = timedelta(hours=48)


def marks(run: str, expires: datetime) -> Mapping[str, str]:
    """The tags of an instance of ``run``, to be ended by anybody once it ``expires``."""
    return {TAG_ROLE: ROLE, TAG_CALIBRATION: run, TAG_EXPIRES: expires.astimezone(UTC).isoformat(timespec="seconds")}


def marked(instance: Instance) -> bool:
    """Whether it was launched to learn from: it is never looked at, replaced or sent traffic as one of its group.

    One of the tags is enough. Whoever loses the others by accident is still no member.
    """
    return bool(instance.tags.get(TAG_CALIBRATION)) or instance.tags.get(TAG_ROLE) == ROLE


def expires(instance: Instance) -> datetime | None:
    """When it may be ended by anybody; None when nothing on it says so, and then a person has to.

    What its tag says, but never later than LONGEST after its launch.
    """
    limit = instance.launched_at + LONGEST if instance.launched_at else None
    try:
        said = datetime.fromisoformat(instance.tags.get(TAG_EXPIRES, ""))
    except ValueError:
        return limit
    if said.tzinfo is None:
        return limit
    return min(said, limit) if limit else said
