"""SIGKILL of the daemon at every step of a replacement: it always ends with one healthy newcomer and nothing else.

The daemon is the shipped one, run by a forked child (so that it need not import everything for each case), with one
wrapped function in it that ends the process at an exact point. Its successor goes on, and ends at the next one.
"""

import os
import signal

import pytest
from daemons import run_daemon, wait_for_end
from fleets import BY_HAND

from driftd.core.replacement import State
from driftd.core.variants import SURGE
from driftd.core.world import Verb
from driftd.flows import replace

TEMPLATE = BY_HAND
pytestmark = [pytest.mark.servers, pytest.mark.timeout(240)]

OF_SURGE = (
    Verb.CAPTURE,
    Verb.LAUNCH,
    Verb.REGISTER,
    Verb.DRAIN,
    Verb.DEREGISTER,
    Verb.STOP,
    Verb.TERMINATE,
    Verb.TAG,
)
FORWARD = SURGE.forward[1:]  # a replacement by hand skips the second look
POINTS = {
    "before each call": [f"before the call: {verb}" for verb in OF_SURGE],
    "after each call": [f"after the call: {verb}" for verb in OF_SURGE],
    "in each state": [f"in the state: {state}" for state in FORWARD],
    "while a state is written": [
        f"while writing the state: {state}" for state in (State.LAUNCHING, State.RETIRING, State.SUCCEEDED)
    ],
}


def rigged(point: str) -> None:
    """Make this process end itself with SIGKILL when it comes to ``point``."""

    def crash(here: str) -> None:
        if here == point:
            os.kill(os.getpid(), signal.SIGKILL)

    make, write_move, step = replace.make, replace.write_move, replace.Replacer._step

    def crashing_make(call, *others):
        crash(f"before the call: {call.verb}")
        made = make(call, *others)
        crash(f"after the call: {call.verb}")
        return made

    def crashing_move(tx, record, answer, now):
        write_move(tx, record, answer, now)
        crash(f"while writing the state: {answer.state}")

    def crashing_step(self, before, *others):
        crash(f"in the state: {before.state}")
        return step(self, before, *others)

    replace.make, replace.write_move, replace.Replacer._step = crashing_make, crashing_move, crashing_step


@pytest.mark.parametrize("points", POINTS.values(), ids=POINTS)
def test_a_replacement_survives_sigkill(shared_fleet, points: list[str]):
    fleet = shared_fleet
    old = fleet.instances()["web/2"]
    with fleet.house.store():
        rid = fleet.house.request_replacement("web/2", "SIGKILL")
    for point in points:
        ended = wait_for_end(run_daemon(fleet.stage.config, lambda point=point: rigged(point)))
        assert ended == -signal.SIGKILL, f"{point}: {fleet.tale()}"
        assert fleet.ended(rid) is None, point
    successor = run_daemon(fleet.stage.config)
    try:
        record = fleet.wait(lambda: fleet.ended(rid))
    finally:
        os.kill(successor, signal.SIGTERM)
        assert wait_for_end(successor) == 0, fleet.tale()
    assert record.state is State.SUCCEEDED, fleet.tale()
    new = fleet.instances()["web/2"]
    assert new.id == record.new_id != old.id
    fleet.whole()
