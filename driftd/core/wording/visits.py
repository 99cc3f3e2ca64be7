"""Sentences about driftd's own visits."""

from __future__ import annotations


def nobody_at_the_door(why: str) -> str:
    """Beside the verdict of a look that could not ask the provider whom it let in."""
    return f"the provider could not be asked whom it let in itself ({why}); it is asked again at the next look"


def translated(where: str) -> str:
    """Beside the verdict of a look that came by another port than its own."""
    return (
        f"addresses are translated on the way there (it sees driftd come from {where}), so that with a plain key "
        "driftd's visits are known by their time alone: use certificates (docs/ssh.md)"
    )


def untold(since: str, until: str) -> str:
    """Beside the verdict of the first look after a boot, where no log outlasts one."""
    return (
        f"it booted at {until} and no log of logins reaches back before that, so that nobody can tell who came by SSH "
        f"without a terminal since the last look at {since}: keep the journal on disk (Storage=persistent), ship it, "
        "or watch the group"
    )


def hearing(trouble: str, hint: str) -> str:
    """How it is with what a provider is told by; no ``trouble``: it was mended."""
    return f"{trouble}: {hint}" if trouble else "the queue of who came answers again"
