"""C9, the provider's errors: an account that throttles, fails or has no room is left alone, each time for longer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from driftd.core.breakers.breaker import Breaker, Known, of_account
from driftd.core.breakers.facts import Calls, Facts
from driftd.core.breakers.limits import Thresholds
from driftd.core.breakers.settling import LONG_AGO, closed, opened
from driftd.core.wording import count, lasting

RULE = "C9"
JITTER_PERCENT = 20


@dataclass(frozen=True, slots=True)
class _Sum:
    calls: int
    failed: int
    refused: int
    why: str


def rule(known: Known, facts: Facts, now: datetime, limits: Thresholds) -> Iterator[Breaker]:
    """Closed by time; where it still fails when the time is over, the next time is twice as long, up to a cap."""
    by_account: dict[str, list[Calls]] = defaultdict(list)
    for one in facts.calls:
        by_account[of_account(one.account)].append(one)
    for scope in sorted({*by_account, *known}):
        before = known.get(scope)
        # A minute counts once: the one that a breaker opened or closed in is no news.
        news = before.entered if before is not None else LONG_AGO
        late = [one for one in by_account[scope] if one.minute > news and one.minute >= now - limits.errors_within]
        found = _sum(late)
        why = _why(scope.partition(":")[2], found, limits)
        if before is None or not before.holds:
            if why:
                again = before is not None and now < before.entered + limits.back_off_most
                times = before.count + 1 if before is not None and again else 0
                yield _opened(scope, why, times, facts.jitter, now, limits)
        elif before.until is not None and now >= before.until:
            if why:
                later = _opened(scope, why, before.count + 1, facts.jitter, now, limits)
                yield replace(later, opened_at=before.opened_at)
            else:
                yield closed(before, now)


def _sum(late: Sequence[Calls]) -> _Sum:
    why = next((one.why for one in reversed(late) if one.why), "")
    return _Sum(sum(o.calls for o in late), sum(o.failed for o in late), sum(o.refused for o in late), why)


def _why(account: str, found: _Sum, limits: Thresholds) -> str:
    said = f"; the last: {found.why}" if found.why else ""
    if found.refused:
        return f"{account} refused {count(found.refused, 'launch', 'launches')}, and one is enough{said}"
    if found.failed >= limits.errors_least and 100 * found.failed > limits.errors_percent * found.calls:
        return (
            f"{found.failed} of {count(found.calls, 'call')} to {account} failed within "
            f"{lasting(limits.errors_within)}, and {limits.errors_percent} % may{said}"
        )
    return ""


def back_off(times: int, jitter: float, limits: Thresholds) -> timedelta:
    """Doubled with each time in a row, up to the cap; ``jitter`` between -1 and 1 moves it by 20 % at most."""
    plain: timedelta = min(limits.back_off * 2 ** min(times, 20), limits.back_off_most)
    return plain * (1 + JITTER_PERCENT / 100 * max(-1.0, min(1.0, jitter)))


def _opened(scope: str, why: str, times: int, jitter: float, now: datetime, limits: Thresholds) -> Breaker:
    span = back_off(times, jitter, limits)
    closes_by = f"time ({lasting(span)}), where it no longer fails"
    return opened(RULE, scope, why, now, closes_by, until=now + span, count=times)
