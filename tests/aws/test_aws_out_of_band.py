"""Instances of the emulator, real servers behind them, looked at over SSH and by the blocks of their root disks."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import accounts
import pytest
from lying import HIDDEN, HIDE, SHOWN
from servers import wait_until

from driftd import settingparts, wiring
from driftd.core.errors import BadInput
from driftd.core.findings import Verdict
from driftd.core.looks import DISK
from driftd.doors.desks.baking import Source

pytestmark = [pytest.mark.servers, pytest.mark.machine, pytest.mark.timeout(400)]

TESTS = Path(__file__).parent.parent
CONFIG = """\
store: sqlite:///driftd.db
manifests: .
metrics: {{listen: ""}}
trust: {{unsigned: look}}
providers: {{aws: {{region: eu-central-1, endpoint: "{url}"}}}}
groups:
  web:
    provider: aws
    image: {image}
    select: {{"tag:role": web}}
    traffic: {{target_group: web}}
    reach: {{ssh: {{user: root, key: "{key}"}}}}
    policy: [auto, shared-kernel, sessions, "{tests}/web.yaml"]
    every: 1s
    out_of_band: {{settle: {settle}, every: 10m}}
"""


# As the command is, but for the least that may be waited, which is what it is for real servers' sake.
PROGRAM = """
from datetime import timedelta
from driftd import settingparts, wiring
settingparts.LEAST_SETTLE = timedelta(0)
wiring.main()
"""


@pytest.fixture(scope="module")
def account(golden_image, image_cache, login_key):
    with accounts.opened(golden_image, image_cache, login_key) as made:
        made.launched(1)
        yield made


class Scene:
    def __init__(self, account, home, settle):
        self.account, self.home = account, home
        deployment = account.behind.deployment
        values = {"url": account.url, "image": account.image, "key": deployment.key, "tests": TESTS, "settle": settle}
        self.config = home / "driftd.yaml"
        self.config.write_text(CONFIG.format(**values))
        self.house = wiring.build(self.config)
        file = home / f"{account.image}.manifest"
        self.house.baking().bake(Source(root=deployment.image.rootfs), account.image, file)
        (self.instance,) = self.house.find([])

    def views(self):
        inside, disk = self.house.disks().both([self.instance], strict=False)
        assert (inside.means, disk.means) == ("", DISK)
        return inside, disk

    def snapshots(self):
        return self.account.ec2.describe_snapshots(Filters=[{"Name": "tag-key", "Values": ["driftd:read"]}])[
            "Snapshots"
        ]


@pytest.fixture
def scene(account, tmp_path, monkeypatch):
    account.credentials(monkeypatch)
    monkeypatch.setattr(settingparts, "LEAST_SETTLE", timedelta(0))
    yield Scene(account, tmp_path, "0s")
    account.emulator.knobs(denied=[])


def paths(look, kind=""):
    return {one.subject.decode() for one in look.judgement.findings if kind in ("", one.kind)}


def test_an_honest_server_and_its_disk_say_the_same(scene):
    inside, disk = scene.views()
    assert {one.kind for one in inside.judgement.findings} <= {"session"}, inside.judgement.reason
    assert disk.judgement.verdict in (Verdict.CLEAN, Verdict.EXPLAINED), disk.judgement.reason
    assert disk.judgement.findings == ()
    assert "all " in disk.judgement.reason
    assert scene.snapshots() == []


def test_a_disk_that_cannot_be_read_changes_nothing_of_what_the_server_says(scene):
    scene.account.emulator.knobs(denied=["ebs:GetSnapshotBlock"])
    inside, disk = scene.views()
    assert inside.judgement.verdict is not Verdict.UNKNOWN
    assert disk.judgement.verdict is Verdict.UNKNOWN
    assert "does not permit ebs:GetSnapshotBlock" in disk.judgement.reason
    assert "ebs:GetSnapshotBlock" in disk.hint
    assert scene.snapshots() == []


def test_what_a_server_hides_and_its_disk_has_is_tampering_and_the_report_has_both(scene, account):
    account.behind.changed(scene.instance.id, HIDE)
    inside, disk = scene.views()
    assert not HIDDEN & paths(inside), "else it hides nothing"
    assert SHOWN in paths(inside) & paths(disk)
    assert disk.judgement.verdict is Verdict.TAMPERED, disk.judgement.reason
    assert paths(disk, "hidden") == HIDDEN
    assert scene.snapshots() == []


def test_the_command_says_both_and_waits_as_long_as_it_is_told(account, tmp_path, monkeypatch):
    account.credentials(monkeypatch)
    monkeypatch.setattr(settingparts, "LEAST_SETTLE", timedelta(0))
    scene = Scene(account, tmp_path, "3s")
    words = ["--config", str(scene.config), "audit", "--out-of-band", "--format", "json"]
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True, timeout=300, check=False
    )
    assert time.monotonic() - began >= 2 * 3, "once before each of its two copies"
    assert done.returncode == 1, done.stderr
    inside, disk = json.loads(done.stdout)["instances"]
    assert inside["id"] == disk["id"] == scene.instance.id
    assert "means" not in inside
    assert (disk["means"], disk["verdict"]) == ("disk", "tampered")
    assert {one["subject"] for one in disk["findings"] if one["kind"] == "hidden"} == HIDDEN
    assert scene.snapshots() == []


def test_too_short_a_wait_is_refused_and_says_why(account, tmp_path):
    with pytest.raises(BadInput, match="settle is at least 45s"):
        Scene(account, tmp_path, "5s")


def test_the_daemon_finds_it_out_by_itself_and_no_later_look_lifts_it(scene):
    engine = scene.house.engine()
    try:
        beats = {beat.name: beat for beat in engine.beats}

        def tampered():
            for name in ("lease", "journal", "sweep", "disks"):
                beats[name].run()
            with scene.house.store(read_only=True) as store, store.read() as tx:
                row = tx.instance(scene.instance.id)
                found = [one.finding for one in tx.open_findings(scene.instance.id)]
            return row is not None and row.verdict is Verdict.TAMPERED and (row, found)

        row, found = wait_until(tampered, "the verdict", 120)
        assert {one.subject.decode() for one in found if one.kind == "hidden"} == HIDDEN
        assert "it hides" in row.taint
        seen = row.looked_at
        assert wait_until(lambda: (now := tampered()) and now[0].looked_at != seen, "another look", 60)
        assert tampered()
        with scene.house.store(read_only=True) as store, store.read() as tx:
            assert "tampered" in [line.body.get("out_of_band") for line in tx.journal_lines()]
    finally:
        engine.stop()
        engine.close()
    assert scene.snapshots() == []
