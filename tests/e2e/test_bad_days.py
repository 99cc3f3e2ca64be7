"""Bad days of the daemon on real servers: whatever happens, nothing is changed that should not be, and it goes on.

What was changed is read from the provider, never from driftd's store. The tests share one fleet, and each leaves it
whole. Most groups here only observe, so that the one replacement of a test is the one that it asks for by hand.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from dataclasses import replace

import pytest
from days import inside, listeners, loaded
from fleets import BY_HAND

from driftd.core.ports import LaunchRequest, TargetState
from driftd.core.replacement import TERMINAL, State
from driftd.core.world import TAG_EPOCH
from driftd.doors.desks.baking import Source
from driftd.edges.stage.clients import person

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]


TEMPLATE = BY_HAND
SOON = {"every: 5m": "every: 1s"}  # for what only a second look sees
REPLACING = {"enforce: replace": "enforce: replace", **SOON}


# --- one daemon, and none ---------------------------------------------------------------------------------------------


def test_a_login_with_driftds_own_key_outside_a_visit_is_a_strangers(day_of):
    day = day_of({}, start=False)
    victim = day.fleet.instances()["web/1"]
    home = day.fleet.stage.config.parent
    person(victim, home / "keys" / "driftd", home / "own.known_hosts", "true")
    day.start()
    row = day.wait(lambda: (row := day.rows().get(victim.id)) and row.taint and row)
    assert "root was on it by ssh" in row.taint
    assert row.verdict == "drifted"
    day.succeeds(day.replace("web/1"))


def test_a_second_daemon_says_one_sentence_and_changes_nothing(day_of):
    day = day_of({})
    day.wait(lambda: day.log.exists() and "driftd is running" in day.said())
    before = day.world()
    second = subprocess.run(
        [sys.executable, "-m", "driftd", "--config", str(day.fleet.stage.config), "run"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert second.returncode > 0
    said = [line for line in second.stderr.splitlines() if line]
    assert "Another driftd runs on the store" in " ".join(said)
    assert "Traceback" not in second.stderr
    assert len(said) <= 3
    assert day.world() == before
    day.succeeds(day.replace())


def test_sigterm_in_the_middle_ends_soon_and_the_next_daemon_finishes(day_of):
    day = day_of({"soak: 300ms": "soak: 2s"})
    rid = day.replace()
    day.until(rid, State.SOAKING)
    began = time.monotonic()
    day.stop()
    assert time.monotonic() - began < 4
    assert day.record(rid).state not in TERMINAL
    day.still(0.5)
    day.start()
    day.succeeds(rid)


# --- pausing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["command", "file"])
def test_a_pause_stops_a_replacement_before_its_next_call(day_of, how: str):
    day = day_of({"soak: 300ms": "soak: 700ms"})
    home = day.fleet.stage.config.parent
    old = day.fleet.instances()["web/2"]
    rid = day.replace()
    day.until(rid, State.SOAKING)
    if how == "command":
        assert day.command("pause", "--reason", "we look ourselves").returncode == 0
    else:
        (home / "pause").touch()
    day.wait(lambda: "stopped while" in day.record(rid).note)
    day.still()
    instances, targets = day.world()
    assert instances[old.id] == "running"
    assert targets[old.id] == TargetState.HEALTHY
    assert "PAUSED everywhere" in day.command("status").stdout
    assert len(json.loads(day.command("status", "--json").stdout)["paused"]) == 1
    assert day.command("resume").returncode == 0
    assert not (home / "pause").exists()
    day.succeeds(rid)


def test_nothing_is_launched_during_a_pause(day_of):
    day = day_of({}, start=False)
    (day.fleet.stage.config.parent / "pause").touch()
    day.start()
    rid = day.replace()
    day.wait(lambda: "stopped while" in day.record(rid).note)
    day.still()
    assert len(day.world()[0]) == 3
    (day.fleet.stage.config.parent / "pause").unlink()
    day.succeeds(rid)


# --- newcomers that must not serve, replacements that must not end ----------------------------------------------------


def test_a_newcomer_unlike_its_manifest_gets_no_traffic_and_is_undone(day_of, golden_image, second_image):
    day = day_of({f"image: {golden_image.id}": f"image: {second_image.id}"}, start=False)
    anothers = day.house.manifests.path_for(second_image.id)
    day.house.baking().bake(Source(root=golden_image.rootfs), second_image.id, anothers)
    before = day.world()
    seen: set[str] = set()
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            seen.update(day.world()[1])
            time.sleep(0.03)

    day.start()
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with loaded(day.fleet):
            rid = day.replace()
            record = day.over(rid)
    finally:
        done.set()
        watcher.join()
    assert record.state is State.FAILED_CLEAN, day.fleet.tale()
    assert "drifted" in record.fault
    assert seen == set(before[1])
    assert day.world() == before


def test_a_cancel_in_the_middle_puts_everything_back(day_of):
    day = day_of({"soak: 300ms": "soak: 20s"})
    before = day.world()
    with loaded(day.fleet):
        rid = day.replace()
        day.until(rid, State.SOAKING)
        assert len(day.world()[0]) == 4
        assert day.command("cancel", "web/2").returncode == 0
        assert day.over(rid).state is State.CANCELLED
    assert day.world() == before


def test_a_drain_that_does_not_end_cuts_nobody_off(day_of):
    day = day_of({"soak: 300ms": "soak: 1s", "drain_timeout: 30s": "drain_timeout: 1s"})
    before = day.world()
    rid = day.replace()
    day.until(rid, State.SOAKING)
    answers: list[int] = []

    def ask() -> None:
        url = f"http://{day.fleet.stage._listen}/slow?s=3"
        with urllib.request.urlopen(url, timeout=30) as answer:
            answers.append(answer.status)

    clients = [threading.Thread(target=ask) for _ in range(8)]
    for client in clients:
        client.start()
    record = day.over(rid)
    for client in clients:
        client.join()
    assert record.state is State.ABORTED_SAFE, day.fleet.tale()
    assert "could not be drained" in record.fault
    assert answers == [200] * 8
    assert day.world() == before


# --- instances that cannot be seen ------------------------------------------------------------------------------------


def test_an_instance_whose_sshd_is_dead_is_unknown_and_not_replaced(day_of):
    day = day_of(REPLACING, start=False)
    victim = day.fleet.instances()["web/3"]
    for pid in listeners(inside(day.fleet, victim)):
        os.kill(pid, signal.SIGKILL)
    day.start()
    day.wait(lambda: (row := day.rows().get(victim.id)) and row.looked_at and row)
    row = day.wait(lambda: (row := day.rows()[victim.id]).verdict == "unknown" and row)
    assert victim.address in row.reason
    day.still()
    with day.house.store() as store, store.read() as tx:
        assert not tx.open_replacements()
    day.succeeds(day.replace("web/3"))


def test_without_a_manifest_it_is_unknown_and_the_command_is_named(day_of, golden_image):
    day = day_of(REPLACING, start=False)
    manifest = day.house.manifests.path_for(golden_image.id)
    kept = manifest.read_bytes()
    manifest.unlink()
    try:
        day.start()
        day.wait(lambda: [row.verdict for row in day.rows().values()] == ["unknown"] * 3)
        day.still()
        said = day.command("status").stdout
        assert f"no manifest for {golden_image.id}" in said
        assert f"driftd bake --root DIR --image {golden_image.id}" in said
        audit = day.command("audit")
        assert audit.returncode == 3
        assert f"driftd bake --root DIR --image {golden_image.id}" in audit.stdout + audit.stderr
    finally:
        manifest.write_bytes(kept)
    day.wait(lambda: {row.verdict for row in day.rows().values()} <= {"clean", "explained"})


# --- findings ---------------------------------------------------------------------------------------------------------


def test_a_group_that_observes_is_left_alone_and_so_is_what_was_accepted_until_somebody_asks(day_of):
    day = day_of(SOON)
    victim = day.fleet.instances()["web/1"]
    day.wait(lambda: (row := day.rows().get(victim.id)) and row.verdict in {"clean", "explained"})
    with (inside(day.fleet, victim) / "etc/motd").open("a") as motd:
        motd.write("hello\n")
    day.wait(lambda: day.rows()[victim.id].verdict == "drifted")
    day.still()
    assert "only observes" in day.command("status").stdout
    with day.house.store() as store, store.read() as tx:
        [found] = tx.open_findings(victim.id)
    accepted = day.command("accept", found.finding.signature, "--for", "1h", "--reason", "the motd was me")
    assert accepted.returncode == 0
    day.stop()
    day.change(REPLACING)
    day.start()
    day.wait(lambda: day.rows()[victim.id].verdict == "explained")
    day.still()
    with day.house.store() as store, store.read() as tx:
        assert not tx.open_replacements()
    assert re.search(r"accepted by \w+ until .*: the motd was me", day.command("findings").stdout)
    assert re.search(r"accepted by \w+ until .*: the motd was me", day.command("status").stdout)
    assert day.command("replace", "web/1", "--reason", "by hand").returncode == 0
    day.wait(lambda: victim.id not in day.world()[0])
    with day.house.store() as store, store.read() as tx:
        rid = tx.replacements(1)[0].rid
    day.succeeds(rid)


# --- the world breaks -------------------------------------------------------------------------------------------------


def test_haproxy_killed_in_the_middle_comes_back_and_the_replacement_ends_or_is_undone(day_of):
    """A newcomer that is not healthy while it is watched is undone, whoever's fault that was."""
    day = day_of({"soak: 300ms": "soak: 1s"})
    before, traffic = day.world(), day.house.provider("web").traffic
    rid = day.replace()
    day.until(rid, State.SOAKING)
    killed = traffic._processes()
    assert killed
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    record = day.over(rid)
    day.wait(lambda: list(day.world()[1].values()) == ["healthy"] * 3)
    assert not {*killed} & {*traffic._processes()}
    if record.state is State.SUCCEEDED:
        assert day.fleet.instances()["web/2"].id == record.new_id
    else:
        assert (record.state, day.world()) == (State.FAILED_CLEAN, before), day.fleet.tale()
        assert "during the soak" in record.fault


