"""Sentences about driftd's own visits."""

from __future__ import annotations


def translated(where: str) -> str:
    """Beside the verdict of a look that came by another port than its own."""
    return (
        f"addresses are translated on the way there (it sees driftd come from {where}), so that with a plain key "
        "driftd's visits are known by their time alone: use certificates (docs/ssh.md)"
    )
