"""Watch: keep a resident probe on every instance of the groups that ask for it, and follow its hints.

What it shows is judged at once and written down as a look is; whatever it cannot show brings the next look forward.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from driftd.core.errors import DriftdError
from driftd.core.facts import Instance, InstanceState
from driftd.core.memory import Queue, Store
from driftd.core.watching import Beat, Course, Glimpse, Greeting, Message, Residents, Watched, Why
from driftd.core.whose import Visit
from driftd.core.wording import watched as wording
from driftd.flows.audit import Rules
from driftd.flows.glimpse import Beholder
from driftd.flows.groups import Group
from driftd.flows.record import record_look
from driftd.flows.sweep import KIND
from driftd.flows.visit import Visiting

AGAIN = timedelta(seconds=15)  # after a watch was lost; twice as long each time, up to
SELDOM = timedelta(minutes=5)
GONE = 10_000  # watches that are over for good, whose counts are kept

_log = logging.getLogger(__name__)


@dataclass
class _Watch:
    """One instance's watch, from when it is first wanted; several connections, one after the other."""

    instance: Instance
    beholder: Beholder
    course: Course = field(default_factory=Course)
    over: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None
    greeting: Greeting | None = None
    beat: Beat | None = None
    glimpses: int = 0
    lost: int = 0
    failed: int = 0  # in a row
    next_at: datetime | None = None
    said: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)  # of the course

    def want(self, reasons: Sequence[Why], now: datetime) -> None:
        """Have a whole look made."""
        with self.lock:
            self.course.want(reasons, now)

    def stands(self) -> Watched:
        """For the metrics."""
        counted = dict(self.course.counted)
        name, group = self.instance.id, self.instance.group
        return Watched(name, group, self.greeting, self.beat, self.glimpses, self.lost, counted)


