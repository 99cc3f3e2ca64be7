"""Calibrate: launch pristine instances of an image, watch them for a while, and learn what they do by themselves.

They are looked at after they booted, after a while, and after a restart; then they are ended, whatever happened. What
was seen goes to the core, which proposes rules; nothing is written here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from driftd.core.calibration import inquiry, never
from driftd.core.calibration.forms import FORMS, keeps
from driftd.core.calibration.inquiry import Contents
from driftd.core.calibration.propose import propose
from driftd.core.calibration.samples import Calibration, Sample
from driftd.core.difference import Difference
from driftd.core.errors import DriftdError, Refused, Unavailable
from driftd.core.facts import Instance, InstanceState
from driftd.core.findings import Finding, Verdict
from driftd.core.looks import Look
from driftd.core.ports import Health
from driftd.core.wording import calibration as wording
from driftd.core.wording import shown
from driftd.flows.trial import POLL_S, Plan, Trial

Forms = dict[bytes, frozenset[str]]
# What is done, how often it has been done, how often it will have been, and why it is waited ("" when it is not).
Tell = Callable[[str, int, int, str], None]


@dataclass(frozen=True, slots=True)
class Watched:
    """One look, and what was asked beside it: forms of contents, and whether files kept what they began with."""

    look: Look
    forms: Forms
    kept: dict[bytes, bool]


Watch = Callable[[Instance, Contents], Watched]


@dataclass(frozen=True, slots=True)
class Calibrated:
    """What came of it: the instances that were watched, when, and what they taught."""

    plan: Plan
    instances: tuple[str, ...]
    moments: tuple[str, ...]
    started: datetime
    ended: datetime
    calibration: Calibration


class Calibrator:
    """Runs one calibration. ``watch`` looks at an instance, asking of the contents that the look before saw.

    ``boot_timeout`` bounds how long an instance may take until it runs, serves (``health``) and can be looked at.
    """

    def __init__(
        self,
        plan: Plan,
        trial: Trial,
        watch: Watch,
        *,
        clock: Callable[[], datetime],
        tell: Tell,
        health: Health | None = None,
        boot_timeout: timedelta = timedelta(minutes=10),
    ) -> None:
        self._plan = plan
        self._trial = trial
        self._watch = watch
        self._clock = clock
        self._tell = tell
        self._health = health
        self._boot_timeout = boot_timeout
        self._samples: list[Sample] = []
        self._before: dict[str, Contents] = {}

    def run(self) -> Calibrated:
        """All of it. Raises DriftdError with one sentence; the instances are ended then, too.

        One that could not be ended is an error of its own, as somebody pays for it until it expires.
        """
        started = self._clock()
        try:
            names, moments = self._taught()
        except DriftdError as error:
            if left := self._ended():
                raise type(error)("; ".join([str(error), *left]), error.hint) from error
            raise
        except BaseException as error:
            if left := self._ended():
                raise Unavailable("; ".join([wording.INTERRUPTED, *left]), wording.LEFT_HINT) from error
            raise
        if left := self._ended():
            raise Unavailable("; ".join(left), wording.LEFT_HINT)
        calibration = propose(self._samples, tuple(FORMS), keeps)
        return Calibrated(self._plan, names, moments, started, self._clock(), calibration)

    def _ended(self) -> Sequence[str]:
        """Ends what was launched; says that it is done, or returns what could not be ended, a sentence each."""
        self._say(wording.ENDING, 0, 1)
        left = self._trial.end()
        if not left:
            self._say(wording.ENDING, 1, 1)
        return left

    def _say(self, what: str, done: int, of: int, why: str = "") -> None:
        self._tell(what, done, of, why)

    def _taught(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        plan, trial = self._plan, self._trial
        made = []
        self._say(wording.LAUNCHING, 0, plan.instances)
        for number, slot in enumerate(plan.slots, 1):
            made.append(trial.launch(slot).id)
            self._say(wording.LAUNCHING, number, plan.instances)
        moments = ["boot"]
        self._look_at(made, "boot")
        if plan.wait:
            self._idle()
            moments.append("later")
            self._look_at(made, "later")
        if plan.restart:
            self._say(wording.RESTARTING, 0, plan.instances)
            for number, name in enumerate(made, 1):
                trial.restart(name)
                self._say(wording.RESTARTING, number, plan.instances)
            moments.append("restart")
            self._look_at(made, "restart")
        return tuple(made), tuple(moments)

    def _idle(self) -> None:
        total = ceil(self._plan.wait.total_seconds())
        ends = self._clock() + self._plan.wait
        while (left := (ends - self._clock()).total_seconds()) > 0:
            self._say(wording.WAITING, total - ceil(left), total)
            self._trial.pause(min(1.0, left))
        self._say(wording.WAITING, total, total)

    def _look_at(self, names: Sequence[str], moment: str) -> None:
        self._say(wording.LOOKING[moment], 0, len(names))
        for number, name in enumerate(names, 1):
            ends = self._clock() + self._boot_timeout
            while isinstance(seen := self._seen(name), str):
                if self._clock() >= ends:
                    raise Unavailable(wording.unseen(name, seen), "see its console, and whether its image boots")
                self._say(wording.LOOKING[moment], number - 1, len(names), f"{name}: {seen}")
                self._trial.pause(POLL_S)
            self._samples.append(self._sample(name, moment, seen))
            self._say(wording.LOOKING[moment], number, len(names))

    def _sample(self, name: str, moment: str, seen: Watched) -> Sample:
        """What a look shows of the instance's own doing. Raises Refused for one that is not pristine."""
        look = seen.look
        if look.others or any(one.kind == "session" for one in look.judgement.findings):
            raise Refused(wording.visited(name), "let nobody log in to it while it is watched")
        for one in look.judgement.findings:
            if why := never.spoiled(_difference(one)):
                raise Refused(wording.spoiled(name, shown(one.subject), why), wording.SPOILED_HINT)
        findings, explained = look.judgement.findings, look.judgement.explained
        self._before[name] = inquiry.contents([_difference(one) for one in findings])
        names = (name.encode(), look.instance.address.encode())
        return Sample(name, moment, findings, explained, seen.forms, seen.kept, names)

    def _seen(self, name: str) -> Watched | str:
        """A look that saw, or why there is none yet."""
        instance = self._trial.describe(name)
        if instance.state.ending:
            raise Refused(wording.gone(name, instance.state), wording.SPOILED_HINT)
        if instance.state is not InstanceState.RUNNING:
            return f"it is {instance.state}"
        if self._health and (why := self._health.check(instance)):
            return why
        watched = self._watch(instance, self._before.get(name, {}))
        unknown = watched.look.judgement.verdict is Verdict.UNKNOWN
        return watched.look.judgement.reason if unknown else watched


def _difference(one: Finding) -> Difference:
    return Difference(one.kind, one.subject, one.change, one.expected, one.actual)
