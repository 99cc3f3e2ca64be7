"""Sentences about manifests in other formats: what is lost on the way out, and what was never said on the way in."""

from __future__ import annotations

from driftd.core.wording import count


def lost(form: str, number: int, noun: str, plural: str = "") -> str:
    """What there is no place for."""
    return f"{form}: {count(number, noun, plural)} {'is' if number == 1 else 'are'} not in this format"


def told(form: str, number: int, noun: str, how: str, plural: str = "") -> str:
    """What is told in another way, or in part."""
    return f"{form}: {count(number, noun, plural)} {'is' if number == 1 else 'are'} {how}"


def unnamed(form: str, number: int) -> str:
    return told(form, number, "package", "without a purl, since the image's system is not known")


def unstated(aspects: str) -> str:
    return f"mtree: it says nothing of {aspects}, so neither does the manifest: they are not compared"


def silent(number: int, why: str) -> str:
    return f"mtree: of {count(number, 'path')} the manifest says nothing ({why})"


def lacking(number: int, path: str, keywords: str) -> str:
    """Why an import is refused: how many entries say too little, and which words the first lacks."""
    noun = count(number, "entry lacks", "entries lack")
    return f"{noun} what a manifest must say, the first {path}: {keywords}"


LACKING_HINT = (
    "write it with: mtree -c -K sha256,device, or with bsdtar's --options mtree:sha256; "
    "or take it with --partial, and of these paths the manifest says nothing"
)

PROVISIONAL = "the manifest is provisional: it was read off a running server, or made from another format"
