"""C2, replacements that fail, and C3, replacements that do not help."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from driftd.core.breakers.breaker import FLEET, Breaker, Known, State, of_group, of_image, of_slot, place
from driftd.core.breakers.facts import Facts
from driftd.core.breakers.limits import Thresholds
from driftd.core.breakers.settling import LONG_AGO, closed, opened, passed
from driftd.core.breakers.signature import parts
from driftd.core.replacement import FAILED, TERMINAL, Record
from driftd.core.replacement import State as Step
from driftd.core.wording import count, lasting, listed

FAILURES = "C2"
LOOPS = "C3"
_TURN = timedelta(minutes=1)  # after which a probe that cannot begin makes room for the next


def failures(known: Known, facts: Facts, now: datetime, limits: Thresholds) -> Iterator[Breaker]:
    """C2: several in a row in a group, or several within an hour anywhere; half-open after a while, with one probe."""
    over = sorted((one for one in facts.records if one.state in TERMINAL), key=lambda one: (one.entered_at, one.rid))
    made: dict[str, Breaker] = {}
    for group in sorted(facts.groups):
        scope = of_group(group)
        ended = [one for one in over if one.group == group]
        bad = _in_a_row(ended, group, known.get(scope), limits)
        if after := _moved(known.get(scope), scope, bad, ended, now, limits):
            made[scope] = after
    bad = _within(over, known.get(FLEET), now, limits)
    if after := _moved(known.get(FLEET), FLEET, bad, over, now, limits):
        made[FLEET] = after
    for scope, one in made.items():
        if scope != FLEET:
            made[scope] = _probing(one, facts.records, {}, now)
    groups = {scope: one for scope, one in made.items() if scope != FLEET}
    if FLEET in made:
        made[FLEET] = _probing(made[FLEET], facts.records, groups, now)
    yield from made.values()


def _in_a_row(ended: Sequence[Record], group: str, before: Breaker | None, limits: Thresholds) -> str:
    row: list[Record] = []
    for one in ended:
        if one.entered_at <= _since(before):
            continue
        row = [] if one.state is Step.SUCCEEDED else [*row, one] if one.state in FAILED else row
    if len(row) < limits.failures:
        return ""
    return (
        f"{len(row)} replacements in a row failed in {group}, and {limits.failures} are enough to stop; the last, of "
        f"{row[-1].old_id}: {row[-1].fault or row[-1].note or row[-1].state}"
    )


def _within(over: Sequence[Record], before: Breaker | None, now: datetime, limits: Thresholds) -> str:
    start = max(now - limits.failures_within, _since(before))
    bad = [one for one in over if one.state in FAILED and one.entered_at > start]
    if len(bad) < limits.fleet_failures:
        return ""
    return (
        f"{len(bad)} replacements failed within {lasting(limits.failures_within)} in "
        f"{listed(sorted({one.group for one in bad}))}, and {limits.fleet_failures} are enough to stop everywhere; the "
        f"last, of {bad[-1].old_id}: {bad[-1].fault or bad[-1].note or bad[-1].state}"
    )


def _since(before: Breaker | None) -> datetime:
    """What ended before a breaker closed, whoever closed it, does not open it again."""
    return before.entered if before is not None and not before.holds else LONG_AGO


def _moved(
    before: Breaker | None, scope: str, bad: str, ended: Sequence[Record], now: datetime, limits: Thresholds
) -> Breaker | None:
    closes_by = (
        f"{limits.proven} probes that succeed, one at a time, from {lasting(limits.probe_after)} on; or a person"
    )
    if before is None or before.state is State.CLOSED:
        return opened(FAILURES, scope, bad, now, closes_by, until=now + limits.probe_after) if bad else None
    if before.state is State.OPEN:
        if before.until is not None and now < before.until:
            return before
        return replace(before, state=State.HALF_OPEN, until=None, changed_at=now, since=None, count=0)
    news = [one for one in ended if one.entered_at > before.entered]
    if failed := [one for one in news if one.state in FAILED]:
        why = f"a probe failed in {place(scope)}, of {failed[-1].old_id}: {failed[-1].fault or failed[-1].note}"
        return opened(FAILURES, scope, why, now, closes_by, until=now + limits.probe_after)
    proven = sum(1 for one in news if one.state is Step.SUCCEEDED)
    return closed(before, now) if proven >= limits.proven else replace(before, count=proven)


def _probing(one: Breaker, records: Sequence[Record], groups: Known, now: datetime) -> Breaker:
    """Which one replacement a half-open breaker lets through: one under way, else those that wait take turns."""
    if one.state is not State.HALF_OPEN:
        return one
    may = sorted((r for r in records if _may_probe(r, one.scope, groups)), key=lambda r: (r.created_at, r.rid))
    begun = [r.rid for r in may if r.state is not Step.ADMITTING]
    order = [r.rid for r in may]
    if one.probe in order:
        due = one.since is None or now >= one.since + _TURN
        if one.probe in begun or (not begun and not due):
            return one
    if not order:
        return replace(one, probe="", since=None)
    after = [rid for rid in order if rid > one.probe]
    return replace(one, probe=(begun or after or order)[0], since=now)


def _may_probe(record: Record, scope: str, groups: Known) -> bool:
    if record.state in {*TERMINAL, Step.CONFIRMING, Step.UNDOING}:
        return False
    if scope == FLEET:
        mine = groups.get(of_group(record.group))
        return mine is None or not mine.holds or mine.probe == record.rid
    return scope == of_group(record.group)


def loops(known: Known, facts: Facts, now: datetime, limits: Thresholds) -> Iterator[Breaker]:
    """C3: a slot that drifts alike after it was replaced, and drifts again; then the image that they are made from."""
    done: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in facts.records:
        if record.state is Step.SUCCEEDED and record.entered_at > now - limits.loops_within:
            done[record.group, record.slot or record.old_id].append(record)
    made: dict[str, Breaker] = {}
    for (group, slot), ended in sorted(done.items()):
        scope = of_slot(group, slot)
        if loop := _loop(known.get(scope), scope, ended, now, limits):
            made[scope] = loop
    images = {group: standing.image for group, standing in facts.groups.items()}
    for scope, one in {**known, **made}.items():
        if one.holds and scope.startswith("slot:"):
            made[scope] = closed(one, now) if _new_image(one, images) else one
    yield from made.values()
    yield from _images(known, made, images, now, limits)


def _loop(
    before: Breaker | None, scope: str, ended: Sequence[Record], now: datetime, limits: Thresholds
) -> Breaker | None:
    if before is not None and before.holds:
        return before
    news = [one for one in ended if one.entered_at > _since(before)]
    times = Counter(part for one in news for part in set(parts(one.signature)))
    part, most = max(times.items(), key=lambda item: (item[1], item[0]), default=("", 0))
    if most < limits.loops:
        return None
    last = max((one for one in news if part in parts(one.signature)), key=lambda one: one.entered_at)
    why = (
        f"{place(scope)} was replaced {count(most, 'time')} within {lasting(limits.loops_within)} for the same drift "
        f"({part}: {last.why}), and {limits.loops} are enough: what causes it comes back with the image or from outside"
    )
    basis = f"{last.group}\n{last.image}"
    return opened(LOOPS, scope, why, now, "a new image for the group, or a person", basis=basis)


def _new_image(one: Breaker, images: dict[str, str]) -> bool:
    group, _, image = one.basis.partition("\n")
    return bool(images.get(group)) and images[group] != image


def _images(
    known: Known, slots: dict[str, Breaker], images: dict[str, str], now: datetime, limits: Thresholds
) -> Iterator[Breaker]:
    by_image: dict[str, list[Breaker]] = defaultdict(list)
    for one in slots.values():
        image = one.basis.partition("\n")[2]
        if one.holds and one.opened_at > passed(known.get(of_image(image))):
            by_image[image].append(one)
    for image, looping in sorted(by_image.items()):
        before = known.get(of_image(image))
        if (before is None or not before.holds) and len(looping) >= limits.loop_slots:
            names = listed(sorted(one.scope.removeprefix("slot:") for one in looping))
            why = (
                f"{len(looping)} slots made from {image} ({names}) drift again after each replacement, and "
                f"{limits.loop_slots} are enough: the image is probably wrong"
            )
            yield opened(LOOPS, of_image(image), why, now, "another image for its groups, or a person", basis=image)
    for scope, one in known.items():
        if one.holds and scope.startswith("image:"):
            unused = images and all(images.values()) and one.basis not in images.values()
            yield closed(one, now) if unused else one
