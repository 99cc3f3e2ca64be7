"""Out of band: look at an instance, copy its disk, look again and at the disk, and hold one against the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from driftd.core import outofband
from driftd.core.asides import DiskReading
from driftd.core.asks import Ask
from driftd.core.difference import Difference
from driftd.core.errors import ProviderError
from driftd.core.facts import Instance
from driftd.core.findings import Judgement, Verdict
from driftd.core.fingerprint import Fingerprint
from driftd.core.looks import DISK, Look
from driftd.core.outofband import SETTLED, Inside, Round, Says, Sorted
from driftd.core.policy import Policy
from driftd.core.wording import outofband as words

Tell = Callable[[str], None]


@dataclass
class Seeing:
    """``Besides`` that keeps what a look saw."""

    fingerprint: Fingerprint | None = field(default=None)

    def asks(self, found: Sequence[Difference], fingerprint: Fingerprint, policy: Policy) -> Sequence[Ask]:
        """Nothing more than judging needs."""
        del found, fingerprint, policy
        return ()

    def saw(self, fingerprint: Fingerprint) -> None:
        """Keep it."""
        self.fingerprint = fingerprint


class Views(Protocol):
    """The two views of instances, and the policy over both."""

    def inside(self, instance: Instance, seeing: Seeing) -> Look:
        """A whole look at the running instance, judged."""
        ...

    def disk(self, instance: Instance, file: Path, how: str, inside: Look) -> Look:
        """A raw image of its root disk, judged by the manifest and the rules that ``inside`` was judged by."""
        ...

    def judge(self, instance: Instance, disk: Look, found: Sequence[Difference]) -> Judgement:
        """What policy says of differences between the two."""
        ...

    def room(self) -> AbstractContextManager[Path]:
        """A private directory for one disk, nobody else's meanwhile. Raises ProviderError."""
        ...


@dataclass(frozen=True, slots=True)
class Both:
    """The last look at the running instance, and the one at its disk with the verdict over both views."""

    inside: Look
    disk: Look


class Outside:
    """Looks at instances and at their disks. ``wait`` lets time pass; ``settled`` is how long writes take to the disk.

    A disk may have ``limit`` bytes. ``name`` makes tokens, no two alike.
    """

    def __init__(
        self,
        views: Views,
        reading: DiskReading,
        *,
        clock: Callable[[], datetime],
        wait: Callable[[timedelta], None],
        name: Callable[[], str],
        limit: int,
        settled: timedelta = SETTLED,
        tell: Tell = lambda _said: None,
    ) -> None:
        self._views = views
        self._reading = reading
        self._clock = clock
        self._wait = wait
        self._name = name
        self._limit = limit
        self._settled = settled
        self._tell = tell

    def look(self, instance: Instance) -> Both:
        """Both views. Never raises for what instance and provider do: a disk that cannot be read is UNKNOWN.

        What is hidden at one copy is looked at a second time; see core/outofband.py.
        """
        with suppress(ProviderError):
            self._reading.tidy_reads()
        _, before = self._inside(instance)
        both, found = self._round(instance, before)
        if found is not None and found[1].hidden:
            self._tell(words.AGAIN)
            once, (after, first) = both, found
            both, found = self._round(instance, after)
            if found is None:  # the first disk could be read, and proves nothing alone
                unsure = replace(first, hidden=(), unsure=(*first.unsure, *first.hidden))
                return Both(both.inside, self._told(instance, once.disk, unsure))
            found = found[0], outofband.confirmed(first, found[1])
        if found is None:
            return both
        return Both(both.inside, self._told(instance, both.disk, found[1]))

    def _inside(self, instance: Instance) -> tuple[Look, Inside]:
        self._tell(words.looking(instance.slot or instance.id))
        began, seeing = self._clock(), Seeing()
        look = self._views.inside(instance, seeing)
        seen, manifest = seeing.fingerprint, look.manifest
        says = Says(manifest, seen) if seen is not None and manifest is not None else None
        return look, Inside(began, self._clock(), says)

    def _round(self, instance: Instance, before: Inside) -> tuple[Both, tuple[Inside, Sorted] | None]:
        """A copy and a look after it; with what the disk's findings mean, None where the disk could not be read."""
        left = before.ended + self._settled - self._clock()
        if left > timedelta(0):
            self._tell(words.waiting(left))
            self._wait(left)
        asked = self._clock()
        room: Path | None = None
        how = why = hint = ""
        with ExitStack() as stack:
            try:
                room = stack.enter_context(self._views.room())
                self._tell(words.reading(instance.slot or instance.id))
                how = self._reading.read_root(instance.id, self._name(), room / "root.raw", self._limit)
            except ProviderError as error:
                why, hint, room = str(error), error.hint, None
            had = self._clock()
            look, after = self._inside(instance)
            if room is None:
                return Both(look, unread(instance, asked, why, hint)), None
            self._tell(words.looking_at_disk(instance.slot or instance.id))
            disk = self._views.disk(instance, room / "root.raw", how, look)
        if disk.judgement.verdict is Verdict.UNKNOWN and not disk.root:
            return Both(look, disk), None
        made = Round(before, asked, had, after)
        return Both(look, disk), (after, outofband.sort_out(disk.judgement.findings, made, self._settled))

    def _told(self, instance: Instance, disk: Look, found: Sorted) -> Look:
        return outofband.told(disk, found, lambda hidden: self._views.judge(instance, disk, hidden))


def unread(instance: Instance, at: datetime, why: str, hint: str) -> Look:
    """A disk that could not be had."""
    return Look(instance, at, 0.0, Judgement(Verdict.UNKNOWN, words.unread(why)), hint=hint, means=DISK)
