"""Sentences about watches."""

from __future__ import annotations

from driftd.core.watching import Greeting

_MEANS = {
    "inotify": "inotify",
    "dnotify": "dnotify (the Python there has no ctypes)",
    "connector": "the kernel's process events",
    "sweep": "a round",
}


def begun(instance: str, greeting: Greeting) -> str:
    """A watch stands."""
    beyond = f", {greeting.unwatched} more by looks alone" if greeting.unwatched else ""
    return (
        f"{instance} is watched: {greeting.directories} directories by {_MEANS[greeting.files]}{beyond}, "
        f"processes by {'a round through /proc' if greeting.processes == 'sweep' else _MEANS[greeting.processes]}"
    )


def lost(instance: str, why: str) -> str:
    """A watch that stood is over."""
    return f"the watch of {instance} was lost, and it is looked at: {why}"


def not_watched(instance: str, why: str) -> str:
    """A watch could not begin."""
    return f"{instance} cannot be watched and is looked at as ever: {why}"


def glimpsed(instance: str, reason: str) -> str:
    """The watch showed something that a look has yet to confirm."""
    return f"the watch of {instance} shows: {reason}"


def silent(where: str, seconds: float) -> str:
    """Nothing was heard of a resident probe."""
    return f"the probe on {where} said nothing for {seconds:.0f} s"


def ended(where: str, complaint: str) -> str:
    """A resident probe ended by itself."""
    return f"the probe on {where} ended" + (f"; it said: {complaint}" if complaint else "")


def nonsense(where: str, why: str) -> str:
    """A resident probe says what none says."""
    return f"what {where} says is not a watch: {why}"
