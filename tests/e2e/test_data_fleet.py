"""The stage of data servers holds what it says: by hand, volumes and addresses move without a write lost or doubled."""

from __future__ import annotations

import time

import pytest
from data_fleet import Writer, data_fleets
from servers import answers, fetch, wait_until

from driftd.core.errors import Refused
from driftd.core.facts import InstanceState
from driftd.core.ports import HookName, LaunchRequest, TargetState
from driftd.core.replacement import State

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def fleet(image_cache, golden_image):
    with data_fleets(image_cache) as make:
        yield make()


def move(fleet, slot):
    """A replacement by hand, in the order of variant B."""
    provider, hooks = fleet.provider, fleet.house.groups["db"].hooks
    old, volume, address = fleet.instance(slot), fleet.volume(slot), fleet.address(slot)
    new = provider.compute.launch(LaunchRequest("db", slot, fleet.image.id, f"next-{old.id}", {}))
    provider.traffic.drain("db", old.id)
    assert hooks.run(HookName.QUIESCE, old, "db", {}) == ""
    with pytest.raises(Refused):
        provider.volumes.snapshot(volume.id, f"early-{old.id}")
    provider.compute.stop(old.id)
    assert provider.compute.describe(old.id).state is InstanceState.STOPPED
    taken = provider.volumes.snapshot(volume.id, f"move-{old.id}")
    assert taken.filesystem == volume.filesystem != ""
    provider.volumes.detach(volume.id)
    provider.volumes.attach(volume.id, new.id)
    assert fleet.volume(slot).filesystem == volume.filesystem
    provider.addresses.associate(address, new.id, old.id)
    assert hooks.run(HookName.SERVE, new, "db", {}) == ""
    provider.traffic.register("db", new)
    provider.traffic.deregister("db", old.id)
    provider.compute.terminate(old.id)
    wait_until(lambda: new.id in fleet.healthy(), "service")
    return new.id


def test_what_moves_by_hand_loses_nothing(fleet):
    first = fleet.instances()["db/1"]
    with fleet.writers() as writers:
        wait_until(lambda: all(len(writer.answered) > 20 for writer in writers), "writes")
        made = []
        for _ in range(2):
            made.append(move(fleet, "db/1"))
            said = len(writers[0].answered)
            wait_until(lambda said=said: len(writers[0].answered) > said + 20, "writes")
    moved, still, _ = (writer.checked(fleet.log(writer.slot)) for writer in writers)
    assert moved.hosts == [first, *made]
    assert still.hosts == [fleet.instances()["db/2"]]
    assert moved.lines > 40
    assert len(writers[0].unanswered) < 400
    print(f"\nmoved twice: {moved.lines} lines, longest gap {moved.gap_s:.2f} s")  # noqa: T201  # shown by -s
    fleet.whole()


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("1 1 a\n2 2 a\n", "1 writes were lost, 3 the first"),
        ("1 1 a\n2 2 a\n3 2 a\n4 3 a\n", "doubled"),
        ("1 1 a\n2 2 a\n2 3 b\n", "two wrote at once"),
        ("1 1 a\n2 2 a\n3 4 a\n4 3 a\n", "doubled"),
        ("1 1 a\n2 2 a\n3 3 a\n4 9 a\n", "nobody wrote"),
        ("1 2 a\n2 3 a\n", "lost"),
    ],
)
def test_the_check_finds_what_it_looks_for(log, said):
    writer = Writer("db/1", "192.0.2.1", answered={1: 1, 2: 2, 3: 3}, unanswered={4})
    assert writer.checked("1 1 a\n2 2 a\n3 3 b\n4 4 b\n").hosts == ["a", "b"]
    with pytest.raises(AssertionError, match=said):
        writer.checked(log)


def test_who_has_no_volume_is_alive_and_not_in_service(fleet):
    made = fleet.provider.compute.launch(LaunchRequest("db", "db/2", fleet.image.id, "spare", {}))
    wait_until(lambda: answers(made.address, 8080), "its application")
    assert fetch(made.address, 8080, "/healthz") == "ok\n"
    fleet.provider.traffic.register("db", made)
    ends = time.monotonic() + 1
    while time.monotonic() < ends:
        states = {target.instance_id: target.state for target in fleet.provider.traffic.targets("db")}
        assert states[made.id] is not TargetState.HEALTHY
        time.sleep(0.05)
    fleet.provider.traffic.drain("db", made.id)
    fleet.provider.traffic.deregister("db", made.id)
    fleet.provider.compute.terminate(made.id)
    fleet.whole()


def test_the_daemon_moves_what_a_slot_owns(fleet):
    old = fleet.instances()["db/1"]
    with fleet.daemon(), fleet.writers(["db/1"]) as (writer,):
        wait_until(lambda: len(writer.answered) > 20, "writes")
        rid = fleet.house.request_replacement("db/1", "it is time")
        record = fleet.wait(lambda: fleet.ended(rid))
        said = len(writer.answered)
        wait_until(lambda: len(writer.answered) > said + 20, "writes")
    assert record.state is State.SUCCEEDED, fleet.tale()
    assert list(record.snapshots) == [fleet.volume("db/1").id]
    written = writer.checked(fleet.log("db/1"))
    assert written.hosts[-2:] == [old, record.new_id]
    steps = ", ".join(f"{state} {seconds:.2f}" for state, seconds in fleet.steps(rid))
    print(f"\nby driftd: longest gap {written.gap_s:.2f} s; {steps}")  # noqa: T201  # shown by -s
    fleet.whole()
