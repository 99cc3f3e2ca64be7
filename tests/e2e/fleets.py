"""The demo's fleet for tests: its own directory, ports and short times; everything of it ends with the test."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from driftd.core.facts import Instance
from driftd.core.ports import TargetState
from driftd.core.replacement import TERMINAL, Record
from driftd.wiring.stage import CONFIG, DemoStage

QUICK = (
    CONFIG.replace("tick: 500ms", "tick: 100ms")
    .replace("every: 2s", "every: 1s")
    .replace("dwell: 1s ", "dwell: 0s ")
    .replace("soak: 2s", "soak: 300ms")
    .replace("park: 0s ", "park: 500ms ")
)
# For what people ask for: each server is looked at once, as a daemon begins, and not again and again meanwhile.
BY_HAND = QUICK.replace("every: 1s", "every: 5m")


class Fleet:
    """Three servers under HAProxy, a configuration, and what there is to know about them."""

    def __init__(self, stage: DemoStage) -> None:
        self.stage = stage
        self.house = stage.house

    def instances(self) -> dict[str, Instance]:
        return {instance.slot: instance for instance in self.house.provider("web").inventory.find("web")}

    def replacements(self) -> list[Record]:
        with self.house.store() as store, store.read() as tx:
            return list(tx.replacements())

    def ended(self, rid: str) -> Record | None:
        return next((r for r in self.replacements() if r.rid == rid and r.state in TERMINAL), None)

    def known(self) -> bool:
        scene = self.stage.scene()
        return len(scene.servers) == 3 and all(s.verdict in {"clean", "explained"} for s in scene.servers)

    def wait(self, what: Callable[[], object], limit_s: float = 60.0) -> object:
        ends = time.monotonic() + limit_s
        while not (value := what()):
            assert time.monotonic() < ends, f"not within {limit_s} s; {self.tale()}"
            time.sleep(0.1)  # what is asked costs the daemon's core more than the wait
        return value

    def tale(self) -> str:
        """What a failing test should show."""
        rows = [f"{r.slot} {r.state}: {r.note}" for r in self.replacements()]
        log = self.stage.config.parent / "driftd.log"
        tail = log.read_text(errors="replace").splitlines()[-15:] if log.exists() else []
        return "\n".join([*rows, *tail])

    def whole(self) -> None:
        """Nothing is left over: as many instances as slots, all of them healthy targets, and a valid chain."""
        instances = self.instances()
        provider = self.house.provider("web")
        assert len(provider.inventory.find("web")) == len(instances) == 3
        targets = {target.instance_id: target.state for target in provider.traffic.targets("web")}
        assert targets == {instance.id: TargetState.HEALTHY for instance in instances.values()}
        directories = {path.name for path in (self.stage.config.parent / "fleet" / "instances").iterdir()}
        assert directories == {instance.id for instance in instances.values()}
        marks = {tag for i in instances.values() for tag, value in i.tags.items() if tag == "driftd:role" and value}
        assert not marks
        with self.house.store():  # a test whose daemon had another store may be the first to need this one
            pass
        assert self.house.keeping().verify()["ok"]


@contextmanager
def stages(image_cache: Path) -> Iterator[Callable[[str], DemoStage]]:
    """Make stages from configuration templates; each has a fleet that runs, and no daemon yet."""
    homes: list[Path] = []
    made: list[DemoStage] = []

    def make(template: str = QUICK) -> DemoStage:
        home = Path(tempfile.mkdtemp(prefix="dd-"))
        homes.append(home)
        stage = DemoStage(home, image_cache, template, ports=(0, 0))
        made.append(stage)
        stage.image(print)
        stage.launch()
        return stage

    try:
        yield make
    finally:
        for stage in made:
            stage.stop_load()
            stage.stop_daemon()
            stage.clean()
        for home in homes:
            shutil.rmtree(home, ignore_errors=True)
