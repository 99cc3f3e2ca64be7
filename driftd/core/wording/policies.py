"""Sentences about policies themselves: what a check of them finds, and what a trial of one shows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

SHOWN = 4


def expired(day: date) -> str:
    """A rule that is as if it were not there."""
    return f"it expired on {day:%Y-%m-%d} and explains nothing any more; remove it, or give it another day"


def expiring(day: date, days: int) -> str:
    """A rule that is about to."""
    left = "today is its last day" if days == 0 else f"{days} {'day' if days == 1 else 'days'} left"
    return f"it expires on {day:%Y-%m-%d}: {left}"


def shadowed(by: str, where: str) -> str:
    """A rule that is never reached."""
    return (
        f"it is never asked: {by} ({where}) comes before it and fits all that it fits; remove one, or move this one up"
    )


def covers(globs: Sequence[str], places: Sequence[str]) -> str:
    """A rule that lies over config without naming it."""
    rest = f" and {len(places) - SHOWN} more" if len(places) > SHOWN else ""
    lies = f"{', '.join(globs)} {'lies' if len(globs) == 1 else 'lie'} over"
    return (
        f"{lies} {', '.join(places[:SHOWN])}{rest}, which it does not loosen: what is obeyed takes a rule that names it"
    )


def broad(glob: str) -> str:
    """A rule that lets a whole branch of the system pass."""
    return f"{glob} is over-broad: it speaks of every program's state there; name the directory that is meant"


def idle(image: str) -> str:
    """A rule that speaks of nothing that an image has."""
    return f"nothing that it speaks of is in {image}, nor the directory for it; remove it if that is so everywhere"


def idle_packs(name: str, idle: int, rules: int, image: str) -> str:
    """The same of a shipped pack, whose rules are for more than one image."""
    return f"{idle} of its {rules} rules speak of nothing that {image} has, which is as it should be in a pack: {name}"


def lets(paths: int, all_paths: int, image: str) -> str:
    """How much of an image a rule over a subtree lets differ."""
    return f"it is over-broad: {paths} of the {all_paths} paths of {image} may differ by it"


def unused(since: str) -> str:
    """A rule that has judged nothing."""
    return f"it has judged nothing since {since}; remove it if nothing like that is to come"


def no_policy(instance: str, group: str) -> str:
    """An instance of the past that nobody configures a policy for any more."""
    return f"{instance} is of a group that is not configured ({group}), so no policy was tried on it"


def no_image(instance: str, reason: str) -> str:
    """An instance whose manifest cannot be had."""
    return f"{instance}: tried without what its image calls for: {reason}"


def no_manifest(reason: str) -> str:
    """A group whose manifest cannot be had."""
    return f"not held against an image: {reason}"


WITHOUT_EVIDENCE = (
    "What an expectation found out by asking the instance is not kept, and counts as it did then: a rule that judged "
    "the same thing then judges it the same way."
)
NOT_KEPT = (
    "Not kept, and so not replayed: differences that rules ignored, what was explained before this version kept it, "
    "and of each instance all beyond 2,000 explained differences."
)
