"""Judging: what others say of a group right now: alerts that fire, operations under way, and the canary's judge."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from driftd.core.asides import Foreign
from driftd.core.canary import judgement
from driftd.core.errors import ProviderError
from driftd.core.facts import Instance, Unseen
from driftd.core.matchers import for_group
from driftd.core.ports import Judge, TargetState
from driftd.core.promql import Query
from driftd.core.replacement import Record
from driftd.core.wording import judging as words
from driftd.core.world import TAG_RID
from driftd.flows.groups import Group
from driftd.flows.survey import Survey

LATELY = timedelta(seconds=15)


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


# --- the canary ------------------------------------------------------------------------------------------------------


def judged(record: Record, group: Group, newcomer: Instance | None, seen: Survey, now: datetime) -> str | None:
    """What the judge says of a canary that soaks: "" well, a sentence why not, None that it is too early to tell.

    Asked from the warm-up on, and for the last time once the soak is over: having no data speaks against it then.
    """
    canary = group.canary
    if canary is None or canary.question is None:
        return ""
    last = now >= record.entered_at + group.limits.canary_soak
    if newcomer is None or (not last and now < record.entered_at + canary.warmup):
        return None
    question = canary.question
    peers = _peers(record, seen)
    names = {
        "instance": [newcomer.id],
        "address": [newcomer.address],
        "group": [record.group],
        "peers": [one.id for one in peers],
        "peer_addresses": [one.address for one in peers],
    }

    def answer(query: Query) -> float | Unseen:
        filled = query.fill(names)
        if isinstance(filled, Unseen):
            return filled
        return group.judge.ask(filled) if group.judge is not None else Unseen("no Prometheus is configured")

    beside = answer(question.baseline.query) if question.baseline is not None else None
    return judgement(question, answer(question.query), beside, last=last)


def _peers(record: Record, seen: Survey) -> list[Instance]:
    """The group's instances that are in service and neither leave nor have just come, in the order of their slots."""
    found = [
        instance
        for name, target in seen.targets.items()
        if target.state is TargetState.HEALTHY
        and name not in {record.old_id, record.new_id}
        and (instance := seen.instances.get(name)) is not None
        and TAG_RID not in instance.tags
    ]
    return sorted(found, key=lambda one: (one.slot, one.id))


class Lately:
    """A judge that is asked the same thing at most once in ``LATELY``, however often one wants to know."""

    def __init__(self, judge: Judge, clock: Callable[[], datetime]) -> None:
        self._judge = judge
        self._clock = clock
        self._answers: dict[str, tuple[datetime, float | Unseen]] = {}

    def ask(self, query: str) -> float | Unseen:
        """See ``Judge.ask``; what was answered less than ``LATELY`` ago is answered again."""
        now = self._clock()
        self._answers = {key: kept for key, kept in self._answers.items() if now - LATELY < kept[0] <= now}
        if query not in self._answers:
            self._answers[query] = (now, self._judge.ask(query))
        return self._answers[query][1]
