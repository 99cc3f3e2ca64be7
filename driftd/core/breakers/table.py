"""The rules as a table: what opens each, where it holds, what closes it, and whether a person may."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from driftd.core.breakers import calls, correlated, failing, health, novelty, outside, sight
from driftd.core.breakers.breaker import Breaker, Known
from driftd.core.breakers.facts import Facts
from driftd.core.breakers.limits import DEFAULTS, Thresholds
from driftd.core.wording import lasting


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. ``opens`` and ``closes`` are said with the numbers of ``Thresholds``.

    ``person`` says why no person may close it; "" where one may. ``by_hand``: it holds what a person asked for by hand
    as well. ``shows``: it only shows what a guard of its own enforces.
    """

    name: str
    title: str
    opens: str
    scope: str
    closes: str
    decide: Callable[[Known, Facts, datetime, Thresholds], Iterable[Breaker]]
    person: str = ""
    by_hand: bool = False
    shows: bool = False


def _of_drift(t: Thresholds) -> tuple[Rule, ...]:
    """C1 to C6: what drifts, what replacing does, and what can be seen."""
    return (
        Rule(
            "C1",
            "correlated drift",
            f"the same signature came within {lasting(t.alike_within)} (or one round of looks, if that is longer) to "
            f"{t.alike} instances of a group or {t.alike_percent} % of it, whichever is more; or is on all of a group "
            f"of 2 to {t.alike_small}, in {t.alike_groups} groups, or on {t.alike_fleet_percent} % of the fleet (and "
            f"{t.alike} at least)",
            f"the signature; the fleet where it is in {t.alike_groups} groups, or {t.alike_signatures} such drifts are "
            "on different instances at once",
            "a person only: it is probably the manifest or the detector",
            correlated.rule,
        ),
        Rule(
            "C2",
            "replacements fail",
            f"{t.failures} in a row in a group; {t.fleet_failures} within {lasting(t.failures_within)} anywhere",
            "the group; the fleet",
            f"half-open after {lasting(t.probe_after)}: one probe at a time, {t.proven} that succeed close it, one "
            "that fails opens it again; or a person",
            failing.failures,
        ),
        Rule(
            "C3",
            "replacing does not help",
            f"a slot was replaced {t.loops} times within {lasting(t.loops_within)} for the same signature; "
            f"{t.loop_slots} such slots of one image",
            "the slot; the image",
            "another image for the group; or a person",
            failing.loops,
        ),
        Rule(
            "C4",
            "ill health",
            f"more than {t.ill_percent} % of a group not ready, or more than {t.ill_zone_percent} % of a zone; all "
            "zones",
            "the group; the zone; the fleet",
            f"less than half of that for {lasting(t.well_for)}",
            health.rule,
            person="it closes by itself once they serve again",
        ),
        Rule(
            "C5",
            "blindness",
            f"fewer than {t.reported_percent} % of a group could be looked at within {lasting(t.reported_within)} (or "
            "two rounds of looks, if that is longer), or its inventory could not be read",
            "the group; the fleet where all groups are blind",
            f"{t.full_passes} full passes over the group",
            sight.blindness,
            person="it closes by itself once two passes saw the group in full",
        ),
        Rule(
            "C6",
            "an inventory that cannot be",
            f"it is empty where instances were known, or its size changed by more than one and {t.size_percent} % "
            "between two passes",
            "the fleet",
            f"a person where it was empty; else {t.full_passes} passes that find the same size",
            sight.shrinking,
            person="it closes by itself once two passes find the same size",
            by_hand=True,
        ),
    )


def _from_outside(t: Thresholds) -> tuple[Rule, ...]:
    """C7 to C12: what others say and do, and what is left."""
    return (
        Rule(
            "C7",
            "alerts fire",
            "any alert that matches the group's block_on, or no answer",
            "the group",
            f"none for {lasting(t.quiet_alerts)}",
            outside.alerts,
            person="it closes by itself once no such alert fires; silence the alert where it is wrong",
            by_hand=True,
        ),
        Rule(
            "C8",
            "a new driftd, rules or manifest",
            "a version or digest that decides what counts as drift is new to this store",
            "the fleet, the group or the image that it counts for",
            f"{lasting(t.observe_first)} of observing; or a person who approves",
            novelty.rule,
        ),
        Rule(
            "C9",
            "the provider fails",
            f"more than {t.errors_percent} % of the calls to an account (and {t.errors_least} at least) failed within "
            f"{lasting(t.errors_within)}, or one launch was refused",
            "the account",
            f"time: {lasting(t.back_off)}, twice as long each time in a row, at most {lasting(t.back_off_most)}, ±20 %",
            calls.rule,
            person="only time closes it; the provider would refuse again",
            by_hand=True,
        ),
        Rule(
            "C10",
            "something is left over",
            "a replacement is stuck, or a mark or lock of driftd's is past its time",
            "the group",
            "the janitor, once nothing is left; or a person",
            outside.leftovers,
        ),
        Rule(
            "C11",
            "others are at work",
            "the provider tells of an operation of somebody else in the group",
            "the group",
            f"none for {lasting(t.quiet_foreign)}",
            outside.foreign,
            person="it closes by itself once the operation is over",
            by_hand=True,
        ),
        Rule(
            "C12",
            "pace",
            "a limit of pace is reached (its guard holds; the breaker shows it)",
            "the group",
            "time",
            outside.pace,
            person="only time closes it; the limits are those of the configuration",
            shows=True,
        ),
    )


RULES = (*_of_drift(DEFAULTS), *_from_outside(DEFAULTS))
RULE = {rule.name: rule for rule in RULES}


def cannot_close(one: Breaker) -> str:
    """Why no person may close this breaker; "" when one may."""
    if one.rule == sight.SHRUNK and sight.only_a_person(one):
        return ""
    return RULE[one.rule].person if one.rule in RULE else ""


def page() -> str:
    """The table of docs/breakers.md, in Markdown."""
    lines = ["| Rule | What | Opens when | Holds | Closes |", "| --- | --- | --- | --- | --- |"]
    lines += [f"| {one.name} | {one.title} | {one.opens} | {one.scope} | {one.closes} |" for one in RULES]
    return "\n".join(lines)
