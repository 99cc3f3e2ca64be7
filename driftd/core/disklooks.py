"""What a look at a disk cannot show, said in it: a disk tells what is configured and kept, and nothing of what runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from driftd.core.facts import Kept
from driftd.core.factual import LIVE_FIELDS, LIVE_KINDS
from driftd.core.findings import Verdict
from driftd.core.looks import DISK, Look
from driftd.core.wording import outofband as words

_NOTES = 3


def unshown() -> tuple[Kept, ...]:
    """The kinds that no disk shows, and those of which it shows what is configured and not what is in force."""
    rows = [Kept(kind, "not available", words.RUNNING) for kind in (*LIVE_KINDS, "session")]
    return tuple(
        sorted(
            [*rows, *(Kept(kind, "not available", words.IN_FORCE) for kind in LIVE_FIELDS)], key=lambda one: one.kind
        )
    )


def told(look: Look, notes: Sequence[str] = ()) -> Look:
    """A look that a reader of disks brought, which says by which means it looked and what those do not show.

    ``notes`` are the reader's own sentences. One that saw nothing has its reason already.
    """
    if look.judgement.verdict is Verdict.UNKNOWN and not look.root:
        return replace(look, means=DISK)
    kept = {one.kind: one for one in (*look.coverage.kept, *unshown())}
    said = "; ".join((look.judgement.reason, *notes[:_NOTES], words.OF_A_DISK))
    return replace(
        look,
        means=DISK,
        judgement=replace(look.judgement, reason=said),
        coverage=replace(look.coverage, kept=tuple(kept[kind] for kind in sorted(kept))),
    )
