"""A changed fact is found on a machine with a kernel and a systemd of its own, and nothing else is.

That a pristine one is explained is in ``test_vm_systemd.py``. Each look reads everything there is, under emulation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from changes_vm import AFTER_REBOOT, VM
from changing import Auditor, Told, baked, missing, script, told, unasked
from vms import VmDeployment, machines

from driftd.core.facts import Instance
from driftd.core.looks import Look
from driftd.doors.report import table
from driftd.edges.documents import load_policy
from driftd.edges.ssh.looker import SshLooker
from driftd.edges.ssh.options import SshOptions
from driftd.flows.audit import Rules

pytestmark = [pytest.mark.machine, pytest.mark.servers, pytest.mark.timeout(900)]

TESTS = Path(__file__).parent.parent
# What a configuration has by itself, and what is true of the tests' own machines.
POLICY = ("debian", "systemd", "sessions", "vm.yaml")
PERSON = told("session", "ssh:root@*")


@dataclass(frozen=True)
class Machine:
    """A machine that a person has changed in every way, and how it looked then."""

    deployment: VmDeployment
    server: Instance
    auditor: Auditor
    look: Look


@pytest.fixture(scope="module")
def changed(image_cache, vm_image, login_key) -> Iterator[Machine]:
    looker = SshLooker(SshOptions(key_file=str(login_key)))
    auditor = Auditor(baked(vm_image), looker, Rules(load_policy(POLICY, TESTS)))
    with machines(image_cache, vm_image, login_key) as deployment:
        server = deployment.launch()
        deployment.ssh(server, "systemctl is-system-running --wait >/dev/null || :")
        deployment.ssh(server, script(VM))
        yield Machine(deployment, server, auditor, auditor.audit(server))


@pytest.fixture(scope="module")
def rebooted(changed) -> Look:
    compute = changed.deployment.provider.compute
    compute.stop(changed.server.id)
    compute.start(changed.server.id)
    changed.deployment.ready(changed.server)
    return changed.auditor.audit(changed.server)


@pytest.mark.parametrize("one", VM, ids=lambda one: one.id)
def test_a_change_is_found(changed, one) -> None:
    assert missing(one, changed.look.judgement.findings) == []


def test_nothing_else_is_found(changed) -> None:
    assert unasked(VM, changed.look.judgement.findings, PERSON) == []
    assert changed.look.coverage.kept == (), "with a kernel, a systemd and root's rights nothing is kept from a look"


def test_a_setting_is_told_three_ways(changed) -> None:
    judgement = changed.look.judgement
    settings = tuple(one for one in judgement.findings if one.kind == "sysctl")
    said = table.text([replace(changed.look, judgement=replace(judgement, findings=settings))], width=100)
    lines = {line.strip() for line in said.splitlines()}
    assert "live 0, configured 1, baked 1" in lines
    assert "live 2, configured 0, not baked" in lines
    assert "live 1, not configured, not baked" in lines
    assert max(map(len, said.splitlines())) <= 100


@pytest.mark.soak
@pytest.mark.parametrize("want", AFTER_REBOOT, ids=lambda want: f"{want.kind}-{want.subject}")
def test_what_outlasts_a_reboot_is_found_after_it(rebooted, want: Told) -> None:
    assert any(want.fits(one) for one in rebooted.judgement.findings)


@pytest.mark.soak
def test_a_reboot_brings_nothing_else(changed, rebooted) -> None:
    assert unasked((), rebooted.judgement.findings, PERSON, *AFTER_REBOOT) == []
    assert rebooted.boot_id != changed.look.boot_id
