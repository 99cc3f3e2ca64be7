"""The daemon's heart: timers that only tick, signals that only ask. Every job is a flow that wiring handed over."""

from __future__ import annotations

import signal
import threading
from datetime import UTC, datetime, timedelta
from types import FrameType

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from driftd.core.errors import DriftdError
from driftd.core.memory import LeaseHeld
from driftd.doors.house import Beat, Engine

AGAIN = timedelta(minutes=1)


SIGNAL_POLL_S = 0.1


class Daemon:
    """Runs an engine's beats until asked to stop; a beat never overlaps itself."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._stop = threading.Event()
        # Set by a signal handler, which may interrupt anything: so it takes no lock, and run() looks at it.
        self.asked = False
        self._lost = ""
        self._log = structlog.get_logger()
        self._before: dict[str, dict[str, datetime]] = {beat.name: {} for beat in engine.beats}
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
            self._log.info("stopping: the steps under way are finished first")
        finally:
            self._scheduler.shutdown(wait=True)
            self._engine.close()
        self._log.info("stopped")
        return self._lost

    def _beat(self, beat: Beat) -> None:
        if self._stop.is_set():
            return
        well = False
        said: dict[str, datetime] = {}
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
        self._engine.job_ended(beat.name, well=well)

    def _is_news(self, beat: Beat, sentence: str, said: dict[str, datetime]) -> bool:
        """What a beat says again and again (a full disk, a provider that is away) is logged once in a while."""
        now = datetime.now(UTC)
        last = self._before[beat.name].get(sentence)
        fresh = last is None or now >= last + AGAIN
        said[sentence] = now if fresh or last is None else last
        return fresh


def serve(engine: Engine) -> None:
    """Run the daemon in this process until SIGTERM or SIGINT. Raises DriftdError when it had to end by itself."""
    daemon = Daemon(engine)

    def asked(_number: int, _frame: FrameType | None) -> None:
        daemon.asked = True

    signal.signal(signal.SIGTERM, asked)
    signal.signal(signal.SIGINT, asked)
    if lost := daemon.run():
        raise LeaseHeld(lost)
