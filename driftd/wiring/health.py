"""Health, joined together: what each of the daemon's jobs did last, and what that and the store say about it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

from driftd.core import liveness
from driftd.core.liveness import Pulse
from driftd.core.memory import Store, StoreUnavailable
from driftd.core.wording.liveness import STOPPING
from driftd.doors.house import Beat

Monotonic = Callable[[], float]


class Health:
    """Whether this daemon lives, and whether it is ready; asked from several threads, also while it starts.

    ``lease`` is how long the controller's lease lasts from each renewal.
    """

    def __init__(self, store: Store, lease: timedelta, monotonic: Monotonic = time.monotonic) -> None:
        self._store = store
        self._lease_s = lease.total_seconds()
        self._monotonic = monotonic
        self._pulses: dict[str, Pulse] = {}
        self._lock = threading.Lock()
        self._stopping = False

    def noted(self, beat: Beat, longest: timedelta) -> Beat:
        """``beat`` with its runs noted; one may take ``longest``."""
        with self._lock:
            self._pulses[beat.name] = Pulse(
                beat.name, beat.every.total_seconds(), longest.total_seconds(), self._monotonic()
            )

        def run() -> Sequence[str]:
            self._note(beat.name, began=True)
            well = False
            try:
                said = beat.run()
                well = True
            finally:
                self._note(beat.name, well=well)
            return said

        return replace(beat, run=run)

    def _note(self, job: str, *, began: bool = False, well: bool = False) -> None:
        now = self._monotonic()
        with self._lock:
            pulse = self._pulses[job]
            if began:
                pulse = replace(pulse, began_s=now)
            else:
                pulse = replace(pulse, ended_s=now, well_s=now if well else pulse.well_s)
            self._pulses[job] = pulse

    def stopping(self) -> None:
        """From now on no job begins, and none is dead for that. Takes no lock: a signal may be why."""
        self._stopping = True

    def _seen(self) -> Sequence[Pulse]:
        with self._lock:
            return tuple(self._pulses.values())

    def alive(self) -> str:
        """Nothing ("") while the daemon lives; else why it should be started again. Touches nothing that could hang."""
        return "" if self._stopping else liveness.not_alive(self._seen(), self._monotonic())

    def ready(self) -> str:
        """Nothing ("") when it holds the lease, has done its first pass and can read the store; else why not.

        May take as long as the store is patient.
        """
        if self._stopping:
            return STOPPING
        return liveness.not_ready(self._seen(), self._monotonic(), self._lease_s) or self._readable()

    def _readable(self) -> str:
        try:
            with self._store.read() as tx:
                tx.pauses()
        except StoreUnavailable as error:
            return str(error).removesuffix(".")
        return ""
