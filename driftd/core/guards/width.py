"""Width (slow start): how many replacements at once have earned trust, by failure domain: group, zone and signature.

One at first; twice as many after each proven success, that is a replacement that ended with the newcomer verified,
soaked and in service and the old one gone; one again after any failure, and once the domain was clean in between.
Computed from the history of replacements alone: nothing is kept that a restart could lose. A history that was cut off
makes the width narrower, never wider. The doubling and the reset are those of Karpenter's designs for drift.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from driftd.core.replacement import FAILED, TERMINAL, WAITING, Record, State
from driftd.core.zones import zone_of

WIDEST = 1024


@dataclass(frozen=True, slots=True)
class Earned:
    """How many a domain may have under way, and why: ``proven`` since it was clean, or (``failed``) since a failure.

    ``kinds`` are those that succeeded since then, as (image, part of the signature), ``going`` those under way.
    """

    allowed: int = 1
    in_flight: int = 0
    proven: int = 0
    failed: bool = False
    kinds: frozenset[tuple[str, str]] = frozenset()
    going: frozenset[tuple[str, str]] = frozenset()

    def refusal(self, domain: str) -> str:
        """Why ``domain`` admits no further one now, with the arithmetic; "" when it does."""
        if self.in_flight < self.allowed:
            return ""
        since = "the last one failed" if self.failed else "it was clean"
        return (
            f"{domain} has {self.in_flight} under way, and slow start allows {self.allowed}: {self.proven} succeeded "
            f"since {since}, and each success doubles it"
        )


@dataclass(frozen=True, slots=True)
class Widths:
    """The widths of every domain that has a history. ``zones_of`` is that of core/zones.py."""

    groups: Mapping[str, Earned] = field(default_factory=dict)
    zones: Mapping[str, Earned] = field(default_factory=dict)
    signatures: Mapping[str, Earned] = field(default_factory=dict)
    zones_of: Mapping[str, str] = field(default_factory=dict)

    def of(self, record: Record) -> list[tuple[str, Earned]]:
        """The domains that ``record`` belongs to, each with its name in a sentence."""
        found = [(record.group, self.groups.get(record.group, Earned()))]
        if zone := zone_of(record, self.zones_of):
            found.append((f"zone {zone}", self.zones.get(zone, Earned())))
        found += [("this kind of drift", self.signatures.get(part, Earned())) for part in parts(record) if part]
        return found

    def canary(self, record: Record) -> bool:
        """Whether ``record`` goes first: no replacement like it has succeeded since its group was clean.

        Like it: of the same image and of every part of its signature. A failure takes the proof away. What a person
        asks for by hand is watched by that person.
        """
        return not record.manual and not kinds_of(record) <= self.groups.get(record.group, Earned()).kinds

    def refusal(self, record: Record) -> str:
        """Why ``record`` is not admitted now, by the narrowest domain that it belongs to; "" when it is."""
        refused = [(one.allowed, said) for name, one in self.of(record) if (said := one.refusal(name))]
        if refused:
            return min(refused, key=lambda one: one[0])[1]
        if self.canary(record) and self.groups.get(record.group, Earned()).going & kinds_of(record):
            return f"{record.group} has one of its kind under way that goes first"
        return ""


def width(history: Iterable[Record]) -> Earned:
    """The width of one domain now, from all of its replacements, over and open, in any order.

    What a person asked for by hand is no sign of drift: it does not keep the domain from being clean, but it proves
    and fails like any other.
    """
    records = list(history)
    earned, waiting = Earned(), 0
    for _, _, record, begins in sorted(_events(records), key=lambda event: event[:2]):
        if begins:
            earned = earned if waiting else Earned()
            waiting += 1
            continue
        if record.state is State.SUCCEEDED:
            wider, kinds = min(2 * earned.allowed, WIDEST), earned.kinds | kinds_of(record)
            earned = replace(earned, allowed=wider, proven=earned.proven + 1, kinds=kinds)
        elif record.state in FAILED:
            earned = Earned(failed=True)
        waiting -= not record.manual
    flying = [one for one in records if under_way(one)]
    going = frozenset(kind for one in flying for kind in kinds_of(one))
    return replace(earned if waiting else Earned(), in_flight=len(flying), going=going)


def parts(record: Record) -> tuple[str, ...]:
    """The parts of a signature; one that is empty where there is no signature."""
    return tuple(record.signature.split("+"))


def kinds_of(record: Record) -> frozenset[tuple[str, str]]:
    """What kinds of replacement it is, by which it is like others."""
    return frozenset((record.image, part) for part in parts(record))


def under_way(record: Record) -> bool:
    """Admitted, and not over yet."""
    return record.state not in TERMINAL and record.state not in WAITING


def _events(records: Iterable[Record]) -> Iterable[tuple[datetime, int, Record, bool]]:
    """(when, order within that instant, whose, begins). An end comes before the beginnings of the same instant."""
    for record in records:
        if not record.manual:
            yield record.created_at, 1, record, True
        if record.state in TERMINAL:
            at_once = record.entered_at <= record.created_at
            yield max(record.entered_at, record.created_at), 2 if at_once else 0, record, False


def widths(history: Iterable[Record], about: Iterable[Record], zones_of: Mapping[str, str] | None = None) -> Widths:
    """The widths of the domains that ``about`` belong to. ``history`` is all groups'; ``zones_of`` maps instances and
    slots (core/zones.py).
    """
    records, wanted, zones = list(history), list(about), zones_of or {}
    return Widths(
        groups=_by(records, wanted, lambda record: (record.group,)),
        zones=_by(records, wanted, lambda record: (zone_of(record, zones),)) if zones else {},
        signatures=_by(records, wanted, parts),
        zones_of=zones,
    )


def _by(
    records: Iterable[Record], wanted: Iterable[Record], domains: Callable[[Record], tuple[str, ...]]
) -> dict[str, Earned]:
    sorted_out: dict[str, list[Record]] = {name: [] for record in wanted for name in domains(record) if name}
    for record in records:
        for name in domains(record):
            if name in sorted_out:
                sorted_out[name].append(record)
    return {name: width(found) for name, found in sorted_out.items()}
