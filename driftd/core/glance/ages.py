"""How old a digest may be at most before its file is read again, whatever its times say; and who is glanced at."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from driftd.core import imagedrift
from driftd.core.findings import Verdict
from driftd.core.glance.talk import Rehash, Span
from driftd.core.memory import FindingRow, InstanceRow
from driftd.core.replacement import Record

# What runs, what decides who may log in, and what the next boot is made of.
CODE = (
    b"/bin",
    b"/boot",
    b"/etc",
    b"/lib",
    b"/lib32",
    b"/lib64",
    b"/libx32",
    b"/opt",
    b"/root",
    b"/sbin",
    b"/usr/bin",
    b"/usr/lib",
    b"/usr/lib32",
    b"/usr/lib64",
    b"/usr/libexec",
    b"/usr/local",
    b"/usr/sbin",
    b"/var/spool/cron",
)


def rehash(code: timedelta, rest: timedelta) -> Rehash:
    """What is read again within ``code``, and everything else within ``rest``."""
    return Rehash((Span(int(code.total_seconds()), CODE), Span(int(rest.total_seconds()), (b"/",))))


def kept_for(every: timedelta, keep: timedelta) -> timedelta:
    """How long a connection is worth keeping where looks are ``every`` so far apart: to the next one, or not at all."""
    return every if every <= keep else timedelta(0)


def may_be_glanced_at(row: InstanceRow | None, opened: Iterable[Record], findings: Iterable[FindingRow] = ()) -> bool:
    """Whether what the last look left is good enough: not where anything is decided because of what is seen.

    An instance that differs by more than the image it runs, that was not seen, or that is being replaced or is a
    newcomer is looked at whole. ``findings`` are its open ones.
    """
    if row is None:
        return False
    kinds = {one.finding.kind for one in findings if not one.finding.suppressed_by}
    stale = row.verdict is Verdict.DRIFTED and bool(kinds) and kinds <= set(imagedrift.KINDS)
    if not stale and row.verdict not in (Verdict.CLEAN, Verdict.EXPLAINED):
        return False
    return not any(row.id in (record.old_id, record.new_id) for record in opened)
