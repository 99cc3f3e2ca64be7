"""Sentences about evidence."""

from __future__ import annotations

SEE = "see what there is: driftd evidence"
SEE_JOURNAL = "see what became of it: driftd journal show evidence; driftd journal verify proves that record"
NO_BUNDLE = "the file is no bundle of evidence"


def size(number: int) -> str:
    """Bytes as people read them."""
    for unit, bytes_ in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if number >= bytes_:
            return f"{number / bytes_:.1f} {unit}"
    return f"{number} B"


def no_room(place: str, taken: int, wanted: int, room: int) -> str:
    """All bundles together may take so much."""
    return (
        f"there is no room for evidence in {place}: {size(taken)} are taken, {size(wanted)} more are needed, and "
        f"evidence.room is {size(room)}; make it larger, or remove what is no longer needed"
    )


def not_kept(place: str, why: str) -> str:
    """The disk says no."""
    return f"evidence could not be written to {place}: {why}; make room there, or name another evidence.directory"


def missing(bundle: str, file: str) -> str:
    """Somebody else removed it."""
    return f"the evidence {bundle} is gone: there is no {file}, and driftd did not remove it"


def edited(bundle: str, file: str) -> str:
    """It is not what was kept."""
    return f"the evidence {bundle} was changed: {file} is not what the journal has the digest of, so it proves nothing"


def removed(bundle: str, instance: str, until: str) -> str:
    """Its time is over."""
    return f"the evidence {bundle} of {instance} was removed: it was to be kept until {until}"


def not_removed(bundle: str, why: str) -> str:
    """Its time is over, and it is still there."""
    return f"the evidence {bundle} could not be removed, though its time is over: {why}"


def gone(bundle: str, why: str) -> str:
    """Asked for after its end."""
    return f"the evidence {bundle} is kept no longer ({why})"


def unknown(bundle: str) -> str:
    """No such."""
    return f"there is no evidence {bundle!r}"


def none_here() -> str:
    """A group that keeps none."""
    return "the group keeps no evidence"


def unseen(why: str) -> str:
    """It is tried again before a bundle is made without it."""
    return f"the instance could not be looked at for evidence: {why}"


def made(bundle: str, instance: str, holds: str) -> str:
    """Taken."""
    return f"evidence of {instance} is kept as {bundle}: {holds}"
