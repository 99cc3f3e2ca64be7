"""The canary: the first of its kind to be replaced is watched longer, and a metric judges it before others follow.

Without data there is no proof, and a canary without proof has failed. A baseline never excuses a bad value: the bound
holds whatever the peers do, and the peers' value holds besides. Who goes first: core/guards/width.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from driftd.core.facts import Unseen
from driftd.core.promql import Query


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
    """Who watches a canary besides the load balancer: from ``warmup`` on, and at the end of its soak, the ``question``.

    How long it soaks is a limit of its step (``core.world.Limits``).
    """

    warmup: timedelta = timedelta(minutes=5)
    question: Question | None = None


def judgement(question: Question, value: float | Unseen, peers: float | Unseen | None, *, last: bool) -> str | None:
    """What the answers say of the canary: "" that it does well, a sentence why not, None that it is too early to tell.

    ``peers`` is the baseline's answer, None where none is asked. ``last``: no later answer will come, so that having
    no data is an answer, too, and speaks against it.
    """
    if isinstance(value, Unseen):
        return _blind("the canary", value) if last else None
    bad = _beyond(question, value)
    if bad or question.baseline is None or peers is None:
        return bad
    if isinstance(peers, Unseen):
        return _blind("its peers", peers) if last else None
    return _worse(question, question.baseline, value, peers)


def _blind(who: str, answer: Unseen) -> str:
    return f"there is no number for {who}, which counts as bad: {answer.reason}"


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