def test_an_old_one_that_vanishes_in_the_middle_leaves_the_newcomer_in_its_slot(day_of):
    day = day_of({"soak: 300ms": "soak: 1s"})
    old = day.fleet.instances()["web/2"]
    rid = day.replace()
    day.until(rid, State.SOAKING)
    day.house.provider("web").compute.terminate(old.id)
    day.succeeds(rid)


def test_an_old_one_that_vanishes_during_the_undo_leaves_the_newcomer_in_its_slot(day_of):
    """A verified newcomer in service is worth more than a tidy undo that would leave the slot empty."""
    day = day_of({"soak: 300ms": "soak: 30s"})
    old = day.fleet.instances()["web/2"]
    rid = day.replace()
    day.until(rid, State.SOAKING)
    day.stop()  # a daemon that runs would begin to undo before the old one is gone
    day.house.request_cancel(rid)
    with day.house.store() as store, store.write() as tx:
        record = tx.replacement(rid)
        tx.save_replacement(replace(record, state=State.UNDOING, outcome="aborted-safe", fault="a test"))
    day.house.provider("web").compute.terminate(old.id)
    day.start()
    day.succeeds(rid)


def test_an_instance_that_vanishes_by_itself_is_said_to_be_gone(day_of, golden_image):
    day = day_of(SOON)
    victim = day.fleet.instances()["web/3"]
    day.wait(lambda: (row := day.rows().get(victim.id)) and row.looked_at)
    provider = day.house.provider("web")
    provider.compute.terminate(victim.id)
    try:
        day.wait(lambda: victim.id not in day.rows())
        day.wait(lambda: f"{victim.id} in web is gone, and driftd did not end it" in day.said())
        with day.house.store() as store, store.read() as tx:
            assert not tx.open_replacements()
    finally:
        made = provider.compute.launch(
            LaunchRequest("web", "web/3", golden_image.id, f"again-{victim.id}", {"driftd:slot": "web/3"})
        )
        provider.traffic.register("web", made)
    day.wait(lambda: set(day.world()[1].values()) == {"healthy"})


