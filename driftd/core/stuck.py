"""Stuck: which replacements still need a person. Pure; docs/stuck.md says what that person does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from driftd.core.replacement import Record, State


def still_stuck(found: Iterable[Record], ended: Iterable[Record]) -> Sequence[Record]:
    """Those of ``found``, all of one group and stuck, that still need one, oldest first: until one that was asked for
    after that succeeded. ``ended`` are the group's that ended since the first of them.
    """
    stuck = sorted(found, key=lambda one: one.entered_at)
    if not stuck:
        return stuck
    proven = max((one.created_at for one in ended if one.state is State.SUCCEEDED), default=stuck[0].entered_at)
    return [one for one in stuck if one.entered_at >= proven]
