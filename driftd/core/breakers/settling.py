"""What several rules share: opening at once, and closing when it was calm for long enough."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from driftd.core.breakers.breaker import Breaker, Known, State

LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)


def opened(
    rule: str,
    scope: str,
    why: str,
    now: datetime,
    closes_by: str,
    *,
    until: datetime | None = None,
    count: int = 0,
    basis: str = "",
) -> Breaker:
    """A breaker that opens now."""
    return Breaker(rule, scope, State.OPEN, why, now, until, closes_by, "", now, None, count, "", basis)


def closed(one: Breaker, now: datetime) -> Breaker:
    """The same, closed by what its rule says and not by a person."""
    return replace(one, state=State.CLOSED, by="", until=None, changed_at=now, since=None, probe="")


def passed(one: Breaker | None) -> datetime:
    """Up to when a person has seen what there was and closed the breaker all the same: it opens over news only."""
    return (one.seen_at if one is not None else None) or LONG_AGO


def until_calm(
    rule: str,
    known: Known,
    bad: Mapping[str, str],
    calm: Callable[[str], bool],
    span: timedelta,
    now: datetime,
    closes_by: str,
) -> Iterator[Breaker]:
    """Open where it is ``bad`` (scope to sentence); close where it was ``calm`` for ``span`` without a break.

    Between the two, where it is neither, an open breaker stays open and a closed one closed.
    """
    for scope, why in bad.items():
        one = known.get(scope)
        if one is None or not one.holds:
            yield opened(rule, scope, why, now, closes_by)
        else:
            yield replace(one, why=why, since=None, until=None)
    for scope, one in known.items():
        if not one.holds or scope in bad:
            continue
        if not calm(scope):
            yield replace(one, since=None, until=None)
            continue
        since = one.since or now
        yield closed(one, now) if now >= since + span else replace(one, since=since, until=since + span)
