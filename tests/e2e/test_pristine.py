"""A pristine fleet under traffic, watched and left alone: nobody cries wolf."""

import time

import pytest

from driftd.wiring.stage import CONFIG

pytestmark = [pytest.mark.servers]

WATCHING = CONFIG.replace("enforce: replace", "enforce: observe").replace("every: 2s", "every: 5s")


def watch(fleet, seconds: float) -> None:
    fleet.stage.start_daemon()
    fleet.stage.start_load()
    fleet.wait(fleet.known)
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        assert fleet.known(), fleet.tale()
        time.sleep(1)
    requests, failed, _, failures = fleet.stage.stop_load()
    assert (failed, failures) == (0, ())
    assert requests > seconds
    with fleet.house.store() as store, store.read() as tx:
        assert tx.open_findings() == []
        assert {row.verdict for row in tx.instances()} <= {"clean", "explained"}
        assert all(row.taint == "" for row in tx.instances())
        looks = [len(tx.visits(row.id)) for row in tx.instances()]
    assert min(looks) >= seconds / 15, "each look is a visit of its own, also over one connection"
    verdicts = [look.judgement.verdict for look in fleet.house.audit(fleet.house.find([]), strict=False)]
    assert set(verdicts) <= {"clean", "explained"}
    assert fleet.replacements() == []


@pytest.mark.timeout(180)
def test_a_pristine_fleet_audits_clean_for_a_minute(fleet_of):
    watch(fleet_of(WATCHING), 60)


@pytest.mark.soak
def test_a_pristine_fleet_audits_clean_for_ten_minutes(fleet_of):
    watch(fleet_of(WATCHING), 600)
