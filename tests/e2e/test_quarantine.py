"""Quarantine on real servers under load: nobody loses a request, and what ran on the old one runs on, unreachable."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from fleets import BY_HAND, Fleet

from driftd.core.replacement import State

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]


def answers(instance):
    try:
        with socket.create_connection((instance.address, instance.reach.port), timeout=1):
            return True
    except OSError:
        return False


def test_a_server_is_kept_cut_off_until_a_person_ends_it(stage_of):
    fleet = Fleet(stage_of(BY_HAND.replace("daemon:", "daemon:\n  janitor: 1s")))
    desk = fleet.house.quarantining()
    old = fleet.instances()["web/1"]
    assert answers(old)
    fleet.stage.start_daemon()
    fleet.stage.start_load()
    fleet.wait(fleet.known)
    rid = desk.put("web/1", "INC-7")
    record = fleet.wait(lambda: fleet.ended(rid), 100)
    assert record.state is State.SUCCEEDED, fleet.tale()
    requests, failed, _, failures = fleet.stage.stop_load()
    assert (failed, failures) == (0, ())
    assert requests > 20

    (kept,) = desk.kept()
    assert (kept.instance.id, kept.instance.isolated, kept.rid) == (old.id, True, rid)
    assert not answers(old)
    said = subprocess.run(
        [sys.executable, "-m", "driftd", "--config", str(fleet.stage.config), "quarantine"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for word in (old.id, "asked: INC-7", f"replaced by {record.new_id}", "its network is cut"):
        assert word in " ".join(said.split())

    members = {one.slot: one.id for one in fleet.house.groups["web"].members()}
    assert members["web/1"] == record.new_id
    assert len(members) == 3
    home = fleet.stage.config.parent / "fleet" / "instances" / old.id
    pid = Path("/proc", (home / "init").read_text().splitlines()[1].split()[0])
    assert pid.exists()

    assert "the daemon does it" in desk.end(old.id, "the disk is copied")
    fleet.wait(lambda: not desk.kept())
    fleet.wait(lambda: not home.exists())
    assert not pid.exists()
    fleet.whole()
