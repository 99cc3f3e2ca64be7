"""What is said about a rehearsal."""

from __future__ import annotations

from collections.abc import Mapping

# What replacements spend their time with: names of guards, and of states.
SPENT: Mapping[str, str] = {
    "unseen": "nobody had looked yet",
    "confirming": "the second look",
    "cold": "not all was seen since the daemon began",
    "hold": "a hold",
    "approval": "a person's approval",
    "window": "no window was open",
    "foreign": "others were at work on the group",
    "session": "people on it, and their grace",
    "stuck": "another one needed a person",
    "back-off": "the back-off after a failure",
    "alone": "another one in a group that changes one at a time",
    "zone": "another zone was under change",
    "budget": "others of the group were under way",
    "fleet": "others of the fleet were under way",
    "slow start": "the canary came first",
    "pace": "the pace",
    "breaker": "a circuit breaker was open",
    "min healthy": "the group's minimum",
    "quorum": "the cluster's quorum",
    "admitting": "being let in",
    "planning": "planning",
    "launching": "launching",
    "booting": "the newcomer's boot",
    "verifying": "fingerprinting the newcomer",
    "serving": "starting its service",
    "enrolling": "becoming healthy behind the load balancer",
    "soaking": "the soak",
    "draining": "draining the old one",
    "quiescing": "bringing the old one to rest",
    "stopping": "stopping the old one",
    "snapshotting": "snapshots",
    "detaching": "taking volumes off",
    "attaching": "attaching volumes",
    "addressing": "moving addresses",
    "parking": "keeping the old one, stopped",
    "retiring": "ending the old one",
    "settling": "settling",
    "undoing": "undoing",
}


def spent(what: str) -> str:
    """What the time went into."""
    return SPENT.get(what, what)


def span(seconds: float) -> str:
    """``12 s``, ``4 min``, ``3.5 h``, ``2.1 d``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86400:.1f} d"


def percent(share: float) -> str:
    """``12 %``, and ``< 1 %`` for what is not nothing."""
    return "< 1 %" if 0 < share < 0.01 else f"{share * 100:.0f} %"


def only_observes(group: str) -> str:
    """It replaces nothing as it is."""
    return f"{group} only observes (enforce: observe); it is rehearsed as if it said enforce: replace"


def cannot_replace(group: str, provider: str) -> str:
    """Its provider can only look."""
    return f"the provider of {group}, {provider}, can only look; it is rehearsed as if it could launch and drain"


def size(group: str, count: int, whence: str) -> str:
    """How many instances, and who said so."""
    return f"{group} has {count} instance{'s' if count != 1 else ''}, {whence}"


def again(command: str, seed: int) -> str:
    """How to play it again."""
    return f"{command} --seed {seed}"


def result(held: bool, seeds: int, violated: int) -> str:
    """The last line."""
    if not seeds:
        return "Nothing was played."
    if held:
        return f"It held: {seeds} seeds, nothing violated."
    return f"It did not hold: {violated} of {seeds} seeds violated something that must always be true."


def replaced(count: int, middle: float, worst: float) -> str:
    """What the user's settings led to."""
    if not count:
        return "no replacement was finished"
    return f"{count} replaced; from drift to replaced: {span(middle)} in the middle, {span(worst)} at worst"
