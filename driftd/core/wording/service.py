"""Sentences for the service manager: what `systemctl status driftd` says."""

from __future__ import annotations

from collections.abc import Mapping

from driftd.core.wording import count


def starting() -> str:
    return "starting: each job is run for the first time"


def stopping() -> str:
    return "stopping: the steps under way are finished first"


def standing(verdicts: Mapping[str, int], replacements: int, *, paused: bool) -> str:
    """What there is: ``3 instances (2 clean, 1 drifted), no open replacements``; ``verdicts`` counts instances."""
    known = sum(verdicts.values())
    by = ", ".join(f"{number} {verdict}" for verdict, number in sorted(verdicts.items()) if number)
    said = f"{count(known, 'instance')}{f' ({by})' if by else ''}, {count(replacements, 'open replacement')}"
    return f"paused; {said}" if paused else said


def hangs(silent: str) -> str:
    """``silent`` says which jobs hang."""
    return f"{silent}; the watchdog is not told that all is well"
