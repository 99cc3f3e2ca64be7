"""Judging: what others say of a group right now: alerts that fire, operations under way, and the canary's judge."""

from __future__ import annotations

from driftd.core.errors import ProviderError
from driftd.core.facts import Unseen
from driftd.core.matchers import for_group
from driftd.core.ports import Foreign
from driftd.core.wording import judging as words
from driftd.flows.groups import Group


def alarm(group: Group) -> str:
    """Why alerts speak against changing ``group`` now, in one sentence; "" when none does or none was named.

    Not being able to ask speaks against it, too.
    """
    for matchers in group.block_on:
        wanted = for_group(matchers, group.name)
        answer = group.alerts.firing(wanted) if group.alerts is not None else Unseen("no Alertmanager is configured")
        if isinstance(answer, Unseen):
            return words.alerts_unknown(group.name, answer.reason)
        if answer:
            return words.alerts_firing(group.name, [one.name for one in answer], wanted)
    return ""


def foreign(group: Group) -> str:
    """Which operation of somebody else is under way in ``group``, in one sentence; "" when none is.

    A provider that cannot know says nothing; one that cannot be asked now counts as busy.
    """
    provider = group.provider
    if not isinstance(provider, Foreign):
        return ""
    try:
        under_way = provider.foreign(group.name)
    except ProviderError as error:
        return words.foreign_unknown(group.name, str(error))
    return words.foreign_under_way(group.name, under_way) if under_way else ""