class Watcher:
    """``tick`` begins watches, ends those of instances that are gone, and brings looks forward.

    ``members`` gives the instances that are known now, by id, ``beholder`` what judges the glimpses of one, ``rules``
    a group's rules with what people accepted, ``visits`` those of driftd's visits to an instance that are not this one.
    """

    def __init__(
        self,
        store: Store,
        groups: Mapping[str, Group],
        residents: Residents,
        queue: Queue,
        *,
        members: Callable[[], Mapping[str, Instance]],
        beholder: Callable[[Instance], Beholder],
        rules: Callable[[str], Rules],
        visits: Callable[[Instance], Sequence[Visit]],
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._groups = groups
        self._residents = residents
        self._queue = queue
        self._members = members
        self._beholder = beholder
        self._rules = rules
        self._clock = clock
        self._visits_of = visits
        self._watches: dict[str, _Watch] = {}
        self._gone: deque[Watched] = deque(maxlen=GONE)
        self._stopping = threading.Event()

    def tick(self) -> list[str]:
        """What happened to the watches since the last one, in sentences."""
        wanted = {} if self._stopping.is_set() else self._wanted()
        for gone in self._watches.keys() - wanted.keys():
            self._watches[gone].over.set()
        said: list[str] = []
        for name, instance in wanted.items():
            watch = self._watches.setdefault(name, _Watch(instance, self._beholder(instance)))
            self._begin(watch)
            said += self._follow(watch)
        for name in [name for name, one in self._watches.items() if one.over.is_set() and not _alive(one)]:
            self._gone.append(self._watches.pop(name).stands())
        return said

    def stop(self) -> None:
        """End every watch, and let none begin any more."""
        self._stopping.set()

    def close(self) -> None:
        """Wait for them to end. To be called after ``stop``."""
        for watch in list(self._watches.values()):
            if watch.thread is not None:
                watch.thread.join()

    def watched(self) -> Sequence[Watched]:
        """How each of them stands."""
        return [one.stands() for one in list(self._watches.values())]

    def gone(self) -> Sequence[Watched]:
        """How those stood that are over for good: what they counted still counts."""
        return list(self._gone)

    def _wanted(self) -> Mapping[str, Instance]:
        return {
            name: instance
            for name, instance in self._members().items()
            if (group := self._groups.get(instance.group)) is not None
            and group.watch
            and instance.state is InstanceState.RUNNING
            and not instance.reach.root
        }

    def _begin(self, watch: _Watch) -> None:
        if _alive(watch) or watch.over.is_set() or (watch.next_at is not None and self._clock() < watch.next_at):
            return
        name = f"watch-{watch.instance.id}"
        watch.thread = threading.Thread(target=self._run, args=[watch], name=name, daemon=True)
        watch.thread.start()

    def _follow(self, watch: _Watch) -> list[str]:
        """Bring the next whole look forward if one is wanted; what the watch had to say."""
        self._hurry(watch)
        return [watch.said.pop(0) for _ in range(len(watch.said))]

    def _hurry(self, watch: _Watch) -> None:
        if watch.course.wanted_since is None:
            return
        now = self._clock()
        with self._store.read() as tx:
            row = tx.instance(watch.instance.id)
        with watch.lock:
            due = watch.course.due(row.looked_at if row else None, now)
        if due:
            self._queue.hurry(KIND, now, f"{KIND}/{watch.instance.id}")

    # --- one watch, in a thread of its own ---------------------------------------------------------------------------

    def _run(self, watch: _Watch) -> None:
        """One connection, from beginning to end."""
        instance = watch.instance

        def stopping() -> bool:
            return self._stopping.is_set() or watch.over.is_set()

        try:
            key = self._residents.own_key(instance)
            with Visiting(self._store, instance, key, self._clock) as visited:
                ended = self._residents.watch(visited, lambda said: self._heard(watch, visited, said), stopping)
            why = ended.reason
        except DriftdError as error:
            why = str(error)
        except Exception as error:  # noqa: BLE001  # per watch: one that breaks us must not go unnoticed
            _log.exception("%s: a watch failed in a way nobody foresaw", instance.id)
            why = f"{type(error).__name__} in driftd"
        stood, watch.greeting = watch.greeting is not None, None
        if stopping():
            return
        watch.lost += stood
        watch.failed = 1 if stood else watch.failed + 1
        watch.next_at = self._clock() + min(SELDOM, AGAIN * 2 ** min(watch.failed - 1, 5))
        if stood:
            watch.want([Why.LOST], self._clock())
        if stood or watch.failed == 1:
            watch.said.append(wording.lost(instance.id, why) if stood else wording.not_watched(instance.id, why))

    def _heard(self, watch: _Watch, visited: Instance, said: Message) -> None:
        if isinstance(said, Beat):
            watch.beat = said
        elif isinstance(said, Greeting):
            watch.greeting, watch.failed = said, 0
            watch.said.append(wording.begun(visited.id, said))
            watch.want([Why.BEGUN], self._clock())
        else:
            self._glimpsed(watch, visited, said)

    def _glimpsed(self, watch: _Watch, visited: Instance, glimpse: Glimpse) -> None:
        watch.glimpses += 1
        rules = self._rules(visited.group)
        beheld = watch.beholder.behold(glimpse, rules, lambda: self._visits(visited), self._clock())
        whys = list(beheld.whys)
        if beheld.look is not None:
            now = self._clock()
            with self._store.write() as tx:
                row = tx.instance(visited.id)
                if row is None or row.gone_at is not None:
                    return
                told = record_look(tx, self._groups[visited.group], row, beheld.look, now)
            if told.changed:
                watch.said.append(wording.glimpsed(visited.id, beheld.look.judgement.reason))
                whys.append(Why.CONFIRM)
        if whys:
            watch.want(whys, self._clock())
            self._hurry(watch)

    def _visits(self, visited: Instance) -> Sequence[Visit]:
        """Every visit: this one, which has no end yet, and all others."""
        visit = visited.reach.visit
        trace = visit.trace if visit else None
        if trace is None or trace.way is None or trace.came_at is None:
            return self._visits_of(visited)
        return [*self._visits_of(visited), Visit(trace.way.key, trace.came_at, trace=trace)]


def _alive(watch: _Watch) -> bool:
    return watch.thread is not None and watch.thread.is_alive()
