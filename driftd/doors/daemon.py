"""The daemon's heart: timers that only tick, signals that only ask. Every job is a flow that wiring handed over."""

from __future__ import annotations

import faulthandler
import signal
import threading
import time
from concurrent import futures
from datetime import UTC, datetime, timedelta
from types import FrameType

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from driftd.core.errors import DriftdError
from driftd.core.memory import LeaseHeld
from driftd.doors.house import Beat, Engine, Manager
from driftd.doors.minder import Minder

AGAIN = timedelta(minutes=1)


SIGNAL_POLL_S = 0.1


class Daemon:
    """Runs an engine's beats until asked to stop; a beat never overlaps itself. ``manager`` is told how they do."""

    def __init__(self, engine: Engine, manager: Manager | None = None) -> None:
        self._engine = engine
        self._stop = threading.Event()
        # Set by a signal handler, which may interrupt anything: so it takes no lock, and run() looks at it.
        self.asked = False
        self._lost = ""
        self._log = structlog.get_logger()
        self._before: dict[str, dict[str, datetime]] = {beat.name: {} for beat in engine.beats}
        self._jobs = engine.jobs
        self._minder = Minder(manager, self._jobs) if manager is not None else None
        self._scheduler = BackgroundScheduler(
            timezone=UTC,
            executors={"default": ThreadPoolExecutor(max(1, len(engine.beats)))},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )

    def stop(self) -> None:
        """Ask it to end after the steps that are under way."""
        self._engine.stop()
        self._stop.set()

    def run(self) -> str:
        """Run until stopped; returns "" or the sentence that made it end by itself."""
        for beat in self._engine.beats:
            self._scheduler.add_job(
                self._beat,
                "interval",
                seconds=beat.every.total_seconds(),
                args=[beat],
                id=beat.name,
                next_run_time=datetime.now(UTC),
            )
        self._scheduler.start()
        self._log.info("driftd is running", jobs=[beat.name for beat in self._engine.beats])
        try:
            while not self._stop.wait(SIGNAL_POLL_S):
                if self.asked:
                    self.stop()
                self._mind()
            self._log.info("stopping: the steps under way are finished first")
        finally:
            self._end()
        self._log.info("stopped")
        return self._lost

    def _mind(self) -> None:
        """Tell the service manager how the jobs do."""
        if self._minder is not None:
            self._minder.turn(time.monotonic())

    def _end(self) -> None:
        """Wait for the steps under way; meanwhile the watchdog is told that this is no hanging."""
        if self._minder is None:
            self._close()
            return
        self._minder.stopping()
        with futures.ThreadPoolExecutor(1, thread_name_prefix="end") as pool:
            closing = pool.submit(self._close)
            while futures.wait([closing], SIGNAL_POLL_S).not_done:
                self._minder.still(time.monotonic())
        closing.result()

    def _close(self) -> None:
        self._scheduler.shutdown(wait=True)
        self._engine.close()

    def _beat(self, beat: Beat) -> None:
        if self._stop.is_set():
            return
        well = False
        said: dict[str, datetime] = {}
        self._jobs.began(beat.name, time.monotonic())
        try:
            for sentence in beat.run():
                if self._is_news(beat, sentence, said):
                    self._log.info(sentence, job=beat.name)
            well = True
        except LeaseHeld as error:
            self._lost = str(error)
            self.stop()
        except DriftdError as error:
            if self._is_news(beat, str(error), said):
                self._log.error(str(error), job=beat.name, hint=error.hint)
        except Exception:  # noqa: BLE001  # one bad run of one job must not end the others
            self._log.exception("a job failed in a way nobody foresaw; it will be tried again", job=beat.name)
        self._before[beat.name] = said
        self._jobs.ended(beat.name, time.monotonic())
        self._engine.job_ended(beat.name, well=well)

    def _is_news(self, beat: Beat, sentence: str, said: dict[str, datetime]) -> bool:
        """What a beat says again and again (a full disk, a provider that is away) is logged once in a while."""
        now = datetime.now(UTC)
        last = self._before[beat.name].get(sentence)
        fresh = last is None or now >= last + AGAIN
        said[sentence] = now if fresh or last is None else last
        return fresh


def serve(engine: Engine, manager: Manager | None = None) -> None:
    """Run the daemon in this process until SIGTERM or SIGINT. Raises DriftdError when it had to end by itself."""
    daemon = Daemon(engine, manager)
    if manager is not None and manager.watchdog_s:
        faulthandler.enable()  # the watchdog ends us with SIGABRT: where each thread stands is then in the log

    def asked(_number: int, _frame: FrameType | None) -> None:
        daemon.asked = True

    signal.signal(signal.SIGTERM, asked)
    signal.signal(signal.SIGINT, asked)
    if lost := daemon.run():
        raise LeaseHeld(lost)
