"""Guards broken on purpose, one a function: each run with one of them must be caught by what must always be true."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from unittest import mock

from driftd.core import decide as deciding
from driftd.core import guards, undo
from driftd.core.guards import breakers, budget, health, people
from driftd.core.replacement import Record, State
from driftd.core.steps import arriving, common, leaving, moving
from driftd.core.stops import Stops
from driftd.core.world import Do, Finish
from driftd.flows import replace as replacing

Broken = Callable[[], Any]


def _says_nothing(*_args: Any, **_named: Any) -> None:
    return None


def _empty(*_args: Any, **_named: Any) -> str:
    return ""


@contextmanager
def _without(*names: Any) -> Iterator[None]:
    """The guards, but for these."""
    kept = {
        name: tuple(one for one in getattr(guards, name) if one not in names) for name in ("BEGIN", "TURN", "LEAVE")
    }
    admission = tuple(one for one in guards.ADMISSION if one not in names)
    with mock.patch.multiple(guards, ADMISSION=admission, **kept):
        yield


@contextmanager
def no_minimum() -> Iterator[None]:
    """How many must be in service is asked by nobody."""
    with (
        _without(health.without_it, health.afterwards),
        mock.patch.object(health, "short", _empty),
        mock.patch.object(leaving, "short", _empty),
        mock.patch.object(moving, "short", _empty),
        mock.patch.object(common, "short", _empty),
    ):
        yield


@contextmanager
def no_share() -> Iterator[None]:
    """The count alone binds, whatever share of the group is to be in service."""
    with mock.patch.object(health, "least", lambda case: (case.rules.min_healthy, str(case.rules.min_healthy))):
        yield


@contextmanager
def ended_unverified() -> Iterator[None]:
    """The old one goes whether or not the newcomer is well."""
    with (
        mock.patch.object(leaving, "ill", _empty),
        mock.patch.object(arriving, "ill", _empty),
        mock.patch.object(moving, "ill", _empty),
        mock.patch.dict(
            deciding._DECISIONS, {State.VERIFYING: lambda record, *_: common.onward(record, "so be it", verified=True)}
        ),
    ):
        yield


@contextmanager
def holds_ignored() -> Iterator[None]:
    """A hold is nothing."""
    with _without(people.hold), mock.patch.object(people, "hold", _says_nothing):
        yield


@contextmanager
def pauses_ignored() -> Iterator[None]:
    """A pause is nothing."""
    with mock.patch.object(replacing, "stops", return_value=Stops()):
        yield


@contextmanager
def no_fence() -> Iterator[None]:
    """What the slot owns is taken off an old one that runs."""
    with (
        mock.patch.dict(deciding._DECISIONS, {State.STOPPING: lambda record, *_: common.onward(record, "never mind")}),
        mock.patch.object(moving, "_awake", _empty),
    ):
        yield


@contextmanager
def fresh_tokens() -> Iterator[None]:
    """Each try has a token of its own."""
    numbers = iter(range(10**9))
    real = arriving.token
    with mock.patch.object(arriving, "token", lambda rid, step, _n: real(rid, step, 1000 + next(numbers))):
        yield


@contextmanager
def newcomer_ended_first() -> Iterator[None]:
    """An undo ends the newcomer before the old one is back."""
    with (
        mock.patch.object(undo, "_old_back", _says_nothing),
        mock.patch.object(undo, "_belongings_back", _says_nothing),
    ):
        yield


@contextmanager
def no_budget() -> Iterator[None]:
    """Any number may be under way."""
    with _without(*guards.TURN), mock.patch.object(budget, "budget", _says_nothing):
        yield


@contextmanager
def zones_ignored() -> Iterator[None]:
    """Every zone is changed at once."""
    with _without(budget.zone):
        yield


@contextmanager
def alike_ignored() -> Iterator[None]:
    """Breakers open, and nobody asks."""
    with _without(breakers.breakers_against), mock.patch.object(breakers, "breakers_against", _says_nothing):
        yield


@contextmanager
def return_unseen() -> Iterator[None]:
    """Nobody looks whether a person wants the old one back."""
    with mock.patch.object(leaving, "returned", _empty), mock.patch.object(moving, "returned", _empty):
        yield


@contextmanager
def no_snapshot() -> Iterator[None]:
    """Volumes are moved without a copy."""
    no = {State.SNAPSHOTTING: lambda record, *_: common.onward(record, "no need")}
    with mock.patch.dict(deciding._DECISIONS, no):
        yield


@contextmanager
def newcomers_left() -> Iterator[None]:
    """An undo forgets to end what it made."""
    with mock.patch.object(undo, "_newcomers_away", lambda record, *_: Finish(State(record.outcome), "undone")):
        yield


@contextmanager
def sessions_ignored() -> Iterator[None]:
    """People on the instance count for nothing."""
    with _without(people.session), mock.patch.object(people, "session", _says_nothing):
        yield


@contextmanager
def rash_drain() -> Iterator[None]:
    """Connections that are open are not waited for."""

    def let_go(record: Record, target: Any, _now: datetime, _limits: Any) -> Any:
        if target.state not in leaving.OUT_OF_SERVICE:
            return Do(moving.Call(moving.Verb.DRAIN, record.old_id), "no new work")
        return common.onward(record, "enough waited")

    with mock.patch.object(leaving, "_let_go", let_go):
        yield


BROKEN: dict[str, Broken] = {
    "no minimum": no_minimum,
    "no share": no_share,
    "ended unverified": ended_unverified,
    "holds ignored": holds_ignored,
    "pauses ignored": pauses_ignored,
    "no fence": no_fence,
    "fresh tokens": fresh_tokens,
    "newcomer ended first": newcomer_ended_first,
    "no budget": no_budget,
    "zones ignored": zones_ignored,
    "alike ignored": alike_ignored,
    "return unseen": return_unseen,
    "no snapshot": no_snapshot,
    "newcomers left": newcomers_left,
    "sessions ignored": sessions_ignored,
    "rash drain": rash_drain,
}
