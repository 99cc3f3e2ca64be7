"""Sentences about taints: the mark at the provider, and what becomes of it."""

from __future__ import annotations


def marked(instance: str, why: str) -> str:
    """The mark was put on."""
    return f"{instance} is marked as tainted at its provider{f': {why}' if why else ''}"


def unmarked(instance: str, why: str) -> str:
    """The mark was taken off."""
    return f"{instance} is no longer marked as tainted at its provider{f': {why}' if why else ''}"


def not_marked(instance: str, why: str) -> str:
    """The provider would not."""
    return f"the mark of {instance} at its provider could not be changed, and the store alone says what is so: {why}"


def found_marked(since: str) -> str:
    """Why an instance is tainted of which only the provider's mark is left."""
    return (
        f"its mark at the provider says that somebody was on it{f' ({since})' if since else ''}, and this store knows "
        "of no session: it is tainted, and what becomes of it is for a person to say (driftd replace, or driftd accept)"
    )


LIFTED = "a person accepted every session that was on it"
