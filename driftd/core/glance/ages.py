"""How old a digest may be at most before its file is read again, whatever its times say; and who is glanced at."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from driftd.core.findings import Verdict
from driftd.core.glance.talk import Rehash, Span
from driftd.core.memory import InstanceRow
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


def may_be_glanced_at(row: InstanceRow | None, opened: Iterable[Record]) -> bool:
    """Whether what the last look left is good enough: not where anything is decided because of what is seen.

    An instance that differs, that was not seen, or that is being replaced or is a newcomer is looked at whole.
    """
    if row is None or row.verdict not in (Verdict.CLEAN, Verdict.EXPLAINED):
        return False
    return not any(row.id in (record.old_id, record.new_id) for record in opened)
