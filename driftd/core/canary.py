"""The canary: the first of its kind to be replaced is watched longer, and a metric judges it before others follow.

Without data there is no proof, and a canary without proof has failed. A baseline never excuses a bad value: the bound
holds whatever the peers do, and the peers' value holds besides.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from driftd.core.facts import Unseen
from driftd.core.guards.width import FAILED
from driftd.core.promql import Query
from driftd.core.replacement import TERMINAL, Record, State


@dataclass(frozen=True, slots=True)
class Baseline:
    """How the canary must do beside its peers: not worse by more than ``tolerance`` (0.5 is half of it) and ``slack``.

    ``slack`` is in the unit of the query: where the peers' value is 0, it is all that is allowed.
    """

    query: Query
    tolerance: float = 0.5
    slack: float = 0.0


@dataclass(frozen=True, slots=True)
class Question:
    """What the judge is asked, and the bound of a good answer: less than ``below``, or more than ``above``."""

    query: Query
    below: float | None = None
    above: float | None = None
    baseline: Baseline | None = None


@dataclass(frozen=True, slots=True)
class Canary:
    """How a canary is watched: for ``soak``; from ``warmup`` on and at the end by the ``question``, if there is one."""

    soak: timedelta = timedelta(minutes=30)
    warmup: timedelta = timedelta(minutes=5)
    question: Question | None = None


def is_canary(record: Record, history: Iterable[Record]) -> bool:
    """Whether ``record`` goes first: no replacement like it has succeeded since its group was clean.

    ``history`` are the group's replacements, over and open. Like it: of the same image and the same signature. A
    failure takes the proof away. What a person asks for by hand is watched by that person.
    """
    if record.manual:
        return False
    others = [one for one in history if one.group == record.group and one.rid != record.rid]
    clean = _clean_until(record, others)
    over = sorted(
        (one for one in others if one.state in TERMINAL and (clean is None or one.entered_at > clean)),
        key=lambda one: one.entered_at,
    )
    proven = False
    for one in over:
        if one.state in FAILED:
            proven = False
        elif one.state is State.SUCCEEDED and (one.image, one.signature) == (record.image, record.signature):
            proven = True
    return not proven


def refusal(record: Record, under_way: Iterable[Record]) -> str:
    """Why ``record`` waits for a canary of its group that is being watched; "" when it need not."""
    for one in under_way:
        if one.canary and one.rid != record.rid and one.group == record.group:
            return f"{one.slot or one.old_id} goes first in {one.group}: its newcomer is the canary ({one.rid})"
    return ""


def _clean_until(record: Record, others: Iterable[Record]) -> datetime | None:
    """The last moment, up to the beginning of ``record``, before which the group had nothing open; None for never."""
    spans = sorted(
        (
            (one.created_at, one.entered_at if one.state in TERMINAL else None)
            for one in [*others, record]
            if not one.manual and one.created_at <= record.created_at
        ),
        key=lambda span: span[0],
    )
    clean: datetime | None = None
    latest: datetime | None = None
    for began, ended in spans:
        if latest is not None and began >= latest:
            clean = latest
        if ended is None:
            break
        latest = ended if latest is None else max(latest, ended)
    return clean


def judgement(question: Question, value: float | Unseen, peers: float | Unseen | None, *, last: bool) -> str | None:
    """What the answers say of the canary: "" that it does well, a sentence why not, None that it is too early to tell.

    ``peers`` is the baseline's answer, None where none is asked. ``last``: no later answer will come, so that having
    no data is an answer, too, and speaks against it.
    """
    for name, answer in (("the canary", value), ("its peers", peers)):
        if isinstance(answer, Unseen):
            return f"no data about {name}, which counts as bad: {answer.reason}" if last else None
    if isinstance(value, Unseen) or isinstance(peers, Unseen):
        return None
    bad = _beyond(question, value)
    if not bad and question.baseline is not None and peers is not None:
        bad = _worse(question, question.baseline, value, peers)
    return bad


def _beyond(question: Question, value: float) -> str:
    if question.below is not None and not value < question.below:
        return f"the judge answers {value:g}, and good is below {question.below:g}"
    if question.above is not None and not value > question.above:
        return f"the judge answers {value:g}, and good is above {question.above:g}"
    return ""


def _worse(question: Question, baseline: Baseline, value: float, peers: float) -> str:
    room = abs(peers) * baseline.tolerance + baseline.slack
    if question.below is not None and not value <= peers + room:
        return f"the judge answers {value:g}, and its peers {peers:g}: at most {peers + room:g} is as good as they are"
    if question.above is not None and not value >= peers - room:
        return f"the judge answers {value:g}, and its peers {peers:g}: at least {peers - room:g} is as good as they are"
    return ""
