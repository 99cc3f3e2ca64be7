"""Sentences of looks at disks, and of what they and the instance itself say of each other."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from driftd.core.findings import Finding
from driftd.core.wording import count, printable, shown

RUNNING = "a disk shows nothing of what runs"
IN_FORCE = "a disk shows what is configured, not what is in force"
OF_A_DISK = "the disk was read, so nothing was seen of what runs"
HIDES = "the instance shows it as it was baked, and its disk has something else: what answers there hides it"
TWO_THINGS = "its disk and what it shows of itself are two things"
ON_ITS_WAY = "the disk was copied while this changed, or before it was written there: that hides nothing"
AGAIN = "the disk has what the instance denies: looking once more, at another copy"


def looking(name: str) -> str:
    """At the running instance."""
    return f"looking at {name}"


def reading(name: str) -> str:
    """Its disk is had from the provider."""
    return f"reading the disk of {name}"


def looking_at_disk(name: str) -> str:
    """At what was had."""
    return f"looking at the disk of {name}"


def said(instance: str, verdict: str, reason: str) -> str:
    """What a look at a disk came to, for the log."""
    return f"the disk of {instance} is {verdict}: {reason}"


def waiting(left: timedelta) -> str:
    """Why nothing happens for a while."""
    return f"waiting {left.total_seconds():.0f} s, until what the instance wrote is on its disk"


def unread(why: str) -> str:
    """There is no disk to look at; that says nothing of the instance."""
    return f"its disk could not be read: {why}"


def no_disks(provider: str) -> str:
    """The provider has no such means."""
    return f"the provider {provider} reads no disks"


def hidden(found: Sequence[Finding]) -> str:
    """The worst that is to be said of an instance."""
    first = found[0]
    rest = f" and {len(found) - 1} more" if len(found) > 1 else ""
    what = f"{printable(first.actual.get('hidden', ''))} {shown(first.subject)}"
    return f"{TWO_THINGS}: it hides {what}{rest}"


def drifted(told: int, alone: int) -> str:
    """Drift on a disk that the instance does not deny."""
    parts = [f"{count(told, 'finding')} that the instance shows, too"] if told else []
    parts += [f"{count(alone, 'finding')} where a look at the instance does not reach"] if alone else []
    return f"on the disk: {' and '.join(parts)}"


def on_its_way(number: int) -> str:
    """All that differs changed while the disk was copied."""
    return f"{count(number, 'difference')} of what changed while the disk was copied"
