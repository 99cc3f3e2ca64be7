"""What is said of instances in quarantine."""

from __future__ import annotations


def ended(instance: str, group: str, why_not: str) -> str:
    """What became of one whose end a person asked for: "" as ``why_not`` when it is gone."""
    if why_not:
        return f"{instance} of {group}, in quarantine, could not be ended: {why_not}"
    return f"{instance} of {group} was ended in quarantine, as a person asked"


def not_ended(why: str) -> str:
    """One whose end was asked for is left alone."""
    return f"a quarantine is not ended: {why}"


def asked(instance: str) -> str:
    """The answer to whoever asked for the end."""
    return f"{instance} is to be ended for good, with all that it could tell; the daemon does it"
