"""Image drift: an instance that runs another image than its group is to run. It is told, and rollouts mend it.

``image.stale`` ran what its group was to run before, ``image.rolled-back`` what its group went back from, and
``image.wrong`` what its group was never to run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from driftd.core.difference import Change, Difference
from driftd.core.facts import Instance
from driftd.core.rollout import Choice, Rollout, desired
from driftd.core.world import TAG_RID

STALE, WRONG, ROLLED_BACK = KINDS = ("image.stale", "image.wrong", "image.rolled-back")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a group is to run. ``configured`` is what its configuration says, ``chosen`` what the store has, oldest
    first, and ``rollouts`` are those of the group that are under way.
    """

    configured: str = ""
    chosen: Sequence[Choice] = ()
    rollouts: Sequence[Rollout] = ()

    @property
    def image(self) -> str:
        """The one that it is to run; "" where nobody says."""
        return desired(self.configured, self.chosen)


def differences(instance: Instance, wanted: Wanted) -> tuple[Difference, ...]:
    """None or one. While a rollout is under way both of its images are right, and a newcomer's is its replacement's."""
    image = wanted.image
    right = {image, *(name for one in wanted.rollouts for name in (one.image, one.before))}
    if not image or instance.image in right or TAG_RID in instance.tags:
        return ()
    subject = instance.image.encode("utf-8", "surrogateescape")
    kind = _kind(instance.image, wanted.chosen)
    return (Difference(kind, subject, Change.MODIFIED, {"image": image}, {"image": instance.image}),)


def _kind(image: str, chosen: Sequence[Choice]) -> str:
    last = max((at for at, one in enumerate(chosen) if one.image == image), default=None)
    if last is None:
        return WRONG
    after = chosen[last + 1] if last + 1 < len(chosen) else None
    return ROLLED_BACK if after is not None and after.back else STALE
