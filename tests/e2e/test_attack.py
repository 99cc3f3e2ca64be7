"""Every deliberate change of ``attack.ATTACKS`` is found under the default packs: its kind, and how bad it is."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from attack import ATTACKS
from changing import Auditor, baked, missing, script, shown
from evading import POLICY
from servers import LocalDeployment

from driftd.core.findings import Verdict
from driftd.core.looks import Look
from driftd.edges.documents import load_policy
from driftd.edges.ssh.looker import SshLooker
from driftd.edges.ssh.options import SshOptions
from driftd.flows.audit import Rules

TESTS = Path(__file__).parent.parent
pytestmark = [pytest.mark.machine, pytest.mark.servers, pytest.mark.timeout(180)]


def test_the_list_is_long_enough_and_says_each_thing_once() -> None:
    assert len(ATTACKS) >= 80
    assert len({one.id for one in ATTACKS}) == len(ATTACKS)


@pytest.fixture(scope="module")
def look(golden_image, image_cache, login_key) -> Iterator[Look]:
    """What one audit says after all of them."""
    deployment = LocalDeployment(Path(tempfile.mkdtemp(prefix="dd-")), image_cache, golden_image, login_key)
    looker = SshLooker(SshOptions(key_file=str(login_key)))
    auditor = Auditor(baked(golden_image), looker, Rules(load_policy(POLICY, TESTS)))
    try:
        server = deployment.launch()
        pristine = auditor.audit(server)
        assert [shown(one) for one in pristine.judgement.findings] == []
        assert deployment.ssh(server, script(ATTACKS)) == ""
        yield auditor.audit(server)
    finally:
        deployment.clean()
        shutil.rmtree(deployment.root)


@pytest.mark.parametrize("one", ATTACKS, ids=lambda one: one.id)
def test_it_is_found(look, one) -> None:
    assert look.judgement.verdict is Verdict.DRIFTED
    assert missing(one, look.judgement.findings) == []
