"""Sentences about whom a change is tied to."""

from __future__ import annotations

from collections.abc import Sequence

from driftd.core.facts import Session
from driftd.core.wording import count, printable

RUNS = "the kernel says that what runs it was started from that login"
WROTE = "the kernel says that a process of that login wrote all of it, and holds it open"
NOBODY = "nobody is known to have been there at that time"
BOOT = "the instance was booting"
JOB = "cron or a service began something"
PACKAGES = "it came with packages, and who began that run is not told"
NO_END = "nobody knows when that session ended"
ODD_STAMP = "the kernel's stamp of it is of another time, so that a clock was set or the file came with an older one"


def alone(*, stamped: bool, unverified: bool) -> str:
    """One principal was there."""
    when = "at the moment of the kernel's stamp" if stamped else "between the two looks"
    claim = ", though unverified: a line that anybody could have written tells of it" if unverified else ""
    return f"nobody else is known to have been there {when}{claim}"


def alone_but(doubts: Sequence[str]) -> str:
    """One principal was there, and something speaks against it."""
    return f"nobody else is known to have been there, but {'; '.join(doubts)}"


def several(doubts: Sequence[str]) -> str:
    """More than one was there."""
    return "; ".join(["several were there at that time", *doubts])


def who(one: Session) -> str:
    """Whose session: the certificate's id or the key, and where from."""
    claim = "unverified " if one.confidence == "unverified" else ""
    key = printable(one.key_id or one.key)
    name = f"{printable(one.user)}'s key {key}" if key else printable(one.user) or "somebody"
    return f"{claim}{name} from {printable(one.source) or 'an unknown address'}"


def clause(level: str, one: Session | None, why: str) -> str:
    """One finding's, in short."""
    return f"{level}: {who(one)}; {why}" if one is not None else f"{level}: {why}"


def told(found: Sequence[tuple[Session, Sequence[tuple[str, int]]]]) -> str:
    """Of a message: whose it was, two of them at most."""
    few = [f"{who(one)} ({_sure(levels)})" for one, levels in found[:2]]
    more = [count(len(found) - 2, "more principal")] if len(found) > 2 else []
    return " and ".join([*few, *more])


def behind(told: str) -> str:
    """``told`` behind a message; "" where nobody is to be named."""
    return f"; by what is known it was {told}" if told else ""


def deeds(files: int, programs: int, others: int, levels: Sequence[tuple[str, int]]) -> str:
    """What one session did: "changed 3 files, ran 2 programs that the image does not contain (5 probable)"."""
    did = [f"changed {count(files, 'file')}"] if files else []
    did += [f"ran {count(programs, 'program')} that the image does not contain"] if programs else []
    did += [f"changed {count(others, 'other thing')}"] if others else []
    return f"{', '.join(did)} ({_sure(levels)})"


def _sure(levels: Sequence[tuple[str, int]]) -> str:
    return ", ".join(f"{number} {level}" for level, number in levels)
