"""What a picture of a run needs: of each instance what it was and when, what went wrong, how many served."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driftd.core.ports import TargetState
from driftd.core.rehearsal import Lane, Score

if TYPE_CHECKING:
    from driftd.rehearsal.run import Run
    from driftd.testing.matter import Server

_IN = {
    TargetState.HEALTHY: "serving",
    TargetState.INITIAL: "starting",
    TargetState.DRAINING: "draining",
}


class Scorer:
    """Watches one run."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._began = run.clock()
        self._ticks: list[float] = []
        self._spans: dict[str, list[tuple[float, str]]] = {}
        self._mishaps: list[tuple[float, str]] = []
        self._serving: dict[str, list[tuple[float, int]]] = {}
        self._calm_at = 0.0
        self.sample()

    @property
    def second(self) -> float:
        """Seconds since it began, those that were left out included."""
        return (self._run.clock() - self._began).total_seconds()

    def mishap(self, sentence: str) -> None:
        """Something goes wrong, or somebody does something."""
        self._mishaps.append((self.second, sentence))

    def sample(self) -> None:
        """How everything is now."""
        run, at = self._run, self.second
        self._ticks.append(at)
        for key, server in run.cloud.servers.items():
            spans = self._spans.setdefault(key, [])
            state = self._state(key, server)
            if not spans or spans[-1][1] != state:
                spans.append((at, state))
        for plan in run.scenario.groups:
            told = self._serving.setdefault(plan.name, [])
            count = len(run.cloud.in_service(plan.name))
            if not told or told[-1][1] != count:
                told.append((at, count))
        if run.calm and not self._calm_at:
            self._calm_at = at

    def _state(self, key: str, server: Server) -> str:
        cloud = self._run.cloud
        if cloud.gone(server):
            return "gone"
        if server.gone_at is not None:
            return "ending"
        if server.stopped or server.stopping:
            return "stopped"
        group = server.instance.group
        if key not in cloud.backends.get(group, {}):
            return "starting" if cloud.now() < server.ready_at else "ready"
        state = _IN.get(cloud.state(group, key), "ill")
        odd = self._run.drift.get(key) or self._run.people.get(key) or key in self._run.born_drifted
        return "drifted" if state == "serving" and odd else state

    def score(self) -> Score:
        """The picture."""
        run = self._run
        return Score(
            begins=f"{self._began:%A %H:%M} UTC",
            ticks=tuple(self._ticks),
            lanes=tuple(
                Lane(run.cloud.servers[key].request.slot, key, tuple(spans)) for key, spans in self._spans.items()
            ),
            mishaps=tuple(self._mishaps),
            serving={name: tuple(told) for name, told in self._serving.items()},
            needed={plan.name: plan.rules.min_healthy for plan in run.scenario.groups},
            calm_at=self._calm_at,
        )
