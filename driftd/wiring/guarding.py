"""A group's guards, as configured (docs/guards.md)."""

from __future__ import annotations

from datetime import UTC
from zoneinfo import ZoneInfo

from driftd.core.findings import Action
from driftd.core.guards import written
from driftd.core.guards.calendar import Calendar
from driftd.core.guards.case import AtOnce, Grace, GroupRules, Pace
from driftd.settings import Enforce, GroupSettings, Pacing, Replacing, Settings


def most_of(group: GroupSettings) -> Action:
    """The most that any rule may do in the group; that a person has to agree is a guard's to say."""
    return Action.ALERT if group.enforce is Enforce.OBSERVE else Action.QUARANTINE


def rules_of(settings: Settings, name: str, group: GroupSettings) -> GroupRules:
    """What the group allows."""
    replacing = group.replacing
    count, percent = _least(replacing.min_healthy)
    return GroupRules(
        name=name,
        min_healthy=count,
        enforce=most_of(group),
        back_off=replacing.back_off,
        approve=group.enforce is Enforce.APPROVE,
        min_percent=percent,
        at_once=AtOnce(replacing.at_once, replacing.most_at_once, settings.daemon.at_once),
        pace=_pace(replacing.pace),
        calendar=_calendar(replacing),
        grace=Grace(group.sessions.grace, group.sessions.cap),
        allow_singleton=replacing.allow_singleton,
    )


def _least(written_as: int | str | None) -> tuple[int, int | None]:
    """The count and the percentage; who names one of them means no other."""
    if isinstance(written_as, str):
        return 0, written.percent(written_as)
    return (0, None) if written_as is None else (written_as, 0)


def _pace(pace: Pacing) -> Pace:
    return Pace(
        between=pace.between,
        per_hour=None if pace.per_hour == "unlimited" else pace.per_hour,
        per_day=None if pace.per_day == "unlimited" else pace.per_day,
        checkpoints=tuple(pace.checkpoints),
        checkpoint=pace.checkpoint,
    )


def _calendar(replacing: Replacing) -> Calendar:
    always = replacing.windows == "always"
    return Calendar(
        windows=() if always else tuple(written.window(text) for text in replacing.windows),
        zone=UTC if replacing.zone == "UTC" else ZoneInfo(replacing.zone),
        freezes=tuple(written.freeze(text) for text in replacing.freezes),
        chosen="windows" in replacing.model_fields_set,
    )
