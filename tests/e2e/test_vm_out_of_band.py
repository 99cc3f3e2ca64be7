"""A machine that lies to whoever looks at it, and its disk, which cannot: both held against each other. One boot."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from lying import HIDDEN, HIDE, SHOWN

from driftd import settingparts, wiring
from driftd.core.asides import DiskReading
from driftd.core.findings import Verdict
from driftd.core.looks import DISK
from driftd.doors.desks.baking import Source

pytestmark = [pytest.mark.machine, pytest.mark.servers, pytest.mark.timeout(900)]

TESTS = Path(__file__).parent.parent
CONFIG = """\
store: sqlite:///driftd.db
manifests: .
trust: {{unsigned: look}}
providers: {{local-vm: {{dir: "{dir}", images: "{images}"}}}}
groups:
  web:
    provider: local-vm
    image: {image}
    reach: {{ssh: {{user: root, key: "{key}"}}}}
    policy: [debian, systemd, sessions, "{tests}/vm.yaml"]
    out_of_band: {{settle: 1s}}
"""


@pytest.fixture(scope="module")
def house(fresh_vm, tmp_path_factory):
    """A configuration for the guest, and its manifest. Who only waits for writes here need not wait for long."""
    place, deployment = tmp_path_factory.mktemp("home"), fresh_vm.deployment
    said = CONFIG.format(
        dir=deployment.dir, images=deployment.images, image=fresh_vm.image.id, key=deployment.key, tests=TESTS
    )
    (place / "driftd.yaml").write_text(said)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settingparts, "LEAST_SETTLE", timedelta(0))
        made = wiring.build(place / "driftd.yaml")
    made.baking().bake(Source(root=fresh_vm.image.rootfs), fresh_vm.image.id, place / f"{fresh_vm.image.id}.manifest")
    return made


def views(house, vm):
    """What the guest shows of itself, and what its disk has."""
    vm.ssh("sync")
    inside, disk = house.disks().both(house.find([vm.instance.id]), strict=False)
    assert (inside.means, disk.means) == ("", DISK)
    return inside, disk


def paths(look, kind=""):
    return {one.subject.decode() for one in look.judgement.findings if kind in ("", one.kind)}


def test_an_honest_guest_and_its_disk_say_the_same(house, fresh_vm):
    assert isinstance(house.provider("web"), DiskReading)
    inside, disk = views(house, fresh_vm)
    assert inside.judgement.verdict in (Verdict.CLEAN, Verdict.EXPLAINED, Verdict.DRIFTED), inside.judgement.reason
    assert {one.kind for one in inside.judgement.findings} <= {"session"}
    assert disk.judgement.verdict is Verdict.EXPLAINED, disk.judgement.reason
    assert disk.judgement.findings == ()
    assert "journal played back" in disk.judgement.reason
    assert {one.kind for one in disk.coverage.kept} >= {"process", "listener", "session"}


def test_what_the_guest_shows_and_the_disk_has_is_drift(house, fresh_vm):
    fresh_vm.ssh("echo '* * * * * root true' >/etc/cron.d/job")
    inside, disk = views(house, fresh_vm)
    assert inside.judgement.verdict is Verdict.DRIFTED
    assert disk.judgement.verdict is Verdict.DRIFTED
    assert "/etc/cron.d/job" in paths(inside) & paths(disk)
    assert paths(disk, "hidden") == set()
    fresh_vm.ssh("rm /etc/cron.d/job")


def test_what_the_guest_hides_and_the_disk_has_is_tampering(house, fresh_vm):
    fresh_vm.ssh(HIDE)
    inside, disk = views(house, fresh_vm)
    assert not HIDDEN & paths(inside), "else it hides nothing"
    assert SHOWN in paths(inside) & paths(disk)
    assert disk.judgement.verdict is Verdict.TAMPERED, disk.judgement.reason
    assert paths(disk, "hidden") == HIDDEN
    assert "it hides" in disk.judgement.reason
    left = Path(house.store_url.partition(":///")[2]).parent / "disks"
    assert [one.name for one in left.iterdir()] == ["lock"]
