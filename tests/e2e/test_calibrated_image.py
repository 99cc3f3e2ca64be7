"""``driftd calibrate`` on the demo's image: a rule for each thing that its instances do by themselves, and no other.

No pack is used: what the overlay does not explain would be a finding. Who may log in is not learnt, so the group's own
document says it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from driftd.core.calibration import marks
from driftd.core.findings import Verdict
from driftd.core.looks import Look
from driftd.doors.desks.calibration import Outcome, Wish
from driftd.edges.stage.clients import person
from driftd.flows.janitor import Janitor
from driftd.wiring.stage import CONFIG

pytestmark = [pytest.mark.servers, pytest.mark.timeout(240)]

PERSON = "    authorized_keys:\n      - {person}\n"
POLICY = "policy: [auto, shared-kernel, sessions, web.yaml]"
SIGNED = """\
schema: driftd.policy/1
name: signed
rules:
  - id: keys
    match: {path: [/root/.ssh, /root/.ssh/authorized_keys], change: added}
    expect: firstboot
    because: The provider lets driftd's own key in at launch.
"""
# What the classes of the manifest explain already is not learnt again.
LEARNT = {
    "template:ssh-private-key /etc/ssh/ssh_host_ed25519_key",
    "template:ssh-public-key /etc/ssh/ssh_host_ed25519_key.pub",
    "growing /var/log/auth.log",
    "growing /var/log/syslog",
    "explain hostkey SHA256:*",
    "explain listener tcp 0.0.0.0:22",
    "explain listener tcp 0.0.0.0:8080",
    r"explain listener tcp \[::\]:22",
    "explain mount /proc/sys",
    "explain mount /tmp",
    *(f"explain mount /dev/{name}" for name in ("full", "null", "random", "tty", "urandom", "zero")),
}
OF_THE_HOST = ("explain kernel ", "explain sysctl ", "explain module ")  # its kernel's, and so another on each host


@pytest.fixture(scope="module")
def calibrated(image_cache, golden_image, tmp_path_factory):
    """A running fleet of three, judged without packs, and what calibrating its image taught."""
    from fleets import Fleet, stages

    assert PERSON in CONFIG
    assert POLICY in CONFIG
    own = tmp_path_factory.mktemp("policy") / "signed.yaml"
    own.write_text(SIGNED)
    with stages(image_cache) as make:
        fleet = Fleet(make(CONFIG.replace(PERSON, "").replace(POLICY, f"policy: [sessions, {own}]")))
        told: list[tuple[str, int, int, str]] = []
        outcome = fleet.house.calibrating().calibrate(
            Wish("web", wait=timedelta(seconds=3)), lambda *step: told.append(step)
        )
        yield fleet, outcome, told


def proposed(outcome: Outcome) -> set[str]:
    from driftd.doors.report.calibration import class_of, subject_of

    return {f"{class_of(rule)} {subject_of(rule)}" for rule in outcome.calibration.rules}


def sign(fleet) -> None:
    house = fleet.house
    house.trust().sign(house.manifests.path_for(house.settings.groups["web"].image))


def looks(fleet) -> list[Look]:
    return list(fleet.house.audit(fleet.house.find([]), strict=False))


def test_there_is_a_rule_for_each_thing_and_for_no_other(calibrated):
    _, outcome, _ = calibrated
    found = {one for one in proposed(outcome) if not one.startswith(OF_THE_HOST)}
    known = {one.partition(":")[0] for one in outcome.calibration.explained}
    assert found == LEARNT
    assert known == {"manifest", "signed"}
    assert outcome.calibration.left == ()


def test_every_rule_says_what_it_was_learnt_from(calibrated):
    _, outcome, _ = calibrated
    assert outcome.moments == ("boot", "later", "restart")
    for rule in outcome.calibration.rules:
        assert rule.evidence[0].startswith("seen on 3 of 3 instances, boot, later")
    text = outcome.overlay.decode()
    assert all(name in text for name in outcome.instances)
    assert "Nothing was left for a person to decide." in text


def test_nothing_of_it_is_left_and_the_fleet_was_not_touched(calibrated):
    fleet, outcome, told = calibrated
    assert not set(outcome.instances) & {one.id for one in fleet.house.provider("web").inventory.find("web")}
    fleet.whole()
    assert told[-1][1:] == (1, 1, "")
    with fleet.house.store(read_only=True) as store, store.read() as tx:
        assert not {row.id for row in tx.instances()} & set(outcome.instances)


def test_what_was_learnt_counts_once_it_is_signed_and_a_later_change_is_found(calibrated):
    fleet, _, _ = calibrated
    assert {look.judgement.verdict for look in looks(fleet)} == {Verdict.UNKNOWN}
    sign(fleet)
    for look in looks(fleet):
        assert (look.judgement.verdict, look.judgement.findings) == (Verdict.EXPLAINED, ()), look.judgement
        assert any(one.rule.startswith("overlay:") for one in look.judgement.explained)
    victim = fleet.instances()["web/2"]
    change = (
        "echo evil >>/etc/ssh/ssh_host_ed25519_key.pub; echo >/etc/cron.d/x; echo >/var/lib/evil; chmod 600 /etc/motd"
    )
    home = fleet.stage.config.parent
    person(victim, home / "keys/driftd", home / "known", change)
    [drifted] = [look for look in looks(fleet) if look.judgement.verdict is Verdict.DRIFTED]
    assert drifted.instance.id == victim.id
    found = {one.subject for one in drifted.judgement.findings}
    assert {b"/etc/ssh/ssh_host_ed25519_key.pub", b"/etc/cron.d/x", b"/var/lib/evil", b"/etc/motd"} <= found
    strict = list(fleet.house.audit([fleet.instances()["web/1"]], strict=True))
    assert len(strict[0].judgement.findings) > len(LEARNT)


def test_sigkill_leaves_instances_that_are_nobodys_and_end(calibrated):
    fleet, _, _ = calibrated
    house, compute = fleet.house, fleet.house.provider("web").compute
    words = [sys.executable, "-m", "driftd", "--config", str(fleet.stage.config), "calibrate", "web"]
    out = Path(fleet.stage.config.parent / "unused.yaml")
    child = subprocess.Popen([*words, "--at-most", "45s", "--wait", "30s", "-n", "2", "-o", str(out)])
    members = {one.id for one in fleet.instances().values()}

    def mayflies():
        return {one.id for one in compute.list({}) if marks.marked(one)}

    fleet.wait(lambda: len(mayflies()) == 2)
    time.sleep(0.5)  # a look may be under way
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    left = mayflies()
    assert len(left) == 2
    assert {one.id for one in house.find([])} == members
    with house.store() as store:
        late = [timedelta(0)]
        janitor = Janitor(store, house.groups, clock=lambda: house.now() + late[0])
        assert not any("calibration" in said for said in janitor.tick())
        assert mayflies() == left
        late[0] = timedelta(seconds=60)
        assert len([said for said in janitor.tick() if "was ended: a calibration in web" in said]) == 2
    assert mayflies() == set()
    assert not out.exists()
    assert {one.id for one in compute.list({})} == members