# The last one: its daemon has a store of its own, and what it does there is a stranger's to the others' store.
@pytest.mark.machine
def test_a_full_disk_under_the_store_stops_everything_until_there_is_room(day_of, tmp_path):
    # Roomier than the log that SQLite lets grow before it tidies it into the file (4 MB).
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "driftd-test", tmp_path], check=True)
    day = day_of({"sqlite:///driftd.db": f"sqlite:///{tmp_path}/driftd.db", "soak: 300ms": "soak: 1s", **SOON})
    try:
        day.wait(lambda: (tmp_path / "driftd.db").exists() and len(day.rows()) == 3)
        if any(int(i.tags.get(TAG_EPOCH) or 0) > 1 for i in day.fleet.instances().values()):
            # A store that knows nothing of the fleet's earlier days holds until somebody has looked.
            day.wait(lambda: day.command("store", "accept", "--reason", "a new store").returncode == 0)
        rid = day.replace()
        day.until(rid, State.SOAKING)
        filler = tmp_path / "filler"
        with filler.open("wb", buffering=0) as stream, contextlib.suppress(OSError):
            while True:
                stream.write(b"\0" * 4096)
        day.wait(lambda: "the disk is full" in day.said())
        day.still()
        assert "Traceback" not in day.said()
        paused = day.command("pause", "--reason", "the disk is full")
        assert paused.returncode == 0, paused.stderr
        assert "Traceback" not in paused.stderr
        (day.fleet.stage.config.parent / "pause").unlink()
        filler.unlink()
        room = day.house.now()
        day.succeeds(rid)
        day.wait(
            lambda: all(
                r.looked_at is not None and r.looked_at > room for r in day.rows().values() if r.gone_at is None
            ),
            15,
        )
        assert day.house.keeping().verify()["ok"]
    finally:
        try:
            day.stop()
        finally:
            subprocess.run(["umount", "-l", tmp_path], check=True)
