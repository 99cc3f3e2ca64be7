"""Sentences about what could not be held against all that is expected of it."""

from __future__ import annotations


def cut(count: int, first: str, why: str) -> str:
    """The instance may have had a hand in it, so that this is as good as not looked."""
    return f"{_files(count, first)} could not be held against what is expected of {_them(count)} ({why})"


def unsure(count: int, first: str, why: str) -> str:
    """Nothing that the instance could have brought about."""
    return f"{_files(count, first)} {'was' if count == 1 else 'were'} held against sizes and modes alone ({why})"


def identities_baked(paths: list[str]) -> str:
    """For whoever bakes an image."""
    return (
        f"the image holds what is to be each instance's own: {', '.join(paths)}; "
        "empty machine-id and remove the others before baking, or every instance will have the same"
    )


def _files(count: int, first: str) -> str:
    return first if count == 1 else f"{count} files ({first} first)"


def _them(count: int) -> str:
    return "it" if count == 1 else "them"
