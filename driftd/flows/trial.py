"""Trial: the instances of one calibration. They are launched, restarted and ended here, and nothing of them is left.

Each carries the marks of a calibration and an expiry from the moment that it can be listed. So it is no member of its
group, it gets no traffic, and when this process dies, the janitor or the next calibration ends it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

from driftd.core.calibration.marks import TAG_CALIBRATION, marks
from driftd.core.errors import DriftdError, ProviderError, Refused, Unavailable
from driftd.core.facts import Instance, InstanceState
from driftd.core.ports import Compute, LaunchRequest
from driftd.core.wording import calibration as wording
from driftd.core.world import Call, Verb, token
from driftd.flows.collect import Note, end

T = TypeVar("T")
TRIES = 5
POLL_S = 2.0


@dataclass(frozen=True, slots=True)
class Plan:
    """One calibration. ``run`` is its id; ``wait`` is how long instances are left alone between two looks.

    ``at_most`` bounds the whole, and what a crash leaves behind is ended that long after the beginning.
    """

    run: str
    group: str
    image: str
    instances: int = 3
    wait: timedelta = timedelta(minutes=1)
    restart: bool = True
    at_most: timedelta = timedelta(hours=1)

    @property
    def slots(self) -> Sequence[str]:
        """No slots of the group's, so that nothing that a slot owns comes to these instances."""
        return [f"{self.group}/calibration-{number}" for number in range(1, self.instances + 1)]


def _never() -> str:
    return ""


class Trial:
    """What may be done to the instances of ``plan``. ``note`` writes the journal, ``sleep`` waits for seconds.

    ``paused`` says why nothing may be changed now, "" when it may: nothing is launched or restarted then. What was
    launched is ended all the same.
    """

    def __init__(
        self,
        plan: Plan,
        compute: Compute,
        note: Note,
        clock: Callable[[], datetime],
        sleep: Callable[[float], None],
        paused: Callable[[], str] = _never,
    ) -> None:
        self._plan = plan
        self._compute = compute
        self._note = note
        self._clock = clock
        self._sleep = sleep
        self._paused = paused
        self._until = clock() + plan.at_most
        self._launched: set[str] = set()

    def in_time(self) -> None:
        """Raises Unavailable when the calibration has taken as long as it may."""
        if self._clock() >= self._until:
            raise Unavailable(wording.too_long(self._plan.at_most), "give it more: --at-most")

    def launch(self, slot: str) -> Instance:
        """Start one. Raises ProviderError."""
        self.in_time()
        self._allowed()
        tags = marks(self._plan.run, self._until)
        plan = self._plan
        request = LaunchRequest(plan.group, slot, plan.image, token(plan.run, slot, 1), tags)
        self._note("intent", f"calibration/{plan.run}", Call(Verb.LAUNCH, launch=request).as_body())
        instance = self._tried(lambda: self._compute.launch(request))
        self._launched.add(instance.id)
        self._note("result", f"calibration/{plan.run}", {"call": "launch", "instance": instance.id})
        return instance

    def restart(self, instance_id: str) -> None:
        """Power off and on again, as a reboot would. Raises ProviderError."""
        self._allowed()
        for verb, call, state in (
            ("stop", self._compute.stop, InstanceState.STOPPED),
            ("start", self._compute.start, InstanceState.RUNNING),
        ):
            self._note("intent", f"calibration/{instance_id}", {"call": verb, "instance": instance_id})
            self._tried(partial(call, instance_id))
            self._reached(instance_id, state)
            self._note("result", f"calibration/{instance_id}", {"call": verb, "outcome": "done"})

    def _allowed(self) -> None:
        if why := self._paused():
            raise Refused(wording.paused(self._plan.group, why), "driftd resume, when that is over")

    def describe(self, instance_id: str) -> Instance:
        """It as it is now. Raises ProviderError."""
        return self._tried(lambda: self._compute.describe(instance_id))

    def _reached(self, instance_id: str, state: InstanceState) -> None:
        while self.describe(instance_id).state is not state:
            self.pause(POLL_S)

    def pause(self, seconds: float) -> None:
        """Wait, but never beyond what the whole may take. Raises Unavailable."""
        self.in_time()
        self._sleep(min(seconds, max(0.1, (self._until - self._clock()).total_seconds())))

    def _tried(self, call: Callable[[], T]) -> T:
        """A provider that is away for a moment is asked again."""
        for _ in range(TRIES - 1):
            try:
                return call()
            except Unavailable:
                self.pause(POLL_S)
        return call()

    def end(self) -> list[str]:
        """End all of them, also those whose launch was never answered; a sentence for each that could not be."""
        left: dict[str, str] = {}
        for last in (*[False] * (TRIES - 1), True):
            left = {}
            try:
                found = {one.id for one in self._compute.list({TAG_CALIBRATION: self._plan.run})}
            except ProviderError as error:
                found, left[""] = set(), str(error)
            left |= {one: why for one in sorted(found | self._launched) if (why := self._end(one))}
            if not left or last:
                break
            self._sleep(POLL_S)
        return [wording.left_behind(one, why, self._until) for one, why in sorted(left.items())]

    def _end(self, instance_id: str) -> str:
        try:
            why = end(self._compute, self._note, instance_id)
        except DriftdError as error:  # the journal did not take the intent, so nothing was done
            why = str(error)
        if not why:
            self._launched.discard(instance_id)
        return why
