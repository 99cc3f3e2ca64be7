"""The long haul: many replacements in a row on real servers while the daemon is ended with SIGKILL at random moments.

In the ordinary suite six of them; ``pytest -m soak tests/e2e/test_long_haul.py -s`` makes a hundred of each kind.
DRIFTD_HAUL sets how many, DRIFTD_SEED the seed that gives the moments; docs/long-haul.md keeps the results.
"""

import json
import os
import random
import subprocess
import time
from pathlib import Path

import pytest
from data_fleet import SLOTS, Written, data_fleets
from days import inside
from fleets import QUICK, Fleet
from restless import Restless, leave_behind, replaced, say

from driftd.core.facts import Instance
from driftd.core.replacement import State
from driftd.edges.providers.local.deployment import Deployment

pytestmark = [pytest.mark.servers, pytest.mark.timeout(600)]

SEED = int(os.environ.get("DRIFTD_SEED", "5"))
MANY = int(os.environ.get("DRIFTD_HAUL", "100"))
# Three servers looked at every second are work for a core: here they are looked at beside much else.
CALM = QUICK.replace("every: 1s", "every: 3s")
LOAD_S = 300.0  # the load ends by itself after twice that


class Counted:
    """The load's answers, over several loads: one after the other, each begun before anything goes on."""

    def __init__(self, fleet: Fleet) -> None:
        self._stage = fleet.stage
        self.requests = self.failed = 0
        self._begun = 0.0

    def keep_up(self) -> None:
        """A load that is old is ended, and another begins."""
        if time.monotonic() - self._begun > LOAD_S:
            self.stop()
            self._stage.start_load()
            self._begun = time.monotonic()

    def stop(self) -> None:
        requests, failed, _, failures = self._stage.stop_load()
        self.requests, self.failed = self.requests + requests, self.failed + failed
        assert (failed, failures) == (0, ())


def surge(fleet: Fleet, number: int, *, seed: int) -> str:
    """Replacements by policy and by hand in turns, in slots at random; what there is to say of them."""
    luck = random.Random(seed)
    restless, load, began = Restless(fleet.stage.config, luck), Counted(fleet), time.monotonic()
    with restless.running():
        for turn in range(number):
            load.keep_up()
            old = luck.choice([one for _, one in sorted(fleet.instances().items())])
            drift = None if turn % 2 else lambda old=old: leave_behind(inside(fleet, old), luck)
            record = replaced(fleet, restless, old, drift, times=luck.choice([1, 1, 2]))
            assert record.state is State.SUCCEEDED, (turn, fleet.tale())
            assert fleet.instances()[old.slot].id == record.new_id != old.id
        load.stop()
    assert load.requests > 50 * number
    assert restless.ended, f"it was never interrupted, and {restless.due} times were due"
    took = (time.monotonic() - began) / number
    return (
        f"seed {seed}: {number} surge replacements, {restless.ended} of {restless.due} times SIGKILL, "
        f"{load.requests:,} requests, {load.failed} failed, {took:.1f} s each"
    )


def test_surges_in_a_row_with_sigkills_fail_no_request(fleet_of):
    fleet = fleet_of(CALM)
    say(surge(fleet, 3, seed=SEED))
    fleet.whole()


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_a_hundred_surges(fleet_of):
    fleet = fleet_of(CALM)
    say(surge(fleet, MANY, seed=SEED))
    fleet.whole()


# --- slots that own a volume and an address ---------------------------------------------------------------------------


def moves(fleet, number: int, *, seed: int) -> str:
    """The same with slots that own something, each with a writer that never stops."""
    luck = random.Random(seed)
    restless, began = Restless(fleet.config, luck), time.monotonic()
    hosts = {slot: [fleet.instances()[slot]] for slot in SLOTS}
    with restless.running(), fleet.writers() as writers:
        for turn in range(number):
            old = fleet.instance(luck.choice(SLOTS))
            drift = None if turn % 2 else lambda old=old: leave_behind(root_of(fleet, old), luck)
            record = replaced(fleet, restless, old, drift, times=luck.choice([1, 1, 2]))
            assert record.state is State.SUCCEEDED, (turn, fleet.tale())
            hosts[old.slot].append(record.new_id)
    took = (time.monotonic() - began) / number
    assert restless.ended, f"it was never interrupted, and {restless.due} times were due"
    assert all(len(writer.answered) > 50 * number for writer in writers), {w.slot: len(w.answered) for w in writers}
    checked = {writer.slot: writer.checked(fleet.log(writer.slot)) for writer in writers}
    for slot, written in checked.items():
        assert set(written.hosts) <= set(hosts[slot])
        assert written.hosts == [host for host in hosts[slot] if host in written.hosts], "nobody wrote after his time"
    gaps = ", ".join(f"{slot} {written.gap_s:.2f} s" for slot, written in checked.items())
    return (
        f"seed {seed}: {number} moves, {restless.ended} of {restless.due} times SIGKILL, {_lines(checked):,} writes, "
        f"none lost, none doubled, longest gap {gaps}, {took:.1f} s each"
    )


def _lines(checked: dict[str, Written]) -> int:
    return sum(written.lines for written in checked.values())


def root_of(fleet, instance: Instance) -> Path:
    init = fleet.home / "fleet" / "instances" / instance.id / "init"
    return Path(f"/proc/{int(init.read_text().splitlines()[1].split(' ', 1)[0])}/root")


def _said(*words: str) -> str:
    return subprocess.run(words, capture_output=True, check=True, text=True).stdout


def left_over(fleet) -> dict[str, object]:
    """What the machine itself still has of the fleet beyond what three servers with a volume and an address need."""
    run = fleet.home / "fleet"
    disks = sorted(str(path) for path in run.glob("volumes/*/disk-*.img"))
    # By the file itself: its name is told as it was in the mount namespace in which the device was made.
    devices = sum(len(_said("losetup", "--noheadings", "--associated", disk).splitlines()) for disk in disks)
    others = [line for line in _said("losetup", "--noheadings", "--list").splitlines() if str(run) in line]
    mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(run) in line]
    cables = json.loads(_said("ip", "-json", "link", "show", "master", Deployment.at(run).bridge))
    addresses = {
        slot: sorted(
            word.split("/")[0]
            for word in _said(
                "nsenter", "-t", root_of(fleet, fleet.instance(slot)).parts[2], "-n", "ip", "-o", "-4", "addr", "show"
            ).split()
            if "/32" in word
        )
        for slot in SLOTS
    }
    return {
        "loops": [line for line in others if not any(disk in line for disk in disks)] or devices - len(disks),
        "mounts": mounts,
        "cables": len(cables) - len(SLOTS),
        "addresses": {slot: found for slot, found in addresses.items() if found != [fleet.address(slot)]},
    }


NOTHING: dict[str, object] = {"loops": 0, "mounts": [], "cables": 0, "addresses": {}}


@pytest.fixture
def data(image_cache, golden_image):
    with data_fleets(image_cache) as make:
        yield make()


def hauled(fleet, number: int) -> None:
    kept = len(fleet.provider.volumes.snapshots())
    say(moves(fleet, number, seed=SEED))
    fleet.whole()
    assert left_over(fleet) == NOTHING
    assert len(fleet.provider.volumes.snapshots()) == kept + number, "one a move, kept for keep_snapshots"


def test_moves_in_a_row_with_sigkills_lose_no_write(data):
    hauled(data, 3)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_a_hundred_moves(data):
    hauled(data, MANY)
