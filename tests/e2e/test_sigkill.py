"""SIGKILL of the daemon at every step of a replacement: it always ends with one healthy newcomer and nothing else."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from driftd.core.replacement import State
from driftd.core.world import Verb

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]

CALLS = [f"{when}:{verb}" for verb in Verb for when in ("before", "after")]
FORWARD = [
    State.ADMITTING,
    State.LAUNCHING,
    State.BOOTING,
    State.VERIFYING,
    State.ENROLLING,
    State.SOAKING,
    State.DRAINING,
    State.RETIRING,
    State.SETTLING,
]
STATES = [f"{when}:{state}" for state in FORWARD for when in ("into", "in")] + ["into:succeeded"]


@pytest.mark.parametrize("point", [*CALLS, *STATES])
def test_a_replacement_survives_sigkill(fleet, point: str):
    old = fleet.instances()["web/2"]
    with fleet.house.store():
        rid = fleet.house.request_replacement("web/2", f"SIGKILL at {point}")
    script = Path(__file__).with_name("crashing_daemon.py")
    log = (fleet.stage.config.parent / "crashed.log").open("wb")
    with subprocess.Popen(
        [sys.executable, str(script), str(fleet.stage.config), point], stdout=log, stderr=log
    ) as crashed:
        assert crashed.wait(60) == -signal.SIGKILL, fleet.tale()
    assert fleet.ended(rid) is None
    fleet.stage.start_daemon()
    record = fleet.wait(lambda: fleet.ended(rid))
    assert record.state is State.SUCCEEDED, fleet.tale()
    new = fleet.instances()["web/2"]
    assert new.id == record.new_id != old.id
    fleet.whole()
    assert fleet.stage.stop_daemon() == 0
